#include "api/tcp_state.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>

namespace curfew::api {
namespace {

int state_of(int socket) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return TCP_CLOSE;
  return info.tcpi_state;
}

}  // namespace

std::size_t unacknowledged_bytes(int socket) {
  int bytes = 0;
  if (::ioctl(socket, TIOCOUTQ, &bytes) != 0 || bytes < 0) return 0;
  return static_cast<std::size_t>(bytes);
}

bool is_broken(int socket) {
  return state_of(socket) == TCP_CLOSE;
}

bool has_hung_up(int socket) {
  return state_of(socket) != TCP_ESTABLISHED;
}

int peek_byte(int socket) {
  unsigned char byte = 0;
  return ::recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1 ? byte : -1;
}

}  // namespace curfew::api

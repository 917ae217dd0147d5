#include "tests/e2e/flaky_proxy.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>

#include "tests/api/raw_client.h"

namespace curfew::e2e {
namespace {

std::string read_head(int socket) {
  std::string head;
  char bytes[4096];
  while (head.find("\r\n\r\n") == std::string::npos) {
    const auto count = ::recv(socket, bytes, sizeof bytes, 0);
    if (count <= 0) return {};
    head.append(bytes, static_cast<std::size_t>(count));
  }
  return head;
}

}  // namespace

FlakyProxy::FlakyProxy(std::uint16_t server, int failures, Drop drop)
    : server_(server), drop_(drop), failures_left_(failures) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const raw = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener_, raw, size) != 0 || ::listen(listener_, 8) != 0 ||
      ::getsockname(listener_, raw, &size) != 0)
    throw std::runtime_error("the proxy cannot listen");
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { serve(); });
}

FlakyProxy::~FlakyProxy() {
  ::shutdown(listener_, SHUT_RDWR);
  thread_.join();
  ::close(listener_);
}

void FlakyProxy::serve() {
  for (;;) {
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) return;
    const std::string request = read_head(client);
    if (!request.empty()) {
      const std::string answer = answer_to(request);
      ::send(client, answer.data(), answer.size(), MSG_NOSIGNAL);
    }
    ::shutdown(client, SHUT_WR);
    char rest[256];
    while (::recv(client, rest, sizeof rest, 0) > 0) {
    }
    ::close(client);
  }
}

std::string FlakyProxy::answer_to(const std::string& request) {
  ++requests_;
  api::testing::RawClient upstream(server_);
  upstream.send(request);
  if (failures_left_ > 0) {
    --failures_left_;
    if (drop_ == Drop::kAfterAnswer) upstream.read();
    if (drop_ == Drop::kReset)
      upstream.reset();
    else
      upstream.close();
    return "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
  }
  const api::testing::RawAnswer answer = upstream.read();
  return answer.head + "\r\n" + answer.body;
}

}  // namespace curfew::e2e

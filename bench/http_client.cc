#include "bench/http_client.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <charconv>

#include "bench/load.h"

namespace curfew::bench {
namespace {

// -1: nobody listens.
int connect_to(int port) {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    const int on = 1;
    ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return descriptor;
  }
  ::close(descriptor);
  return -1;
}

std::size_t length_in(std::string_view head) {
  constexpr std::string_view kName = "Content-Length: ";
  const auto at = head.find(kName);
  if (at == std::string_view::npos) return 0;
  std::size_t length = 0;
  std::from_chars(head.data() + at + kName.size(), head.data() + head.size(), length);
  return length;
}

}  // namespace

HttpClient::HttpClient(int port, std::string token)
    : port_(port), token_(std::move(token)), socket_(connect_to(port)) {
  if (socket_ < 0) fail(fmt::format("nothing listens on port {}", port));
}

HttpClient::~HttpClient() {
  ::close(socket_);
}

bool HttpClient::can_connect(int port) {
  const int descriptor = connect_to(port);
  if (descriptor >= 0) ::close(descriptor);
  return descriptor >= 0;
}

void HttpClient::send(std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) fail("the server hung up on a request");
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

void HttpClient::receive() {
  std::array<char, 16 * 1024> buffer;
  const ssize_t got = ::recv(socket_, buffer.data(), buffer.size(), 0);
  if (got <= 0) fail("the server hung up before its answer");
  in_.append(buffer.data(), static_cast<std::size_t>(got));
}

std::string HttpClient::call(std::string_view method, std::string_view path,
                             std::string_view body) {
  send(
      fmt::format("{} /v1/{} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nX-Vault-Token: {}\r\n{}"
                  "Content-Length: {}\r\n\r\n{}",
                  method, path, port_, token_, headers_, body.size(), body));
  std::size_t end = in_.find("\r\n\r\n");
  while (end == std::string::npos) {
    receive();
    end = in_.find("\r\n\r\n");
  }
  const std::string head = in_.substr(0, end);
  const std::size_t whole = end + 4 + length_in(head);
  while (in_.size() < whole) receive();
  std::string answer = in_.substr(end + 4, whole - end - 4);
  in_.erase(0, whole);
  // How Vault's API answers a list of nothing.
  const bool is_empty_list =
      head.starts_with("HTTP/1.1 404") && answer.starts_with(R"({"errors":[]})");
  if (!head.starts_with("HTTP/1.1 200") && !head.starts_with("HTTP/1.1 204") && !is_empty_list)
    fail(fmt::format("{} {}: {} {}", method, path, head.substr(0, head.find('\r')), answer));
  return answer;
}

Json HttpClient::json(std::string_view method, std::string_view path, std::string_view body) {
  auto parsed = parse_json(call(method, path, body));
  if (!parsed) fail(fmt::format("{} {}: the answer is not JSON", method, path));
  return *std::move(parsed);
}

}  // namespace curfew::bench

#include "tests/api/raw_client.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <thread>
#include <utility>

namespace curfew::api::testing {

std::string RawAnswer::first_error() const {
  const Json parsed = json();
  if (!parsed.is_object() || !parsed.contains("errors") || parsed["errors"].empty()) return "";
  return parsed["errors"][0].get<std::string>();
}

RawClient::RawClient(std::uint16_t port, int receive_buffer_bytes) {
  socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (receive_buffer_bytes > 0)
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes,
                 sizeof receive_buffer_bytes);
  const timeval limit{5, 0};
  ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) close();
}

RawClient::~RawClient() {
  close();
  if (context_ != nullptr) SSL_CTX_free(context_);
}

bool RawClient::start_tls(int version_max) {
  // OpenSSL writes without MSG_NOSIGNAL, also where the server has hung up.
  ::signal(SIGPIPE, SIG_IGN);
  context_ = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_verify(context_, SSL_VERIFY_NONE, nullptr);
  if (version_max != 0) {
    SSL_CTX_set_security_level(context_, 0);
    SSL_CTX_set_min_proto_version(context_, 0);
    SSL_CTX_set_max_proto_version(context_, version_max);
  }
  if (!certificate_file_.empty() &&
      (SSL_CTX_use_certificate_chain_file(context_, certificate_file_.c_str()) != 1 ||
       SSL_CTX_use_PrivateKey_file(context_, key_file_.c_str(), SSL_FILETYPE_PEM) != 1))
    return false;
  tls_ = SSL_new(context_);
  SSL_set_fd(tls_, socket_);
  if (wanted_session_ != nullptr) SSL_set_session(tls_, wanted_session_.get());
  if (SSL_connect(tls_) != 1) return false;
  X509* certificate = SSL_get1_peer_certificate(tls_);
  char name[128] = "";
  X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
  X509_free(certificate);
  peer_name_ = name;
  return true;
}

void RawClient::show(std::string certificate_file, std::string key_file) {
  certificate_file_ = std::move(certificate_file);
  key_file_ = std::move(key_file);
}

std::shared_ptr<ssl_session_st> RawClient::session() const {
  return {SSL_get1_session(tls_), [](SSL_SESSION* session) { SSL_SESSION_free(session); }};
}

bool RawClient::resumed() const {
  return SSL_session_reused(tls_) == 1;
}

std::string RawClient::tls_version() const {
  return tls_ == nullptr ? "" : SSL_get_version(tls_);
}

bool RawClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto sent = tls_ != nullptr
                          ? SSL_write(tls_, bytes.data(), static_cast<int>(bytes.size()))
                          : ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

std::string RawClient::read_some() {
  char bytes[16 * 1024];
  const auto count = tls_ != nullptr ? SSL_read(tls_, bytes, sizeof bytes)
                                     : ::recv(socket_, bytes, sizeof bytes, 0);
  return count > 0 ? std::string(bytes, static_cast<std::size_t>(count)) : std::string();
}

RawAnswer RawClient::read(bool head) {
  RawAnswer answer;
  std::size_t end = 0;
  while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
    const std::string more = read_some();
    if (more.empty()) return answer;
    buffer_ += more;
  }
  answer.head = buffer_.substr(0, end + 2);
  buffer_.erase(0, end + 4);
  std::size_t line = answer.head.find("\r\n") + 2;
  while (line < answer.head.size()) {
    const std::size_t stop = answer.head.find("\r\n", line);
    const std::size_t colon = answer.head.find(": ", line);
    std::string name = answer.head.substr(line, colon - line);
    std::transform(name.begin(), name.end(), name.begin(), ::tolower);
    answer.headers[name] = answer.head.substr(colon + 2, stop - colon - 2);
    line = stop + 2;
  }
  const auto length = answer.headers.find("content-length");
  const std::size_t size = head || length == answer.headers.end() ? 0 : std::stoul(length->second);
  while (buffer_.size() < size) {
    const std::string more = read_some();
    if (more.empty()) return RawAnswer{};
    buffer_ += more;
  }
  answer.body = buffer_.substr(0, size);
  buffer_.erase(0, size);
  answer.status = std::stoi(answer.head.substr(9, 3));
  return answer;
}

std::optional<std::string> RawClient::read_chunk() {
  std::size_t size = 0;
  std::size_t start = 0;
  for (;;) {
    const std::size_t line = buffer_.find("\r\n");
    if (line != std::string::npos) {
      size = std::stoul(buffer_, nullptr, 16);
      start = line + 2;
      if (buffer_.size() >= start + size + 2) break;
    }
    const std::string more = read_some();
    if (more.empty()) return std::nullopt;
    buffer_ += more;
  }
  std::string chunk = buffer_.substr(start, size);
  buffer_.erase(0, start + size + 2);
  return chunk;
}

std::string RawClient::read_to_end() {
  std::string all = std::exchange(buffer_, {});
  for (;;) {
    const std::string more = read_some();
    if (more.empty()) return all;
    all += more;
  }
}

bool RawClient::wait_for_close() {
  for (;;) {
    char bytes[4096];
    const auto count = ::recv(socket_, bytes, sizeof bytes, 0);
    if (count == 0) return true;
    if (count < 0) return errno == ECONNRESET;
  }
}

void RawClient::shutdown_send() {
  ::shutdown(socket_, SHUT_WR);
}

void RawClient::close() {
  if (tls_ != nullptr) SSL_free(tls_);
  tls_ = nullptr;
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
}

void RawClient::reset() {
  const linger now{1, 0};
  ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close();
}

std::string get(std::string_view target, std::string_view headers) {
  return fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\n{}\r\n", target, headers);
}

std::string with_body(std::string_view method, std::string_view target, std::string_view body,
                      std::string_view headers) {
  return fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n{}\r\n{}", method,
                     target, body.size(), headers, body);
}

bool eventually(const std::function<bool()>& condition) {
  for (int round = 0; round < 2000; ++round) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

}  // namespace curfew::api::testing

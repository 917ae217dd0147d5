#include "tests/support/https_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <stdexcept>

namespace curfew::test {
namespace {

SSL_CTX* make_context(const Certificate& certificate) {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  BIO* cert_text = BIO_new_mem_buf(certificate.certificate.data(), -1);
  BIO* key_text = BIO_new_mem_buf(certificate.key.data(), -1);
  X509* cert = PEM_read_bio_X509(cert_text, nullptr, nullptr, nullptr);
  EVP_PKEY* key = PEM_read_bio_PrivateKey(key_text, nullptr, nullptr, nullptr);
  if (SSL_CTX_use_certificate(context, cert) != 1 || SSL_CTX_use_PrivateKey(context, key) != 1)
    throw std::runtime_error("https server: the certificate cannot be used");
  X509_free(cert);
  EVP_PKEY_free(key);
  BIO_free_all(cert_text);
  BIO_free_all(key_text);
  return context;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

// False: the connection ended before a whole head was there.
bool parse_head(const std::string& head, HttpsCall& call) {
  const std::size_t end = head.find("\r\n");
  const std::string line = head.substr(0, end);
  const std::size_t first = line.find(' '), second = line.rfind(' ');
  if (first == std::string::npos || first == second) return false;
  call.method = line.substr(0, first);
  call.target = line.substr(first + 1, second - first - 1);
  for (std::size_t at = end + 2; at < head.size();) {
    const std::size_t next = std::min(head.find("\r\n", at), head.size());
    const std::string header = head.substr(at, next - at);
    const std::size_t colon = header.find(": ");
    if (colon != std::string::npos)
      call.headers[lower(header.substr(0, colon))] = header.substr(colon + 2);
    at = next + 2;
  }
  return true;
}

bool read_call(SSL* tls, HttpsCall& call) {
  std::string text;
  char buffer[4096];
  while (true) {
    const int got = SSL_read(tls, buffer, sizeof buffer);
    if (got <= 0) return false;
    text.append(buffer, static_cast<std::size_t>(got));
    const std::size_t head_end = text.find("\r\n\r\n");
    if (head_end == std::string::npos) continue;
    if (call.method.empty() && !parse_head(text.substr(0, head_end + 2), call)) return false;
    const auto length = call.headers.find("content-length");
    const std::size_t body = length == call.headers.end() ? 0 : std::stoul(length->second);
    if (text.size() < head_end + 4 + body) continue;
    call.body = text.substr(head_end + 4, body);
    return true;
  }
}

void write_reply(SSL* tls, const HttpsReply& reply) {
  std::string text = "HTTP/1.1 " + std::to_string(reply.status) +
                     " Answer\r\nContent-Type: application/json\r\nConnection: close\r\n"
                     "Content-Length: " +
                     std::to_string(reply.body.size()) + "\r\n";
  for (const std::string& header : reply.headers) text += header + "\r\n";
  text += "\r\n" + reply.body;
  SSL_write(tls, text.data(), static_cast<int>(text.size()));
}

}  // namespace

HttpsServer::HttpsServer() : context_(make_context(certificate_)) {
  // A client that gives up shows as an error of the write.
  std::signal(SIGPIPE, SIG_IGN);
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (listener_ < 0 || bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(listener_, 64) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw std::runtime_error("https server: no socket");
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

HttpsServer::~HttpsServer() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  for (std::thread& worker : workers_) worker.join();
  close(listener_);
  SSL_CTX_free(context_);
}

std::string HttpsServer::url(const std::string& path) const {
  return "https://localhost:" + std::to_string(port_) + path;
}

void HttpsServer::on(const std::string& path, Handler handler) {
  const std::scoped_lock lock(mutex_);
  handlers_[path] = std::move(handler);
}

void HttpsServer::answer(const std::string& path, std::string body, int status) {
  on(path, [body = std::move(body), status](const HttpsCall&) {
    return HttpsReply{.status = status, .body = body};
  });
}

void HttpsServer::hang(bool whether) {
  {
    const std::scoped_lock lock(mutex_);
    hanging_ = whether;
  }
  changed_.notify_all();
}

void HttpsServer::settle() {
  const std::scoped_lock lock(handling_);
}

int HttpsServer::count(const std::string& path) const {
  const std::scoped_lock lock(mutex_);
  const auto it = counts_.find(path);
  return it == counts_.end() ? 0 : it->second;
}

HttpsCall HttpsServer::last() const {
  const std::scoped_lock lock(mutex_);
  return last_;
}

void HttpsServer::accept_all() {
  while (true) {
    const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    const std::scoped_lock lock(mutex_);
    if (stopping_ || connection < 0) {
      if (connection >= 0) close(connection);
      return;
    }
    workers_.emplace_back([this, connection] { serve(connection); });
  }
}

void HttpsServer::serve(int connection) {
  // A client that says nothing must not outlive the server.
  const timeval patience{10, 0};
  setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  SSL* tls = SSL_new(context_);
  SSL_set_fd(tls, connection);
  HttpsCall call;
  if (SSL_accept(tls) == 1 && read_call(tls, call)) {
    const HttpsReply reply = reply_to(call);
    if (reply.status != 0) write_reply(tls, reply);
    SSL_shutdown(tls);
  }
  SSL_free(tls);
  close(connection);
}

// A status of 0 stands for no answer.
HttpsReply HttpsServer::reply_to(const HttpsCall& call) {
  const std::string path = call.target.substr(0, call.target.find('?'));
  Handler handler;
  {
    std::unique_lock lock(mutex_);
    ++counts_[path];
    last_ = call;
    if (hanging_) {
      changed_.wait(lock, [&] { return stopping_ || !hanging_; });
      return {.status = 0, .body = ""};
    }
    const auto it = handlers_.find(path);
    if (it != handlers_.end()) handler = it->second;
  }
  const std::scoped_lock lock(handling_);
  return handler ? handler(call) : HttpsReply{.status = 404, .body = "{}"};
}

}  // namespace curfew::test

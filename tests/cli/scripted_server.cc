#include "tests/cli/scripted_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <csignal>
#include <cstdlib>
#include <stdexcept>

namespace curfew::cli::testing {

namespace {

int listen_on_loopback(int& port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (fd < 0 || ::bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::listen(fd, 16) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("no loopback socket for the scripted server");
  }
  port = ntohs(address.sin_port);
  return fd;
}

}  // namespace

struct ScriptedServer::Tls {
  SSL_CTX* context = nullptr;
  ~Tls() { SSL_CTX_free(context); }

  // Makes a key and a certificate; gives the certificate as PEM.
  std::string prepare() {
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* cert = X509_new();
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    X509_NAME* name = X509_get_subject_name(cert);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>("curfew.test"), -1, -1, 0);
    X509_set_issuer_name(cert, name);
    X509_EXTENSION* names =
        X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "DNS:curfew.test");
    X509_add_ext(cert, names, -1);
    X509_EXTENSION_free(names);
    X509_EXTENSION* authority =
        X509V3_EXT_conf_nid(nullptr, nullptr, NID_basic_constraints, "critical,CA:TRUE");
    X509_add_ext(cert, authority, -1);
    X509_EXTENSION_free(authority);
    X509_sign(cert, key, EVP_sha256());

    context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(context, cert);
    SSL_CTX_use_PrivateKey(context, key);
    BIO* memory = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(memory, cert);
    char* data = nullptr;
    const long length = BIO_get_mem_data(memory, &data);
    std::string pem(data, static_cast<std::size_t>(length));
    BIO_free(memory);
    X509_free(cert);
    EVP_PKEY_free(key);
    return pem;
  }
};

// One accepted connection, with or without TLS.
class ScriptedServer::Stream {
 public:
  Stream(int fd, SSL_CTX* context) : fd_(fd) {
    if (context == nullptr) return;
    ssl_ = SSL_new(context);
    SSL_set_fd(ssl_, fd_);
    open_ = SSL_accept(ssl_) == 1;
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() {
    if (ssl_ != nullptr) {
      if (open_) SSL_shutdown(ssl_);
      SSL_free(ssl_);
    }
    ::close(fd_);
  }

  bool open() const { return open_; }

  // Appends what comes; false at the end of the connection.
  bool read_some(std::string& text) {
    char bytes[4096];
    const ssize_t got =
        ssl_ != nullptr ? SSL_read(ssl_, bytes, sizeof bytes) : ::read(fd_, bytes, sizeof bytes);
    if (got <= 0) return false;
    text.append(bytes, static_cast<std::size_t>(got));
    return true;
  }

  void write_all(const std::string& text) {
    std::size_t done = 0;
    while (done < text.size()) {
      const auto left = text.size() - done;
      const ssize_t written = ssl_ != nullptr
                                  ? SSL_write(ssl_, text.data() + done, static_cast<int>(left))
                                  : ::send(fd_, text.data() + done, left, MSG_NOSIGNAL);
      if (written <= 0) return;
      done += static_cast<std::size_t>(written);
    }
  }

 private:
  int fd_;
  SSL* ssl_ = nullptr;
  bool open_ = true;
};

std::string SeenRequest::line() const {
  return method + " " + target + (body.empty() ? "" : " " + body);
}

ScriptedServer::ScriptedServer(Transport transport) : transport_(transport) {
  // OpenSSL writes without MSG_NOSIGNAL to clients that have hung up.
  ::signal(SIGPIPE, SIG_IGN);
  if (transport == Transport::kTls) {
    tls_ = new Tls;
    certificate_ = tls_->prepare();
  }
  listener_ = listen_on_loopback(port_);
  thread_ = std::thread([this] { serve(); });
}

ScriptedServer::~ScriptedServer() {
  stopping_ = true;
  ::shutdown(listener_, SHUT_RDWR);
  thread_.join();
  ::close(listener_);
  delete tls_;
}

void ScriptedServer::reply(ScriptedReply reply) {
  const std::scoped_lock lock(mutex_);
  replies_.push_back(std::move(reply));
}

std::vector<SeenRequest> ScriptedServer::seen() const {
  const std::scoped_lock lock(mutex_);
  return seen_;
}

std::vector<std::string> ScriptedServer::lines() const {
  std::vector<std::string> lines;
  for (const SeenRequest& request : seen()) lines.push_back(request.line());
  return lines;
}

std::string ScriptedServer::address() const {
  return (transport_ == Transport::kTls ? "https://127.0.0.1:" : "http://127.0.0.1:") +
         std::to_string(port_);
}

void ScriptedServer::serve() {
  while (!stopping_) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    Stream stream(fd, tls_ != nullptr ? tls_->context : nullptr);
    if (stream.open()) answer(stream);
  }
}

void ScriptedServer::answer(Stream& stream) {
  std::string text;
  std::size_t head = std::string::npos;
  while ((head = text.find("\r\n\r\n")) == std::string::npos) {
    if (!stream.read_some(text)) return;
    if (text[0] == 0x16) {  // a TLS handshake, at a server that speaks plain HTTP
      stream.write_all("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
      return;
    }
  }
  SeenRequest request;
  std::size_t start = text.find("\r\n");
  const std::string first = text.substr(0, start);
  request.method = first.substr(0, first.find(' '));
  request.target =
      first.substr(request.method.size() + 1, first.rfind(' ') - request.method.size() - 1);
  for (start += 2; start < head + 2;) {
    const std::size_t end = text.find("\r\n", start);
    const std::string line = text.substr(start, end - start);
    std::string name = line.substr(0, line.find(':'));
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
    const std::size_t value = line.find_first_not_of(' ', line.find(':') + 1);
    request.headers[name] = value == std::string::npos ? "" : line.substr(value);
    start = end + 2;
  }
  request.body = text.substr(head + 4);
  std::size_t length = 0;
  if (request.headers.contains("content-length")) {
    length = std::strtoull(request.headers["content-length"].c_str(), nullptr, 10);
  }
  while (request.body.size() < length && stream.read_some(request.body)) continue;

  ScriptedReply reply{.status = 599, .body = R"({"errors":["the script has no more answers"]})"};
  {
    const std::scoped_lock lock(mutex_);
    seen_.push_back(request);
    if (!replies_.empty()) {
      reply = replies_.front();
      replies_.pop_front();
    }
  }
  if (reply.hang) {
    std::string rest;
    while (stream.read_some(rest)) continue;
    return;
  }
  if (!reply.raw.empty()) {
    stream.write_all(reply.raw);
    return;
  }
  std::string head_text = "HTTP/1.1 " + std::to_string(reply.status) + " Said\r\n";
  for (const std::string& line : reply.header_lines) head_text += line + "\r\n";
  stream.write_all(head_text + "Content-Type: application/json\r\nConnection: close\r\n" +
                   (reply.status == 204 ? std::string("\r\n")
                                        : "Content-Length: " + std::to_string(reply.body.size()) +
                                              "\r\n\r\n" + reply.body));
}

int unused_port() {
  int port = 0;
  ::close(listen_on_loopback(port));
  return port;
}

}  // namespace curfew::cli::testing

#include "tests/fakes/target_proxy.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <stdexcept>
#include <string_view>

namespace curfew::fakes {
namespace {

constexpr std::uint32_t kSslRequest = 80877103;
constexpr std::uint32_t kGssRequest = 80877104;
constexpr std::uint32_t kCancelRequest = 80877102;

std::uint32_t number_at(const std::string& bytes, std::size_t at) {
  std::uint32_t value = 0;
  std::memcpy(&value, bytes.data() + at, 4);
  return ntohl(value);
}

std::string length_bytes(std::size_t length) {
  const std::uint32_t value = htonl(static_cast<std::uint32_t>(length));
  return std::string(reinterpret_cast<const char*>(&value), 4);
}

std::string message(char type, const std::string& body) {
  return type + length_bytes(body.size() + 4) + body;
}

bool send_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

// False at the end of the stream.
bool receive_some(int socket, std::string& into) {
  char bytes[16'384];
  const ssize_t got = ::recv(socket, bytes, sizeof bytes, 0);
  if (got <= 0) return false;
  into.append(bytes, static_cast<std::size_t>(got));
  return true;
}

// Takes a whole message off the front; "" while there is none. `has_type`: all but a client's
// first.
std::string take_message(std::string& buffer, bool has_type) {
  const std::size_t head = has_type ? 1 : 0;
  if (buffer.size() < head + 4) return "";
  const std::size_t whole = head + number_at(buffer, head);
  if (buffer.size() < whole) return "";
  std::string taken = buffer.substr(0, whole);
  buffer.erase(0, whole);
  return taken;
}

int connect_to(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) return -1;
  const int server = ::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool connected = ::connect(server, found->ai_addr, found->ai_addrlen) == 0;
  ::freeaddrinfo(found);
  if (connected) return server;
  ::close(server);
  return -1;
}

void no_delay(int socket) {
  const int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace

// One connection of a client with its connection to the server.
class TargetProxy::Link {
 public:
  Link(TargetProxy& proxy, int client, int server)
      : proxy_(proxy), client_(client), server_(server) {
    no_delay(client_);
    no_delay(server_);
  }
  ~Link() {
    ::close(client_);
    ::close(server_);
  }
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  // Both ends see the end of the connection. From any thread.
  void cut() const {
    ::shutdown(client_, SHUT_RDWR);
    ::shutdown(server_, SHUT_RDWR);
  }

  void run() {
    for (;;) {
      pollfd both[] = {{client_, POLLIN, 0}, {server_, POLLIN, 0}};
      if (::poll(both, 2, -1) < 0) return;
      if (both[1].revents != 0 && !from_server()) return;
      if (both[0].revents != 0 && !from_client()) return;
    }
  }

 private:
  bool from_server() {
    std::string bytes;
    if (!receive_some(server_, bytes)) return false;
    if (one_byte_answer_) {
      one_byte_answer_ = false;
    } else {
      answered_ += bytes;
      is_answered();
    }
    return send_all(client_, bytes);
  }

  // Reads the server's messages so far; whether the client is to say something now.
  bool is_answered() {
    bool answered = false;
    for (;;) {
      const std::string one = take_message(answered_, true);
      if (one.empty()) return answered;
      const bool asks_for_proof =
          one[0] == 'R' && number_at(one, 5) != 0 && number_at(one, 5) != 12;
      if (one[0] == 'Z') in_transaction_ = one[5] != 'I';
      answered = one[0] == 'Z' || asks_for_proof;
    }
  }

  bool from_client() {
    if (!receive_some(client_, said_)) return false;
    for (;;) {
      const std::string one = take_message(said_, started_);
      if (one.empty()) return true;
      const auto strike = counts(one) ? proxy_.next_step() : std::nullopt;
      if (!strike) {
        if (!send_all(server_, one)) return false;
        continue;
      }
      if (strike->fault == Fault::kRefuse) return refuse(one, strike->struck);
      cut_at(*strike, one);
      return false;
    }
  }

  bool counts(const std::string& one) {
    if (started_) return one[0] != 'X';
    const std::uint32_t code = number_at(one, 4);
    one_byte_answer_ = code == kSslRequest || code == kGssRequest;
    started_ = !one_byte_answer_ && code != kCancelRequest;
    return started_;
  }

  // Whether the connection goes on.
  bool refuse(const std::string& one, const std::function<void()>& struck) const {
    if (struck) struck();
    const bool is_batch = one[0] == 'Q';
    const std::string fields = std::string(is_batch ? "SERROR" : "SFATAL") + '\0' + "CXX000" +
                               '\0' + "Mrefused, as the test asked" + '\0' + '\0';
    std::string answer = message('E', fields);
    if (is_batch) answer += message('Z', in_transaction_ ? "E" : "I");
    return send_all(client_, answer) && is_batch;
  }

  void cut_at(const Strike& strike, const std::string& one) {
    if (strike.fault != Fault::kCutBefore) send_all(server_, one);
    if (strike.fault == Fault::kCutAfter) {
      while (receive_some(server_, answered_) && !is_answered()) {
      }
    }
    if (strike.struck) strike.struck();
  }

  TargetProxy& proxy_;
  const int client_;
  const int server_;
  std::string said_;      // by the client, not whole yet
  std::string answered_;  // by the server, not whole yet
  bool started_ = false;
  bool one_byte_answer_ = false;
  bool in_transaction_ = false;
};

TargetProxy::TargetProxy(const std::string& host, const std::string& port)
    : host_(host), server_port_(port), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener_, generic, size) != 0 || ::listen(listener_, 64) != 0 ||
      ::getsockname(listener_, generic, &size) != 0)
    throw std::runtime_error("the proxy cannot listen");
  port_ = std::to_string(ntohs(address.sin_port));
  acceptor_ = std::thread([this] { accept_clients(); });
}

TargetProxy::~TargetProxy() {
  cut_off();
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  ::shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  for (Session& session : sessions_) session.thread.join();
  ::close(listener_);
}

void TargetProxy::accept_clients() {
  for (;;) {
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    const std::scoped_lock lock(mutex_);
    if (stopping_) {
      if (client >= 0) ::close(client);
      return;
    }
    join_ended();
    if (client < 0) continue;
    Session& session = sessions_.emplace_back();
    session.thread = std::thread([this, client, &session] { serve(client, session); });
  }
}

void TargetProxy::join_ended() {
  std::erase_if(sessions_, [](Session& session) {
    if (session.ended) session.thread.join();
    return session.ended;
  });
}

void TargetProxy::serve(int client, Session& session) {
  {
    const int server = connect_to(host_, server_port_);
    Link link(*this, client, server);
    bool let_in = false;
    std::list<Link*>::iterator place;
    {
      const std::scoped_lock lock(mutex_);
      let_in = !cut_off_ && server >= 0;
      if (let_in) place = links_.insert(links_.end(), &link);
    }
    if (let_in) {
      link.run();
      const std::scoped_lock lock(mutex_);
      links_.erase(place);
    }
  }
  const std::scoped_lock lock(mutex_);
  session.ended = true;
}

std::optional<TargetProxy::Strike> TargetProxy::next_step() {
  const std::scoped_lock lock(mutex_);
  ++steps_;
  if (in_ == 0 || --in_ > 0) return std::nullopt;
  return strike_;
}

void TargetProxy::fail_step(int n, Fault fault, std::function<void()> struck) {
  const std::scoped_lock lock(mutex_);
  in_ = n;
  strike_ = {fault, std::move(struck)};
}

void TargetProxy::cut_off() {
  const std::scoped_lock lock(mutex_);
  cut_off_ = true;
  for (const Link* link : links_) link->cut();
}

void TargetProxy::heal() {
  const std::scoped_lock lock(mutex_);
  cut_off_ = false;
  in_ = 0;
}

bool TargetProxy::is_armed() const {
  const std::scoped_lock lock(mutex_);
  return in_ > 0;
}

int TargetProxy::steps() const {
  const std::scoped_lock lock(mutex_);
  return steps_;
}

}  // namespace curfew::fakes

#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace curfew::cli::testing {

// One request as it arrived.
struct SeenRequest {
  std::string method;
  std::string target;                          // path and query, as sent
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;

  // "PUT /v1/sys/seal", with the body behind it if there is one.
  std::string line() const;
};

struct ScriptedReply {
  int status = 200;
  std::string body = {};
  std::vector<std::string> header_lines = {};
  std::string raw = {};  // if not empty, these bytes instead
  bool hang = false;     // say nothing until the client gives up
};

// An HTTP server on a loopback port that gives prepared answers in order, one to a connection, and
// keeps what it was asked. A request beyond the script gets status 599. Thread-safe.
class ScriptedServer {
 public:
  enum class Transport { kPlain, kTls };

  explicit ScriptedServer(Transport transport = Transport::kPlain);
  ~ScriptedServer();
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  void reply(ScriptedReply reply);
  std::vector<SeenRequest> seen() const;
  std::vector<std::string> lines() const;

  // "http://127.0.0.1:PORT", or with https.
  std::string address() const;
  int port() const { return port_; }
  // The self-signed certificate that it shows, for the name "curfew.test" only. PEM.
  const std::string& certificate() const { return certificate_; }

 private:
  struct Tls;
  class Stream;

  void serve();
  void answer(Stream& stream);

  Transport transport_;
  int listener_ = -1;
  int port_ = 0;
  std::string certificate_;
  Tls* tls_ = nullptr;
  std::atomic<bool> stopping_ = false;
  mutable std::mutex mutex_;
  std::deque<ScriptedReply> replies_;  // guarded by mutex_
  std::vector<SeenRequest> seen_;      // guarded by mutex_
  std::thread thread_;
};

// A port of 127.0.0.1 on which nobody listens.
int unused_port();

}  // namespace curfew::cli::testing

#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/certificate.h"

struct ssl_ctx_st;

namespace curfew::test {

// One request as it came in.
struct HttpsCall {
  std::string method;
  std::string target;                          // with the query
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

struct HttpsReply {
  int status = 200;
  std::string body;
  std::vector<std::string> headers = {};  // whole lines
};

// An HTTPS server on 127.0.0.1 with a certificate of its own, for what a test says at each path. A
// thread for each connection, one request on each. Throws where it cannot begin.
class HttpsServer {
 public:
  using Handler = std::function<HttpsReply(const HttpsCall&)>;

  HttpsServer();
  ~HttpsServer();
  HttpsServer(const HttpsServer&) = delete;
  HttpsServer& operator=(const HttpsServer&) = delete;

  // "https://localhost:port" + path.
  std::string url(const std::string& path = "") const;
  const std::string& ca_pem() const { return certificate_.certificate; }

  // From now on `path` (without the query) is answered so; everything else with 404.
  void on(const std::string& path, Handler handler);
  void answer(const std::string& path, std::string body, int status = 200);
  // Whether requests are read and never answered.
  void hang(bool whether);

  // Returns when no handler runs. What handlers touched may be touched after a call only once this
  // was called: a sanitizer sees no order in what went through TLS.
  void settle();

  // Requests that came for `path`.
  int count(const std::string& path) const;
  HttpsCall last() const;

 private:
  void accept_all();
  void serve(int connection);
  HttpsReply reply_to(const HttpsCall& call);

  const Certificate certificate_ = make_certificate();
  ssl_ctx_st* context_ = nullptr;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::thread acceptor_;
  std::mutex handling_;  // held while a handler runs
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::map<std::string, Handler> handlers_;
  std::map<std::string, int> counts_;
  HttpsCall last_;
  std::vector<std::thread> workers_;
  bool hanging_ = false;
  bool stopping_ = false;
};

}  // namespace curfew::test

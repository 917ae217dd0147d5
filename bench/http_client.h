#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "base/json.h"

namespace curfew::bench {

// One keep-alive connection to a Curfew server on this machine; as little work as can be, so that
// what is measured is the server. Every failure ends the program. Belongs to one thread.
class HttpClient {
 public:
  HttpClient(int port, std::string token);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Lines ("Name: value\r\n" each) that every request has from now on.
  void set_headers(std::string lines) { headers_ = std::move(lines); }

  // The body of the answer; fails unless its status is 200 or 204. `body` may be empty.
  std::string call(std::string_view method, std::string_view path, std::string_view body = "");
  Json json(std::string_view method, std::string_view path, std::string_view body = "");

  // Whether something listens there.
  static bool can_connect(int port);

 private:
  void send(std::string_view bytes) const;
  void receive();

  const int port_;
  const std::string token_;
  std::string headers_;
  int socket_ = -1;
  std::string in_;  // what was read and not used yet
};

}  // namespace curfew::bench

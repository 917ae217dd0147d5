#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"

struct ssl_st;
struct ssl_ctx_st;
struct ssl_session_st;

namespace curfew::api::testing {

// An answer as it stood on the wire. Header names are lower case.
struct RawAnswer {
  int status = 0;  // 0: the connection ended or nothing came in time
  std::map<std::string, std::string> headers;
  std::string body;
  std::string head;  // all of it, as sent

  Json json() const { return Json::parse(body, nullptr, false); }
  std::string first_error() const;
};

// One TCP connection to 127.0.0.1, in plain or with TLS, on blocking sockets with a time limit of
// five seconds. Whatever fails shows as an answer with status 0 or as false.
class RawClient {
 public:
  explicit RawClient(std::uint16_t port, int receive_buffer_bytes = 0);
  ~RawClient();
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool connected() const { return socket_ >= 0; }
  // Starts TLS without checking the certificate. The common name of the server's certificate is
  // then in peer_name(). `version_max`: 0, or OpenSSL's number of a protocol version.
  bool start_tls(int version_max = 0);
  // Before start_tls(): what to show, PEM files (the certificate first, then its chain), and a
  // session to resume; nullptr: none.
  void show(std::string certificate_file, std::string key_file);
  void resume(const std::shared_ptr<ssl_session_st>& session) { wanted_session_ = session; }
  // After an exchange: what another connection can resume.
  std::shared_ptr<ssl_session_st> session() const;
  bool resumed() const;
  const std::string& peer_name() const { return peer_name_; }
  std::string tls_version() const;

  bool send(std::string_view bytes);
  // The next answer. `head`: it answers HEAD, so no body follows.
  RawAnswer read(bool head = false);
  RawAnswer exchange(std::string_view bytes) { return send(bytes) ? read() : RawAnswer{}; }
  // After read(): the next chunk of a body that comes in chunks. Empty: the last one. nullopt: the
  // connection ended before that, or nothing came in time.
  std::optional<std::string> read_chunk();
  // All that comes until the server closes the connection, or nothing more in time.
  std::string read_to_end();
  // True once the server has closed the connection; discards what comes before that.
  bool wait_for_close();
  // One read from the socket, for tests of timing. Empty: closed or nothing in time.
  std::string read_some();

  void shutdown_send();
  void close();
  void reset();  // closes with RST

 private:
  int socket_ = -1;
  ssl_ctx_st* context_ = nullptr;
  ssl_st* tls_ = nullptr;
  std::string peer_name_;
  std::string certificate_file_, key_file_;
  std::shared_ptr<ssl_session_st> wanted_session_;
  std::string buffer_;
};

// "GET target HTTP/1.1" with a Host and the given further header lines ("A: b\r\n").
std::string get(std::string_view target, std::string_view headers = "");
// The same with a body and its length.
std::string with_body(std::string_view method, std::string_view target, std::string_view body,
                      std::string_view headers = "");

// Waits, for ten seconds at most, until the condition holds.
bool eventually(const std::function<bool()>& condition);

}  // namespace curfew::api::testing

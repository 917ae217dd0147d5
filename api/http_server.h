#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/http_types.h"
#include "api/tls_context.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"

namespace curfew::api {

struct ListenerOptions {
  std::string address = "127.0.0.1";  // an IP address, or a name that stands for one
  std::uint16_t port = 0;             // 0: any free port, see HttpServer::port()
  std::optional<TlsFiles> tls = {};   // absent: plain HTTP
};

// Every bound of the server. What a client can make it hold or wait for ends at one of them.
struct HttpServerOptions {
  std::vector<ListenerOptions> listeners = {};
  std::size_t header_bytes_max = 64 * 1024;              // beyond: 431
  std::size_t body_bytes_max = 32 * 1024 * 1024;         // of one request; beyond: 413
  std::size_t body_bytes_total_max = 256 * 1024 * 1024;  // of all requests; beyond: 503
  std::size_t connections_max = 4096;                    // beyond: 503 and closed
  std::size_t workers = 64;                              // requests that are handled at once
  std::size_t waiting_max = 256;                         // requests that wait; beyond: 503
  std::size_t holds_max = 2000;                          // see HttpHold; beyond: 503
  std::size_t streams_max = 2000;                        // see HttpStream; beyond: 503
  std::size_t stream_bytes_max = 64 * 1024;  // a stream's unsent bytes; beyond: it is cut off
  std::size_t io_threads = 2;
  Millis handshake_timeout{10'000};
  Millis idle_timeout{120'000};   // until the first byte of a request
  Millis header_timeout{10'000};  // from the first byte to the end of the headers
  Millis body_timeout{60'000};    // from there to the end of the body
  Millis write_timeout{30'000};   // for the whole answer, or what there is of a stream
  Millis hold_time_max{55'000};   // for a request to be on hold, all its holds together
  Millis heartbeat{15'000};       // of a stream in which nothing happens
  Millis linger_timeout{2'000};   // for the client to take note of a closing connection
  Millis settle_timeout{5'000};   // for the client's system to acknowledge the last answer
};

struct HttpServerStats {
  std::size_t connections = 0;  // open now
  std::size_t body_bytes = 0;   // of requests, held now
  std::size_t running = 0;      // requests in handlers now
  std::size_t waiting = 0;      // requests that wait for a worker now
  std::size_t holds = 0;        // requests on hold now
  std::size_t streams = 0;      // open now
  std::uint64_t requests = 0;   // that reached a handler, since the start
  std::uint64_t overloads = 0;  // requests and connections that a bound turned away
};

// An HTTP/1.1 server: keep-alive, pipelining (answered in order), TLS, limits. The network is
// served by a few threads that never block; handlers run on a bounded pool of threads that may.
// Thread-safe.
class HttpServer {
 public:
  // Listens and serves from now on. `clock` and `log` must outlive the server. kInvalidArgument: a
  // listener's address, certificate or key cannot be used. kUnavailable: the port is taken or not
  // permitted; the message says which.
  static Result<std::unique_ptr<HttpServer>> start(HttpServerOptions options, HttpHandler handler,
                                                   const Clock& clock, Log& log);
  // As stop(Millis{0}).
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Where the n-th listener listens. REQUIRES: listener < options.listeners.size()
  std::uint16_t port(std::size_t listener = 0) const;

  // Reads every certificate and key again; connections made from now on use them. If one cannot be
  // used all listeners keep what they have, the log says why, and the error is given.
  Status reload_certificates();

  // Accepts nothing more, lets the requests that have begun finish within `grace`, then cuts off
  // the rest. Requests on hold are asked again, for the last time; streams end. Waits for handlers
  // that still run: they cannot be interrupted. Their answers count as undelivered. Idempotent. Not
  // to be called from a handler.
  void stop(Millis grace);

  HttpServerStats stats() const;

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace curfew::api

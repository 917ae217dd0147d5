#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "broker/peer_certificate.h"

namespace curfew::api {

struct HttpHeader {
  std::string name;
  std::string value;
};

// One request as it came over the wire: syntactically HTTP, within the limits, nothing decoded.
// Headers and body may hold tokens and passwords: never log them.
struct HttpRequest {
  std::string method;  // as sent, upper case by convention
  std::string target;  // "/v1/path?query", not decoded
  std::vector<HttpHeader> headers;
  std::string body;
  std::string remote_address;  // an IP address without a port
  std::uint16_t remote_port = 0;
  bool encrypted = false;  // came over TLS
  // What the client showed in the handshake; nullptr: none. The same for all of a connection.
  std::shared_ptr<const broker::PeerCertificate> peer_certificate = {};
  // Whether the client has closed its side of the connection, or all of it, since. Empty: not
  // known. Thread-safe, cheap, usable until the request is answered.
  std::function<bool()> is_abandoned = {};

  // The value of the first header of that name (any case); nullptr if there is none. The pointer is
  // valid until the headers change.
  const std::string* header(std::string_view name) const;
  // How many headers bear the name.
  std::size_t header_count(std::string_view name) const;
};

struct HttpResponse;

// The answer is not there yet. The server keeps the connection without a thread, and asks again
// when something has happened or the time is over.
struct HttpHold {
  // Called once, on a thread that may block. Calls `wake` when it is time to ask again: from any
  // thread, also before it returns; more than once does no harm. What it gives is let go, on a
  // thread that may block, before the server asks again and when the client goes away.
  std::function<std::shared_ptr<void>(std::function<void()> wake)> subscribe;
  Millis time{0};  // from now; cut down to HttpServerOptions::hold_time_max
  // Gives the answer, which may be another hold; called at most once, as a HttpHandler is. `left`:
  // how long that one may take, 0: no longer at all.
  std::function<HttpResponse(Millis left)> resume;
};

// A body whose pieces come as they come about. The connection is closed when it ends.
struct HttpStream {
  // Called once, on a thread that may block; not for HEAD. Calls `send` with each piece, from any
  // thread, one at a time, also before it returns, and `end` when there will be no more; neither
  // blocks. What it gives is let go, on a thread that may block, when the stream ends for whatever
  // reason; calls after that do nothing.
  std::function<std::shared_ptr<void>(std::function<void(std::string piece)> send,
                                      std::function<void()> end)>
      open;
  std::string heartbeat =
      {};          // a piece that says nothing, for when there is none to send; or empty
  Millis time{0};  // it ends then at the latest, from now
};

// One answer. Content-Length, Date and Connection are the server's business; so is Cache-Control,
// "no-store", unless it is among the headers.
struct HttpResponse {
  int status = 200;
  std::string body = {};
  std::string content_type = "application/json";
  std::vector<HttpHeader> headers = {};
  bool close = false;  // close the connection after this answer
  // Called at most once, on a thread that may block, when the client certainly or probably did not
  // get the whole answer: it went away, stopped reading, or never acknowledged the last bytes.
  std::function<void()> undelivered = {};
  std::optional<HttpHold> hold = {};              // the rest means nothing
  std::shared_ptr<const HttpStream> stream = {};  // in the place of `body`
};

// Answers a request. Called from many threads at once; may block; whatever it throws becomes a
// 500.
using HttpHandler = std::function<HttpResponse(HttpRequest)>;

// ASCII only, as header names are.
bool equal_ignoring_case(std::string_view a, std::string_view b);

}  // namespace curfew::api

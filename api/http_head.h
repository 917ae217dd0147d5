#pragma once

#include <string>

#include "api/http_types.h"
#include "base/clock.h"

namespace curfew::api {

// How the client knows where the body ends.
enum class Framing {
  kLength,  // by Content-Length
  kChunks,  // by an empty chunk
  kClose,   // by the end of the connection
};

// Status line and headers of an answer, up to and with the empty line. `keep_alive`: the connection
// stays open. Says "no-store" where the answer's own headers say nothing of caching. Headers that
// would break the message are left out.
std::string write_head(const HttpResponse& response, bool keep_alive, WallTime now,
                       Framing framing = Framing::kLength);

// "Fri, 20 Nov 2026 01:54:24 GMT", as RFC 9110 wants it.
std::string format_http_date(WallTime time);

}  // namespace curfew::api

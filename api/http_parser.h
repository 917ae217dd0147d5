#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "api/http_types.h"

namespace curfew::api {

// Reads one HTTP/1.x request out of bytes as they arrive. Not thread-safe; one object per request.
class HttpParser {
 public:
  struct Limits {
    std::size_t header_bytes_max = 64 * 1024;       // request line and headers
    std::size_t body_bytes_max = 32 * 1024 * 1024;  // decoded, also where it comes in chunks
  };

  // Why the bytes are refused: the status to answer with and a sentence for the caller. The
  // connection cannot be used for another request.
  struct Refusal {
    int status;
    std::string message;
  };

  explicit HttpParser(const Limits& limits);
  ~HttpParser();
  HttpParser(const HttpParser&) = delete;
  HttpParser& operator=(const HttpParser&) = delete;

  // Takes what it can from the front of `bytes` and gives the count; the rest is to be offered
  // again, with more behind it. After a refusal, or once done(), it takes nothing.
  std::size_t feed(std::string_view bytes);

  bool started() const;      // a byte of the request was seen
  bool header_done() const;  // method, target and headers are known
  bool done() const;         // the whole request was read
  const Refusal* refusal() const;

  // REQUIRES: header_done()
  bool keep_alive() const;        // the client means to send another request
  bool expects_continue() const;  // it waits for "100 Continue" before it sends the body
  bool is_head() const;
  bool takes_chunks() const;  // HTTP/1.1: the answer may come in chunks

  std::size_t body_bytes() const;  // read so far

  // REQUIRES: done(). Moves the request out. Headers that came behind a chunked body are dropped:
  // whatever stands in front of Curfew has not looked at them.
  HttpRequest take();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace curfew::api

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace curfew::cli {

// Where a browser comes back to after a login: an HTTP server on 127.0.0.1 for one request (RFC
// 8252, section 7.3). One thread at a time.
class BrowserCallback {
 public:
  using Query = std::map<std::string, std::string>;

  // Listens from here on. kInvalidArgument: the port is taken; says what to do.
  static Result<BrowserCallback> open(std::uint16_t port);
  BrowserCallback(BrowserCallback&&) noexcept;
  ~BrowserCallback();

  // Waits until a browser asks for /oidc/callback with this `state`, shows it a page, and gives the
  // query. All else that comes is answered and forgotten. kUnavailable: none came within `limit`.
  Result<Query> wait(const std::string& state, Millis limit);

 private:
  struct Parts;
  explicit BrowserCallback(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

// The members of "a=b&c=d", unescaped; what cannot be unescaped is left out.
BrowserCallback::Query parse_query(const std::string& text);

}  // namespace curfew::cli

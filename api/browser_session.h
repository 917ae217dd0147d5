#pragma once

#include <string>
#include <string_view>

#include "api/http_types.h"
#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "broker/handler.h"

namespace curfew::api {

// The session of a person who works in the browser: her token lives in a cookie that scripts cannot
// read (HttpOnly, SameSite=Strict, "__Host-curfew" over TLS, else "curfew"), beside a readable one
// with the CSRF token that belongs to it.
//
// What of one request and its answer is a matter of that session. A value; copies are independent.
class BrowserCall {
 public:
  // Looks at a request that read_request() made of `http`, and gives it the cookie's token where
  // that counts: the request bears no token of its own, the header X-Curfew-CSRF is the cookie's,
  // and nothing says that another site sent it. A read without X-Curfew-CSRF goes on without a
  // token, so that a link or an image does nothing in somebody's name.
  //
  // kPermissionDenied: a write by cookie without its CSRF token, a wrong one, one of another
  // origin, or several session cookies.
  static Result<BrowserCall> read(const HttpRequest& http, broker::Request& request);

  // Gives the same request, read once more, the token that read() gave it.
  void give_token(broker::Request& request) const {
    if (!cookie_token_.empty()) request.token = cookie_token_;
  }

  // Works on the answer: "X-Curfew-Browser: 1" moves the token of a login into the cookies, and a
  // token that came in a cookie is taken out of the body wherever it stands.
  // kPermissionDenied: the answer hands out another token; the body must not be sent.
  Status finish(const broker::Response& answer, HttpResponse& response) const;

 private:
  Secret cookie_token_;      // that the request goes by; empty: none
  bool has_token_ = false;   // the request bears a token, from wherever
  bool in_browser_ = false;  // X-Curfew-Browser: 1
  bool secure_ = false;      // the browser speaks TLS, to this server or to a proxy before it
};

// Whether the target is that of the session itself.
bool is_browser_session(std::string_view target);

// POST or PUT {"token"}: signs in with a token that somebody has; answers as
// auth/token/lookup-self. DELETE: revokes the session's token and takes the cookies away.
HttpResponse serve_browser_session(const HttpRequest& http, broker::Handler& handler,
                                   Random& random);

// The CSRF token that belongs to a token: 64 hexadecimal digits. Whoever knows it learns nothing of
// the token.
std::string csrf_token(const Secret& token);

}  // namespace curfew::api

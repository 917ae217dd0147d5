#include "api/browser_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "api/error_to_http.h"
#include "api/page_assets.h"
#include "api/vault_request.h"
#include "api/vault_response.h"
#include "base/digest.h"
#include "base/encoding.h"

namespace curfew::api {
namespace {

constexpr const char* kSessionPath = "/ui/session";
constexpr const char* kBrowserHeader = "X-Curfew-Browser";
constexpr const char* kCsrfHeader = "X-Curfew-CSRF";
constexpr const char* kSecurePrefix = "__Host-";
constexpr const char* kSessionCookie = "curfew";
constexpr const char* kCsrfCookie = "curfew-csrf";

Error refused(std::string message) {
  return {Errc::kPermissionDenied, std::move(message)};
}

bool is_marked(const HttpRequest& http) {
  const std::string* value = http.header(kBrowserHeader);
  return value != nullptr && *value == "1";
}

bool has_secure_origin(const HttpRequest& http) {
  const std::string* origin = http.header("Origin");
  return origin != nullptr && origin->starts_with("https://");
}

// What browsers say of where a request comes from must be this very origin, where they say it.
Status check_origin(const HttpRequest& http) {
  for (const char* name : {"Origin", "Sec-Fetch-Site", "Host", kCsrfHeader, kBrowserHeader})
    if (http.header_count(name) > 1)
      return refused(fmt::format("header {}: sent more than once", name));
  const std::string* site = http.header("Sec-Fetch-Site");
  if (site != nullptr && !equal_ignoring_case(*site, "same-origin"))
    return refused(
        "the browser says that another site sent this request: open Curfew's page and do it there");
  const std::string* origin = http.header("Origin");
  if (origin == nullptr) return ok();
  std::string_view host = *origin;
  if (host.starts_with("https://")) {
    host.remove_prefix(8);
  } else if (host.starts_with("http://") && !http.encrypted) {
    host.remove_prefix(7);
  } else {
    host = {};
  }
  const std::string* ours = http.header("Host");
  if (!host.empty() && ours != nullptr && equal_ignoring_case(host, *ours)) return ok();
  return refused(
      "the header Origin is not this server's: open Curfew's page under the address that you use "
      "here; a proxy has to pass the header Host on");
}

std::vector<std::string_view> cookies_named(const HttpRequest& http, std::string_view name) {
  std::vector<std::string_view> found;
  for (const HttpHeader& header : http.headers) {
    if (!equal_ignoring_case(header.name, "Cookie")) continue;
    std::string_view rest = header.value;
    while (!rest.empty()) {
      std::string_view pair = rest.substr(0, rest.find(';'));
      rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
      pair.remove_prefix(std::min(pair.find_first_not_of(' '), pair.size()));
      const auto equals = pair.find('=');
      if (equals == std::string_view::npos || pair.substr(0, equals) != name) continue;
      if (equals + 1 < pair.size()) found.push_back(pair.substr(equals + 1));
    }
  }
  return found;
}

// The token in the session cookie; empty where there is none. Over TLS only the name counts that
// browsers let nobody but this host set.
Result<Secret> session_token(const HttpRequest& http) {
  auto found = cookies_named(http, std::string(kSecurePrefix) + kSessionCookie);
  if (found.empty() && !http.encrypted) found = cookies_named(http, kSessionCookie);
  if (found.empty()) return Secret{};
  if (found.size() > 1)
    return refused(
        "the browser sent several session cookies, and one of them is somebody else's: delete the "
        "cookies of this address and sign in again");
  return Secret(std::string(found.front()));
}

std::string set_cookie(const char* name, std::string_view value, bool secure, bool readable,
                       std::optional<std::int64_t> seconds) {
  return fmt::format("{}{}={}; Path=/; SameSite=Strict{}{}{}", secure ? kSecurePrefix : "", name,
                     value, readable ? "" : "; HttpOnly", secure ? "; Secure" : "",
                     seconds ? fmt::format("; Max-Age={}", *seconds) : "");
}

// `seconds`: how long the token lives; 0: without end, so the cookie goes when the browser closes.
void add_cookies(const Secret& token, std::int64_t seconds, bool secure, HttpResponse& response) {
  const auto age = seconds > 0 ? std::optional(seconds) : std::nullopt;
  response.headers.push_back(
      {"Set-Cookie", set_cookie(kSessionCookie, token.reveal(), secure, false, age)});
  response.headers.push_back(
      {"Set-Cookie", set_cookie(kCsrfCookie, csrf_token(token), secure, true, age)});
}

void clear_cookies(HttpResponse& response) {
  for (const bool secure : {true, false}) {
    response.headers.push_back({"Set-Cookie", set_cookie(kSessionCookie, "", secure, false, 0)});
    response.headers.push_back({"Set-Cookie", set_cookie(kCsrfCookie, "", secure, true, 0)});
  }
}

void erase_all(const std::string& text, std::string& from) {
  for (auto at = from.find(text); at != std::string::npos; at = from.find(text, at))
    from.erase(at, text.size());
}

// Takes the token out of the body wherever it stands: look-ups and renewals repeat it. One that
// somebody chose for a trial may be a word of the language; it goes out where it is the token.
void take_out(const Secret& token, std::string& body) {
  constexpr std::size_t kUnmistakable = 16;
  if (token.empty()) return;
  if (token.reveal().size() >= kUnmistakable) return erase_all(token.reveal(), body);
  for (const char* member : {"id", "client_token"})
    erase_all(fmt::format("\"{}\":\"{}\",", member, token.reveal()), body);
}

// Tokens are made of these alone, so that one neither ends a cookie nor hides in JSON's escapes.
bool fits_cookie(const std::string& token) {
  return !token.empty() && token.size() <= 3072 &&
         std::all_of(token.begin(), token.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '-' || c == '_' || c == '=';
         });
}

Error unfit_token() {
  return {Errc::kInvalidArgument, "this is no token that a browser's session could be made of"};
}

// The same request, with nothing of a browser's in it but where it comes from, to the API.
HttpRequest api_request(const HttpRequest& http, const char* method, const char* target) {
  HttpRequest inner = http;
  inner.method = method;
  inner.target = target;
  inner.body.clear();
  std::erase_if(inner.headers, [](const HttpHeader& header) {
    return equal_ignoring_case(header.name, "X-Vault-Token") ||
           equal_ignoring_case(header.name, "Authorization") ||
           equal_ignoring_case(header.name, "X-Vault-Wrap-TTL") ||
           equal_ignoring_case(header.name, "Content-Type");
  });
  return inner;
}

Result<HttpResponse> sign_in(const HttpRequest& http, broker::Handler& handler, Random& random) {
  if (!is_marked(http)) return refused("signing in needs the header \"X-Curfew-Browser: 1\"");
  RETURN_IF_ERROR(check_origin(http));
  ASSIGN_OR_RETURN(const Json body, parse_json(http.body.empty() ? "{}" : http.body));
  ASSIGN_OR_RETURN(const std::string given, Fields(body).text_or("token", ""));
  const Secret token(given);
  if (!fits_cookie(token.reveal())) return unfit_token();
  HttpRequest inner = api_request(http, "GET", "/v1/auth/token/lookup-self");
  inner.headers.push_back({"X-Vault-Token", token.reveal()});
  auto request = read_request(inner, random);
  zero(inner.headers.back().value);
  if (!request) return request.error();
  const std::string id = request->id;
  ASSIGN_OR_RETURN(const broker::Response answer, handler.handle(std::move(*request)));
  HttpResponse response = write_response(answer, id, Operation::kRead);
  std::int64_t seconds = 0;
  if (answer.data.is_object() && answer.data.contains("ttl") && answer.data["ttl"].is_number())
    seconds = answer.data["ttl"].get<std::int64_t>();
  take_out(token, response.body);
  add_cookies(token, seconds, http.encrypted || has_secure_origin(http), response);
  return response;
}

Result<HttpResponse> sign_out(const HttpRequest& http, broker::Handler& handler, Random& random) {
  HttpRequest inner = api_request(http, "POST", "/v1/auth/token/revoke-self");
  ASSIGN_OR_RETURN(broker::Request request, read_request(inner, random));
  ASSIGN_OR_RETURN(const BrowserCall call, BrowserCall::read(inner, request));
  HttpResponse response{.status = 204};
  if (!request.token.empty()) {
    const auto revoked = handler.handle(std::move(request));
    // A token that is gone, or is not known here, needs no revoking.
    if (!revoked && status_of(revoked.error().code) != 403)
      response = error_response(revoked.error());
  }
  clear_cookies(response);
  return response;
}

}  // namespace

std::string csrf_token(const Secret& token) {
  return hex_encode(hmac_sha256(token.reveal(), "curfew browser session: csrf token"));
}

Result<BrowserCall> BrowserCall::read(const HttpRequest& http, broker::Request& request) {
  BrowserCall call;
  call.in_browser_ = is_marked(http);
  call.secure_ = http.encrypted || has_secure_origin(http);
  call.has_token_ = !request.token.empty();
  if (call.in_browser_) RETURN_IF_ERROR(check_origin(http));
  if (call.has_token_) return call;
  ASSIGN_OR_RETURN(Secret token, session_token(http));
  if (token.empty()) return call;
  const std::string* csrf = http.header(kCsrfHeader);
  if (csrf == nullptr) {
    const bool reads =
        request.operation == Operation::kRead || request.operation == Operation::kList;
    // A login does not ask who somebody was before.
    if (reads || request.help || call.in_browser_) return call;
    return refused("a write with the session cookie needs the header X-Curfew-CSRF");
  }
  RETURN_IF_ERROR(check_origin(http));
  if (!constant_time_equal(*csrf, csrf_token(token)))
    return refused("the header X-Curfew-CSRF does not belong to this session: load the page again");
  if (request.wrap_ttl)
    return refused("answers are not wrapped for a browser's session: use the command line");
  request.token = token;
  call.cookie_token_ = std::move(token);
  call.has_token_ = true;
  return call;
}

Status BrowserCall::finish(const broker::Response& answer, HttpResponse& response) const {
  if (answer.auth) {
    const Secret& token = answer.auth->client_token;
    const bool own = !token.empty() && token == cookie_token_;
    if (in_browser_ && (own || !has_token_) && !token.empty()) {
      if (!fits_cookie(token.reveal())) return unfit_token();
      take_out(token, response.body);
      add_cookies(token, std::chrono::floor<Seconds>(answer.auth->lease_duration).count(), secure_,
                  response);
    } else if (!cookie_token_.empty() && !own) {
      return refused("no tokens are made for a browser's session: use the command line");
    }
  }
  take_out(cookie_token_, response.body);
  return ok();
}

bool is_browser_session(std::string_view target) {
  return path_of_target(target) == kSessionPath;
}

HttpResponse serve_browser_session(const HttpRequest& http, broker::Handler& handler,
                                   Random& random) {
  Result<HttpResponse> response = refused("");
  if (http.method == "POST" || http.method == "PUT") {
    response = sign_in(http, handler, random);
  } else if (http.method == "DELETE") {
    response = sign_out(http, handler, random);
  } else {
    HttpResponse no = errors_response(405, "a session is begun with POST and ended with DELETE");
    no.headers.push_back({"Allow", "POST, PUT, DELETE"});
    return no;
  }
  return response ? std::move(*response) : error_response(response.error());
}

}  // namespace curfew::api

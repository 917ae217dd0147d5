#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "cli/http_client.h"
#include "cli/settings.h"
#include "cli/surroundings.h"

namespace curfew::cli {

// One call of the server's API.
struct ApiRequest {
  std::string method;
  std::string path;  // behind /v1/, not escaped
  std::vector<std::pair<std::string, std::string>> query = {};
  std::optional<Json> body = std::nullopt;  // Json(nullptr) is sent as "null"
  std::string doing;                        // "reading secret/app": how an error begins
  std::vector<int> accept = {};             // statuses that the caller handles, beside 2xx
  bool none_ok = false;  // a 404 without a reason is an answer too (see ApiReply::is_miss)
  std::string content_type = "application/json";
  std::optional<Secret> token = std::nullopt;  // instead of the settings'; empty: none is sent
  bool in_root_namespace = false;              // whatever the settings' namespace
  bool preliminary = false;                    // only prepares the command's own call
  bool never_wrapped = false;                  // whatever the settings' wrapping TTL
  bool may_issue = false;  // may make a credential: bears a key, so that a retry makes no second
  std::vector<std::string> secret_members = {};  // of the body: not printed by -output-curl-string
};

struct ApiReply {
  int status = 0;
  Json body = nullptr;  // null if there was none

  // The member `data`; the whole body where the answer is not in Vault's envelope; null if neither.
  const Json& data() const;
  // A 404 that says nothing but that there is nothing.
  bool is_miss() const;
};

// Speaks to the server as the settings say. Not thread-safe; refers to the surroundings.
class ApiClient {
 public:
  ApiClient(Settings settings, Surroundings& around);

  // A status that is neither 2xx nor accepted is an error: kRefused, with the server's words and
  // what to do next. Other errors are HttpClient's. Under -output-curl-string the call is printed
  // instead of made and the error is kPreconditionFailed (see printed_curl).
  Result<ApiReply> send(const ApiRequest& request);

  // An answer without an end: its body goes to `piece` as it comes, until that says false or the
  // server ends it. Errors as of send(); kUnavailable also
  // where a server or a gateway says that it will be back.
  Status follow(const ApiRequest& request, const std::function<bool(std::string_view)>& piece);

  // The call was printed: the command has done what was asked.
  bool printed_curl() const { return printed_curl_; }

  const Settings& settings() const { return settings_; }
  // Later calls are made with this token.
  void use_token(Secret token, std::string source);

 private:
  std::optional<Millis> wrap_ttl_of(const ApiRequest& request) const;
  HttpRequest to_http(const ApiRequest& request) const;
  Result<HttpResponse> exchange(HttpRequest& http, bool repeatable, bool stale_is_answer);
  Error refusal(const ApiRequest& request, const HttpRequest& http,
                const HttpResponse& response) const;
  std::string hint(const HttpRequest& http, const HttpResponse& response,
                   const std::vector<std::string>& errors) const;
  void print_curl(const ApiRequest& request, const HttpRequest& http);

  Settings settings_;
  Surroundings& around_;
  HttpClient http_;
  std::string idempotency_key_;  // one for all calls of this command
  bool printed_curl_ = false;
};

// `path` without the slashes and blanks at its ends.
std::string trim_path(std::string_view path);

}  // namespace curfew::cli

#include "cli/api_client.h"

#include <algorithm>
#include <array>
#include <ostream>

#include "base/duration.h"
#include "base/encoding.h"

namespace curfew::cli {

namespace {

// Answers may be long lists, so they are bounded by their bytes rather than by their values.
constexpr JsonLimits kAnswerLimits{.depth_max = 128, .values_max = 10'000'000};

std::string escape_path(std::string_view path) {
  std::string escaped;
  std::size_t start = 0;
  while (true) {
    const std::size_t slash = path.find('/', start);
    escaped += percent_encode(path.substr(start, slash - start));
    if (slash == std::string_view::npos) return escaped;
    escaped += '/';
    start = slash + 1;
  }
}

std::string shell_quote(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

std::vector<std::string> errors_of(const HttpResponse& response) {
  std::vector<std::string> errors;
  const Result<Json> body = parse_json(response.body, kAnswerLimits);
  if (!body || !body->is_object()) return errors;
  const auto list = body->find("errors");
  if (list == body->end() || !list->is_array()) return errors;
  for (const Json& error : *list) {
    if (error.is_string()) errors.push_back(error.get<std::string>());
  }
  return errors;
}

bool mentions(const std::vector<std::string>& errors, std::string_view words) {
  return std::ranges::any_of(
      errors, [&](const std::string& e) { return e.find(words) != std::string::npos; });
}

bool accepts(const ApiRequest& request, int status) {
  return std::ranges::find(request.accept, status) != request.accept.end();
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 307 || status == 308;
}

}  // namespace

const Json& ApiReply::data() const {
  static const Json nothing = nullptr;
  if (!body.is_object()) return nothing;
  if (const auto data = body.find("data"); data != body.end()) return *data;
  return body.contains("request_id") ? nothing : body;
}

bool ApiReply::is_miss() const {
  if (status != 404) return false;
  if (!body.is_object()) return true;
  const auto data = body.find("data");
  if (data != body.end() && !data->is_null()) return false;
  const auto warnings = body.find("warnings");
  return warnings == body.end() || !warnings->is_array() || warnings->empty();
}

ApiClient::ApiClient(Settings settings, Surroundings& around)
    : settings_(std::move(settings)), around_(around), http_(settings_.http) {}

void ApiClient::use_token(Secret token, std::string source) {
  settings_.token = std::move(token);
  settings_.token_source = std::move(source);
}

std::optional<Millis> ApiClient::wrap_ttl_of(const ApiRequest& request) const {
  if (request.preliminary || request.never_wrapped) return std::nullopt;
  // What this path is for.
  constexpr Millis kUsual = std::chrono::minutes{5};
  if (!settings_.wrap_ttl && request.path == "sys/wrapping/wrap") return kUsual;
  return settings_.wrap_ttl;
}

HttpRequest ApiClient::to_http(const ApiRequest& request) const {
  HttpRequest http{.method = request.method,
                   .url = settings_.address + "/v1/" + escape_path(request.path)};
  char separator = '?';
  for (const auto& [name, value] : request.query) {
    http.url += separator + percent_encode(name) + "=" + percent_encode(value);
    separator = '&';
  }
  http.headers.push_back({"X-Vault-Request", "true"});
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) http.headers.push_back({name, value});
  };
  if (!request.in_root_namespace) add("X-Vault-Namespace", settings_.name_space);
  add("X-Curfew-Purpose", settings_.purpose);
  add("X-Curfew-Session", settings_.session);
  add("X-Curfew-Ticket", settings_.ticket);
  add("traceparent", settings_.traceparent);
  const auto wrap_ttl = wrap_ttl_of(request);
  if (wrap_ttl) add("X-Vault-Wrap-TTL", format_duration(*wrap_ttl));
  for (const HttpHeader& header : settings_.headers) http.headers.push_back(header);
  if (request.body) {
    http.headers.push_back({"Content-Type", request.content_type});
    http.body = dump_json(*request.body);
  }
  http.token = request.token ? *request.token : settings_.token;
  return http;
}

// `stale_is_answer`: 412 says that the caller knows an old state; trying again cannot help.
Result<HttpResponse> ApiClient::exchange(HttpRequest& http, bool repeatable, bool stale_is_answer) {
  constexpr Millis kWaitFirst{500};
  constexpr Millis kWaitMax{10'000};
  Millis wait = kWaitFirst;
  for (int retries_left = settings_.retries_max;; --retries_left) {
    Result<HttpResponse> response = http_.send(http);
    if (response && is_redirect(response->status) && !response->location.empty()) {
      ASSIGN_OR_RETURN(http.url, resolve_redirect(http.url, response->location));
      response = http_.send(http);
    }
    // Where nothing can have happened at the server, or where the server knows the repetition for
    // one: else a request whose answer was lost could make a second credential.
    const bool failed = !response || (response->status >= 500 && response->status != 501);
    const bool nothing_done =
        response ? (response->status == 412 && !stale_is_answer) || response->status == 503
                 : response.error().code == Errc::kUnavailable;
    const bool harmless = nothing_done || (repeatable && failed);
    if (!harmless || retries_left <= 0) return response;
    const bool has_advice = response && response->retry_after;
    around_.sleep(std::min(has_advice ? Millis{*response->retry_after} : wait, kWaitMax));
    wait = std::min(wait * 2, kWaitMax);
  }
}

Result<ApiReply> ApiClient::send(const ApiRequest& request) {
  HttpRequest http = to_http(request);
  if (settings_.output_curl && !request.preliminary) {
    print_curl(request, http);
    return Error{Errc::kPreconditionFailed, "the call was printed instead of made"};
  }
  if (request.may_issue && around_.unique_text) {
    if (idempotency_key_.empty()) idempotency_key_ = around_.unique_text();
    http.headers.push_back({"Idempotency-Key", idempotency_key_});
  }
  // The server keeps count of keys for reads alone.
  const bool repeatable = request.may_issue && !idempotency_key_.empty() && http.method == "GET";
  Result<HttpResponse> response = exchange(http, repeatable, accepts(request, 412));
  if (http.body) zero(*http.body);
  if (!response) {
    Error error = std::move(response).error();
    error.message = "Error " + request.doing + ": " + error.message;
    return error;
  }
  const bool accepted =
      accepts(request, response->status) ||
      (request.none_ok && response->status == 404 && errors_of(*response).empty());
  if (!accepted && (response->status < 200 || response->status > 299)) {
    return refusal(request, http, *response);
  }
  ApiReply reply{.status = response->status};
  if (!response->body.empty()) {
    Result<Json> body = parse_json(response->body, kAnswerLimits);
    zero(response->body);
    if (!body && response->status < 300) {
      return Error{Errc::kRefused, "Error " + request.doing + ": the answer of " + http.url +
                                       " is not JSON (" + body.error().message +
                                       ").\nIs it a Curfew server? Look at CURFEW_ADDR, and at "
                                       "proxies on the way."};
    }
    if (body) reply.body = *std::move(body);
  }
  return reply;
}

Status ApiClient::follow(const ApiRequest& request,
                         const std::function<bool(std::string_view)>& piece) {
  const HttpRequest http = to_http(request);
  if (settings_.output_curl) {
    print_curl(request, http);
    return Error{Errc::kPreconditionFailed, "the call was printed instead of made"};
  }
  Result<HttpResponse> response = http_.follow(http, piece);
  if (!response) {
    Error error = std::move(response).error();
    error.message = "Error " + request.doing + ": " + error.message;
    return error;
  }
  if (response->status == 200) return ok();
  Error error = refusal(request, http, *response);
  if (response->status >= 502 && response->status <= 504) error.code = Errc::kUnavailable;
  return error;
}

Error ApiClient::refusal(const ApiRequest& request, const HttpRequest& http,
                         const HttpResponse& response) const {
  const std::vector<std::string> errors = errors_of(response);
  std::string text = "Error " + request.doing +
                     ": the server did not do it.\n\nURL: " + http.method + " " + http.url +
                     "\nCode: " + std::to_string(response.status) + ".";
  if (!errors.empty()) {
    text += " Errors:\n";
    for (const std::string& error : errors) text += "\n* " + error;
  } else if (!response.body.empty() && response.body.find("\"errors\"") == std::string::npos) {
    text += " The answer is not in the form of Curfew's errors.";
  }
  while (text.ends_with('\n')) text.pop_back();
  const std::string next = hint(http, response, errors);
  if (!next.empty()) text += "\n\n" + next;
  return {Errc::kRefused, text};
}

std::string ApiClient::hint(const HttpRequest& http, const HttpResponse& response,
                            const std::vector<std::string>& errors) const {
  const bool no_token = http.token.empty();
  switch (response.status) {
    case 400:
      if (mentions(errors, "HTTP request to an HTTPS server")) {
        return "The server serves TLS: say https:// instead of http:// in CURFEW_ADDR or -address.";
      }
      if (!mentions(errors, "missing client token")) return "";
      [[fallthrough]];
    case 401:
    case 403:
      if (!no_token && mentions(errors, "preflight capability check")) {
        return "No engine is mounted there, or no policy of the token reaches below it: `curfew "
               "secrets list` shows the mounts, `curfew token capabilities PATH` what you may do.";
      }
      if (no_token) return "No token was sent: run `curfew login` or set CURFEW_TOKEN.";
      return "The token" +
             (settings_.token_source.empty() ? "" : " from " + settings_.token_source) +
             " is not valid (any more), or none of its policies permits this.\n`curfew token "
             "lookup` shows whether it lives and its policies, `curfew token capabilities PATH` "
             "what it may do.";
    case 404:
      if (mentions(errors, "no handler for route")) {
        return "No engine serves this path: `curfew secrets list` shows the mounts.";
      }
      return "";
    case 405: return "The path exists, but not this operation on it: see `curfew path-help PATH`.";
    case 413: return "The request is too large for the server.";
    case 429: return "A quota is used up: wait, or ask for a larger one.";
    case 501: return "The server has no keys yet: run `curfew operator init`.";
    case 502:
    case 504: return "A gateway in front of the server failed: the request may have been done.";
    case 503:
      if (mentions(errors, "sealed")) {
        return "The server is sealed: run `curfew operator unseal` (`curfew status` shows how many "
               "keys it needs).";
      }
      return "The server is too busy or a part of it is down; nothing was done. Try again" +
             (response.retry_after ? " in " + format_duration_short(*response.retry_after) + "."
                                   : std::string(" later."));
    default: return response.status >= 500 ? "The server's log says why." : "";
  }
}

void ApiClient::print_curl(const ApiRequest& request, const HttpRequest& http) {
  std::string line = "curl";
  if (settings_.http.tls_skip_verify) line += " --insecure";
  const auto add_option = [&](const char* option, const std::string& value) {
    if (!value.empty()) line += std::string(" ") + option + " " + shell_quote(value);
  };
  add_option("--cacert", settings_.http.ca_cert_file);
  add_option("--capath", settings_.http.ca_directory);
  add_option("--cert", settings_.http.client_cert_file);
  add_option("--key", settings_.http.client_key_file);
  if (http.method != "GET") line += " -X " + http.method;
  for (const HttpHeader& header : http.headers) {
    add_option("-H", header.name + ": " + header.value);
  }
  if (!http.token.empty()) line += " -H \"X-Vault-Token: $(curfew print token)\"";
  if (request.body) {
    Json shown = *request.body;
    for (const std::string& member : request.secret_members) {
      if (shown.is_object() && shown.contains(member)) shown[member] = "<redacted>";
    }
    add_option("-d", dump_json(shown));
  }
  around_.out << line << " " << shell_quote(http.url) << "\n";
  printed_curl_ = true;
}

std::string trim_path(std::string_view path) {
  constexpr std::string_view kTrimmed = "/ \t\r\n";
  const std::size_t first = path.find_first_not_of(kTrimmed);
  if (first == std::string_view::npos) return {};
  return std::string(path.substr(first, path.find_last_not_of(kTrimmed) - first + 1));
}

}  // namespace curfew::cli

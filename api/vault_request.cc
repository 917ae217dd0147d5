#include "api/vault_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "api/form.h"
#include "base/duration.h"
#include "base/encoding.h"

namespace curfew::api {
namespace {

using broker::Request;

constexpr std::size_t kPathBytesMax = 4096;
constexpr std::size_t kTokenBytesMax = 16 * 1024;
constexpr std::size_t kNamespaceBytesMax = 512;
constexpr std::size_t kPurposeBytesMax = 1024;
constexpr std::size_t kSessionBytesMax = 256;
constexpr std::size_t kTicketBytesMax = 256;
constexpr std::size_t kTraceparentBytesMax = 128;
constexpr Millis kWrapTtlMax = std::chrono::hours{768};  // as long as anything may live
constexpr Millis kWaitMax{50'000};                       // proxies lose patience after a minute
constexpr std::size_t kIdempotencyKeyMin = 8;
constexpr std::size_t kIdempotencyKeyMax = 128;

Error invalid(std::string message) {
  return {Errc::kInvalidArgument, std::move(message)};
}

struct Target {
  std::string_view path;
  std::string_view query;
};

// Also takes the form that a proxy is sent: "http://host/path".
Target split_target(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!target.starts_with(scheme)) continue;
    target.remove_prefix(scheme.size());
    target.remove_prefix(std::min(target.find_first_of("/?"), target.size()));
  }
  target = target.substr(0, target.find('#'));
  const auto mark = std::min(target.find('?'), target.size());
  return {target.substr(0, mark), target.substr(std::min(mark + 1, target.size()))};
}

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

// One path, one meaning: what could name the same thing twice is refused, so that no rule of a
// policy is passed by.
Status check_path(std::string_view path) {
  if (path.size() > kPathBytesMax)
    return invalid(fmt::format("the path is longer than {} bytes", kPathBytesMax));
  if (!is_utf8(path) || std::any_of(path.begin(), path.end(), is_control))
    return invalid("the path holds control characters or bytes that are not UTF-8");
  while (!path.empty()) {
    const std::string_view segment = path.substr(0, path.find('/'));
    if (segment.empty()) return invalid("the path has an empty segment: remove the double slash");
    if (segment == "." || segment == "..")
      return invalid("the path has a segment \".\" or \"..\": write the path out");
    path.remove_prefix(std::min(path.size(), segment.size() + 1));
  }
  return ok();
}

Result<std::string> read_path(std::string_view raw) {
  if (raw != "/v1" && !raw.starts_with("/v1/")) return Error{Errc::kUnsupportedPath, ""};
  raw.remove_prefix(std::min<std::size_t>(raw.size(), 4));
  auto path = percent_decode(raw);
  if (!path) return invalid("the path holds a malformed percent escape");
  RETURN_IF_ERROR(check_path(*path));
  if (path->empty()) return Error{Errc::kUnsupportedPath, ""};
  return std::move(*path);
}

// A switch in the query: absent and empty are false.
Result<bool> query_switch(const Json& query, const char* name) {
  auto value = Fields(query).boolean_or(name, false);
  if (!value) return invalid(fmt::format("query parameter \"{}\": expected true or false", name));
  return value;
}

bool is_merge_patch(const HttpRequest& http) {
  const std::string* type = http.header("Content-Type");
  if (type == nullptr) return false;
  std::string_view media = std::string_view(*type).substr(0, type->find(';'));
  while (media.ends_with(' ') || media.ends_with('\t')) media.remove_suffix(1);
  return equal_ignoring_case(media, "application/merge-patch+json");
}

// Verb and switches of the query; takes the switches out of it.
Status read_operation(const HttpRequest& http, Json& query, Request& out) {
  const auto help = query.find("help");
  out.help = http.method == "HELP" || (help != query.end() && *help != "");
  query.erase("help");
  if (out.help) return ok();
  const std::string& verb = http.method;
  if (verb == "GET" || verb == "HEAD") {
    ASSIGN_OR_RETURN(const bool list, query_switch(query, "list"));
    query.erase("list");
    out.operation = list ? Operation::kList : Operation::kRead;
  } else if (verb == "LIST") {
    query.erase("list");
    out.operation = Operation::kList;
  } else if (verb == "POST" || verb == "PUT") {
    out.operation = Operation::kUpdate;
  } else if (verb == "DELETE") {
    out.operation = Operation::kDelete;
  } else if (verb == "PATCH") {
    out.operation = Operation::kPatch;
    if (!is_merge_patch(http))
      return Error{Errc::kUnsupportedMediaType,
                   "PATCH needs the header \"Content-Type: application/merge-patch+json\""};
  } else {
    return Error{Errc::kUnsupportedOperation,
                 "unsupported operation: the verbs are GET, HEAD, LIST, POST, PUT, PATCH, DELETE "
                 "and HELP"};
  }
  return ok();
}

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

// curl labels whatever it is given as a form, so the label alone does not make one.
bool is_form(const HttpRequest& http, std::string_view body) {
  const std::string* type = http.header("Content-Type");
  if (type == nullptr) return false;
  constexpr std::string_view kForm = "application/x-www-form-urlencoded";
  return equal_ignoring_case(std::string_view(*type).substr(0, kForm.size()), kForm) &&
         std::string_view("{[\"").find(body.front()) == std::string_view::npos;
}

Result<Json> read_body(const HttpRequest& http) {
  const std::string_view body = trimmed(http.body);
  if (body.empty() || body == "null") return Json(Json::object());
  if (is_form(http, body)) return parse_form(body);
  ASSIGN_OR_RETURN(Json data, parse_json(body));
  if (data.is_object()) return data;
  return invalid(fmt::format("the request body is a JSON {}: expected an object",
                             data.is_array() ? "array" : data.type_name()));
}

// A header whose value is text; empty where it is absent.
Result<std::string> text_header(const HttpRequest& http, const char* name, std::size_t bytes_max) {
  const std::string* value = http.header(name);
  if (value == nullptr) return std::string{};
  if (http.header_count(name) > 1)
    return invalid(fmt::format("header {}: sent more than once", name));
  if (value->size() > bytes_max)
    return invalid(fmt::format("header {}: longer than {} bytes", name, bytes_max));
  if (!is_utf8(*value) || std::any_of(value->begin(), value->end(), is_control))
    return invalid(fmt::format("header {}: expected plain UTF-8 text", name));
  return *value;
}

Result<Secret> read_token(const HttpRequest& http) {
  // Two tokens in one request: whoever checked one of them may not have seen the other.
  if (http.header_count("X-Vault-Token") > 1 || http.header_count("Authorization") > 1)
    return invalid("the request carries more than one token header: send one");
  std::string_view token;
  if (const std::string* value = http.header("X-Vault-Token")) token = *value;
  const std::string* authorization = http.header("Authorization");
  constexpr std::string_view kBearer = "Bearer ";
  if (token.empty() && authorization != nullptr &&
      equal_ignoring_case(std::string_view(*authorization).substr(0, kBearer.size()), kBearer))
    token = trimmed(std::string_view(*authorization).substr(kBearer.size()));
  if (token.size() > kTokenBytesMax)
    return invalid(fmt::format("the token is longer than {} bytes", kTokenBytesMax));
  return Secret(std::string(token));
}

Result<std::optional<Millis>> read_wrap_ttl(const HttpRequest& http) {
  const std::string* value = http.header("X-Vault-Wrap-TTL");
  if (value == nullptr || value->empty()) return std::optional<Millis>{};
  const auto ttl = parse_duration(*value);
  if (!ttl)
    return invalid(
        "header X-Vault-Wrap-TTL: expected a duration such as \"60\", \"60s\" or \"5m\"");
  if (*ttl < Millis{0}) return invalid("header X-Vault-Wrap-TTL: a wrap TTL cannot be negative");
  if (*ttl > kWrapTtlMax)
    return invalid(
        fmt::format("header X-Vault-Wrap-TTL: longer than {}", format_duration_short(kWrapTtlMax)));
  if (*ttl == Millis{0}) return std::optional<Millis>{};
  return std::optional<Millis>{*ttl};
}

Result<std::string> read_idempotency_key(const HttpRequest& http) {
  const std::string* value = http.header("Idempotency-Key");
  if (value == nullptr) return std::string{};
  const bool printable =
      std::all_of(value->begin(), value->end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (!printable || value->size() < kIdempotencyKeyMin || value->size() > kIdempotencyKeyMax ||
      http.header_count("Idempotency-Key") > 1)
    return invalid(fmt::format(
        "header Idempotency-Key: expected one key of {} to {} printable characters without blanks",
        kIdempotencyKeyMin, kIdempotencyKeyMax));
  return *value;
}

// The seconds of "wait=20". A number that is too large for any type asks for long enough; what is
// not a number asks for nothing.
Millis read_wait(std::string_view text) {
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"')
    text = text.substr(1, text.size() - 2);
  const char* const end = text.data() + text.size();
  unsigned seconds = 0;
  const auto read = std::from_chars(text.data(), end, seconds);
  if (read.ptr != end) return Millis{0};
  if (read.ec == std::errc::result_out_of_range) return kWaitMax;
  return std::min<Millis>(kWaitMax, Seconds{seconds});
}

// The preferences of RFC 7240 that mean something here. The first of a name counts; what cannot be
// read is passed over, as that standard says.
void read_preferences(const HttpRequest& http, Request& out) {
  bool waits = false;
  for (const HttpHeader& header : http.headers) {
    if (!equal_ignoring_case(header.name, "Prefer")) continue;
    std::string_view rest = header.value;
    while (!rest.empty()) {
      const std::string_view item = rest.substr(0, rest.find(','));
      rest.remove_prefix(std::min(rest.size(), item.size() + 1));
      const std::string_view preference = item.substr(0, item.find(';'));
      const auto equals = std::min(preference.find('='), preference.size());
      const std::string_view name = trimmed(preference.substr(0, equals));
      if (equal_ignoring_case(name, "respond-async")) out.responds_async = true;
      if (equal_ignoring_case(name, "wait") && !std::exchange(waits, true))
        out.hold_left =
            read_wait(trimmed(preference.substr(std::min(equals + 1, preference.size()))));
    }
  }
}

Status read_headers(const HttpRequest& http, Request& out) {
  ASSIGN_OR_RETURN(out.token, read_token(http));
  ASSIGN_OR_RETURN(out.wrap_ttl, read_wrap_ttl(http));
  ASSIGN_OR_RETURN(out.name_space, text_header(http, "X-Vault-Namespace", kNamespaceBytesMax));
  const auto first = std::min(out.name_space.find_first_not_of('/'), out.name_space.size());
  out.name_space.erase(0, first);
  while (out.name_space.ends_with('/')) out.name_space.pop_back();
  ASSIGN_OR_RETURN(out.purpose, text_header(http, "X-Curfew-Purpose", kPurposeBytesMax));
  ASSIGN_OR_RETURN(out.session, text_header(http, "X-Curfew-Session", kSessionBytesMax));
  ASSIGN_OR_RETURN(out.ticket, text_header(http, "X-Curfew-Ticket", kTicketBytesMax));
  ASSIGN_OR_RETURN(out.idempotency_key, read_idempotency_key(http));
  read_preferences(http, out);
  if (const std::string* if_match = http.header("If-Match")) out.if_match = *if_match;
  auto traceparent = text_header(http, "traceparent", kTraceparentBytesMax);
  if (traceparent) out.traceparent = std::move(*traceparent);
  return ok();
}

}  // namespace

Result<broker::Request> read_request(const HttpRequest& http, Random& random) {
  const Target target = split_target(http.target);
  Request out;
  ASSIGN_OR_RETURN(out.path, read_path(target.path));
  ASSIGN_OR_RETURN(Json query, parse_form(target.query));
  RETURN_IF_ERROR(read_operation(http, query, out));
  const bool writes = out.operation == Operation::kUpdate || out.operation == Operation::kPatch;
  if (writes && out.path.ends_with('/')) return invalid("cannot write to a path ending in '/'");
  if (out.operation == Operation::kList && !out.path.ends_with('/')) out.path += '/';
  ASSIGN_OR_RETURN(out.data, read_body(http));
  if (!writes) out.data.update(query);
  RETURN_IF_ERROR(read_headers(http, out));
  out.remote_address = http.remote_address;
  out.remote_port = http.remote_port;
  out.peer_certificate = http.peer_certificate;
  out.is_abandoned = http.is_abandoned;
  out.id = random_uuid(random);
  return out;
}

}  // namespace curfew::api

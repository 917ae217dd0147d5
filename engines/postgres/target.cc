#include "engines/postgres/target.h"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>

#include "base/digest.h"
#include "base/encoding.h"

namespace curfew::engines::postgres {
namespace {

constexpr std::int64_t kConnectionsMax = 1000;
constexpr std::size_t kUrlBytesMax = 8192;

using Parameters = std::map<std::string, std::string>;

// libpq's own reader of both forms. nullopt: not readable.
std::optional<Parameters> read_url(const std::string& url) {
  char* message = nullptr;
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(
      PQconninfoParse(url.c_str(), &message), &PQconninfoFree);
  PQfreemem(message);  // it may repeat parts of the URL
  if (!options) return std::nullopt;
  Parameters out;
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val != nullptr) out[option->keyword] = option->val;
  }
  return out;
}

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size())
    text.replace(at, what.size(), with);
  return text;
}

std::string filled(std::string text, const std::string& username, const std::string& password) {
  for (const std::string_view form : {"{{username}}", "{{ username }}"})
    text = replaced(std::move(text), form, username);
  for (const std::string_view form : {"{{password}}", "{{ password }}"})
    text = replaced(std::move(text), form, password);
  return text;
}

std::string address_of(const Parameters& parameters) {
  const auto get = [&](const char* key) {
    const auto it = parameters.find(key);
    return it == parameters.end() ? std::string() : it->second;
  };
  std::string host = get("host");
  if (host.empty()) host = get("hostaddr");
  if (host.empty()) host = "local socket";
  std::string port = get("port");
  return host + ":" + (port.empty() ? "5432" : port);
}

Error bad(std::string message) {
  return {Errc::kInvalidArgument, std::move(message)};
}

// What would take settings from elsewhere, or makes another kind of connection.
Status check_parameters(const Parameters& parameters) {
  for (const char* keyword : {"service", "passfile", "replication"}) {
    const auto it = parameters.find(keyword);
    if (it != parameters.end() && !it->second.empty())
      return bad(fmt::format("connection_url: \"{}\" is not taken; leave it out", keyword));
  }
  const auto port = parameters.find("port");
  if (port != parameters.end() &&
      port->second.find_first_not_of("0123456789,") != std::string::npos)
    return bad("connection_url: the port is a number");
  return ok();
}

void add_defaults(Parameters& parameters) {
  // Dead peers are found within a minute also where a query has no deadline left to find them.
  constexpr std::array<std::pair<const char*, const char*>, 6> defaults{{
      {"keepalives", "1"},
      {"keepalives_idle", "30"},
      {"keepalives_interval", "10"},
      {"keepalives_count", "3"},
      {"tcp_user_timeout", "30000"},
      {"application_name", "curfew"},
  }};
  for (const auto& [key, value] : defaults) parameters.try_emplace(key, value);
  parameters["client_encoding"] = "UTF8";
}

// libpq's connect_timeout: whole seconds.
std::optional<Millis> parse_seconds(const std::string& text) {
  int seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (seconds < 1 || seconds > 600) return std::nullopt;
  return Seconds{seconds};
}

Status read_limits(const Fields& fields, TargetSettings& settings) {
  ASSIGN_OR_RETURN(const auto open_max, fields.integer_or("max_open_connections", 0));
  if (open_max < 0 || open_max > kConnectionsMax)
    return bad(
        fmt::format("max_open_connections: a number from 1 to {}, or 0 for the "
                    "default of 4",
                    kConnectionsMax));
  settings.connections_max = open_max == 0 ? 4 : static_cast<int>(open_max);
  ASSIGN_OR_RETURN(const auto idle_max, fields.integer_or("max_idle_connections", 0));
  if (idle_max > kConnectionsMax)
    return bad(fmt::format("max_idle_connections: at most {}", kConnectionsMax));
  settings.idle_max = settings.connections_max;
  if (idle_max < 0) settings.idle_max = 0;
  if (idle_max > 0)
    settings.idle_max = std::min<int>(static_cast<int>(idle_max), settings.idle_max);
  ASSIGN_OR_RETURN(settings.lifetime_max, fields.duration_or("max_connection_lifetime", Millis{0}));
  return ok();
}

// Where the password stands in a URL, or npos: behind the first ':' of the user part.
std::pair<std::size_t, std::size_t> url_password(const std::string& url) {
  constexpr auto npos = std::string::npos;
  const auto scheme = url.find("://");
  if (scheme == npos) return {npos, npos};
  const auto start = scheme + 3;
  const auto at = url.rfind('@', url.find_first_of("/?", start));
  if (at == npos || at < start) return {npos, npos};
  const auto colon = url.find(':', start);
  if (colon == npos || colon > at) return {npos, npos};
  return {colon + 1, at};
}

// The same for "password=…" in either form, from `from` on.
std::pair<std::size_t, std::size_t> named_password(const std::string& url, std::size_t from) {
  constexpr auto npos = std::string::npos;
  for (const std::string_view key : {"password=", "password ="}) {
    const auto at = url.find(key, from);
    if (at == npos) continue;
    auto begin = at + key.size();
    while (begin < url.size() && url[begin] == ' ') ++begin;
    const bool quoted = begin < url.size() && url[begin] == '\'';
    auto end = quoted ? url.find('\'', begin + 1) : url.find_first_of("& ", begin);
    if (quoted && end != npos) ++end;
    return {begin, end == npos ? url.size() : end};
  }
  return {npos, npos};
}

bool is_placeholder(std::string_view text) {
  return text.empty() || text == "{{password}}" || text == "{{ password }}" ||
         text == "'{{password}}'";
}

}  // namespace

std::string TargetSettings::label() const {
  return fmt::format("target \"{}\" ({})", name, address);
}

// As libpq does it: the user's name where nothing is given.
std::string TargetSettings::database() const {
  for (const char* keyword : {"dbname", "user"}) {
    const auto it = parameters.find(keyword);
    if (it != parameters.end() && !it->second.empty()) return it->second;
  }
  return "";
}

std::string TargetSettings::fingerprint() const {
  Json all{{"name", name},
           {"parameters", parameters},
           {"password", hex_encode(sha256("curfew target password\n" + password.reveal()))},
           {"limits", {connections_max, idle_max, lifetime_max.count(), connect_timeout.count()}}};
  return sha256(dump_json(all));
}

Result<TargetSettings> parse_target(std::string name, const Json& details) {
  const Fields fields(details);
  TargetSettings settings;
  settings.name = std::move(name);
  ASSIGN_OR_RETURN(const std::string url, fields.text_or("connection_url", ""));
  if (url.empty()) return bad("connection_url cannot be empty");
  if (url.size() > kUrlBytesMax || url.find('\0') != std::string::npos)
    return bad(fmt::format("connection_url: longer than {} bytes, or with a zero byte in it",
                           kUrlBytesMax));
  ASSIGN_OR_RETURN(const std::string username, fields.text_or("username", ""));
  ASSIGN_OR_RETURN(const std::string password, fields.text_or("password", ""));
  ASSIGN_OR_RETURN(const bool raw, fields.boolean_or("disable_escaping", false));

  // Filled in after it is taken apart, a value needs no escaping and cannot add parameters.
  auto parameters = read_url(raw ? filled(url, username, password) : url);
  if (!parameters)
    return bad(
        "connection_url cannot be read; write "
        "postgresql://{{username}}:{{password}}@host:port/database?sslmode=verify-full or "
        "host=… dbname=…, and escape special characters in a URL (a slash as %2F)");
  if (!raw)
    for (auto& [key, value] : *parameters) value = filled(std::move(value), username, password);
  RETURN_IF_ERROR(check_parameters(*parameters));
  if (const auto it = parameters->find("connect_timeout"); it != parameters->end()) {
    auto timeout = parse_seconds(it->second);
    if (!timeout)
      return bad("connection_url: connect_timeout is a number of seconds from 1 to 600");
    settings.connect_timeout = *timeout;
    parameters->erase(it);
  }
  std::string given = username;
  parameters->try_emplace("user", std::move(given));
  settings.password = Secret(password);
  if (const auto it = parameters->find("password"); it != parameters->end()) {
    settings.password = Secret(it->second);
    parameters->erase(it);
  }
  settings.address = address_of(*parameters);
  add_defaults(*parameters);
  settings.parameters = std::move(*parameters);
  RETURN_IF_ERROR(read_limits(fields, settings));
  return settings;
}

std::string masked_url(const std::string& url) {
  std::string out = url;
  if (const auto [begin, end] = url_password(out); begin != std::string::npos) {
    if (!is_placeholder(std::string_view(out).substr(begin, end - begin)))
      out.replace(begin, end - begin, "xxxxx");
  }
  for (std::size_t from = 0;;) {
    const auto [begin, end] = named_password(out, from);
    if (begin == std::string::npos) return out;
    from = begin;
    if (!is_placeholder(std::string_view(out).substr(begin, end - begin)))
      out.replace(begin, end - begin, "xxxxx");
  }
}

bool url_has_password(const std::string& url) {
  return masked_url(url) != url;
}

}  // namespace curfew::engines::postgres

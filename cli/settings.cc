#include "cli/settings.h"

#include <algorithm>
#include <charconv>

#include "base/duration.h"
#include "cli/token_file.h"

namespace curfew::cli {

namespace {

constexpr int kRetriesMax = 20;

// A value and where it came from, for messages.
struct Setting {
  std::string value;
  std::string source;
};

class Reader {
 public:
  Reader(const Arguments& arguments, const Surroundings& around)
      : arguments_(arguments), around_(around) {}

  // `flag` may be "": then only the environment counts. `name` is the variable without its prefix.
  Setting find(const std::string& flag, const std::string& name) const {
    if (!flag.empty() && arguments_.has(flag)) return {arguments_.text(flag), "-" + flag};
    for (const char* prefix : {"CURFEW_", "VAULT_"}) {
      std::string variable = prefix + name;
      std::optional<std::string> value = around_.environment(variable);
      if (value && !value->empty()) return {*std::move(value), std::move(variable)};
    }
    return {};
  }

  // As above, for what becomes a header of the request.
  Result<std::string> header(const std::string& flag, const std::string& name) const {
    Setting setting = find(flag, name);
    constexpr std::size_t kHeaderBytesMax = 8 * 1024;
    if (setting.value.size() > kHeaderBytesMax || has_control(setting.value)) {
      return Error{Errc::kInvalidArgument,
                   setting.source +
                       " cannot be sent as a header: it is longer than 8 KiB or holds "
                       "control characters such as line breaks"};
    }
    return std::move(setting.value);
  }

  static bool has_control(std::string_view text) {
    return std::ranges::any_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  }

 private:
  const Arguments& arguments_;
  const Surroundings& around_;
};

Result<Millis> to_duration(const Setting& setting) {
  const Result<Millis> duration = parse_duration(setting.value);
  constexpr Millis kDurationMax = std::chrono::hours(24 * 365);
  if (!duration || *duration < Millis{0} || *duration > kDurationMax) {
    return Error{Errc::kInvalidArgument, setting.source + ": expected a duration such as 60s or " +
                                             "2m, got \"" + setting.value + "\""};
  }
  return *duration;
}

Result<bool> to_switch(const Setting& setting) {
  const std::string& text = setting.value;
  if (text.empty() || text == "false" || text == "0" || text == "f" || text == "FALSE") {
    return false;
  }
  if (text == "true" || text == "1" || text == "t" || text == "TRUE") return true;
  return Error{Errc::kInvalidArgument,
               setting.source + ": expected true or false, got \"" + text + "\""};
}

Result<HttpHeader> to_header(const std::string& text) {
  const std::size_t equals = text.find('=');
  std::string name = text.substr(0, equals);
  const bool is_token = !name.empty() && std::ranges::all_of(name, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_';
  });
  if (equals == std::string::npos || !is_token || Reader::has_control(text)) {
    return Error{Errc::kInvalidArgument, "-header: expected NAME=VALUE without line breaks"};
  }
  std::string lower = name;
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
  if (lower.starts_with("x-vault-") || lower.starts_with("x-curfew-") || lower == "host" ||
      lower == "content-length" || lower == "transfer-encoding") {
    return Error{Errc::kInvalidArgument,
                 "-header: " + name +
                     " is set by this program; there is a flag or a variable "
                     "for what it says"};
  }
  return HttpHeader{std::move(name), text.substr(equals + 1)};
}

Status load_http(const Reader& reader, HttpSettings& http) {
  http.ca_cert_file = reader.find("ca-cert", "CACERT").value;
  http.ca_directory = reader.find("ca-path", "CAPATH").value;
  http.client_cert_file = reader.find("client-cert", "CLIENT_CERT").value;
  http.client_key_file = reader.find("client-key", "CLIENT_KEY").value;
  http.tls_server_name = reader.find("tls-server-name", "TLS_SERVER_NAME").value;
  ASSIGN_OR_RETURN(http.tls_skip_verify, to_switch(reader.find("tls-skip-verify", "SKIP_VERIFY")));
  const Setting timeout = reader.find("", "CLIENT_TIMEOUT");
  if (!timeout.value.empty()) {
    ASSIGN_OR_RETURN(http.timeout, to_duration(timeout));
  }
  return ok();
}

Status load_headers(const Reader& reader, const Arguments& arguments, const Surroundings& around,
                    Settings& settings) {
  ASSIGN_OR_RETURN(settings.name_space, reader.header("namespace", "NAMESPACE"));
  ASSIGN_OR_RETURN(settings.purpose, reader.header("purpose", "PURPOSE"));
  ASSIGN_OR_RETURN(settings.session, reader.header("session", "SESSION"));
  ASSIGN_OR_RETURN(settings.ticket, reader.header("ticket", "TICKET"));
  // What started this program may have left anything there: what is no header is left out.
  std::string trace = around.environment("TRACEPARENT").value_or("");
  constexpr std::size_t kTraceBytesMax = 512;
  if (trace.size() <= kTraceBytesMax && !Reader::has_control(trace)) {
    settings.traceparent = std::move(trace);
  }
  for (const std::string& text : arguments.list("header")) {
    ASSIGN_OR_RETURN(HttpHeader header, to_header(text));
    settings.headers.push_back(std::move(header));
  }
  return ok();
}

}  // namespace

const std::vector<Flag>& connection_flags() {
  static const std::vector<Flag> flags = {
      {{"address"}, FlagKind::kText, "The server, as https://host:8200 (CURFEW_ADDR).", "URL"},
      {{"ca-cert"}, FlagKind::kText, "PEM file of the authority to trust (CURFEW_CACERT).", "FILE"},
      {{"ca-path"}, FlagKind::kText, "Directory of such files (CURFEW_CAPATH).", "DIRECTORY"},
      {{"client-cert"}, FlagKind::kText, "PEM file of a client certificate.", "FILE"},
      {{"client-key"}, FlagKind::kText, "PEM file of its key.", "FILE"},
      {{"tls-server-name"}, FlagKind::kText, "The name that the certificate must be for.", "NAME"},
      {{"tls-skip-verify"},
       FlagKind::kSwitch,
       "Accept any certificate: for trials only (CURFEW_SKIP_VERIFY)."},
      {{"namespace", "ns"}, FlagKind::kText, "The namespace (CURFEW_NAMESPACE).", "PATH"},
      {{"purpose"}, FlagKind::kText, "What the request is for (CURFEW_PURPOSE).", "TEXT"},
      {{"session"}, FlagKind::kText, "The agent's session (CURFEW_SESSION).", "ID"},
      {{"ticket"}, FlagKind::kText, "The ticket that the work is booked on (CURFEW_TICKET).", "ID"},
      {{"header"}, FlagKind::kList, "An additional header; repeatable.", "NAME=VALUE"},
      {{"wrap-ttl"},
       FlagKind::kDuration,
       "Give a wrapping token that lives this long instead of the answer.",
       "DURATION"},
      {{"output-curl-string"},
       FlagKind::kSwitch,
       "Print the call as a curl command instead of making it."},
  };
  return flags;
}

Result<Secret> find_token(const Surroundings& around, std::string* source) {
  for (const char* name : {"CURFEW_TOKEN", "VAULT_TOKEN"}) {
    std::string value = first_set(around, {name});
    if (value.empty()) continue;
    if (source != nullptr) *source = name;
    if (Reader::has_control(value)) {
      zero(value);
      return Error{Errc::kInvalidArgument,
                   std::string(name) + " holds a line break or another control character"};
    }
    return Secret(std::move(value));
  }
  const std::string path = token_file_path(first_set(around, {"HOME"}));
  ASSIGN_OR_RETURN(Secret token, load_token(path));
  if (Reader::has_control(token.reveal())) {
    return Error{Errc::kInvalidArgument,
                 "the token file " + path + " holds more than one line: remove it"};
  }
  if (source != nullptr) *source = token.empty() ? "" : path;
  return token;
}

Result<Settings> load_settings(const Arguments& arguments, const Surroundings& around) {
  const Reader reader(arguments, around);
  Settings settings;
  const std::string address = reader.find("address", "ADDR").value;
  ASSIGN_OR_RETURN(settings.address,
                   normalize_address(address.empty() ? "https://127.0.0.1:8200" : address));
  RETURN_IF_ERROR(load_http(reader, settings.http));
  RETURN_IF_ERROR(load_headers(reader, arguments, around, settings));
  const Setting wrap = reader.find("wrap-ttl", "WRAP_TTL");
  if (!wrap.value.empty()) {
    ASSIGN_OR_RETURN(settings.wrap_ttl, to_duration(wrap));
  }
  settings.output_curl = arguments.on("output-curl-string");
  const Setting retries = reader.find("", "MAX_RETRIES");
  if (!retries.value.empty()) {
    const char* end = retries.value.data() + retries.value.size();
    const auto [stop, error] = std::from_chars(retries.value.data(), end, settings.retries_max);
    if (error != std::errc{} || stop != end || settings.retries_max < 0 ||
        settings.retries_max > kRetriesMax) {
      return Error{Errc::kInvalidArgument, retries.source + ": expected a number from 0 to 20"};
    }
  }
  ASSIGN_OR_RETURN(settings.token, find_token(around, &settings.token_source));
  return settings;
}

}  // namespace curfew::cli

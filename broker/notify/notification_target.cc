#include "broker/notify/notification_target.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "broker/auth/https_client.h"
#include "broker/notify/address.h"
#include "broker/notify/notice.h"
#include "broker/notify/notice_text.h"

namespace curfew::broker {
namespace {

constexpr std::array kTypes = {TargetType::kWebhook, TargetType::kSlack, TargetType::kPagerDuty,
                               TargetType::kSmtp};
constexpr std::size_t kKeyBytesMin = 16;
constexpr std::size_t kSecretBytesMax = 1024;
constexpr std::size_t kHeadersMax = 20;
constexpr std::size_t kHeaderBytesMax = 1024;
constexpr std::size_t kRecipientsMax = 50;
constexpr std::string_view kPagerDutyUrl = "https://events.pagerduty.com/v2/enqueue";

Error wrong(std::string_view field, std::string_view why) {
  return {Errc::kInvalidArgument, fmt::format("field \"{}\": {}", field, why)};
}

Result<TargetType> parse_type(const Json& data) {
  ASSIGN_OR_RETURN(const std::string name, Fields(data).text_or("type", ""));
  for (const TargetType type : kTypes)
    if (name == target_type_name(type)) return type;
  return wrong("type", "expected one of webhook, slack, pagerduty, smtp");
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  });
}

// What the sending itself sets, and what would change how a message is framed.
bool is_reserved(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  static constexpr std::array kReserved = {
      "host",       "content-length", "content-type", "transfer-encoding",
      "connection", "expect",         "upgrade",      "te"};
  return name.starts_with("x-curfew-") ||
         std::find(kReserved.begin(), kReserved.end(), name) != kReserved.end();
}

bool is_printable_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

Status parse_headers(const Json& data, NotificationTarget& out) {
  ASSIGN_OR_RETURN(const auto headers, Fields(data).text_map("headers"));
  if (!headers) return ok();
  if (out.type == TargetType::kSmtp && !headers->empty())
    return wrong("headers", "only targets that are called by HTTP have headers");
  if (headers->size() > kHeadersMax)
    return wrong("headers", fmt::format("expected at most {}", kHeadersMax));
  for (const auto& [name, value] : *headers) {
    if (!is_token(name) || name.size() > 128)
      return wrong("headers", "a name may hold letters, digits, '-' and '_'");
    if (is_reserved(name))
      return wrong("headers", fmt::format("\"{}\" is set by the server itself", name));
    if (value.empty() || value.size() > kHeaderBytesMax || !is_printable_ascii(value))
      return wrong("headers", fmt::format("the value of \"{}\" must be 1 to {} printable ASCII "
                                          "characters on one line",
                                          name, kHeaderBytesMax));
    out.headers[name] = Secret(value);
  }
  return ok();
}

Status parse_templates(const Json& data, NotificationTarget& out) {
  ASSIGN_OR_RETURN(auto templates, Fields(data).text_map("templates"));
  if (!templates) return ok();
  for (const auto& [name, text] : *templates) {
    if (name != "title" && name != "text")
      return wrong("templates", "expected \"title\" and \"text\" and nothing else");
    if (const Status good = check_template(text); !good)
      return wrong("templates", fmt::format("{}: {}", name, good.error().message));
  }
  if (out.type == TargetType::kWebhook && !templates->empty())
    return wrong("templates", "a webhook's body is always the same JSON");
  out.templates = std::move(*templates);
  return ok();
}

Status parse_events(const Json& data, NotificationTarget& out) {
  ASSIGN_OR_RETURN(const auto events, Fields(data).comma_list("events"));
  if (!events) return ok();
  for (const std::string& name : *events) {
    const std::string event = notice_event_of(name);
    if (event.empty())
      return wrong("events", fmt::format("unknown event \"{}\"; expected some of {}",
                                         name.substr(0, 64), fmt::join(notice_events(), ", ")));
    out.events.push_back(event);
  }
  std::sort(out.events.begin(), out.events.end());
  out.events.erase(std::unique(out.events.begin(), out.events.end()), out.events.end());
  return ok();
}

Status parse_mail(const Json& data, NotificationTarget& out) {
  const Fields fields(data);
  ASSIGN_OR_RETURN(out.from, fields.text_or("from", ""));
  ASSIGN_OR_RETURN(auto to, fields.comma_list("to"));
  ASSIGN_OR_RETURN(out.username, fields.text_or("username", ""));
  if (to) out.to = std::move(*to);
  if (out.type != TargetType::kSmtp) {
    if (out.from.empty() && out.to.empty() && out.username.empty()) return ok();
    return wrong("from", "from, to and username belong to the type smtp");
  }
  if (!is_mail_address(out.from)) return wrong("from", "expected a mail address: name@host");
  if (out.to.empty() || out.to.size() > kRecipientsMax)
    return wrong("to", fmt::format("expected 1 to {} mail addresses", kRecipientsMax));
  for (const std::string& address : out.to)
    if (!is_mail_address(address)) return wrong("to", "expected mail addresses: name@host");
  if (out.username.size() > 256 || !is_printable_ascii(out.username))
    return wrong("username", "expected at most 256 printable ASCII characters");
  return ok();
}

// Whether what is secret would go the same way as before.
bool same_way(const NotificationTarget& a, const NotificationTarget& b) {
  return a.type == b.type && a.url == b.url && a.ca_pem == b.ca_pem &&
         a.allow_plain == b.allow_plain && a.username == b.username;
}

Status check_secret(const NotificationTarget& target) {
  const std::string& secret = target.secret.reveal();
  if (secret.size() > kSecretBytesMax)
    return wrong("secret", fmt::format("expected at most {} bytes", kSecretBytesMax));
  if (std::any_of(secret.begin(), secret.end(),
                  [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }))
    return wrong("secret",
                 "it holds a control character, such as the line break at the end of a file");
  switch (target.type) {
    case TargetType::kWebhook:
      if (secret.size() < kKeyBytesMin)
        return wrong("secret", fmt::format("expected the key of the signature, at least {} bytes",
                                           kKeyBytesMin));
      break;
    case TargetType::kPagerDuty:
      if (!is_token(secret)) return wrong("secret", "expected the integration's routing key");
      break;
    case TargetType::kSmtp:
      if (secret.empty() != target.username.empty())
        return wrong("secret", "expected a password where there is a username, and none without");
      break;
    case TargetType::kSlack:
      if (!secret.empty())
        return wrong("secret", "a Slack target has none: its address is the secret");
      break;
  }
  return ok();
}

}  // namespace

const char* target_type_name(TargetType type) {
  switch (type) {
    case TargetType::kWebhook: return "webhook";
    case TargetType::kSlack: return "slack";
    case TargetType::kPagerDuty: return "pagerduty";
    case TargetType::kSmtp: return "smtp";
  }
  return "webhook";
}

bool NotificationTarget::wants(const std::string& event) const {
  return events.empty() || std::binary_search(events.begin(), events.end(), event);
}

Result<NotificationTarget> parse_target(const std::string& name, const Json& data,
                                        const NotificationTarget* before) {
  const Fields fields(data);
  NotificationTarget out;
  out.name = name;
  ASSIGN_OR_RETURN(out.type, parse_type(data));
  ASSIGN_OR_RETURN(out.allow_plain, fields.boolean_or("allow_plain", false));
  ASSIGN_OR_RETURN(out.url, fields.text_or("url", ""));
  if (out.url.empty()) {
    ASSIGN_OR_RETURN(out.url, fields.text_or("address", ""));
  }
  if (out.url.empty() && out.type == TargetType::kPagerDuty) out.url = kPagerDutyUrl;
  RETURN_IF_ERROR(check_address("url", out.url, out.type == TargetType::kSmtp, out.allow_plain));
  ASSIGN_OR_RETURN(out.ca_pem, fields.text_or("ca_pem", ""));
  if (!out.ca_pem.empty()) RETURN_IF_ERROR(check_ca_pem("ca_pem", out.ca_pem));
  RETURN_IF_ERROR(parse_events(data, out));
  RETURN_IF_ERROR(parse_templates(data, out));
  RETURN_IF_ERROR(parse_mail(data, out));
  RETURN_IF_ERROR(parse_headers(data, out));
  ASSIGN_OR_RETURN(auto secret, fields.text("secret"));
  if (secret) out.secret = Secret(std::move(*secret));
  if (before != nullptr && same_way(*before, out)) {
    if (!secret) out.secret = before->secret;
    if (!fields.has("headers")) out.headers = before->headers;
  }
  RETURN_IF_ERROR(check_secret(out));
  return out;
}

Json target_view(const NotificationTarget& target) {
  Json headers = Json::array();
  for (const auto& [name, value] : target.headers) headers.push_back(name);
  Json out = {{"type", target_type_name(target.type)},
              {"url", shown_address(target.url, target.type == TargetType::kSlack)},
              {"has_secret", !target.secret.empty()},
              {"events", target.events},
              {"templates", target.templates},
              {"headers", std::move(headers)},
              {"ca_pem", target.ca_pem},
              {"allow_plain", target.allow_plain}};
  if (target.type != TargetType::kSmtp) return out;
  out["from"] = target.from;
  out["to"] = target.to;
  out["username"] = target.username;
  return out;
}

Json to_stored(const NotificationTarget& target) {
  Json headers = Json::object();
  for (const auto& [name, value] : target.headers) headers[name] = value.reveal();
  return {{"type", target_type_name(target.type)},
          {"url", target.url},
          {"secret", target.secret.reveal()},
          {"events", target.events},
          {"templates", target.templates},
          {"headers", std::move(headers)},
          {"ca_pem", target.ca_pem},
          {"allow_plain", target.allow_plain},
          {"from", target.from},
          {"to", target.to},
          {"username", target.username}};
}

NotificationTarget target_from_stored(const std::string& name, const Json& stored) {
  NotificationTarget out;
  out.name = name;
  const std::string type = stored.value("type", "");
  for (const TargetType one : kTypes)
    if (type == target_type_name(one)) out.type = one;
  out.url = stored.value("url", "");
  out.secret = Secret(stored.value("secret", ""));
  out.events = stored.value("events", std::vector<std::string>{});
  out.templates = stored.value("templates", std::map<std::string, std::string>{});
  const Json headers = stored.value("headers", Json::object());
  for (const auto& [header, value] : headers.items())
    out.headers[header] = Secret(value.get<std::string>());
  out.ca_pem = stored.value("ca_pem", "");
  out.allow_plain = stored.value("allow_plain", false);
  out.from = stored.value("from", "");
  out.to = stored.value("to", std::vector<std::string>{});
  out.username = stored.value("username", "");
  return out;
}

Result<std::string> parse_public_url(std::string_view url) {
  std::string out(url);
  while (out.ends_with('/')) out.pop_back();
  if (out.empty()) return out;
  // Only a link for people: what it leads to may well be without TLS in a test.
  RETURN_IF_ERROR(check_address("public_url", out, false, true));
  if (out.find('?') != std::string::npos)
    return wrong("public_url", "the address must not have a query");
  for (const char c : std::string_view("<>|\"'` \\"))
    if (out.find(c) != std::string::npos)
      return wrong("public_url", "the address holds a character that would have to be escaped");
  return out;
}

}  // namespace curfew::broker

#include "broker/notify/notice_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/duration.h"

namespace curfew::broker {
namespace {

constexpr std::size_t kTemplateBytesMax = 4'000;
constexpr std::size_t kFieldBytesMax = 1'000;
constexpr std::string_view kNoWidth = "\u200b";

constexpr std::array<std::string_view, 23> kFields = {
    "event",       "id",      "kind",   "state",      "path",     "operation",       "role",
    "target",      "mount",   "ttl",    "requester",  "agent",    "human",           "session",
    "reason",      "purpose", "ticket", "expires_at", "decision", "decision_reason", "decided_by",
    "escalate_to", "link"};

std::string one_line(std::string_view text) {
  std::string out;
  for (const char c : text) out += (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) ? ' ' : c;
  return cut(out, kFieldBytesMax);
}

// The text at `object.name`, whatever was put there.
std::string text_of(const Json& object, const char* name) {
  if (!object.is_object()) return "";
  const auto it = object.find(name);
  return it == object.end() || !it->is_string() ? "" : one_line(it->get<std::string>());
}

Json part_of(const Json& view, const char* name) {
  return view.is_object() && view.contains(name) ? view[name] : Json();
}

std::string first_of(std::initializer_list<std::string> texts) {
  for (const std::string& text : texts)
    if (!text.empty()) return text;
  return "";
}

void add_decision(const Json& view, NoticeFields& out) {
  const Json decisions = part_of(view, "decisions");
  if (!decisions.is_array() || decisions.empty()) return;
  const Json& last = decisions.back();
  out["decision"] = text_of(last, "verdict");
  out["decision_reason"] = text_of(last, "reason");
  const Json by = part_of(last, "by");
  out["decided_by"] = first_of({text_of(by, "name"), text_of(by, "id")});
}

// Calls `text` and `field` for the parts of a template. False: a "{{" is not closed.
template <class Text, class Field>
bool split_template(std::string_view whole, Text text, Field field) {
  while (!whole.empty()) {
    const std::size_t open = whole.find("{{");
    text(whole.substr(0, open));
    if (open == std::string_view::npos) return true;
    const std::size_t close = whole.find("}}", open);
    if (close == std::string_view::npos) return false;
    std::string_view name = whole.substr(open + 2, close - open - 2);
    while (name.starts_with(' ')) name.remove_prefix(1);
    while (name.ends_with(' ')) name.remove_suffix(1);
    field(name);
    whole.remove_prefix(close + 2);
  }
  return true;
}

}  // namespace

NoticeFields notice_fields(const Notice& notice, const std::string& link) {
  NoticeFields out;
  for (const std::string_view name : kFields) out.emplace(name, "");
  const Json& view = notice.view;
  const std::size_t dot = notice.event.find('.');
  out["event"] = dot == std::string::npos ? notice.event : notice.event.substr(dot + 1);
  out["id"] = one_line(notice.approval_id);
  for (const char* name :
       {"kind", "state", "path", "operation", "role", "target", "mount", "expires_at"})
    out[name] = text_of(view, name);
  if (view.is_object() && view.contains("ttl") && view["ttl"].is_number_integer())
    out["ttl"] = format_duration_short(Seconds{view["ttl"].get<std::int64_t>()});
  const Json requester = part_of(view, "requester");
  out["agent"] = text_of(requester, "agent");
  out["human"] = first_of({text_of(requester, "human"), text_of(requester, "owner")});
  out["session"] = text_of(requester, "session");
  out["requester"] = first_of({out["agent"], text_of(requester, "entity_name"),
                               text_of(requester, "display_name"), "somebody without a name"});
  const Json claims = part_of(view, "claims_of_agent");
  for (const char* name : {"purpose", "reason", "ticket"}) out[name] = text_of(claims, name);
  add_decision(view, out);
  const Json groups = part_of(view, "escalate_to");
  if (groups.is_array())
    for (const Json& group : groups) {
      std::string& names = out["escalate_to"];
      names +=
          (names.empty() ? "" : ", ") + first_of({text_of(group, "name"), text_of(group, "id")});
    }
  out["escalate_to"] = cut(out["escalate_to"], kFieldBytesMax);
  out["link"] = link;
  return out;
}

Status check_template(std::string_view text) {
  if (text.size() > kTemplateBytesMax)
    return Error{Errc::kInvalidArgument,
                 fmt::format("a template has at most {} bytes", kTemplateBytesMax)};
  std::optional<std::string> unknown;
  const bool closed = split_template(
      text, [](std::string_view) {},
      [&](std::string_view name) {
        if (std::find(kFields.begin(), kFields.end(), name) == kFields.end()) unknown = name;
      });
  if (!closed) return Error{Errc::kInvalidArgument, "\"{{\" without \"}}\""};
  if (unknown)
    return Error{Errc::kInvalidArgument, fmt::format("there is no field \"{}\"; there are {}",
                                                     cut(*unknown, 64), fmt::join(kFields, ", "))};
  return ok();
}

std::string fill_template(std::string_view text, const NoticeFields& fields) {
  std::string out;
  (void)split_template(
      text, [&](std::string_view part) { out += part; },
      [&](std::string_view name) {
        const auto it = fields.find(name);
        if (it != fields.end()) out += it->second;
      });
  return out;
}

std::string default_title(const std::string& event) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 12> kTitles = {{
      {"approval.requested", "Approval needed"},
      {"approval.approved", "Approved"},
      {"approval.denied", "Denied"},
      {"approval.narrowed", "Narrowed, approval needed again"},
      {"approval.expired", "Expired without approval"},
      {"approval.escalated", "Approval still needed"},
      {"approval.claimed", "Approved access taken up"},
      {"approval.withdrawn", "Approval withdrawn"},
      {"approval.cancelled", "Request cancelled"},
      {"approval.break_glass", "BREAK GLASS: access without approval"},
      {"approval.auto_approved", "Approved by a rule"},
      {"approval.task_ended", "Task ended"},
  }};
  std::string_view words = "Approval request";
  for (const auto& [name, title] : kTitles)
    if (name == event) words = title;
  return std::string(words) + ": {{path}} for {{requester}}";
}

std::string default_text(const NoticeFields& fields) {
  std::string out;
  const auto line = [&](std::string_view name, std::string_view field) {
    const auto it = fields.find(field);
    if (it != fields.end() && !it->second.empty()) out += fmt::format("{}: {}\n", name, it->second);
  };
  line("Path", "path");
  line("Role", "role");
  line("Target", "target");
  line("TTL", "ttl");
  line("Agent", "agent");
  line("On behalf of", "human");
  line("Session", "session");
  line("State", "state");
  line("Last decision", "decision");
  line("By", "decided_by");
  line("Reason given", "decision_reason");
  line("Waits until", "expires_at");
  if (fields.at("event") == "escalated") line("Escalated to", "escalate_to");
  const std::size_t own = out.size();
  line("Purpose", "purpose");
  line("Reason", "reason");
  line("Ticket", "ticket");
  if (out.size() > own) out.insert(own, "Claimed by the agent, not checked:\n");
  return out;
}

std::string link_to(const std::string& public_url, const std::string& approval_id) {
  return public_url.empty() ? "" : public_url + "/ui/#/approvals/" + approval_id;
}

std::string cut(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return std::string(text);
  constexpr std::string_view kRest = "…";
  std::size_t end = bytes_max < kRest.size() ? 0 : bytes_max - kRest.size();
  // Not between the bytes of one character.
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return std::string(text.substr(0, end)) + std::string(kRest);
}

std::string escape_slack(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string defuse_slack(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '&' || c == '<' || c == '>') {
      out += escape_slack(text.substr(i, 1));
      continue;
    }
    out += c;
    if (std::string_view("@#*_~`:.[]()").find(c) != std::string_view::npos) out += kNoWidth;
  }
  return out;
}

}  // namespace curfew::broker

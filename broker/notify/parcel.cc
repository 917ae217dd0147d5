#include "broker/notify/parcel.h"

#include <algorithm>
#include <array>

#include "base/duration.h"
#include "broker/notify/notice_text.h"
#include "broker/notify/webhook_signature.h"

namespace curfew::broker {
namespace {

constexpr std::size_t kSlackHeaderMax = 140;  // characters; counted as bytes here
constexpr std::size_t kSlackTextMax = 2'900;
constexpr std::size_t kPagerDutySummaryMax = 1'000;

Json link_or_null(const std::string& link) {
  return link.empty() ? Json() : Json(link);
}

std::string text_of(const NotificationTarget& target, const char* part, std::string fallback) {
  const auto it = target.templates.find(part);
  return it == target.templates.end() ? std::move(fallback) : it->second;
}

// Is somebody asked to do something, is it being done, or is it over?
std::string_view pagerduty_action(const Notice& notice) {
  static constexpr std::array<std::string_view, 3> kTrigger = {
      "approval.requested", "approval.escalated", "approval.break_glass"};
  if (std::find(kTrigger.begin(), kTrigger.end(), notice.event) != kTrigger.end()) return "trigger";
  if (notice.event == "approval.narrowed") return "acknowledge";
  // The access of a break glass is taken up at once; it is people that have yet to look at it.
  const Json glass = notice.view.is_object() ? notice.view.value("break_glass", Json()) : Json();
  if (notice.event == "approval.claimed" && glass.is_object() && !glass.value("reviewed", false))
    return "acknowledge";
  return "resolve";
}

std::string_view pagerduty_severity(const std::string& event) {
  if (event == "approval.break_glass") return "critical";
  if (event == "approval.escalated") return "error";
  return event == "approval.requested" ? "warning" : "info";
}

Json plain_text(const std::string& text) {
  return {{"type", "plain_text"}, {"text", text}, {"emoji", false}};
}

}  // namespace

std::string webhook_body(const Notice& notice, const std::string& link,
                         const std::string& delivery) {
  return dump_json({{"event", notice.event},
                    {"at", format_rfc3339(notice.at)},
                    {"delivery", delivery},
                    {"approval", lean_view(notice.view)},
                    {"link", link_or_null(link)}});
}

// What an agent wrote stands in plain_text only, where nothing is looked for but entities.
Json slack_message(const Notice& notice, const NotificationTarget& target,
                   const std::string& link) {
  const NoticeFields fields = notice_fields(notice, link);
  const std::string title =
      fill_template(text_of(target, "title", default_title(notice.event)), fields);
  const auto own_text = target.templates.find("text");
  const std::string text = own_text == target.templates.end()
                               ? default_text(fields)
                               : fill_template(own_text->second, fields);
  Json blocks = Json::array();
  blocks.push_back(
      {{"type", "header"}, {"text", plain_text(cut(escape_slack(title), kSlackHeaderMax))}});
  if (!text.empty())
    blocks.push_back(
        {{"type", "section"}, {"text", plain_text(cut(escape_slack(text), kSlackTextMax))}});
  if (!link.empty())
    blocks.push_back(
        {{"type", "section"},
         {"text",
          {{"type", "mrkdwn"}, {"text", "<" + escape_slack(link) + "|Open the request>"}}}});
  return {{"text", defuse_slack(cut(title, kSlackHeaderMax))},
          {"mrkdwn", false},
          {"unfurl_links", false},
          {"unfurl_media", false},
          {"blocks", std::move(blocks)}};
}

Json pagerduty_event(const Notice& notice, const NotificationTarget& target,
                     const std::string& link) {
  const NoticeFields fields = notice_fields(notice, link);
  const std::string title =
      fill_template(text_of(target, "title", default_title(notice.event)), fields);
  Json details = Json::object();
  for (const auto& [name, value] : fields)
    if (!value.empty() && name != "link") details[name] = value;
  const auto own_text = target.templates.find("text");
  if (own_text != target.templates.end()) details["text"] = fill_template(own_text->second, fields);
  Json out = {{"routing_key", target.secret.reveal()},
              {"event_action", pagerduty_action(notice)},
              {"dedup_key", notice.approval_id},
              {"payload",
               {{"summary", cut(title, kPagerDutySummaryMax)},
                {"source", "curfew"},
                {"severity", pagerduty_severity(notice.event)},
                {"timestamp", format_rfc3339(notice.at)},
                {"component", fields.at("path")},
                {"class", notice.event},
                {"custom_details", std::move(details)}}}};
  if (!link.empty()) out["links"] = Json::array({{{"href", link}, {"text", "Open the request"}}});
  return out;
}

Parcel compose(const Notice& notice, const NotificationTarget& target,
               const std::string& public_url, const std::string& delivery, WallTime now) {
  const std::string link = link_to(public_url, notice.approval_id);
  Parcel out;
  out.url = target.url;
  out.ca_pem = target.ca_pem;
  out.allow_plain = target.allow_plain;
  for (const auto& [name, value] : target.headers) out.headers.emplace_back(name, value);
  switch (target.type) {
    case TargetType::kWebhook: {
      std::string body = webhook_body(notice, link, delivery);
      const std::string timestamp = std::to_string(to_unix_seconds(now));
      out.headers.emplace_back("X-Curfew-Timestamp", Secret(timestamp));
      out.headers.emplace_back("X-Curfew-Signature",
                               Secret(sign_webhook(target.secret, timestamp, body)));
      out.headers.emplace_back("X-Curfew-Delivery", Secret(delivery));
      out.body = Secret(std::move(body));
      break;
    }
    case TargetType::kSlack:
      out.body = Secret(dump_json(slack_message(notice, target, link)));
      break;
    case TargetType::kPagerDuty:
      out.body = Secret(dump_json(pagerduty_event(notice, target, link)));
      break;
    case TargetType::kSmtp:
      out.mail = true;
      out.from = target.from;
      out.to = target.to;
      out.username = target.username;
      out.password = target.secret;
      out.body = Secret(mail_message(notice, target, link, delivery, now));
      break;
  }
  return out;
}

}  // namespace curfew::broker

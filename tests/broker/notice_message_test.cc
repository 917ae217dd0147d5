// What is sent: signatures, escaping, and what must never be in it.
#include <gmock/gmock.h>

#include "base/encoding.h"
#include "broker/notify/notice_text.h"
#include "broker/notify/parcel.h"
#include "broker/notify/webhook_signature.h"

namespace curfew::broker {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kPublic = "https://curfew.example";
const WallTime kNow = from_unix_millis(1'800'000'000'000);

Json view() {
  return {{"id", "r1"},
          {"kind", "access"},
          {"state", "pending"},
          {"path", "database/creds/agent-readwrite"},
          {"role", "agent-readwrite"},
          {"target", "orders"},
          {"ttl", 900},
          {"parameters", {{"note", "p4r4m"}}},
          {"evidence", {{"statements", {"CREATE ROLE s3cr3t"}}}},
          {"can", {{"approve", true}}},
          {"requester", {{"agent", "invoice-bot"}, {"human", "alice"}, {"session", "s-1"}}},
          {"claims_of_agent", {{"purpose", "fix <b>"}, {"reason", "bug"}, {"ticket", "T-1"}}},
          {"decisions",
           {{{"verdict", "deny"}, {"by", {{"id", "e1"}, {"name", "bob"}}}, {"reason", "no"}}}}};
}

Notice notice(const std::string& event = "approval.requested", Json of = view()) {
  return {.event = event, .approval_id = "r1", .view = std::move(of), .targets = {}, .at = kNow};
}

NotificationTarget target(TargetType type) {
  NotificationTarget out;
  out.name = "t";
  out.type = type;
  out.url = "https://example/hook";
  out.secret = Secret("0123456789abcdef");
  return out;
}

std::string header(const Parcel& parcel, const std::string& name) {
  for (const auto& [one, value] : parcel.headers)
    if (one == name) return value.reveal();
  return "";
}

TEST(Webhook, IsSignedAndTheSignatureStandsForTheBodyTheTimeAndTheSecret) {
  const Parcel parcel = compose(notice(), target(TargetType::kWebhook), kPublic, "d1", kNow);
  const std::string timestamp = header(parcel, "X-Curfew-Timestamp");
  const std::string signature = header(parcel, "X-Curfew-Signature");
  const std::string body = parcel.body.reveal();
  const Secret secret("0123456789abcdef");
  EXPECT_EQ(timestamp, "1800000000");
  EXPECT_EQ(header(parcel, "X-Curfew-Delivery"), "d1");
  EXPECT_TRUE(verify_webhook(secret, timestamp, signature, body, kNow));
  EXPECT_FALSE(verify_webhook(Secret("0123456789abcdeF"), timestamp, signature, body, kNow));
  EXPECT_FALSE(verify_webhook(secret, "1800000001", signature, body, kNow));
  EXPECT_FALSE(verify_webhook(secret, timestamp, signature, body + " ", kNow));
  EXPECT_FALSE(verify_webhook(secret, timestamp, "v1=" + std::string(64, '0'), body, kNow));
  EXPECT_FALSE(verify_webhook(secret, timestamp, signature.substr(3), body, kNow));
  EXPECT_FALSE(verify_webhook(secret, timestamp, signature + "0", body, kNow));
  EXPECT_FALSE(verify_webhook(secret, "", signature, body, kNow));
  EXPECT_FALSE(verify_webhook(secret, "1e9", signature, body, kNow));
}

TEST(Webhook, hole_a_replayed_message_is_good_within_its_window_only) {
  const Secret secret("0123456789abcdef");
  const std::string signature = sign_webhook(secret, "1800000000", "{}");
  const auto good = [&](Millis later) {
    return verify_webhook(secret, "1800000000", signature, "{}", kNow + later).has_value();
  };
  EXPECT_TRUE(good(std::chrono::minutes{5}));
  EXPECT_TRUE(good(-std::chrono::minutes{5}));
  EXPECT_FALSE(good(std::chrono::minutes{5} + Millis{1}));
  EXPECT_FALSE(good(-std::chrono::minutes{5} - Millis{1}));
}

// As printf '1.x' | openssl dgst -sha256 -hmac Jefe
TEST(Webhook, IsThePlainHmacOfTimestampDotBody) {
  EXPECT_EQ(sign_webhook(Secret("Jefe"), "1", "x"),
            "v1=2f7ccbd0f043456ad29514b2d24a8aa345ec6673a5db1b44e91c8ac99d1841e3");
}

TEST(Webhook, HoldsTheRequestWithoutWhatServicesShouldNotSee) {
  const auto body = parse_json(
      compose(notice(), target(TargetType::kWebhook), kPublic, "d1", kNow).body.reveal());
  ASSERT_TRUE(body);
  EXPECT_EQ((*body)["event"], "approval.requested");
  EXPECT_EQ((*body)["at"], "2027-01-15T08:00:00Z");
  EXPECT_EQ((*body)["delivery"], "d1");
  EXPECT_EQ((*body)["link"], "https://curfew.example/ui/#/approvals/r1");
  EXPECT_EQ((*body)["approval"]["role"], "agent-readwrite");
  for (const char* hidden : {"parameters", "evidence", "can"})
    EXPECT_FALSE((*body)["approval"].contains(hidden)) << hidden;
  const auto bare =
      parse_json(compose(notice(), target(TargetType::kWebhook), "", "d1", kNow).body.reveal());
  EXPECT_TRUE((*bare)["link"].is_null());
}

TEST(AnyMessage, HoldsNeitherParametersNorStatements) {
  for (const TargetType type : {TargetType::kWebhook, TargetType::kSlack, TargetType::kPagerDuty}) {
    const std::string body = compose(notice(), target(type), kPublic, "d1", kNow).body.reveal();
    EXPECT_THAT(body, Not(HasSubstr("p4r4m"))) << target_type_name(type);
    EXPECT_THAT(body, Not(HasSubstr("s3cr3t"))) << target_type_name(type);
    EXPECT_THAT(body, HasSubstr("agent-readwrite")) << target_type_name(type);
    EXPECT_THAT(body, HasSubstr("curfew.example/ui/#/approvals/r1")) << target_type_name(type);
  }
}

// Everything that an agent, or a name, could be.
Json hostile() {
  Json out = view();
  const std::string text =
      "<!channel> <@U1> <https://evil.example|OK> *b* `c` @here & https://e.vil";
  out["requester"]["agent"] = text;
  out["claims_of_agent"]["purpose"] = text + "\nPath: other\r\nBcc: eve@e.vil";
  out["claims_of_agent"]["reason"] = "{{link}} {{secret}}";
  return out;
}

TEST(Slack, WhatAnAgentWroteStaysText) {
  const Json message =
      slack_message(notice("approval.requested", hostile()), target(TargetType::kSlack),
                    "https://curfew.example/ui/#/approvals/r1");
  for (const Json& block : message["blocks"]) {
    const std::string text = block["text"]["text"];
    if (block["text"]["type"] == "mrkdwn") {
      EXPECT_EQ(text, "<https://curfew.example/ui/#/approvals/r1|Open the request>");
      continue;
    }
    EXPECT_EQ(block["text"]["type"], "plain_text");
    EXPECT_THAT(text, Not(HasSubstr("<"))) << text;
    EXPECT_THAT(text, Not(HasSubstr(">"))) << text;
    EXPECT_LE(text.size(), block["type"] == "header" ? 150u : 3000u);
  }
  const std::string details = message["blocks"][1]["text"]["text"];
  EXPECT_THAT(details, HasSubstr("&lt;!channel&gt;"));
  EXPECT_THAT(details, HasSubstr("Claimed by the agent, not checked:\nPurpose: "));
  // A line break does not make a line of its own, and what looks like a template is none.
  EXPECT_THAT(details, Not(HasSubstr("\nPath: other")));
  EXPECT_THAT(details, HasSubstr("{{link}}"));
  const std::string fallback = message["text"];
  for (const char* live : {"<", ">", "@here", "*b*", "`c`", "https://", "e.vil"})
    EXPECT_THAT(fallback, Not(HasSubstr(live))) << fallback;
  EXPECT_EQ(message["mrkdwn"], false);
}

TEST(Slack, LongTextsAreCutBetweenCharacters) {
  Json of = view();
  std::string text;
  for (int i = 0; i < 3000; ++i) text += "ä&";
  of["requester"]["agent"] = text;
  const Json message = slack_message(notice("approval.denied", of), target(TargetType::kSlack), "");
  ASSERT_EQ(message["blocks"].size(), 2u);  // no link
  EXPECT_LE(message["blocks"][0]["text"]["text"].get<std::string>().size(), 150u);
  EXPECT_TRUE(parse_json(message.dump()));  // still UTF-8: dump() throws otherwise
}

TEST(PagerDuty, OpensAndClosesOneIncidentForEachRequest) {
  const auto action = [](const std::string& event, Json of = view()) {
    const Json body =
        pagerduty_event(notice(event, std::move(of)), target(TargetType::kPagerDuty), "https://l");
    EXPECT_EQ(body["dedup_key"], "r1");
    EXPECT_EQ(body["routing_key"], "0123456789abcdef");
    EXPECT_FALSE(body["payload"]["summary"].get<std::string>().empty());
    EXPECT_EQ(body["links"][0]["href"], "https://l");
    return body["event_action"].get<std::string>() + " " +
           body["payload"]["severity"].get<std::string>();
  };
  EXPECT_EQ(action("approval.requested"), "trigger warning");
  EXPECT_EQ(action("approval.escalated"), "trigger error");
  EXPECT_EQ(action("approval.break_glass"), "trigger critical");
  EXPECT_EQ(action("approval.narrowed"), "acknowledge info");
  for (const char* over : {"approved", "denied", "expired", "claimed", "withdrawn", "cancelled"})
    EXPECT_EQ(action(std::string("approval.") + over), "resolve info") << over;
  // The claim follows a break glass at once; the review does not.
  Json glass = view();
  glass["break_glass"] = {{"review_due", "2027-01-16T08:00:00Z"}, {"reviewed", false}};
  EXPECT_EQ(action("approval.claimed", glass), "acknowledge info");
}

TEST(Mail, NothingThatComesInCanAddAHeader) {
  NotificationTarget to = target(TargetType::kSmtp);
  to.from = "curfew@corp.example";
  to.to = {"dba@corp.example", "oncall@corp.example"};
  to.templates["title"] = "{{agent}}: {{purpose}}";
  const std::string mail =
      mail_message(notice("approval.requested", hostile()), to, "https://l", "d1", kNow);
  const std::string head = mail.substr(0, mail.find("\r\n\r\n"));
  EXPECT_THAT(head, HasSubstr("Date: Fri, 15 Jan 2027 08:00:00 +0000\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nTo: dba@corp.example,\r\n oncall@corp.example\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nMessage-ID: <d1@corp.example>\r\n"));
  EXPECT_THAT(head, Not(HasSubstr("Bcc")));
  std::size_t line = 0;
  for (std::size_t at = 0; at < mail.size(); at = line + 2) {
    line = std::min(mail.find("\r\n", at), mail.size());
    EXPECT_LE(line - at, 78u) << mail.substr(at, line - at);
  }
  const auto text = base64_decode([&] {
    std::string packed = mail.substr(mail.find("\r\n\r\n") + 4);
    std::erase_if(packed, [](char c) { return c == '\r' || c == '\n'; });
    return packed;
  }());
  ASSERT_TRUE(text);
  EXPECT_THAT(*text, HasSubstr("Purpose: <!channel>"));
  EXPECT_THAT(*text, HasSubstr("Open the request: https://l"));
}

TEST(Templates, TakeKnownFieldsAndNothingElse) {
  EXPECT_TRUE(check_template("{{role}} on {{ target }} ({{ttl}})"));
  EXPECT_TRUE(check_template("no fields"));
  for (const char* bad : {"{{secret}}", "{{role", "{{}}", "{{requester.agent}}", "{{{{role}}"})
    EXPECT_FALSE(check_template(bad)) << bad;
  EXPECT_FALSE(check_template(std::string(4001, 'x')));
  EXPECT_EQ(fill_template("{{role}} on {{ target }} ({{ttl}}), {{decision}} by {{decided_by}}",
                          notice_fields(notice(), "")),
            "agent-readwrite on orders (15m), deny by bob");
}

TEST(Templates, WhoIsEscalatedToIsNamedThenOnly) {
  Json of = view();
  of["escalate_to"] = {{{"id", "g1"}, {"name", "oncall"}}, {{"id", "g2"}}};
  EXPECT_THAT(default_text(notice_fields(notice("approval.escalated", of), "")),
              HasSubstr("\nEscalated to: oncall, g2\n"));
  EXPECT_THAT(default_text(notice_fields(notice("approval.requested", of), "")),
              Not(HasSubstr("oncall")));
}

TEST(Templates, AViewOfAnyShapeDoesNoHarm) {
  for (const Json& odd : {Json(), Json(1), Json("x"), Json::array(), Json{{"requester", "x"}},
                          Json{{"decisions", {1, 2}}}, Json{{"ttl", "x"}, {"path", 3}}})
    for (const TargetType type : {TargetType::kWebhook, TargetType::kSlack, TargetType::kPagerDuty})
      EXPECT_TRUE(
          parse_json(compose(notice("approval.requested", odd), target(type), kPublic, "d", kNow)
                         .body.reveal()))
          << odd.dump();
}

}  // namespace
}  // namespace curfew::broker

// sys/notifications: what is taken, what is kept, and what is never shown.
#include "broker/notify/notification_target.h"

#include "broker/notify/address.h"
#include "tests/broker/notify_world.h"

namespace curfew::broker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

Json a_webhook() {
  return {{"type", "webhook"},
          {"url", "https://hooks.example/a?key=q"},
          {"secret", "0123456789abcdef"}};
}
Json a_mail() {
  return {{"type", "smtp"},
          {"url", "smtp://mail.example:587"},
          {"from", "curfew@corp.example"},
          {"to", "dba@corp.example, oncall@corp.example"},
          {"username", "u"},
          {"secret", "p"}};
}
Json with(Json data, Json more) {
  data.update(more);
  return data;
}
std::string refusal(const Json& data) {
  const auto parsed = parse_target("t", data, nullptr);
  return parsed ? "" : parsed.error().message;
}

TEST(NotificationTarget, WhatIsWrongIsRefusedByTheFieldsName) {
  EXPECT_EQ(refusal(a_webhook()), "");
  EXPECT_EQ(refusal(a_mail()), "");
  EXPECT_EQ(refusal({{"type", "pagerduty"}, {"secret", "R0UTE"}}), "");
  EXPECT_EQ(refusal({{"type", "slack"}, {"url", "https://hooks.slack.example/services/T/B/x"}}),
            "");
  EXPECT_EQ(refusal(with(a_webhook(), {{"url", "http://127.0.0.1:8080/a"}})), "");
  EXPECT_EQ(refusal(with(a_webhook(), {{"url", "http://a.example"}, {"allow_plain", true}})), "");
  for (const auto& [data, field] : std::vector<std::pair<Json, std::string>>{
           {with(a_webhook(), {{"type", "sms"}}), "type"},
           {with(a_webhook(), {{"url", ""}}), "url"},
           {with(a_webhook(), {{"url", "http://a.example"}}), "url"},
           {with(a_webhook(), {{"url", "http://127.evil.example"}}), "url"},
           {with(a_webhook(), {{"url", "http://localhost.evil.example"}}), "url"},
           {with(a_webhook(), {{"url", "https://u:p@a.example"}}), "url"},
           {with(a_webhook(), {{"url", "https://a.example/\r\nX: y"}}), "url"},
           {with(a_webhook(), {{"url", "https://a.example/#x"}}), "url"},
           {with(a_webhook(), {{"url", "file:///etc/passwd"}}), "url"},
           {with(a_webhook(), {{"url", "smtp://a.example"}}), "url"},
           {with(a_webhook(), {{"secret", "short"}}), "secret"},
           {with(a_webhook(), {{"secret", "0123456789abcdef\n"}}), "secret"},
           {with(a_webhook(), {{"events", "requested,nothing"}}), "events"},
           {with(a_webhook(), {{"templates", {{"title", "x"}}}}), "templates"},
           {with(a_webhook(), {{"headers", {{"X-Curfew-Signature", "x"}}}}), "headers"},
           {with(a_webhook(), {{"headers", {{"content-LENGTH", "1"}}}}), "headers"},
           {with(a_webhook(), {{"headers", {{"A b", "x"}}}}), "headers"},
           {with(a_webhook(), {{"headers", {{"A", "x\r\nHost: y"}}}}), "headers"},
           {with(a_webhook(), {{"ca_pem", "no certificate"}}), "ca_pem"},
           {with(a_webhook(), {{"to", "a@b.example"}}), "from"},
           {with(a_mail(), {{"url", "https://a.example"}}), "url"},
           {with(a_mail(), {{"from", "curfew"}}), "from"},
           {with(a_mail(), {{"from", "a@b.example\r\nBcc: e@e.example"}}), "from"},
           {with(a_mail(), {{"to", {"a@b.example>\r\nRCPT TO:<e@e.example"}}}), "to"},
           {with(a_mail(), {{"to", ""}}), "to"},
           {with(a_mail(), {{"secret", ""}}), "secret"},
           {with(a_mail(), {{"headers", {{"A", "x"}}}}), "headers"},
           {with(a_mail(), {{"templates", {{"title", "{{secret}}"}}}}), "templates"},
           {with(a_mail(), {{"templates", {{"subject", "x"}}}}), "templates"},
           {{{"type", "pagerduty"}}, "secret"},
           {{{"type", "slack"}, {"url", "https://a.example"}, {"secret", "x"}}, "secret"}})
    EXPECT_THAT(refusal(data), HasSubstr("field \"" + field + "\"")) << data.dump();
}

TEST(NotificationTarget, TheSecretStaysUnlessTheWayChanges) {
  const auto before =
      parse_target("t", with(a_webhook(), {{"headers", {{"Authorization", "x"}}}}), nullptr);
  ASSERT_TRUE(before);
  const Json bare = {{"type", "webhook"}, {"url", "https://hooks.example/a?key=q"}};
  const auto kept = parse_target("t", with(bare, {{"events", "denied"}}), &*before);
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->secret, before->secret);
  EXPECT_EQ(kept->headers.size(), 1u);
  EXPECT_THAT(kept->events, ElementsAre("approval.denied"));
  // Elsewhere they must be given again: who does not know them cannot have them sent to himself.
  EXPECT_FALSE(parse_target("t", with(bare, {{"url", "https://evil.example/"}}), &*before));
  EXPECT_FALSE(parse_target("t", with(bare, {{"allow_plain", true}}), &*before));
  const auto moved =
      parse_target("t", with(a_webhook(), {{"url", "https://other.example/"}}), &*before);
  ASSERT_TRUE(moved);
  EXPECT_TRUE(moved->headers.empty());
  const auto smtp = parse_target("t", a_mail(), nullptr);
  Json elsewhere = with(a_mail(), {{"url", "smtp://evil.example"}});
  elsewhere.erase("secret");
  EXPECT_FALSE(parse_target("t", elsewhere, &*smtp));
}

TEST(NotificationTarget, IsStoredWhole) {
  for (const Json& data :
       {with(a_webhook(), {{"headers", {{"A", "x"}}}, {"events", "denied"}}),
        with(a_mail(), {{"templates", {{"title", "{{role}}"}}}, {"allow_plain", true}})}) {
    const auto target = parse_target("t", data, nullptr);
    ASSERT_TRUE(target);
    EXPECT_EQ(to_stored(target_from_stored("t", to_stored(*target))), to_stored(*target));
    EXPECT_EQ(target_from_stored("t", to_stored(*target)).secret, target->secret);
  }
}

TEST(PublicUrl, IsAPlainAddress) {
  EXPECT_EQ(*parse_public_url("https://curfew.example:8200/"), "https://curfew.example:8200");
  EXPECT_EQ(*parse_public_url(""), "");
  for (const char* bad :
       {"curfew.example", "javascript:alert(1)", "https://a.example/?x=y", "https://a.example/#x",
        "https://a.example/|x", "https://a.example/>", "https://u:p@a.example"})
    EXPECT_FALSE(parse_public_url(bad)) << bad;
}

class NotificationPathsTest : public NotifyWorld {};

TEST_F(NotificationPathsTest, TargetsAreWrittenReadListedAndDeleted) {
  must_write("sys/notifications/targets/dba",
             with(a_webhook(), {{"headers", {{"Authorization", "h34der"}}}}));
  must_write("sys/notifications/targets/chat",
             {{"type", "slack"}, {"url", "https://hooks.slack.example/services/T0/B0/s3cr3t"}});
  EXPECT_EQ(list("sys/notifications/targets")->data["keys"], Json({"chat", "dba"}));
  const Json dba = must_read("sys/notifications/targets/dba");
  EXPECT_EQ(dba["type"], "webhook");
  EXPECT_EQ(dba["has_secret"], true);
  EXPECT_EQ(dba["headers"], Json({"Authorization"}));
  EXPECT_EQ(dba["url"], "https://hooks.example/a");
  for (const char* hidden : {"0123456789abcdef", "h34der", "key=q"})
    EXPECT_THAT(dba.dump(), Not(HasSubstr(hidden)));
  EXPECT_THAT(must_read("sys/notifications/targets/chat").dump(), Not(HasSubstr("s3cr3t")));
  restart();
  EXPECT_EQ(must_read("sys/notifications/targets/dba"), dba);
  ASSERT_TRUE(remove("sys/notifications/targets/dba"));
  EXPECT_EQ(code_of(read("sys/notifications/targets/dba")), Errc::kNotFound);
  EXPECT_EQ(code_of(write("sys/notifications/targets/bad", {{"type", "webhook"}})),
            Errc::kInvalidArgument);
}

TEST_F(NotificationPathsTest, NeedSudo) {
  write_policy("plain", R"(path "sys/notifications/*" {
    capabilities = ["create", "read", "update", "delete", "list"] })");
  write_policy("super", R"(path "sys/notifications/*" {
    capabilities = ["create", "read", "update", "delete", "list", "sudo"] })");
  const std::string plain = make_token({"plain"}), super = make_token({"super"});
  must_write("sys/notifications/targets/t", a_webhook(), super);
  for (const char* path :
       {"sys/notifications/config", "sys/notifications/targets/t", "sys/notifications/dead/x"})
    EXPECT_EQ(code_of(read(path, plain)), Errc::kPermissionDenied) << path;
  for (const char* path : {"sys/notifications/targets", "sys/notifications/dead"}) {
    EXPECT_EQ(code_of(list(path, plain)), Errc::kPermissionDenied) << path;
    EXPECT_TRUE(list(path, super)) << path;
  }
  for (const char* path : {"sys/notifications/config", "sys/notifications/targets/t",
                           "sys/notifications/dead/x/retry"})
    EXPECT_EQ(code_of(write(path, a_webhook(), plain)), Errc::kPermissionDenied) << path;
  EXPECT_EQ(code_of(remove("sys/notifications/targets/t", plain)), Errc::kPermissionDenied);
}

TEST_F(NotificationPathsTest, ThePublicUrlIsKept) {
  EXPECT_EQ(must_read("sys/notifications/config")["public_url"], "");
  must_write("sys/notifications/config", {{"public_url", "https://curfew.example/"}});
  EXPECT_EQ(code_of(write("sys/notifications/config", {{"public_url", "ftp://x"}})),
            Errc::kInvalidArgument);
  EXPECT_EQ(code_of(write("sys/notifications/config")), Errc::kInvalidArgument);
  restart();
  EXPECT_EQ(must_read("sys/notifications/config")["public_url"], "https://curfew.example");
}

TEST_F(NotificationPathsTest, DeadLettersAreSeenTriedAgainAndDeleted) {
  serve("/hook", 500);
  must_write("sys/notifications/targets/hook", a_webhook());
  target("hook", NotifyWorld::webhook("/hook"));
  for (const char* id : {"r1", "r2"}) tell("approval.requested", {}, id);
  for (int i = 0; i < 30; ++i) {
    notifier_->run_due();
    clock_.advance(std::chrono::minutes{10});
  }
  restart();
  begin();
  const Json keys = list("sys/notifications/dead")->data["keys"];
  ASSERT_EQ(keys.size(), 2u);
  const std::string first = keys[0], second = keys[1];
  EXPECT_EQ(must_read("sys/notifications/dead/" + first)["attempts"], 12);
  ASSERT_TRUE(remove("sys/notifications/dead/" + first));
  EXPECT_EQ(code_of(read("sys/notifications/dead/" + first)), Errc::kNotFound);
  EXPECT_EQ(code_of(write("sys/notifications/dead/" + first + "/retry")), Errc::kNotFound);
  serve("/hook");
  const std::size_t before = count();
  must_write("sys/notifications/dead/" + second + "/retry");
  run_due();
  EXPECT_EQ(count(), before + 1);
  EXPECT_EQ(list("sys/notifications/dead")->data["keys"].size(), 0u);
  const std::string metrics = must_read("sys/metrics").dump();
  EXPECT_THAT(metrics, HasSubstr("curfew_notifications_delivered_total"));
}

}  // namespace
}  // namespace curfew::broker

// From a notice that is written down to a server that has taken it, or a dead letter.
#include "tests/broker/notify_world.h"
#include "tests/broker/smtp_server.h"

namespace curfew::broker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class NotifierTest : public NotifyWorld {};

TEST_F(NotifierTest, DeliversASignedWebhook) {
  serve("/hook");
  target("hook", webhook("/hook", {{"headers", {{"Authorization", "Bearer h34der"}}}}));
  ASSERT_TRUE(notifier_->targets().set_public_url("https://curfew.example"));
  tell("approval.requested");
  EXPECT_EQ(wakes_, 1);
  notifier_->run_due();
  const auto got = calls();
  ASSERT_EQ(got.size(), 1u);
  const auto& headers = got[0].headers;
  EXPECT_EQ(got[0].method, "POST");
  EXPECT_EQ(headers.at("content-type"), "application/json");
  EXPECT_EQ(headers.at("authorization"), "Bearer h34der");
  EXPECT_TRUE(verify_webhook(Secret(kSecret), headers.at("x-curfew-timestamp"),
                             headers.at("x-curfew-signature"), got[0].body, clock_.wall()));
  EXPECT_EQ(headers.at("x-curfew-delivery"), body_of(got[0])["delivery"]);
  EXPECT_EQ(body_of(got[0])["link"], "https://curfew.example/ui/#/approvals/r1");
  EXPECT_EQ(metric("curfew_notifications_delivered_total"), 1);
  EXPECT_EQ(metric("curfew_notifications_waiting"), 0);
  notifier_->run_due();
  EXPECT_EQ(count(), 1u);
}

TEST_F(NotifierTest, GoesToThoseWhoWantTheEventOrAreNamed) {
  for (const char* path : {"/all", "/denials", "/named"}) serve(path);
  target("all", webhook("/all"));
  target("denials", webhook("/denials", {{"events", "denied"}}));
  target("named", webhook("/named"));
  tell("approval.requested");
  notifier_->run_due();
  EXPECT_EQ(server_.count("/all"), 1);
  EXPECT_EQ(server_.count("/denials"), 0);
  EXPECT_EQ(server_.count("/named"), 1);
  tell("approval.requested", {"named", "no-such-target", "denials"});
  notifier_->run_due();
  EXPECT_EQ(server_.count("/all"), 1);
  EXPECT_EQ(server_.count("/denials"), 0);
  EXPECT_EQ(server_.count("/named"), 2);
  tell("approval.denied");
  notifier_->run_due();
  EXPECT_EQ(server_.count("/denials"), 1);
}

TEST_F(NotifierTest, NothingIsToldOfAChangeThatDidNotHappen) {
  serve("/hook");
  target("hook", webhook("/hook"));
  const Status written = database_->write([&](store::Writer& writer) -> Status {
    RETURN_IF_ERROR(notifier_->enqueue(writer, {.event = "approval.denied", .approval_id = "r"}));
    return Error{Errc::kConflict, "no"};
  });
  EXPECT_FALSE(written);
  notifier_->run_due();
  EXPECT_TRUE(notifier_->expects_some());
  clock_.advance(std::chrono::minutes{2});
  notifier_->run_due();
  EXPECT_FALSE(notifier_->expects_some());
  EXPECT_EQ(count(), 0u);
}

TEST_F(NotifierTest, TriesAgainWithGrowingPausesAndTheSameId) {
  serve("/hook", 500);
  target("hook", webhook("/hook"));
  tell("approval.requested");
  notifier_->run_due();
  ASSERT_EQ(count(), 1u);
  std::size_t tries = 1;
  for (const int pause : {1, 2, 4, 8, 16}) {
    clock_.advance(Seconds{pause} - Millis{1});
    notifier_->run_due();
    ASSERT_EQ(count(), tries) << pause;
    clock_.advance(Millis{1});
    notifier_->run_due();
    ASSERT_EQ(count(), ++tries) << pause;
  }
  serve("/hook");
  clock_.advance(Seconds{32});
  notifier_->run_due();
  const auto got = calls();
  ASSERT_EQ(got.size(), 7u);
  EXPECT_EQ(got[0].body, got[6].body);
  EXPECT_EQ(got[0].headers.at("x-curfew-delivery"), got[6].headers.at("x-curfew-delivery"));
  // The signature is of now, or a receiver would take it for a replay.
  EXPECT_TRUE(verify_webhook(Secret(kSecret), got[6].headers.at("x-curfew-timestamp"),
                             got[6].headers.at("x-curfew-signature"), got[6].body, clock_.wall(),
                             Seconds{1}));
  EXPECT_EQ(metric("curfew_notification_failures_total"), 6);
  EXPECT_EQ(metric("curfew_notifications_delivered_total"), 1);
}

// The server has read it and says nothing: that is a failure as well.
TEST_F(NotifierTest, ATargetThatDoesNotAnswerIsTriedAgain) {
  serve("/hook");
  target("hook", webhook("/hook"));
  server_.hang(true);
  call_timeout_ = Millis{300};
  begin();
  tell("approval.requested");
  notifier_->run_due();
  EXPECT_EQ(metric("curfew_notification_failures_total"), 1);
  server_.hang(false);
  call_timeout_ = std::chrono::minutes{1};
  begin();
  clock_.advance(Seconds{1});
  notifier_->run_due();
  EXPECT_EQ(metric("curfew_notifications_delivered_total"), 1);
}

TEST_F(NotifierTest, ACertificateThatIsNotTrustedIsAFailure) {
  serve("/hook");
  Json data = webhook("/hook");
  data["ca_pem"] = test::make_certificate().certificate;
  target("hook", data);
  tell("approval.requested");
  notifier_->run_due();
  EXPECT_EQ(count(), 0u);
  EXPECT_EQ(metric("curfew_notification_failures_total"), 1);
}

TEST_F(NotifierTest, ARedirectIsNotFollowed) {
  serve("/elsewhere");
  server_.on("/hook", [this](const test::HttpsCall&) {
    return test::HttpsReply{
        .status = 307, .body = "", .headers = {"Location: " + server_.url("/elsewhere")}};
  });
  target("hook", webhook("/hook"));
  tell("approval.requested");
  notifier_->run_due();
  EXPECT_EQ(count(), 0u);
  EXPECT_EQ(metric("curfew_notification_failures_total"), 1);
}

TEST_F(NotifierTest, ARestartForgetsNothing) {
  serve("/hook", 503);
  target("hook", webhook("/hook"));
  tell("approval.requested", {}, "r1");
  notifier_->run_due();
  tell("approval.requested", {}, "r2");  // never tried
  const std::string id = calls()[0].headers.at("x-curfew-delivery");
  restart();
  begin();
  EXPECT_EQ(metric("curfew_notifications_waiting"), 2);
  serve("/hook");
  notifier_->run_due();
  // What was tried before waits for its pause still.
  ASSERT_EQ(count(), 2u);
  EXPECT_EQ(body_of(calls()[1])["approval"]["id"], "r2");
  clock_.advance(Seconds{1});
  notifier_->run_due();
  ASSERT_EQ(count(), 3u);
  EXPECT_EQ(calls()[2].headers.at("x-curfew-delivery"), id);
  begin();
  EXPECT_EQ(metric("curfew_notifications_waiting"), 0);
}

TEST_F(NotifierTest, AfterTwelveAttemptsItIsADeadLetterThatCanBeTriedAgain) {
  serve("/hook", 500);
  target("hook", webhook("/hook"));
  tell("approval.requested");
  for (int i = 0; i < 30; ++i) {
    notifier_->run_due();
    clock_.advance(std::chrono::minutes{10});
  }
  EXPECT_EQ(count(), 12u);
  EXPECT_EQ(metric("curfew_notifications_dead_total"), 1);
  EXPECT_EQ(metric("curfew_notifications_waiting"), 0);
  const auto dead = notifier_->outbox().dead();
  ASSERT_TRUE(dead);
  ASSERT_EQ(dead->size(), 1u);
  const auto letter = notifier_->outbox().dead_one(dead->front());
  ASSERT_TRUE(letter && *letter);
  EXPECT_EQ((**letter)["attempts"], 12);
  EXPECT_EQ((**letter)["error"], "localhost answered with status 500");
  EXPECT_EQ((**letter)["target"], "hook");
  EXPECT_EQ((**letter)["event"], "approval.requested");
  serve("/hook");
  const auto again = notifier_->outbox().retry_dead(dead->front());
  ASSERT_TRUE(again && *again);
  notifier_->run_due();
  EXPECT_EQ(count(), 13u);
  EXPECT_EQ(calls().back().headers.at("x-curfew-delivery"), dead->front());
  EXPECT_TRUE(notifier_->outbox().dead()->empty());
  EXPECT_FALSE(*notifier_->outbox().retry_dead(dead->front()));
}

TEST_F(NotifierTest, TheOldestDeadLettersMakeRoom) {
  serve("/hook", 500);
  target("hook", webhook("/hook"));
  for (const char* id : {"r1", "r2", "r3", "r4", "r5"}) {
    tell("approval.requested", {}, id);
    clock_.advance(Seconds{1});
  }
  for (int i = 0; i < 30; ++i) {
    notifier_->run_due();
    clock_.advance(std::chrono::minutes{10});
  }
  std::vector<std::string> left;
  const auto dead = notifier_->outbox().dead();
  for (const std::string& id : *dead)
    left.push_back((**notifier_->outbox().dead_one(id))["approval_id"]);
  EXPECT_THAT(left, ElementsAre("r3", "r4", "r5"));
}

TEST_F(NotifierTest, NoMoreWaitThanThereMay) {
  serve("/hook", 500);
  target("hook", webhook("/hook"));
  waiting_max_ = 2;
  begin();
  for (const char* id : {"r1", "r2", "r3"}) tell("approval.requested", {}, id);
  notifier_->run_due();
  EXPECT_EQ(metric("curfew_notifications_waiting"), 2);
  EXPECT_EQ(metric("curfew_notifications_dead_total"), 1);
}

TEST_F(NotifierTest, WhatWaitsForATargetThatIsRemovedIsDropped) {
  serve("/hook");
  target("hook", webhook("/hook"));
  tell("approval.requested");
  ASSERT_TRUE(notifier_->targets().remove("hook"));
  notifier_->run_due();
  EXPECT_EQ(count(), 0u);
  EXPECT_EQ(metric("curfew_notifications_waiting"), 0);
}

TEST_F(NotifierTest, WhatWasAlteredInTheStoreIsNotSentAndHoldsUpNothing) {
  serve("/hook");
  target("hook", webhook("/hook"));
  tell("approval.requested", {}, "r1");
  notifier_ = nullptr;
  tamper("UPDATE records SET sealed = zeroblob(64) WHERE scope = 'notification'");
  begin();
  tell("approval.requested", {}, "r2");
  notifier_->run_due();
  ASSERT_EQ(count(), 1u);
  EXPECT_EQ(body_of(calls()[0])["approval"]["id"], "r2");
}

TEST_F(NotifierTest, SlackAndPagerDutyAreCalledAsTheyWantIt) {
  serve("/slack");
  serve("/pager");
  target("slack",
         {{"type", "slack"}, {"url", server_.url("/slack")}, {"ca_pem", server_.ca_pem()}});
  target("pager", {{"type", "pagerduty"},
                   {"url", server_.url("/pager")},
                   {"secret", "R0UT1NG"},
                   {"ca_pem", server_.ca_pem()}});
  tell("approval.requested", {"slack"});
  notifier_->run_due();
  ASSERT_EQ(count(), 1u);
  EXPECT_EQ(body_of(calls()[0])["blocks"][0]["type"], "header");
  EXPECT_FALSE(calls()[0].headers.contains("x-curfew-signature"));
  tell("approval.requested", {"pager"});
  notifier_->run_due();
  ASSERT_EQ(count(), 2u);
  EXPECT_EQ(body_of(calls()[1])["routing_key"], "R0UT1NG");
  EXPECT_EQ(body_of(calls()[1])["event_action"], "trigger");
}

TEST_F(NotifierTest, MailGoesBySmtp) {
  test::SmtpServer mail;
  target("mail", {{"type", "smtp"},
                  {"url", mail.url()},
                  {"from", "curfew@corp.example"},
                  {"to", {"dba@corp.example", "oncall@corp.example"}},
                  {"username", "curfew"},
                  {"secret", "m41lp4ss"}});
  mail.refuse(550);
  tell("approval.requested");
  notifier_->run_due();
  EXPECT_EQ(metric("curfew_notification_failures_total"), 1);
  mail.refuse(0);
  clock_.advance(Seconds{1});
  notifier_->run_due();
  EXPECT_EQ(metric("curfew_notifications_delivered_total"), 1);
  const auto mails = mail.mails();
  ASSERT_EQ(mails.size(), 1u);
  EXPECT_EQ(mails[0].from, "<curfew@corp.example>");
  EXPECT_THAT(mails[0].to, ElementsAre("<dba@corp.example>", "<oncall@corp.example>"));
  EXPECT_EQ(mails[0].login, std::string("\0curfew\0m41lp4ss", 16));
  EXPECT_THAT(mails[0].data, HasSubstr("Subject: =?UTF-8?B?"));
  EXPECT_THAT(mails[0].data, Not(HasSubstr("m41lp4ss")));
}

TEST_F(NotifierTest, MailWithoutTlsDoesNotLeaveTheMachine) {
  const Courier courier(std::chrono::minutes{1});
  const std::atomic<bool> stopping{false};
  test::SmtpServer mail;
  Parcel parcel{.mail = true,
                .url = mail.url(),
                .body = Secret("x"),
                .from = "a@b.example",
                .to = {"c@d.example"}};
  EXPECT_TRUE(courier.send(parcel, stopping));
  // The same server by a name that is not taken for this machine: without STARTTLS nothing is said.
  parcel.url = "smtp://mail.localhost:" + parcel.url.substr(parcel.url.rfind(':') + 1);
  EXPECT_FALSE(courier.send(parcel, stopping));
  EXPECT_EQ(mail.mails().size(), 1u);
  parcel.allow_plain = true;
  EXPECT_TRUE(courier.send(parcel, stopping));
  EXPECT_EQ(mail.mails().size(), 2u);
}

}  // namespace
}  // namespace curfew::broker

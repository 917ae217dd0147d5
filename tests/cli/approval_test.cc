#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/approval_card.h"
#include "tests/cli/cli_runner.h"
#include "tests/cli/scripted_server.h"

namespace curfew::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

const Json kPending = Json::parse(R"({
  "id":"R1","kind":"access","state":"pending","revision":3,"digest":"sha256:aa",
  "path":"database/creds/rw","operation":"read","parameters":{"shard":"7"},"mount":"database/",
  "role":"rw","target":"orders","ttl":900,"ttl_max":3600,
  "evidence":{"database":"orders_prod",
    "statements":["CREATE ROLE \"{{name}}\"","GRANT SELECT\n  ON orders TO x"],
    "privileges":[{"object":"public.orders","privileges":["SELECT","UPDATE"]}],
    "statement":{"text":"UPDATE orders SET paid = $1","parameters":["true"]},
    "rehearsal":{"rows":2}},
  "requester":{"agent":"claude-code","display_name":"token-claude","human":"ada","owner":"ada",
    "session":"s-1","trace_id":"4bf9","sub_agent":"","remote_address":"192.0.2.7"},
  "claims_of_agent":{"purpose":"refund","reason":"please \u202eyes\u001b[2J\ndigest  sha256:ff",
    "ticket":"T-1"},
  "task":null,"created_at":"2026-11-30T06:00:00Z","expires_at":"2026-11-30T06:30:00Z",
  "factors":[{"name":"owners","groups":[{"id":"g1","name":"dba"}],"approvals":2,"given":1,
    "by":[{"id":"e1","name":"ben"}],"satisfied":false}],
  "decisions":[{"by":{"id":"e1","name":"ben"},"verdict":"approve","reason":"fine",
    "at":"2026-11-30T06:01:00Z","counts":true},
    {"by":{"id":"e2","name":"cleo"},"verdict":"approve","reason":"","at":"2026-11-30T06:00:30Z",
    "counts":false},
    {"by":{"id":"e2","name":"cleo"},"verdict":"comment","reason":"hm","at":"2026-11-30T06:00:40Z",
    "counts":false}],
  "policies":["p"],"rule_path":"database/creds/rw","automatic":null,"shadow":[],
  "break_glass":false,"can":{"approve":true,"narrow":true},
  "earlier":[{"id":"R0","state":"claimed","path":"database/creds/ro",
    "created_at":"2026-11-29T06:00:00Z"}]})");

std::string envelope(const Json& data) {
  return Json{{"request_id", "r"}, {"data", data}}.dump();
}

Json with(std::initializer_list<std::pair<const char*, Json>> changes) {
  Json view = kPending;
  for (const auto& [name, value] : changes) view[name] = value;
  return view;
}

class ApprovalCommands : public ::testing::Test {
 protected:
  ApprovalCommands() {
    runner_.environment["CURFEW_ADDR"] = server_.address();
    runner_.environment["CURFEW_TOKEN"] = "t";
  }
  void reply(const Json& data, int status = 200) {
    server_.reply({.status = status, .body = envelope(data)});
  }
  void stale() {
    server_.reply({.status = 412, .body = R"({"errors":["the request has changed"]})"});
  }

  testing::ScriptedServer server_;
  testing::CliRunner runner_;
};

TEST(ApprovalCard, HoldsAllThatAnApproverHasToKnow) {
  const std::string card = approval_card(kPending);
  for (const char* part : {"R1",
                           "pending until 2026-11-30T06:30:00Z",
                           "database/creds/rw (read)",
                           "shard = 7",
                           "orders_prod",
                           "15m (at most 1h here)",
                           "claude-code",
                           "token-claude",
                           "its human",
                           "ada",
                           "s-1",
                           "4bf9",
                           "192.0.2.7",
                           "| CREATE ROLE",
                           "|   ON orders TO x",
                           "public.orders: SELECT, UPDATE",
                           "| UPDATE orders SET paid = $1",
                           "| $1 = true",
                           "rows",
                           "claimed by the agent",
                           "purpose: refund",
                           "ticket: T-1",
                           "owners: 1 of 2 (ben), from dba",
                           "approve by ben: fine",
                           "approve by cleo (no longer counts)",
                           "comment by cleo: hm",
                           "claimed  database/creds/ro",
                           "sha256:aa"})
    EXPECT_THAT(card, HasSubstr(part));
}

TEST(ApprovalCard, NothingThatTheAgentWroteLooksLikeTheCardsOwn) {
  const std::string card = approval_card(kPending);
  EXPECT_THAT(card, Not(HasSubstr("\u202e")));
  EXPECT_THAT(card, Not(HasSubstr("\x1b")));
  EXPECT_THAT(card, HasSubstr("    | reason: please yes[2J\n    | digest  sha256:ff\n"));
  Json view = kPending;
  view["requester"]["session"] = "s\n  digest          sha256:ff";
  view["evidence"]["statement"]["text"] = "SELECT 1 --\u202e\n  state   approved";
  const std::string other = approval_card(view);
  EXPECT_THAT(other, HasSubstr("s\\n  digest"));
  EXPECT_THAT(other, HasSubstr("| SELECT 1 --\\u{202e}\n    |   state   approved"));
}

TEST(ApprovalCard, TasksBreakGlassAndRules) {
  const std::string card = approval_card(
      with({{"kind", "task"},
            {"task",
             {{"leases_max", 20},
              {"leases_used", 3},
              {"statements_max", 5},
              {"statements_used", 1},
              {"duration", 7200},
              {"ends_at", "2026-11-30T09:00:00Z"}}},
            {"automatic", {{"rule", "low"}, {"version", "7"}}},
            {"shadow", Json::array({{{"rule", "new"}, {"would_approve", true}, {"why", "low"}}})},
            {"break_glass", {{"review_due", "2026-12-01T06:00:00Z"}, {"reviewed", false}}}}));
  for (const char* part : {"3 of 20 used", "1 of 5 used", "2h", "low, version 7",
                           "new would have approved: low", "to be reviewed by 2026-12-01"})
    EXPECT_THAT(card, HasSubstr(part));
  EXPECT_EQ(approval_card(Json(nullptr)).empty(), false) << "whatever comes is shown";
}

TEST(ApprovalCard, SaysWhereTheRequestStands) {
  const Json by = {{"id", "e"}, {"name", "ben"}};
  EXPECT_EQ(
      approval_standing(with({{"state", "approved"}, {"claim_until", "2026-11-30T07:00:00Z"}})),
      "approved: to be claimed by 2026-11-30T07:00:00Z");
  EXPECT_EQ(approval_standing(
                with({{"state", "denied"},
                      {"decisions",
                       Json::array({{{"by", by}, {"verdict", "deny"}, {"reason", "no\nway"}}})}})),
            "denied by ben: no\\nway");
  EXPECT_EQ(approval_standing(with({{"state", "lapsed"}})), "lapsed");
}

TEST_F(ApprovalCommands, ListsInPages) {
  server_.reply({.body = R"({"request_id":"r","data":{"keys":["R2","R1"],"next":"R1","key_info":{
    "R1":{"id":"R1","state":"pending","path":"p","ttl":900,"requester":{"agent":"bot"}},
    "R2":{"id":"R2","state":"denied","path":"q","ttl":60,
    "requester":{"entity_name":"ada"}}}}})"});
  server_.reply({.status = 404, .body = R"({"errors":[]})"});
  const auto result = runner_.run(
      {"approval", "list", "-waiting", "--state=pending,denied", "-agent=bot", "-limit=300"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_LT(result.out.find("R2"), result.out.find("R1"));
  EXPECT_THAT(result.out, HasSubstr("15m"));
  EXPECT_THAT(server_.lines(),
              ElementsAre("GET /v1/sys/approvals?waiting=true&state=pending%2cdenied&agent=bot"
                          "&limit=200&list=true",
                          "GET /v1/sys/approvals?waiting=true&state=pending%2cdenied&agent=bot"
                          "&limit=200&after=R1&list=true"));
}

TEST_F(ApprovalCommands, AnEmptyListIsToldApart) {
  for (int i = 0; i < 2; ++i) server_.reply({.status = 404, .body = R"({"errors":[]})"});
  EXPECT_EQ(runner_.run({"approval", "list"}).code, 2);
  const auto json = runner_.run({"approval", "list", "-format=json"});
  EXPECT_EQ(json.code, 0);
  EXPECT_EQ(Json::parse(json.out), Json::array());
  EXPECT_EQ(runner_.run({"approval", "list", "-limit=0"}).code, 1);
}

TEST_F(ApprovalCommands, ShowsACardOrTheAnswer) {
  reply(kPending);
  reply(kPending);
  reply(kPending);
  server_.reply({.status = 404, .body = R"({"errors":[]})"});
  EXPECT_THAT(runner_.run({"approval", "show", "R1"}).out, HasSubstr("Approval request R1"));
  EXPECT_EQ(Json::parse(runner_.run({"approval", "show", "R1", "-format=json"}).out)["data"]["id"],
            "R1");
  EXPECT_EQ(runner_.run({"approval", "show", "R1", "-field=digest"}).out, "sha256:aa");
  EXPECT_EQ(runner_.run({"approval", "show", "R9"}).code, 2);
  EXPECT_EQ(runner_.run({"approval", "show", "a/b"}).code, 1);
}

TEST_F(ApprovalCommands, APersonSeesTheRequestAndIsAsked) {
  runner_.in_is_terminal = true;
  for (const char* answer : {"", "\n", "n\n", "yeah\n"}) {
    reply(kPending);
    runner_.input = answer;
    const auto result = runner_.run({"approval", "approve", "R1"});
    EXPECT_EQ(result.code, 1);
    EXPECT_THAT(result.err, HasSubstr("UPDATE orders SET paid"));
    EXPECT_THAT(result.err, HasSubstr("approve? [y/N]"));
    EXPECT_THAT(result.err, HasSubstr("Nothing was done"));
  }
  EXPECT_EQ(server_.lines().size(), 4u);
  reply(kPending);
  reply(with({{"state", "approved"}, {"claim_until", "2026-11-30T07:00:00Z"}}));
  runner_.input = "y\n";
  const auto result = runner_.run({"approval", "approve", "R1", "--reason=ok"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("Approved R1: it is approved"));
  EXPECT_EQ(server_.lines().back(),
            R"(POST /v1/sys/approvals/R1/approve {"digest":"sha256:aa","reason":"ok"})");
}

TEST_F(ApprovalCommands, WhenMoreMustApproveItSaysSo) {
  reply(kPending);
  reply(kPending);
  const auto result = runner_.run({"approval", "approve", "R1", "-yes"});
  EXPECT_EQ(result.code, 0);
  EXPECT_THAT(result.out, HasSubstr("more must approve: owners has 1 of 2"));
}

TEST_F(ApprovalCommands, WhatChangesWhileItIsLookedAtIsShownAgain) {
  runner_.in_is_terminal = true;
  runner_.environment["CURFEW_MAX_RETRIES"] = "5";
  runner_.input = "y\ny\n";
  reply(kPending);
  stale();
  reply(with({{"digest", "sha256:bb"}, {"ttl", 60}}));
  reply(with({{"state", "approved"}}));
  const auto result = runner_.run({"approval", "approve", "R1"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("has changed since it was shown"));
  EXPECT_THAT(server_.lines(),
              ElementsAre("GET /v1/sys/approvals/R1",
                          R"(POST /v1/sys/approvals/R1/approve {"digest":"sha256:aa"})",
                          "GET /v1/sys/approvals/R1",
                          R"(POST /v1/sys/approvals/R1/approve {"digest":"sha256:bb"})"));
  EXPECT_TRUE(runner_.slept.empty()) << "the old digest cannot become right";
}

TEST_F(ApprovalCommands, AProgramSaysWhatItApproves) {
  const auto unsure = runner_.run({"approval", "approve", "R1"});
  EXPECT_EQ(unsure.code, 1);
  EXPECT_THAT(unsure.err, HasSubstr("-digest"));
  EXPECT_TRUE(server_.lines().empty());
  reply(with({{"state", "approved"}}));
  EXPECT_EQ(runner_.run({"approval", "approve", "R1", "-digest=sha256:aa"}).code, 0);
  EXPECT_THAT(server_.lines(),
              ElementsAre(R"(POST /v1/sys/approvals/R1/approve {"digest":"sha256:aa"})"));
}

TEST_F(ApprovalCommands, AProgramDoesNotApproveWhatHasChanged) {
  stale();
  reply(with({{"digest", "sha256:bb"}}));
  const auto by_digest = runner_.run({"approval", "approve", "R1", "-digest=sha256:aa"});
  EXPECT_EQ(by_digest.code, 2);
  EXPECT_THAT(by_digest.err, HasSubstr("sha256:bb"));
  EXPECT_THAT(by_digest.err, HasSubstr("nothing was done"));
  reply(kPending);
  stale();
  const auto by_yes = runner_.run({"approval", "approve", "R1", "-yes"});
  EXPECT_EQ(by_yes.code, 2);
  EXPECT_EQ(server_.lines().size(), 4u);
}

TEST_F(ApprovalCommands, WhoCannotApproveIsNotAsked) {
  runner_.in_is_terminal = true;
  runner_.input = "y\n";
  reply(with({{"can", {{"approve", false}, {"why_not", "it is your own request"}}}}));
  const auto result = runner_.run({"approval", "approve", "R1"});
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.err, HasSubstr("it is your own request"));
  EXPECT_THAT(result.err, Not(HasSubstr("[y/N]")));
  EXPECT_EQ(server_.lines().size(), 1u);
}

TEST_F(ApprovalCommands, NarrowsToAShorterTime) {
  EXPECT_EQ(runner_.run({"approval", "narrow", "R1", "-yes"}).code, 1);
  reply(kPending);
  reply(kPending);
  EXPECT_EQ(runner_.run({"approval", "narrow", "R1", "-ttl=300", "-yes"}).code, 0);
  EXPECT_EQ(server_.lines().back(),
            R"(POST /v1/sys/approvals/R1/narrow {"digest":"sha256:aa","ttl":"5m"})");
}

TEST_F(ApprovalCommands, DenyingAndReviewingWantAReason) {
  for (const char* verb : {"deny", "review"}) {
    EXPECT_EQ(runner_.run({"approval", verb, "R1"}).code, 1);
    EXPECT_EQ(runner_.run({"approval", verb, "R1", "-reason= "}).code, 1);
  }
  EXPECT_TRUE(server_.lines().empty());
  for (int i = 0; i < 5; ++i) reply(with({{"state", "denied"}}));
  EXPECT_EQ(runner_.run({"approval", "deny", "R1", "-reason=too broad"}).code, 0);
  EXPECT_EQ(runner_.run({"approval", "review", "R1", "-reason=was needed"}).code, 0);
  EXPECT_EQ(runner_.run({"approval", "cancel", "R1"}).code, 0);
  EXPECT_EQ(runner_.run({"approval", "withdraw", "R1", "-reason=over"}).code, 0);
  EXPECT_EQ(runner_.run({"approval", "comment", "R1", "who", "asked?"}).code, 0);
  EXPECT_THAT(server_.lines(),
              ElementsAre(R"(POST /v1/sys/approvals/R1/deny {"reason":"too broad"})",
                          R"(POST /v1/sys/approvals/R1/review {"reason":"was needed"})",
                          R"(POST /v1/sys/approvals/R1/cancel {})",
                          R"(POST /v1/sys/approvals/R1/withdraw {"reason":"over"})",
                          R"(POST /v1/sys/approvals/R1/comment {"text":"who asked?"})"));
}

}  // namespace
}  // namespace curfew::cli

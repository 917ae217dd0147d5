#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "tests/cli/cli_runner.h"
#include "tests/cli/scripted_server.h"

namespace curfew::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kPending =
    R"({"request_id":"r","data":{"id":"R1","state":"pending","revision":1,"digest":"sha256:aa",
    "expires_at":"2026-11-30T06:30:00Z",
    "factors":[{"name":"f","approvals":1,"groups":[{"id":"g","name":"dba"}]}]}})";
constexpr const char* kApproved =
    R"({"request_id":"r","data":{"id":"R1","state":"approved","revision":2}})";
constexpr const char* kDenied =
    R"({"request_id":"r","data":{"id":"R1","state":"denied","revision":2,"decisions":[{"verdict":
    "deny","by":{"name":"ben"},"reason":"no"}]}})";
constexpr const char* kCredential =
    R"({"request_id":"r","lease_id":"database/creds/rw/x","renewable":true,"lease_duration":900,
    "data":{"username":"u","password":"p"}})";

class RequestCommands : public ::testing::Test {
 protected:
  RequestCommands() {
    runner_.environment["CURFEW_ADDR"] = server_.address();
    runner_.environment["CURFEW_TOKEN"] = "t";
  }
  void replies(const std::vector<const char*>& bodies) {
    for (const char* body : bodies) server_.reply({.body = body});
  }
  Json body(std::size_t index) const { return Json::parse(server_.seen().at(index).body); }

  testing::ScriptedServer server_;
  testing::CliRunner runner_;
};

TEST_F(RequestCommands, AsksForAPath) {
  replies({kPending});
  const auto result =
      runner_.run({"request", "database/creds/rw", "shard=7", "-ttl=15m", "--reason=refund",
                   "-ticket=T-1", "-purpose=p", "-session=s", "--idempotency-key=key-0001"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("R1"));
  EXPECT_THAT(result.out, HasSubstr("1 of dba"));
  EXPECT_THAT(result.out, HasSubstr("curfew approval claim R1"));
  EXPECT_EQ(server_.seen().at(0).target, "/v1/sys/approvals");
  EXPECT_EQ(body(0), Json({{"path", "database/creds/rw"},
                           {"parameters", {{"shard", "7"}}},
                           {"ttl", "15m"},
                           {"reason", "refund"},
                           {"ticket", "T-1"},
                           {"purpose", "p"},
                           {"session", "s"},
                           {"idempotency_key", "key-0001"}}));
}

TEST_F(RequestCommands, CarriesAStatementATaskAndBreakGlass) {
  replies({kPending, kPending, kApproved});
  const std::string file = runner_.home.file("fix.sql", "UPDATE t SET a = $1\n");
  EXPECT_EQ(runner_
                .run({"request", "p", "-statement-file=" + file, "-statement-parameter=1",
                      "-statement-parameter", "x y"})
                .code,
            0);
  EXPECT_EQ(body(0), Json({{"path", "p"},
                           {"statement", "UPDATE t SET a = $1\n"},
                           {"statement_parameters", {"1", "x y"}}}));
  EXPECT_EQ(
      runner_.run({"request", "p", "-task-leases=20", "--task-duration=2h", "--task-statements=5"})
          .code,
      0);
  EXPECT_EQ(body(1), Json({{"path", "p"},
                           {"task", {{"leases", 20}, {"statements", 5}, {"duration", "2h"}}}}));
  EXPECT_EQ(runner_.run({"request", "p", "--break-glass", "--reason=production is down"}).code, 0);
  EXPECT_EQ(body(2)["break_glass"], true);
  EXPECT_EQ(runner_.run({"request", "p", "-statement-parameter=1"}).code, 1);
  EXPECT_EQ(runner_.run({"request", "p", "-statement-file=/nowhere"}).code, 1);
  EXPECT_EQ(server_.lines().size(), 3u);
}

TEST_F(RequestCommands, AsksForOtherOperationsToo) {
  replies({kPending});
  EXPECT_EQ(runner_.run({"request", "secret/data/a", "-operation=update", "k=v"}).code, 0);
  EXPECT_EQ(
      body(0),
      Json({{"path", "secret/data/a"}, {"operation", "update"}, {"parameters", {{"k", "v"}}}}));
  EXPECT_EQ(runner_.run({"request", "secret/data/a", "-operation=sudo"}).code, 1);
}

TEST_F(RequestCommands, WaitsClaimsAndPrintsTheCredential) {
  replies({kPending, kPending, kApproved, kCredential});
  const auto result = runner_.run({"request", "--wait", "database/creds/rw"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("R1 waits"));
  EXPECT_THAT(result.out, HasSubstr("database/creds/rw/x"));
  EXPECT_THAT(result.out, HasSubstr("password"));
  const auto seen = server_.seen();
  ASSERT_EQ(seen.size(), 4u);
  EXPECT_EQ(seen[1].line(), "GET /v1/sys/approvals/R1/wait?timeout=50s");
  EXPECT_EQ(seen[2].line(), "GET /v1/sys/approvals/R1/wait?timeout=50s");
  EXPECT_EQ(seen[3].line(), "POST /v1/sys/approvals/R1/claim {}");
  EXPECT_FALSE(seen[3].headers.at("idempotency-key").empty());
}

TEST_F(RequestCommands, WhatIsApprovedAtOnceIsClaimedAtOnce) {
  replies({kApproved, kCredential});
  const auto result = runner_.run({"request", "p", "-wait", "-field=password"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "p");
}

TEST_F(RequestCommands, NothingIsClaimedThatIsNotApproved) {
  replies({kPending, kDenied});
  const auto denied = runner_.run({"request", "p", "-wait"});
  EXPECT_EQ(denied.code, 2);
  EXPECT_THAT(denied.err, HasSubstr("denied by ben: no"));
  replies({kPending, kPending, kPending});
  const auto late = runner_.run({"request", "p", "-wait=60s"});
  EXPECT_EQ(late.code, 2);
  EXPECT_THAT(late.err, HasSubstr("curfew approval claim R1"));
  const auto lines = server_.lines();
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_EQ(lines[3], "GET /v1/sys/approvals/R1/wait?timeout=50s");
  EXPECT_EQ(lines[4], "GET /v1/sys/approvals/R1/wait?timeout=9s");
}

TEST_F(RequestCommands, WaitKeepsWithinTheCallersOwnLimit) {
  runner_.environment["CURFEW_CLIENT_TIMEOUT"] = "20s";
  replies({kApproved});
  const auto result = runner_.run({"approval", "wait", "R1"});
  EXPECT_EQ(result.code, 0);
  EXPECT_THAT(result.out, HasSubstr("approved"));
  EXPECT_THAT(server_.lines(), ElementsAre("GET /v1/sys/approvals/R1/wait?timeout=15s"));
}

TEST_F(RequestCommands, WaitTellsTheOutcomesApart) {
  replies({kDenied, kPending, kPending, kDenied});
  EXPECT_EQ(runner_.run({"approval", "wait", "R1"}).code, 2);
  EXPECT_EQ(runner_.run({"approval", "wait", "R1", "-timeout=1s"}).code, 2);
  const auto unchanged = runner_.run({"approval", "wait", "R1", "-revision=1", "-timeout=1s"});
  EXPECT_EQ(unchanged.code, 2);
  const auto changed = runner_.run({"approval", "wait", "R1", "-revision=1", "-format=json"});
  EXPECT_EQ(changed.code, 0);
  EXPECT_EQ(Json::parse(changed.out)["data"]["state"], "denied");
  EXPECT_EQ(server_.lines().back(), "GET /v1/sys/approvals/R1/wait?timeout=50s&revision=1");
}

TEST_F(RequestCommands, AServerThatStartsAnewIsWaitedFor) {
  server_.reply({.status = 503, .body = R"({"errors":["Vault is sealed"]})"});
  server_.reply({.raw = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"});  // and then nothing
  replies({kApproved});
  EXPECT_EQ(runner_.run({"approval", "wait", "R1"}).code, 0);
  EXPECT_EQ(runner_.slept.size(), 2u);
  runner_.environment["CURFEW_ADDR"] = "http://127.0.0.1:" + std::to_string(testing::unused_port());
  runner_.slept.clear();
  const auto gone = runner_.run({"approval", "wait", "R1"});
  EXPECT_EQ(gone.code, 2);
  EXPECT_EQ(runner_.slept.size(), 29u);
}

TEST_F(RequestCommands, WhatTheServerRefusesEndsTheWait) {
  server_.reply({.status = 403, .body = R"({"errors":["permission denied"]})"});
  const auto result = runner_.run({"approval", "wait", "R1"});
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.err, HasSubstr("permission denied"));
  EXPECT_TRUE(runner_.slept.empty());
}

TEST_F(RequestCommands, ClaimPrintsTheCredential) {
  replies({kCredential});
  const auto result = runner_.run({"approval", "claim", "R1", "-format=json"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(Json::parse(result.out)["data"]["username"], "u");
}

TEST_F(RequestCommands, CurlShowsTheCallItself) {
  const auto result = runner_.run({"request", "p", "-wait", "-reason=x", "-output-curl-string"});
  EXPECT_EQ(result.code, 0);
  EXPECT_THAT(result.out, HasSubstr("/v1/sys/approvals'"));
  EXPECT_TRUE(server_.lines().empty());
}

}  // namespace
}  // namespace curfew::cli

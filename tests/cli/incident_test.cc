#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cli/cli_runner.h"
#include "tests/cli/scripted_server.h"

namespace curfew::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kPreview =
    R"({"request_id":"r","data":{"dry_run":true,"found":1,"tokens":0,"counts":[{"mount":"database/",
    "role":"ro","target":"app","state":"active","count":1}],"leases":[{"id":"database/creds/ro/x",
    "expire_time":"2027-01-01T00:00:00Z",
    "attribution":{"agent":"bot","display_name":"token-bot","purpose":"p"}}]}})";
constexpr const char* kBegun = R"({"request_id":"r","data":{"id":"op-1","lockdown":"op-1"}})";
constexpr const char* kUnderWay =
    R"({"request_id":"r","data":{"id":"op-1","finished":false,"found":1,"locked_out":0,"ended":0,
    "failing":1,"lockdown":"op-1","receipts":{"proven":0,"given_up":0,"warnings":0},
    "leases":[{"id":"database/creds/ro/x","state":"revoking","attempts":2,
    "revoke_error":"it is down"}]}})";
constexpr const char* kProven =
    R"({"request_id":"r","data":{"id":"op-1","finished":true,"found":1,"locked_out":1,"ended":1,
    "failing":0,"lockdown":"op-1","receipts":{"proven":1,"given_up":0,"warnings":0},"leases":[]}})";
constexpr const char* kGivenUp =
    R"({"request_id":"r","data":{"id":"op-1","finished":true,"found":1,"locked_out":1,"ended":1,
    "failing":0,"lockdown":null,"receipts":{"proven":0,"given_up":1,"warnings":0},"leases":[]}})";

class IncidentCommands : public ::testing::Test {
 protected:
  IncidentCommands() {
    runner_.environment["CURFEW_ADDR"] = server_.address();
    runner_.environment["CURFEW_TOKEN"] = "t";
  }
  void replies(const std::vector<const char*>& bodies) {
    for (const char* body : bodies) server_.reply({.body = body});
  }

  testing::ScriptedServer server_;
  testing::CliRunner runner_;
};

TEST_F(IncidentCommands, RevokeWithoutATerminalWantsToBeSure) {
  const auto result = runner_.run({"revoke", "--agent=bot", "--reason=leak"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("-yes"));
  EXPECT_TRUE(server_.lines().empty());
}

TEST_F(IncidentCommands, RevokeSaysWhatItLacks) {
  EXPECT_THAT(runner_.run({"revoke", "-yes", "-reason=x"}).err, HasSubstr("Say which leases"));
  EXPECT_THAT(runner_.run({"revoke", "-yes", "-all"}).err, HasSubstr("Say why"));
  EXPECT_EQ(runner_.run({"revoke", "database/creds/ro/x"}).code, 1);
  EXPECT_TRUE(server_.lines().empty());
}

TEST_F(IncidentCommands, RevokeShowsAPersonWhatItWouldBeAndAsks) {
  runner_.in_is_terminal = true;
  for (const char* answer : {"", "y\n", "no\n"}) {
    server_.reply({.body = kPreview});
    runner_.input = answer;
    const auto result = runner_.run({"revoke", "-agent=bot", "-reason=leak"});
    EXPECT_EQ(result.code, 1);
    EXPECT_THAT(result.err, HasSubstr("database/creds/ro/x"));
    EXPECT_THAT(result.err, HasSubstr("Nothing was ended"));
  }
  EXPECT_EQ(server_.lines().size(), 3u);
  replies({kPreview, kBegun, kProven});
  runner_.input = "yes\n";
  EXPECT_EQ(runner_.run({"revoke", "-agent=bot", "-reason=leak"}).code, 0);
}

TEST_F(IncidentCommands, RevokeFollowsUntilAllIsProven) {
  replies({kBegun, kUnderWay, kUnderWay, kProven});
  runner_.environment["CURFEW_SESSION"] = "mine";
  const auto result =
      runner_.run({"revoke", "-session=theirs", "-role=ro", "-reason=leak", "-yes"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("proven so"));
  EXPECT_THAT(result.out, HasSubstr("curfew lockdown lift op-1"));
  EXPECT_EQ(runner_.slept.size(), 2u);
  EXPECT_THAT(result.err, HasSubstr("1 found, 0 locked out, 0 ended, 1 failing"));
  const auto seen = server_.seen();
  ASSERT_EQ(seen.size(), 4u);
  EXPECT_EQ(Json::parse(seen[0].body),
            Json({{"session", "theirs"}, {"role", "ro"}, {"reason", "leak"}, {"lock_down", true}}));
  EXPECT_EQ(seen[0].headers.at("x-curfew-session"), "mine") << "the operator's own";
  EXPECT_EQ(seen[1].target, "/v1/sys/leases/end/op-1?limit=20");
}

TEST_F(IncidentCommands, RevokeEndsWith2WhereSomethingIsNotProven) {
  replies({kBegun, kUnderWay, kUnderWay, kUnderWay});
  auto result = runner_.run({"revoke", "-all", "-reason=leak", "-yes", "-wait=1s"});
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.out, HasSubstr("NOT all access"));
  EXPECT_THAT(result.out, HasSubstr("it is down"));
  replies({kBegun, kGivenUp});
  result = runner_.run({"revoke", "-all", "-reason=leak", "-yes", "-format=json"});
  EXPECT_EQ(result.code, 2);
  EXPECT_EQ(Json::parse(result.out).at("receipts").at("given_up"), 1);
}

TEST_F(IncidentCommands, ADryRunAsksAndEndsNothing) {
  replies({kPreview});
  const auto result = runner_.run({"revoke", "--all", "--dry-run"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("1 leases would be ended"));
  EXPECT_THAT(server_.lines(),
              ElementsAre(R"(POST /v1/sys/leases/end {"all":true,"dry_run":true})"));
}

TEST_F(IncidentCommands, WhoisTakesDigitsForAProcess) {
  const char* none = R"({"request_id":"r","data":{"matches":[],"not_asked":[]}})";
  const char* one =
      R"({"request_id":"r","data":{"matches":[{"known":true,"agent":"bot"}],"not_asked":[{"mount":
      "database/","target":"b","error":"it is down"}]}})";
  replies({none, one});
  EXPECT_EQ(runner_.run({"whois", "4711", "-target=app"}).code, 2);
  const auto found = runner_.run({"whois", "v-token-x"});
  EXPECT_EQ(found.code, 0);
  EXPECT_THAT(found.out, HasSubstr("bot"));
  EXPECT_THAT(found.err, HasSubstr("it is down"));
  EXPECT_THAT(server_.lines(), ElementsAre(R"(POST /v1/sys/whois {"pid":"4711","target":"app"})",
                                           R"(POST /v1/sys/whois {"database_role":"v-token-x"})"));
}

TEST_F(IncidentCommands, LeasesAreListedPageByPage) {
  replies({R"({"request_id":"r","data":{"leases":[{"id":"a","state":"active"}],"next":"a"}})",
           R"({"request_id":"r","data":{"leases":[],"next":""}})"});
  const auto result = runner_.run({"lease", "list", "-agent=bot", "-state=all", "-format=json"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(Json::parse(result.out).size(), 1u);
  const auto seen = server_.seen();
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].target, "/v1/sys/leases?agent=bot&type=all&limit=500&after=");
  EXPECT_EQ(seen[1].target, "/v1/sys/leases?agent=bot&type=all&limit=499&after=a");
  EXPECT_EQ(runner_.run({"lease", "list", "-state=all", "prefix"}).code, 1);
  EXPECT_EQ(runner_.run({"lease", "list", "-state=dead"}).code, 1);
}

}  // namespace
}  // namespace curfew::cli

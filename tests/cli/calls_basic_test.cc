// Each command makes the calls that Vault's own command line makes, in the same order.
#include "tests/cli/cli_runner.h"
#include "tests/cli/recorded_calls.h"

namespace curfew::cli {
namespace {

using namespace testing;  // NOLINT: the cases are read as a table

class BasicCalls : public ::testing::TestWithParam<Case> {};

TEST_P(BasicCalls, AreTheRecordedOnes) {
  run_case(GetParam());
}

INSTANTIATE_TEST_SUITE_P(
    Recorded, BasicCalls,
    ::testing::Values(
        Case{"status",
             {"status"},
             {kSealStatus, kLeader},
             {"GET /v1/sys/seal-status", "GET /v1/sys/leader"}},
        Case{"read", {"read", "/database/creds/ro/"}, {kData}, {"GET /v1/database/creds/ro"}},
        Case{"read_query", {"read", "a", "x=1", "y=a b&c"}, {kData}, {"GET /v1/a?x=1&y=a%20b%26c"}},
        Case{"read_escapes", {"read", "a b/c%d"}, {kData}, {"GET /v1/a%20b/c%25d"}},
        Case{"write",
             {"write", "a/b", "k=v", "n=1"},
             {kNothing},
             {R"(PUT /v1/a/b {"k":"v","n":"1"})"}},
        Case{"write_force", {"write", "-f", "a/b"}, {kNothing}, {"PUT /v1/a/b null"}},
        Case{"write_force_late", {"write", "a/b", "-force"}, {kNothing}, {"PUT /v1/a/b null"}},
        Case{"write_stdin",
             {"write", "a/b", "-"},
             {kData},
             {R"(PUT /v1/a/b {"x":[1,2]})"},
             R"({"x":[1,2]})"},
        Case{"write_nothing", {"write", "a/b"}, {}, {}, "", 1},
        Case{"delete", {"delete", "a/b"}, {kNothing}, {"DELETE /v1/a/b"}},
        Case{"list", {"list", "a/"}, {kKeys}, {"GET /v1/a?list=true"}},
        Case{"list_none", {"list", "a"}, {kUnknownMount}, {"GET /v1/a?list=true"}, "", 2},
        Case{"unwrap",
             {"unwrap", "hvs.w"},
             {kData},
             {R"(PUT /v1/sys/wrapping/unwrap {"token":"hvs.w"})"}},
        Case{"unwrap_own", {"unwrap"}, {kData}, {"PUT /v1/sys/wrapping/unwrap"}},
        Case{"path_help",
             {"path-help", "database"},
             {{.body = R"({"help":"text"})"}},
             {"GET /v1/database?help=1"}}),
    case_name);

class LeasesCalls : public ::testing::TestWithParam<Case> {};

TEST_P(LeasesCalls, AreTheRecordedOnes) {
  run_case(GetParam());
}

INSTANTIATE_TEST_SUITE_P(
    Recorded, LeasesCalls,
    ::testing::Values(
        Case{"lookup",
             {"lease", "lookup", "a/b/1"},
             {kData},
             {R"(PUT /v1/sys/leases/lookup {"lease_id":"a/b/1"})"}},
        Case{"list_root", {"lease", "list"}, {kKeys}, {"GET /v1/sys/leases/lookup?list=true"}},
        Case{"list",
             {"lease", "list", "a/b/"},
             {kKeys},
             {"GET /v1/sys/leases/lookup/a/b?list=true"}},
        Case{"show",
             {"lease", "show", "a/b/1"},
             {kData},
             {R"(POST /v1/sys/leases/receipt {"lease_id":"a/b/1"})"}},
        Case{"show_none",
             {"lease", "show", "a/b/1"},
             {kUnknownMount},
             {R"(POST /v1/sys/leases/receipt {"lease_id":"a/b/1"})"},
             "",
             2},
        Case{"renew",
             {"lease", "renew", "a/b/1"},
             {kData},
             {R"(PUT /v1/sys/leases/renew {"lease_id":"a/b/1","increment":0})"}},
        Case{"renew_increment",
             {"lease", "renew", "-increment=90m", "a/b/1"},
             {kData},
             {R"(PUT /v1/sys/leases/renew {"lease_id":"a/b/1","increment":5400})"}},
        Case{"revoke",
             {"lease", "revoke", "a/b/1"},
             {{.status = 202}},
             {R"(PUT /v1/sys/leases/revoke/a/b/1 {"sync":false})"}},
        Case{"revoke_sync",
             {"lease", "revoke", "-sync", "a/b/1"},
             {kNothing},
             {R"(PUT /v1/sys/leases/revoke/a/b/1 {"sync":true})"}},
        Case{"revoke_prefix",
             {"lease", "revoke", "-prefix", "a/b"},
             {kNothing},
             {R"(PUT /v1/sys/leases/revoke-prefix/a/b {"sync":false})"}},
        Case{"revoke_force",
             {"lease", "revoke", "-force", "-prefix", "a/b"},
             {kNothing},
             {"PUT /v1/sys/leases/revoke-force/a/b"}},
        Case{"revoke_force_alone", {"lease", "revoke", "-force", "a/b"}, {}, {}, "", 1}),
    case_name);

TEST(CallHeaders, TokenNamespacePurposeSessionAndTraceAreSent) {
  ScriptedServer server;
  server.reply(kData);
  CliRunner cli;
  cli.environment = {{"HOME", cli.home.path()},
                     {"CURFEW_ADDR", server.address()},
                     {"CURFEW_TOKEN", "hvs.mine"},
                     {"CURFEW_NAMESPACE", "team"},
                     {"CURFEW_PURPOSE", "fix order 7"},
                     {"CURFEW_SESSION", "s-1"},
                     {"TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}};
  EXPECT_EQ(cli.run({"read", "-wrap-ttl=60s", "-header=X-Ticket=T=1", "a"}).code, 0);
  const auto headers = server.seen().at(0).headers;
  EXPECT_EQ(headers.at("x-vault-token"), "hvs.mine");
  EXPECT_EQ(headers.at("x-vault-namespace"), "team");
  EXPECT_EQ(headers.at("x-curfew-purpose"), "fix order 7");
  EXPECT_EQ(headers.at("x-curfew-session"), "s-1");
  EXPECT_EQ(headers.at("traceparent"), cli.environment["TRACEPARENT"]);
  EXPECT_EQ(headers.at("x-vault-wrap-ttl"), "1m0s");
  EXPECT_EQ(headers.at("x-ticket"), "T=1");
  EXPECT_EQ(headers.at("user-agent"), "curfew/1.2.3");
}

TEST(CallHeaders, LoginsAndSealCallsSendNoToken) {
  ScriptedServer server;
  CliRunner cli;
  cli.environment["CURFEW_ADDR"] = server.address();
  cli.environment["CURFEW_TOKEN"] = "hvs.mine";
  cli.environment["CURFEW_NAMESPACE"] = "team";
  server.reply(kAuth);
  cli.typed = "pw";
  cli.run({"login", "-method=userpass", "username=bob"});
  EXPECT_FALSE(server.seen().at(0).headers.contains("x-vault-token"));
  server.reply(kSealStatus);
  server.reply(kLeader);
  cli.run({"status"});
  EXPECT_FALSE(server.seen().at(1).headers.contains("x-vault-token"));
  EXPECT_FALSE(server.seen().at(1).headers.contains("x-vault-namespace"));
}

TEST(CallHeaders, WhatIsUnwrappedIsNotWrappedAgain) {
  ScriptedServer server;
  server.reply(kData);
  server.reply(kData);
  server.reply(kData);
  CliRunner cli;
  cli.environment["CURFEW_ADDR"] = server.address();
  cli.environment["CURFEW_WRAP_TTL"] = "60s";
  cli.run({"unwrap", "hvs.w"});
  EXPECT_FALSE(server.seen().at(0).headers.contains("x-vault-wrap-ttl"));
  cli.environment.erase("CURFEW_WRAP_TTL");
  cli.run({"write", "sys/wrapping/wrap", "a=b"});
  EXPECT_EQ(server.seen().at(1).headers.at("x-vault-wrap-ttl"), "5m0s");
  cli.run({"write", "-wrap-ttl=9s", "sys/wrapping/wrap", "a=b"});
  EXPECT_EQ(server.seen().at(2).headers.at("x-vault-wrap-ttl"), "9s");
}

TEST(CallHeaders, APreflightIsNotWrapped) {
  ScriptedServer server;
  server.reply(kVersioned);
  server.reply({.body = R"({"request_id":"","data":null,"wrap_info":{"token":"hvs.w","ttl":60}})"});
  CliRunner cli;
  cli.environment["CURFEW_ADDR"] = server.address();
  const CliResult result = cli.run({"kv", "get", "-wrap-ttl=60s", "secret/app"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.out.find("wrapping_token:"), std::string::npos);
  EXPECT_FALSE(server.seen().at(0).headers.contains("x-vault-wrap-ttl"));
  EXPECT_EQ(server.seen().at(1).headers.at("x-vault-wrap-ttl"), "1m0s");
}

}  // namespace
}  // namespace curfew::cli

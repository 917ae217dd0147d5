// What a command says, and with which exit code, when it cannot do what was asked.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/cli/cli_runner.h"
#include "tests/cli/scripted_server.h"

namespace curfew::cli {
namespace {

using testing::CliResult;
using testing::CliRunner;
using testing::ScriptedServer;

class Errors : public ::testing::Test {
 protected:
  Errors() {
    cli_.environment["CURFEW_ADDR"] = server_.address();
    cli_.environment["CURFEW_TOKEN"] = "hvs.mine";
  }

  // Standard error of `curfew read a` when the server answers so.
  std::string refusal(int status, const std::string& error) {
    server_.reply({.status = status, .body = R"({"errors":[")" + error + R"("]})"});
    const CliResult result = cli_.run({"read", "a"});
    EXPECT_EQ(result.code, 2);
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(result.err.find("hvs.mine"), std::string::npos);
    return result.err;
  }

  ScriptedServer server_;
  CliRunner cli_;
};

TEST_F(Errors, ARefusalNamesTheCallTheCodeAndTheServersWords) {
  EXPECT_EQ(refusal(400, "unknown role: x"),
            "Error reading a: the server did not do it.\n\nURL: "
            "GET " +
                server_.address() +
                "/v1/a\nCode: 400. Errors:\n\n* unknown role: "
                "x\n");
}

TEST_F(Errors, ForbiddenNamesTheTokensSource) {
  EXPECT_NE(refusal(403, "permission denied").find("The token from CURFEW_TOKEN"),
            std::string::npos);
  cli_.environment.erase("CURFEW_TOKEN");
  for (const int status : {400, 403}) {
    EXPECT_NE(refusal(status, "missing client token").find("No token was sent: run `curfew login`"),
              std::string::npos);
  }
}

TEST_F(Errors, EachStatusSaysWhatToDoNext) {
  EXPECT_NE(refusal(403, "preflight capability check returned 403").find("curfew secrets list"),
            std::string::npos);
  EXPECT_NE(refusal(503, "Vault is sealed").find("curfew operator unseal"), std::string::npos);
  EXPECT_NE(refusal(501, "not initialized").find("curfew operator init"), std::string::npos);
  EXPECT_NE(refusal(404, "no handler for route 'a'").find("curfew secrets list"),
            std::string::npos);
  EXPECT_NE(refusal(405, "unsupported operation").find("path-help"), std::string::npos);
  EXPECT_NE(refusal(429, "quota").find("quota"), std::string::npos);
  EXPECT_NE(refusal(500, "internal").find("log"), std::string::npos);
  EXPECT_NE(refusal(400, "Client sent an HTTP request to an HTTPS server").find("https:// instead"),
            std::string::npos);
}

TEST_F(Errors, AnOverloadedServerSaysWhen) {
  server_.reply({.status = 503,
                 .body = R"({"errors":["too many requests"]})",
                 .header_lines = {"Retry-After: 3"}});
  EXPECT_NE(cli_.run({"read", "a"}).err.find("Try again in 3s."), std::string::npos);
}

TEST_F(Errors, AMissIsShortAndItsCodeIsTwo) {
  server_.reply({.status = 404, .body = R"({"errors":[]})"});
  const CliResult result = cli_.run({"read", "a/b"});
  EXPECT_EQ(result.code, 2);
  EXPECT_EQ(result.err, "No value found at a/b\n");
}

TEST_F(Errors, NobodyListens) {
  cli_.environment["CURFEW_ADDR"] = "http://127.0.0.1:" + std::to_string(testing::unused_port());
  const CliResult read = cli_.run({"read", "a"});
  EXPECT_EQ(read.code, 2);
  EXPECT_NE(read.err.find("Error reading a: cannot connect"), std::string::npos);
  EXPECT_NE(read.err.find("CURFEW_ADDR"), std::string::npos);
  // Two means "sealed" here.
  EXPECT_EQ(cli_.run({"status"}).code, 1);
}

TEST_F(Errors, AnAnswerThatIsNotJson) {
  server_.reply({.body = "<html>hello</html>"});
  const CliResult page = cli_.run({"read", "a"});
  EXPECT_EQ(page.code, 2);
  EXPECT_NE(page.err.find("not JSON"), std::string::npos);
  EXPECT_NE(page.err.find("CURFEW_ADDR"), std::string::npos);
  server_.reply({.status = 502, .body = "<html>bad gateway</html>"});
  const CliResult gateway = cli_.run({"read", "a"});
  EXPECT_EQ(gateway.code, 2);
  EXPECT_NE(gateway.err.find("Code: 502"), std::string::npos);
}

TEST_F(Errors, OddAnswersAreNoCrash) {
  for (const char* body :
       {"null", "[]", "1", "\"x\"", "{}", R"({"data":[]})", R"({"data":{"keys":1}})",
        R"({"request_id":1,"data":{"path":7,"options":{"version":[]}},"auth":5,"wrap_info":"x"})",
        R"({"request_id":"r","lease_id":3,"lease_duration":"x","auth":{"policies":"x"}})"}) {
    for (const std::vector<std::string>& words :
         std::vector<std::vector<std::string>>{{"status"},
                                               {"read", "a"},
                                               {"read", "-field=x", "a"},
                                               {"list", "a"},
                                               {"write", "a", "k=v"},
                                               {"kv", "get", "a"},
                                               {"kv", "put", "a", "k=v"},
                                               {"kv", "metadata", "get", "a"},
                                               {"kv", "rollback", "-version=1", "a"},
                                               {"login", "hvs.x"},
                                               {"login", "-method=x"},
                                               {"token", "lookup"},
                                               {"token", "capabilities", "a"},
                                               {"lease", "show", "a"},
                                               {"policy", "read", "a"},
                                               {"policy", "list"},
                                               {"secrets", "list", "-detailed"},
                                               {"audit", "list", "-detailed"},
                                               {"path-help", "a"},
                                               {"operator", "init"},
                                               {"operator", "init", "-status"},
                                               {"operator", "key-status"},
                                               {"operator", "unseal", "x"}}) {
      for (const char* format : {"table", "pretty"}) {
        ScriptedServer server;
        for (int i = 0; i < 4; ++i) server.reply({.body = body});
        cli_.environment["CURFEW_ADDR"] = server.address();
        cli_.environment["CURFEW_FORMAT"] = format;
        const CliResult result = cli_.run(words);
        EXPECT_TRUE(result.code >= 0 && result.code <= 2);
        EXPECT_EQ(result.err.find("The command failed"), std::string::npos)
            << words[0] << " " << words.back() << " " << body << ": " << result.err;
      }
    }
  }
}

TEST_F(Errors, OneRedirectIsFollowedWithTheSameCall) {
  ScriptedServer other;
  other.reply({.status = 204});
  server_.reply({.status = 307, .header_lines = {"Location: " + other.address() + "/v1/a"}});
  EXPECT_EQ(cli_.run({"write", "a", "k=v"}).code, 0);
  EXPECT_EQ(other.lines(), std::vector<std::string>{R"(PUT /v1/a {"k":"v"})"});
  server_.reply({.status = 307, .header_lines = {"Location: /v1/b"}});
  server_.reply({.status = 307, .header_lines = {"Location: /v1/c"}});
  EXPECT_EQ(cli_.run({"write", "a", "k=v"}).code, 2);
}

TEST_F(Errors, NothingIsRetriedUnlessAskedFor) {
  server_.reply({.status = 503, .body = R"({"errors":["busy"]})"});
  EXPECT_EQ(cli_.run({"read", "a"}).code, 2);
  EXPECT_EQ(server_.seen().size(), 1U);
  EXPECT_TRUE(cli_.slept.empty());
}

TEST_F(Errors, OnlyWhatCannotHaveHappenedIsRetried) {
  cli_.environment["CURFEW_MAX_RETRIES"] = "2";
  server_.reply({.status = 503, .header_lines = {"Retry-After: 4"}});
  server_.reply({.status = 412});
  server_.reply({.body = R"({"request_id":"r","data":{"k":"v"}})"});
  EXPECT_EQ(cli_.run({"read", "a"}).code, 0);
  EXPECT_EQ(cli_.slept, (std::vector<Millis>{Millis{4000}, Millis{1000}}));
  // A gateway's 502 may hide a change that was made.
  server_.reply({.status = 502});
  EXPECT_EQ(cli_.run({"write", "a", "k=v"}).code, 2);
  EXPECT_EQ(server_.seen().size(), 4U);
}

TEST_F(Errors, AReadIsRetriedWithTheSameKeySoThatTheServerKnowsIt) {
  cli_.environment["CURFEW_MAX_RETRIES"] = "2";
  server_.reply({.status = 502});
  server_.reply({.status = 500, .body = R"({"errors":["in doubt"]})"});
  server_.reply({.body = R"({"request_id":"r","data":{"k":"v"}})"});
  EXPECT_EQ(cli_.run({"read", "a"}).code, 0);
  server_.reply({.body = R"({"request_id":"r","data":{"k":"v"}})"});
  EXPECT_EQ(cli_.run({"read", "a"}).code, 0);
  server_.reply({.status = 400, .body = R"({"errors":["no"]})"});
  EXPECT_EQ(cli_.run({"read", "a"}).code, 2);
  std::vector<std::string> keys;
  for (const auto& seen : server_.seen()) keys.push_back(seen.headers.at("idempotency-key"));
  EXPECT_EQ(keys, (std::vector<std::string>{"key-of-run-1", "key-of-run-1", "key-of-run-1",
                                            "key-of-run-2", "key-of-run-3"}));
}

TEST_F(Errors, TheCommandLine) {
  const auto expect = [&](const std::vector<std::string>& words, const std::string& text) {
    const CliResult result = cli_.run(words);
    EXPECT_EQ(result.code, 1) << text;
    EXPECT_EQ(result.out, "") << text;
    EXPECT_NE(result.err.find(text), std::string::npos) << result.err;
  };
  expect({}, "Usage: curfew");
  expect({"raed", "a"}, "Did you mean `curfew read`?");
  expect({"kv"}, "kv get");
  expect({"kv", "gett", "a"}, "Did you mean `curfew kv get`?");
  expect({"kv", "metadata", "gett", "a"}, "Did you mean `curfew kv metadata get`?");
  expect({"-formt=json", "read", "a"}, "-formt=json");
  expect({"read"}, "too few arguments");
  expect({"read", "-formt=json", "a"}, "did you mean -format?");
  expect({"list", "a", "b"}, "too many arguments");
  expect({"read", "a", "-format=xml"}, "one of table, json, yaml, pretty");
  expect({"read", "a", "b"}, "expected KEY=VALUE");
  cli_.environment["VAULT_FORMAT"] = "xml";
  expect({"read", "a"}, "\"xml\" is not known");
  EXPECT_TRUE(server_.seen().empty());
}

TEST_F(Errors, AnUnusableTokenFileIsReportedBeforeAnyCall) {
  cli_.environment.erase("CURFEW_TOKEN");
  const std::string path = cli_.home.file(".curfew-token", "hvs.x");
  ::chmod(path.c_str(), 0644);
  const CliResult result = cli_.run({"read", "a"});
  EXPECT_EQ(result.code, 1);
  EXPECT_NE(result.err.find("chmod 600"), std::string::npos);
  EXPECT_TRUE(server_.seen().empty());
}

}  // namespace
}  // namespace curfew::cli

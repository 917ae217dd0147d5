// Logging in through a browser: the command listens, and a browser comes back to it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "cli/browser_callback.h"
#include "cli/http_client.h"
#include "tests/cli/cli_runner.h"
#include "tests/cli/scripted_server.h"

namespace curfew::cli {
namespace {

using testing::CliResult;
using testing::CliRunner;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::ScriptedServer;
using ::testing::StartsWith;
using testing::unused_port;

constexpr const char* kUrl =
    R"({"data":{"auth_url":"https://idp.test/authorize?client_id=c&state=st%2D1&nonce=n"}})";
constexpr const char* kToken = R"({"auth":{"client_token":"cfs.new","policies":["default"]}})";

// What a browser gets, once somebody listens there.
std::string browse(int port, const std::string& target) {
  HttpClient client{HttpSettings{}};
  for (int i = 0; i < 500; ++i) {
    const auto answer = client.send({.method = "GET",
                                     .url = "http://127.0.0.1:" + std::to_string(port) + target,
                                     .headers = {},
                                     .body = std::nullopt});
    if (answer) return std::to_string(answer->status) + " " + answer->body;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return "nobody listens";
}

class BrowserLoginTest : public ::testing::Test {
 protected:
  BrowserLoginTest() { cli_.environment["CURFEW_ADDR"] = server_.address(); }

  // The command, and what a browser does meanwhile.
  CliResult run(const std::function<void()>& browser) {
    std::thread person(browser);
    CliResult result = cli_.run(
        {"login", "-method=oidc", "-token-only", "role=people", "port=" + std::to_string(port_)});
    person.join();
    return result;
  }

  ScriptedServer server_;
  CliRunner cli_;
  const int port_ = unused_port();
};

TEST_F(BrowserLoginTest, WhatTheBrowserBringsBackIsHandedIn) {
  server_.reply({.body = kUrl});
  server_.reply({.body = kToken});
  std::string shown, other;
  const CliResult result = run([&] {
    // Somebody else who found the port, and a browser that asks for its icon.
    other = browse(port_, "/oidc/callback?state=guessed&code=evil") + browse(port_, "/favicon.ico");
    shown = browse(port_, "/oidc/callback?code=a%20b&state=st-1");
  });
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "cfs.new");
  EXPECT_THAT(result.err, HasSubstr("https://idp.test/authorize?"));
  EXPECT_THAT(shown, StartsWith("200"));
  EXPECT_THAT(other, Not(HasSubstr("200")));
  const auto lines = server_.lines();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_THAT(lines[0], StartsWith("PUT /v1/auth/oidc/oidc/auth_url "));
  EXPECT_THAT(lines[0], HasSubstr("\"redirect_uri\":\"http://localhost:" + std::to_string(port_) +
                                  "/oidc/callback\""));
  EXPECT_THAT(lines[1], HasSubstr("state=st-1"));
  EXPECT_THAT(lines[1], HasSubstr("code=a%20b"));
  EXPECT_THAT(lines[1], HasSubstr("client_nonce="));
  EXPECT_THAT(lines[1], Not(HasSubstr("evil")));
}

TEST_F(BrowserLoginTest, ARefusalAtTheProviderIsHandedInToo) {
  server_.reply({.body = kUrl});
  server_.reply({.status = 400, .body = R"({"errors":["the provider refused: access_denied"]})"});
  const CliResult result =
      run([&] { browse(port_, "/oidc/callback?error=access_denied&state=st-1"); });
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.err, HasSubstr("access_denied"));
  EXPECT_THAT(server_.lines()[1], HasSubstr("error=access_denied"));
}

TEST_F(BrowserLoginTest, AServerThatGivesNoAddressIsAnError) {
  server_.reply({.body = R"({"data":{"auth_url":""}})"});
  const CliResult result = run([] {});
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.err, HasSubstr("no address to open"));
}

TEST_F(BrowserLoginTest, APortThatIsTakenIsNamed) {
  const CliResult result =
      cli_.run({"login", "-method=oidc", "port=" + std::to_string(server_.port())});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("port=NUMBER"));
  EXPECT_TRUE(server_.lines().empty());
}

TEST(ParseQueryTest, MembersAreUnescaped) {
  const auto query = parse_query("a=1%2B+2&b&=x&c=%zz&state=s");
  EXPECT_EQ(query.at("a"), "1+ 2");
  EXPECT_EQ(query.at("b"), "");
  EXPECT_EQ(query.at("state"), "s");
  EXPECT_FALSE(query.contains("c"));
}

}  // namespace
}  // namespace curfew::cli

#include "cli/settings.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/cli/cli_runner.h"
#include "tests/cli/scripted_server.h"

namespace curfew::cli {
namespace {

// Settings from flags and variables alone.
class SettingsTest : public ::testing::Test {
 protected:
  Result<Settings> load(const std::vector<std::string>& words = {}) {
    std::istringstream in;
    std::ostringstream out;
    const Surroundings around{
        .environment = [this](const std::string& name) -> std::optional<std::string> {
          const auto found = environment_.find(name);
          return found == environment_.end() ? std::nullopt : std::optional(found->second);
        },
        .in = in,
        .out = out,
        .err = out,
        .ask_secret = {},
        .sleep = {}};
    const Result<Arguments> arguments = parse_arguments(connection_flags(), words);
    if (!arguments) return arguments.error();
    return load_settings(*arguments, around);
  }

  std::string error(const std::vector<std::string>& words = {}) {
    const Result<Settings> settings = load(words);
    EXPECT_FALSE(settings.has_value());
    if (settings) return "";
    EXPECT_EQ(settings.error().code, Errc::kInvalidArgument);
    return settings.error().message;
  }

  std::map<std::string, std::string> environment_;
};

TEST_F(SettingsTest, Defaults) {
  const Result<Settings> settings = load();
  ASSERT_TRUE(settings.has_value());
  EXPECT_EQ(settings->address, "https://127.0.0.1:8200");
  EXPECT_TRUE(settings->token.empty());
  EXPECT_EQ(settings->retries_max, 0);
  EXPECT_EQ(settings->http.timeout, Millis{60'000});
  EXPECT_FALSE(settings->http.tls_skip_verify);
}

TEST_F(SettingsTest, AFlagWinsOverCurfewOverVault) {
  environment_["VAULT_ADDR"] = "https://vault:1";
  EXPECT_EQ(load()->address, "https://vault:1");
  environment_["CURFEW_ADDR"] = "https://curfew:2/";
  EXPECT_EQ(load()->address, "https://curfew:2");
  EXPECT_EQ(load({"-address=https://flag:3"})->address, "https://flag:3");
  environment_["CURFEW_ADDR"] = "";
  EXPECT_EQ(load()->address, "https://vault:1");
}

TEST_F(SettingsTest, EveryVariableHasBothNames) {
  for (const std::string prefix : {"VAULT_", "CURFEW_"}) {
    environment_ = {{prefix + "CACERT", "/ca"},
                    {prefix + "CAPATH", "/cas"},
                    {prefix + "CLIENT_CERT", "/cert"},
                    {prefix + "CLIENT_KEY", "/key"},
                    {prefix + "SKIP_VERIFY", "true"},
                    {prefix + "NAMESPACE", "team"},
                    {prefix + "CLIENT_TIMEOUT", "5s"},
                    {prefix + "MAX_RETRIES", "3"},
                    {prefix + "TLS_SERVER_NAME", "n"},
                    {prefix + "WRAP_TTL", "1m"},
                    {prefix + "TOKEN", "hvs." + prefix},
                    {prefix + "PURPOSE", "p"},
                    {prefix + "SESSION", "s"}};
    const Result<Settings> settings = load();
    ASSERT_TRUE(settings.has_value()) << settings.error().message;
    EXPECT_EQ(settings->http.ca_cert_file, "/ca");
    EXPECT_EQ(settings->http.ca_directory, "/cas");
    EXPECT_EQ(settings->http.client_cert_file, "/cert");
    EXPECT_EQ(settings->http.client_key_file, "/key");
    EXPECT_TRUE(settings->http.tls_skip_verify);
    EXPECT_EQ(settings->http.tls_server_name, "n");
    EXPECT_EQ(settings->name_space, "team");
    EXPECT_EQ(settings->http.timeout, Millis{5000});
    EXPECT_EQ(settings->retries_max, 3);
    EXPECT_EQ(settings->wrap_ttl, Millis{60'000});
    EXPECT_EQ(settings->token.reveal(), "hvs." + prefix);
    EXPECT_EQ(settings->token_source, prefix + "TOKEN");
    EXPECT_EQ(settings->purpose, "p");
    EXPECT_EQ(settings->session, "s");
  }
}

TEST_F(SettingsTest, TheTokenFileIsTheLastResort) {
  const testing::TemporaryDirectory home;
  environment_["HOME"] = home.path();
  const std::string path = home.file(".curfew-token", "hvs.file\n");
  ::chmod(path.c_str(), 0600);
  EXPECT_EQ(load()->token.reveal(), "hvs.file");
  EXPECT_EQ(load()->token_source, path);
  environment_["VAULT_TOKEN"] = "hvs.env";
  EXPECT_EQ(load()->token.reveal(), "hvs.env");
}

TEST_F(SettingsTest, WhatCannotBeUsedIsNamed) {
  environment_ = {{"VAULT_SKIP_VERIFY", "maybe"}};
  EXPECT_NE(error().find("VAULT_SKIP_VERIFY"), std::string::npos);
  environment_ = {{"CURFEW_CLIENT_TIMEOUT", "long"}};
  EXPECT_NE(error().find("CURFEW_CLIENT_TIMEOUT"), std::string::npos);
  for (const char* retries : {"-1", "21", "many", "3x"}) {
    environment_ = {{"CURFEW_MAX_RETRIES", retries}};
    EXPECT_NE(error().find("CURFEW_MAX_RETRIES"), std::string::npos) << retries;
  }
  environment_ = {{"CURFEW_ADDR", "localhost:8200"}};
  EXPECT_NE(error().find("https://"), std::string::npos);
}

TEST_F(SettingsTest, NothingSmugglesAHeaderIn) {
  environment_ = {{"CURFEW_PURPOSE", "x\r\nX-Vault-Token: root"}};
  EXPECT_NE(error().find("CURFEW_PURPOSE"), std::string::npos);
  environment_ = {{"CURFEW_SESSION", std::string(9000, 's')}};
  EXPECT_NE(error().find("CURFEW_SESSION"), std::string::npos);
  environment_ = {{"CURFEW_TOKEN", "hvs.secret\nX: y"}};
  const std::string message = error();
  EXPECT_NE(message.find("CURFEW_TOKEN"), std::string::npos);
  EXPECT_EQ(message.find("hvs.secret"), std::string::npos);
  environment_ = {{"TRACEPARENT", "00-x\r\nX: y"}};
  EXPECT_EQ(load()->traceparent, "");
  environment_.clear();
  for (const char* header : {"noequals", "X-A=b\nc", "X-Vault-Token=root", "x-curfew-purpose=p",
                             "Host=other", "bad name=x", "=x"}) {
    EXPECT_NE(error({std::string("-header=") + header}).find("-header"), std::string::npos)
        << header;
  }
}

}  // namespace
}  // namespace curfew::cli

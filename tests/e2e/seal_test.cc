#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <csignal>

#include "tests/e2e/server_process.h"

namespace curfew::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(FileSealTest, init_answers_with_the_root_token_and_the_server_unseals_by_itself_from_then_on) {
  ServerProcess server;
  server.start();
  EXPECT_THAT(server.out(), HasSubstr("operator init"));
  EXPECT_EQ(server.cli({"status"}).exit, 2);
  EXPECT_EQ(server.call("GET", "sys/health").status, 501);
  const Outcome made = server.cli({"operator", "init", "-format=json"});
  ASSERT_EQ(made.exit, 0) << made.err;
  const Json answer = Json::parse(made.out);
  EXPECT_TRUE(answer.at("unseal_keys_b64").empty()) << made.out;
  server.set_root_token(answer.at("root_token"));
  EXPECT_EQ(server.cli({"status"}).exit, 0);
  EXPECT_EQ(server.cli({"token", "lookup"}).exit, 0);
  EXPECT_EQ(server.cli({"operator", "init"}).exit, 2) << "a second initialization";

  EXPECT_EQ(server.stop(), 0);
  server.start();
  EXPECT_EQ(server.cli({"status"}).exit, 0);
  EXPECT_EQ(server.cli({"token", "lookup"}).exit, 0);

  server.kill();
  server.start();
  EXPECT_EQ(server.cli({"token", "lookup"}).exit, 0) << "after kill -9";
  struct stat key {};
  ASSERT_EQ(::stat(server.path("seal.key").c_str(), &key), 0);
  EXPECT_EQ(key.st_mode & 0777, 0600u);
}

TEST(FileSealTest, a_key_file_that_others_may_read_is_refused) {
  ServerProcess server;
  server.start_initialized();
  server.stop();
  ASSERT_EQ(::chmod(server.path("seal.key").c_str(), 0644), 0);
  const Outcome refused = server.start_refused();
  EXPECT_EQ(refused.exit, 1);
  EXPECT_THAT(refused.err, HasSubstr("is open to other users. Run chmod 600"));
  ASSERT_EQ(::chmod(server.path("seal.key").c_str(), 0600), 0);
  server.start();
  EXPECT_EQ(server.cli({"token", "lookup"}).exit, 0);
}

TEST(FileSealTest, the_key_of_another_store_and_a_missing_one_are_refused) {
  ServerProcess server, other;
  server.start_initialized();
  other.start_initialized();
  server.stop();
  const std::string key = read_file(server.path("seal.key"));
  write_file(server.path("seal.key"), read_file(other.path("seal.key")));
  const Outcome foreign = server.start_refused();
  EXPECT_EQ(foreign.exit, 1);
  EXPECT_THAT(foreign.err, HasSubstr("key of another database"));
  ASSERT_EQ(::unlink(server.path("seal.key").c_str()), 0);
  const Outcome missing = server.start_refused();
  EXPECT_EQ(missing.exit, 1);
  EXPECT_THAT(missing.err, HasSubstr("cannot open the key file"));
  EXPECT_NE(::access(server.path("seal.key").c_str(), F_OK), 0) << "a new key would open nothing";
}

class ShamirSealTest : public ::testing::Test {
 protected:
  ShamirSealTest() {
    server_.set_seal("");
    server_.start();
    const Outcome made =
        server_.cli({"operator", "init", "-key-shares=3", "-key-threshold=2", "-format=json"}, "");
    EXPECT_EQ(made.exit, 0) << made.err;
    const Json answer = Json::parse(made.out);
    for (const Json& share : answer.at("unseal_keys_b64")) shares_.push_back(share);
    server_.set_root_token(answer.at("root_token"));
  }

  Outcome unseal(const std::string& share) {
    return server_.cli({"operator", "unseal", "-"}, "", share + "\n");
  }

  ServerProcess server_;
  std::vector<std::string> shares_;
};

TEST_F(ShamirSealTest, two_of_three_shares_unseal_after_each_start) {
  ASSERT_EQ(shares_.size(), 3u);
  for (const auto& [first, second] : {std::pair{0, 1}, std::pair{2, 0}}) {
    EXPECT_EQ(server_.cli({"status"}).exit, 2);
    EXPECT_EQ(server_.call("GET", "sys/health").status, 503);
    EXPECT_EQ(server_.call("GET", "auth/token/lookup-self").status, 503);
    EXPECT_EQ(unseal(shares_[first]).exit, 0);
    EXPECT_EQ(unseal(shares_[first]).exit, 0) << "the same share again";
    EXPECT_EQ(server_.cli({"status"}).exit, 2) << "is no second one";
    EXPECT_EQ(unseal(shares_[second]).exit, 0);
    EXPECT_EQ(server_.cli({"status"}).exit, 0);
    EXPECT_EQ(server_.cli({"token", "lookup"}).exit, 0);
    server_.stop();
    server_.start();
  }
}

TEST_F(ShamirSealTest, shares_of_another_store_are_refused_and_the_right_ones_still_work) {
  ServerProcess other;
  other.set_seal("");
  other.start();
  const Json foreign = Json::parse(
      other.cli({"operator", "init", "-key-shares=3", "-key-threshold=2", "-format=json"}).out);
  EXPECT_EQ(unseal("no share at all").exit, 2);
  EXPECT_EQ(unseal(shares_[0]).exit, 0);
  const Outcome wrong = unseal(foreign.at("unseal_keys_b64").at(1));
  EXPECT_EQ(wrong.exit, 2);
  EXPECT_EQ(wrong.err.find(shares_[0]), std::string::npos);
  EXPECT_EQ(server_.cli({"status"}).exit, 2);
  EXPECT_EQ(unseal(shares_[1]).exit, 0);
  EXPECT_EQ(unseal(shares_[2]).exit, 0);
  EXPECT_EQ(server_.cli({"status"}).exit, 0);
}

TEST_F(ShamirSealTest, seal_ends_all_service_until_it_is_unsealed) {
  unseal(shares_[0]);
  unseal(shares_[1]);
  EXPECT_EQ(server_.cli({"operator", "seal"}, "s.nobody").exit, 2);
  EXPECT_EQ(server_.cli({"status"}).exit, 0);
  ASSERT_EQ(server_.cli({"operator", "seal"}).exit, 0);
  EXPECT_EQ(server_.cli({"status"}).exit, 2);
  EXPECT_EQ(server_.call("GET", "sys/mounts").status, 503);
  unseal(shares_[1]);
  unseal(shares_[2]);
  EXPECT_EQ(server_.call("GET", "sys/mounts").status, 200);
  server_.stop();
  EXPECT_EQ(server_.cli({"status"}).exit, 1) << "nobody answers";
}

TEST(EnvSealTest, the_key_is_taken_out_of_the_environment_and_opens_the_store_after_a_restart) {
  const std::string key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
  ServerProcess server;
  server.set_seal("seal \"env\" { variable = \"E2E_SEAL_KEY\" }");
  const Outcome missing = server.start_refused();
  EXPECT_EQ(missing.exit, 1);
  EXPECT_THAT(missing.err, HasSubstr("E2E_SEAL_KEY"));

  server.set_environment({{"E2E_SEAL_KEY", key}});
  server.start_initialized();
  // Whoever may not read the file at all sees nothing either.
  const std::string environment = read_file("/proc/" + std::to_string(server.pid()) + "/environ");
  EXPECT_THAT(environment, Not(HasSubstr(key)));
  EXPECT_THAT(environment, Not(HasSubstr(key.substr(8, 16))));
  server.kill();
  server.start();
  EXPECT_EQ(server.cli({"token", "lookup"}).exit, 0);
  server.stop();

  server.set_environment({{"E2E_SEAL_KEY", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWU="}});
  const Outcome wrong = server.start_refused();
  EXPECT_EQ(wrong.exit, 1);
  EXPECT_THAT(wrong.err, HasSubstr("does not open this database"));
}

TEST(SealKindTest, a_store_keeps_the_kind_of_seal_that_it_was_made_with) {
  ServerProcess server;
  server.start_initialized();
  server.stop();
  server.set_seal("");
  const Outcome refused = server.start_refused();
  EXPECT_EQ(refused.exit, 1);
  EXPECT_THAT(refused.err, HasSubstr("initialized with a seal of kind file"));
}

}  // namespace
}  // namespace curfew::e2e

// The people who hold key shares, and the seals that need none: replaced, used, migrated.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/e2e/server_process.h"
#include "tests/store/soft_hsm.h"

namespace curfew::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::vector<std::string> texts(const Json& list) {
  return list.get<std::vector<std::string>>();
}

class KeyHoldersTest : public ::testing::Test {
 protected:
  // Starts the server with this seal and initializes it; `shares_` are what people hold then.
  void initialize(const std::string& seal) {
    server_.set_seal(seal);
    server_.start();
    const Outcome made =
        server_.cli({"operator", "init", "-key-shares=3", "-key-threshold=2", "-format=json"}, "");
    ASSERT_EQ(made.exit, 0) << made.err << server_.log();
    const Json answer = Json::parse(made.out);
    shares_ = texts(answer.at("unseal_keys_b64"));
    if (shares_.empty()) shares_ = texts(answer.at("recovery_keys_b64"));
    ASSERT_EQ(shares_.size(), 3u);
    server_.set_root_token(answer.at("root_token"));
    if (seal.empty()) unseal({});
    server_.must("POST", "sys/mounts/kv", {{"type", "kv"}});
    server_.must("POST", "kv/a", {{"k", "v"}});
  }
  void unseal(const std::vector<std::string>& flags) {
    for (const std::size_t i : {0u, 2u}) {
      std::vector<std::string> words = {"operator", "unseal"};
      words.insert(words.end(), flags.begin(), flags.end());
      words.push_back("-");
      const Outcome given = server_.cli(words, "", shares_[i] + "\n");
      EXPECT_EQ(given.exit, 0) << given.err;
    }
  }
  void restart(const std::string& seal) {
    server_.stop();
    server_.set_seal(seal);
    server_.start();
  }
  bool is_whole() { return server_.call("GET", "kv/a").data().value("k", "") == "v"; }
  std::string file_seal(const std::string& name, bool disabled = false) {
    return "seal \"file\" {\n path = \"" + server_.path(name) + "\"\n" +
           (disabled ? " disabled = true\n" : "") + "}\n";
  }
  // One attempt through the command line: -init with these flags, then shares.
  Outcome rekey(const std::vector<std::string>& flags) {
    std::vector<std::string> begin = {"operator", "rekey", "-init", "-key-shares=2",
                                      "-key-threshold=2"};
    begin.insert(begin.end(), flags.begin(), flags.end());
    EXPECT_EQ(server_.cli(begin).exit, 0);
    std::vector<std::string> give = {"operator", "rekey", "-format=json"};
    give.insert(give.end(), flags.begin(), flags.end());
    give.push_back("-");
    EXPECT_EQ(server_.cli(give, "root", shares_[0] + "\n").exit, 0);
    return server_.cli(give, "root", shares_[1] + "\n");
  }

  ServerProcess server_;
  std::vector<std::string> shares_;
};

TEST_F(KeyHoldersTest, new_shares_whose_answer_is_lost_leave_the_old_ones_in_force) {
  initialize("");
  const Outcome done = rekey({});
  ASSERT_EQ(done.exit, 0) << done.err;
  EXPECT_EQ(Json::parse(done.out).at("verification_required"), true);
  // Nobody has seen that.
  server_.kill();
  server_.start();
  unseal({});
  EXPECT_TRUE(is_whole());
}

TEST_F(KeyHoldersTest, rekeyed_shares_unseal_and_the_old_ones_do_not) {
  initialize("");
  EXPECT_EQ(server_.call("GET", "sys/rekey/init", nullptr, "").status, 403);
  const Outcome done = rekey({"-verify=false"});
  ASSERT_EQ(done.exit, 0) << done.err;
  const auto fresh = texts(Json::parse(done.out).at("keys_base64"));
  ASSERT_EQ(fresh.size(), 2u);
  EXPECT_TRUE(is_whole());

  server_.kill();
  server_.start();
  EXPECT_EQ(server_.cli({"operator", "unseal", shares_[0]}, "").exit, 0);
  EXPECT_EQ(server_.cli({"operator", "unseal", shares_[1]}, "").exit, 2) << "an old share";
  EXPECT_EQ(server_.cli({"status"}).exit, 2);
  shares_ = {fresh[0], "", fresh[1]};
  unseal({});
  EXPECT_TRUE(is_whole());
  // What was asked and answered is in no log.
  for (const std::string& share : fresh) EXPECT_THAT(server_.log(), Not(HasSubstr(share)));
}

TEST_F(KeyHoldersTest, a_root_token_is_made_by_the_holders_when_nobody_has_one) {
  initialize("");
  ASSERT_EQ(server_.cli({"token", "revoke", "-self"}).exit, 0);
  EXPECT_EQ(server_.call("GET", "auth/token/lookup-self").status, 403);
  const Outcome begun = server_.cli({"operator", "generate-root", "-init", "-format=json"}, "");
  ASSERT_EQ(begun.exit, 0) << begun.err;
  const std::string password = Json::parse(begun.out).at("otp");
  const auto give = [&](const std::string& share) {
    return server_.cli({"operator", "generate-root", "-field=encoded_token", "-"}, "",
                       share + "\n");
  };
  EXPECT_EQ(give(shares_[1]).exit, 0);
  const Outcome last = give(shares_[2]);
  ASSERT_EQ(last.exit, 0) << last.err;
  const std::string encoded = last.out.substr(0, last.out.find('\n'));
  const Outcome token =
      server_.cli({"operator", "generate-root", "-decode=" + encoded, "-otp=" + password}, "");
  ASSERT_EQ(token.exit, 0) << token.err;
  server_.set_root_token(token.out.substr(0, token.out.find('\n')));
  EXPECT_TRUE(is_whole());
  const Outcome own = server_.cli({"operator", "generate-root", "-generate-otp"}, "");
  EXPECT_EQ(own.out.size(), password.size() + 1);
}

TEST_F(KeyHoldersTest, a_seal_of_shares_moves_to_a_key_file_and_back) {
  initialize("");
  restart("seal \"shamir\" { disabled = true }\n" + file_seal("seal.key"));
  EXPECT_EQ(server_.call("GET", "sys/seal-status", nullptr, "").body.at("migration"), true);
  EXPECT_THAT(server_.out(), HasSubstr("unseal -migrate"));
  EXPECT_EQ(server_.cli({"operator", "unseal", shares_[0]}, "").exit, 2) << "without -migrate";
  unseal({"-migrate"});
  EXPECT_TRUE(is_whole());
  restart(file_seal("seal.key"));
  EXPECT_TRUE(is_whole()) << "it unseals itself";
  // The shares are those of the recovery key now.
  EXPECT_EQ(rekey({"-target=recovery"}).exit, 0);
  restart(file_seal("seal.key"));
  EXPECT_TRUE(is_whole());
}

TEST_F(KeyHoldersTest, an_hsm_opens_the_store_and_may_be_away_when_the_server_starts) {
  const store::SoftHsm hsm;
  hsm.make_token("curfew", "1234");
  const std::string seal =
      "seal \"pkcs11\" {\n lib = \"" + store::SoftHsm::library() +
      "\"\n token_label = \"curfew\"\n key_label = \"seal\"\n generate_key = true\n}\n";
  const auto environment = [&](const std::string& pin) {
    server_.set_environment({{"SOFTHSM2_CONF", hsm.configuration()}, {"CURFEW_PKCS11_PIN", pin}});
  };
  environment("1234");
  initialize(seal);
  EXPECT_THAT(read_file("/proc/" + std::to_string(server_.pid()) + "/environ"),
              Not(HasSubstr("1234")));
  restart(seal);
  EXPECT_TRUE(is_whole());
  const Json status = server_.call("GET", "sys/seal-status", nullptr, "").body;
  EXPECT_EQ(status.at("type"), "pkcs11");
  EXPECT_EQ(status.at("recovery_seal"), true);

  server_.stop();
  environment("4321");
  const Outcome refused = server_.start_refused();
  EXPECT_EQ(refused.exit, 1);
  EXPECT_THAT(refused.err, HasSubstr("refuses the PIN"));
  EXPECT_THAT(refused.err + server_.log(), Not(HasSubstr("4321")));

  environment("1234");
  hsm.take_away();
  server_.start();
  EXPECT_EQ(server_.cli({"status"}).exit, 2);
  EXPECT_THAT(server_.log(), HasSubstr("there is no token with the label"));
  hsm.bring_back();
  EXPECT_TRUE(eventually([&] { return is_whole(); })) << server_.log();

  // Lost for good: the holders of the recovery key take the store to shares.
  hsm.take_away();
  std::string old = seal;
  old.insert(old.rfind('}'), " disabled = true\n");
  restart(old);
  unseal({"-migrate"});
  EXPECT_TRUE(is_whole());
  restart("");
  unseal({});
  EXPECT_TRUE(is_whole());
}

TEST_F(KeyHoldersTest, an_hsm_that_hangs_or_fails_holds_up_no_answer_and_is_asked_again) {
  const store::SoftHsm hsm;
  hsm.make_token("curfew", "1234");
  const std::string seal = "seal \"pkcs11\" {\n lib = \"" + store::SoftHsm::flaky_library() +
                           "\"\n token_label = \"curfew\"\n key_label = \"seal\"\n"
                           " pin = \"1234\"\n generate_key = true\n}\n";
  server_.set_environment({{"SOFTHSM2_CONF", hsm.configuration()}});
  initialize(seal);
  server_.stop();

  hsm.set_hanging(true);
  server_.start();
  EXPECT_EQ(server_.call("GET", "sys/health", nullptr, "").status, 503);
  const Json status = server_.call("GET", "sys/seal-status", nullptr, "").body;
  EXPECT_EQ(status.at("initialized"), true);
  EXPECT_EQ(status.at("sealed"), true);
  const Answer busy = server_.call("PUT", "sys/unseal", {{"key", shares_[0]}}, "");
  EXPECT_EQ(busy.status, 503);
  EXPECT_THAT(busy.error(), HasSubstr("the seal is busy"));
  // The answer that comes at last is a failure; the next one is none.
  hsm.set_failing(true);
  hsm.set_hanging(false);
  EXPECT_TRUE(eventually([&] {
    return server_.log().find("the token fails") != std::string::npos;
  })) << server_.log();
  hsm.set_failing(false);
  EXPECT_TRUE(eventually([&] { return is_whole(); })) << server_.log();
}

TEST(SealConfigurationTest, what_does_not_fit_together_is_said_with_its_place) {
  const std::pair<const char*, const char*> cases[] = {
      {"seal \"file\" { path = \"/a\" }\nseal \"env\" {}", "a second seal"},
      {"seal \"file\" {\n path = \"/a\"\n disabled = true\n}\nseal \"env\" { disabled = true }",
       "a second seal with disabled = true"},
      {"seal \"pkcs11\" { lib = \"x\" }", "absolute path of the PKCS#11 module"},
      {"seal \"pkcs11\" { lib = \"/x\" }", "either token_label or slot"},
      {"seal \"pkcs11\" {\n lib = \"/x\"\n slot = 1\n}", "key_label, key_id or both"},
      {"seal \"pkcs11\" {\n lib = \"/x\"\n slot = 1\n key_id = \"xy\"\n}", "hexadecimal"},
      {"seal \"pkcs11\" {\n lib = \"/x\"\n slot = 1\n key_label = \"k\"\n mechanism = \"des\"\n}",
       "aes-cbc-pad"},
      {"seal \"pkcs11\" {\n lib = \"/x\"\n slot = 1\n pin = \"1\"\n pin_file = \"/p\"\n}",
       "contradicts pin_file"},
      {"seal \"tape\" {}", "\"pkcs11\""},
  };
  for (const auto& [seal, words] : cases) {
    ServerProcess server;
    server.set_seal(seal);
    const Outcome refused = server.start_refused();
    EXPECT_EQ(refused.exit, 1) << seal;
    EXPECT_THAT(refused.err, HasSubstr(words)) << seal;
  }
}

}  // namespace
}  // namespace curfew::e2e

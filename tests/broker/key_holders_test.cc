// What the holders of key shares do together, through the API: rekey and generate-root.
#include "base/encoding.h"
#include "base/one_time_pad.h"
#include "tests/broker/broker_world.h"

namespace curfew::broker {
namespace {

using ::testing::HasSubstr;

// A server whose seal is of shares, or of a key file with recovery shares.
class KeyHoldersTest : public BrokerWorld {
 protected:
  std::vector<std::string> share_texts(const Json& answer, const char* name = "keys") {
    return answer.at(name).get<std::vector<std::string>>();
  }
  // The store of this world has no recovery keys; the holders of these are `shares_`.
  void make_recovery(int shares, int threshold) {
    const Response made = must_write("sys/rekey-recovery-key/init",
                                     {{"secret_shares", shares}, {"secret_threshold", threshold}});
    EXPECT_EQ(made.data.at("complete"), true);
    shares_ = share_texts(made.data);
    EXPECT_EQ(shares_.size(), static_cast<std::size_t>(shares));
  }
  Result<Response> give(const std::string& path, const std::string& nonce, const std::string& share,
                        const std::string& token = "root") {
    return write(path, {{"nonce", nonce}, {"key", share}}, token);
  }

  std::vector<std::string> shares_;
};

TEST_F(KeyHoldersTest, recovery_keys_are_made_once_by_whoever_may_rekey) {
  EXPECT_EQ(must_read("sys/seal-status", "").at("recovery_seal"), false);
  EXPECT_EQ(code_of(write("sys/rekey-recovery-key/init", {}, "")), Errc::kUnauthenticated);
  write_policy("almost", R"(path "sys/rekey-recovery-key/*" { capabilities = ["update"] })");
  EXPECT_EQ(code_of(write("sys/rekey-recovery-key/init", {}, make_token({"almost"}))),
            Errc::kPermissionDenied);
  make_recovery(3, 2);
  const Json status = must_read("sys/seal-status", "");
  EXPECT_EQ(status.at("recovery_seal"), true);
  EXPECT_EQ(status.at("n"), 3);
  EXPECT_EQ(status.at("t"), 2);
  // From now on the holders are asked.
  const Json begun =
      must_write("sys/rekey-recovery-key/init", {{"secret_shares", 1}, {"secret_threshold", 1}})
          .data;
  EXPECT_EQ(begun.at("started"), true);
  EXPECT_EQ(begun.at("required"), 2);
  restart();
  EXPECT_EQ(must_read("sys/rekey-recovery-key/init").at("started"), false)
      << "attempts are in memory alone";
}

TEST_F(KeyHoldersTest, rekeying_asks_for_the_present_shares_and_the_new_ones_take_their_place) {
  make_recovery(3, 2);
  const char* const init = "sys/rekey-recovery-key/init";
  const char* const update = "sys/rekey-recovery-key/update";
  EXPECT_EQ(code_of(give(update, "x", shares_[0])), Errc::kInvalidArgument) << "none is begun";
  const Json begun = must_write(init, {{"secret_shares", 2}, {"secret_threshold", 2}}).data;
  const std::string nonce = begun.at("nonce");
  EXPECT_EQ(begun.at("progress"), 0);
  EXPECT_EQ(begun.at("t"), 2);
  EXPECT_EQ(begun.at("n"), 2);
  EXPECT_EQ(begun.at("verification_required"), false);
  EXPECT_EQ(code_of(write(init, {{"secret_shares", 1}, {"secret_threshold", 1}})),
            Errc::kInvalidArgument);
  EXPECT_EQ(code_of(give(update, "x", shares_[0])), Errc::kInvalidArgument) << "another nonce";
  EXPECT_EQ(code_of(give(update, nonce, "junk")), Errc::kInvalidArgument);
  EXPECT_EQ(code_of(write(update, {{"nonce", nonce}})), Errc::kInvalidArgument);
  EXPECT_EQ(give(update, nonce, shares_[0])->data.at("progress"), 1);
  const auto done = give(update, nonce, shares_[2]);
  ASSERT_TRUE(done.has_value()) << done.error().message;
  EXPECT_EQ(done->layout, Layout::kBare);
  EXPECT_EQ(done->data.at("complete"), true);
  const auto fresh = share_texts(done->data);
  ASSERT_EQ(fresh.size(), 2u);
  EXPECT_EQ(share_texts(done->data, "keys_base64").size(), 2u);
  EXPECT_EQ(must_read(init).at("started"), false);

  // The old ones are of no use, the new ones are.
  const std::string again =
      must_write(init, {{"secret_shares", 1}, {"secret_threshold", 1}}).data.at("nonce");
  EXPECT_TRUE(give(update, again, shares_[0]).has_value());
  EXPECT_EQ(code_of(give(update, again, shares_[1])), Errc::kInvalidArgument);
  EXPECT_EQ(remove(init)->status, 0);
  EXPECT_EQ(must_read(init).at("started"), false);
  restart();
  const std::string third =
      must_write(init, {{"secret_shares", 1}, {"secret_threshold", 1}}).data.at("nonce");
  EXPECT_TRUE(give(update, third, fresh[0]).has_value());
  EXPECT_TRUE(give(update, third, fresh[1])->data.contains("keys"));
}

TEST_F(KeyHoldersTest, new_shares_that_must_be_verified_are_nothing_before) {
  make_recovery(1, 1);
  const char* const init = "sys/rekey-recovery-key/init";
  const char* const verify = "sys/rekey-recovery-key/verify";
  EXPECT_EQ(must_read(verify).at("started"), false);
  const std::string nonce =
      must_write(init,
                 {{"secret_shares", 2}, {"secret_threshold", 2}, {"require_verification", true}})
          .data.at("nonce");
  const Json made = give("sys/rekey-recovery-key/update", nonce, shares_[0])->data;
  EXPECT_EQ(made.at("verification_required"), true);
  const std::string verification = made.at("verification_nonce");
  const auto fresh = share_texts(made);
  EXPECT_EQ(must_read("sys/seal-status", "").at("n"), 1);
  EXPECT_EQ(must_read(init).at("verification_nonce"), verification);
  EXPECT_EQ(give(verify, verification, fresh[0])->data.at("progress"), 1);
  const Json restarted = remove(verify)->data;
  EXPECT_EQ(restarted.at("progress"), 0);
  EXPECT_EQ(code_of(give(verify, verification, fresh[0])), Errc::kInvalidArgument);
  const std::string second = restarted.at("nonce");
  EXPECT_TRUE(give(verify, second, fresh[1]).has_value());
  EXPECT_EQ(give(verify, second, fresh[0])->data.at("complete"), true);
  EXPECT_EQ(must_read("sys/seal-status", "").at("n"), 2);
}

TEST_F(KeyHoldersTest, sealing_ends_attempts) {
  make_recovery(1, 1);
  must_write("sys/rekey-recovery-key/init", {{"secret_shares", 1}, {"secret_threshold", 1}});
  must_write("sys/generate-root/attempt", {}, "");
  must_write("sys/seal");
  EXPECT_EQ(code_of(read("sys/generate-root/attempt", "")), Errc::kSealed);
  EXPECT_EQ(code_of(read("sys/rekey-recovery-key/init")), Errc::kSealed);
  ASSERT_TRUE(broker_->lifecycle().start().has_value());
  EXPECT_EQ(must_read("sys/generate-root/attempt", "").at("started"), false);
  EXPECT_EQ(must_read("sys/rekey-recovery-key/init").at("started"), false);
}

TEST_F(KeyHoldersTest, each_kind_of_seal_has_its_own_shares) {
  const auto refused = read("sys/rekey/init");
  EXPECT_EQ(code_of(refused), Errc::kInvalidArgument);
  EXPECT_THAT(refused.error().message, HasSubstr("rekey-recovery-key"));
}

TEST_F(KeyHoldersTest, generate_root_makes_a_root_token_under_a_password_of_the_one_who_began) {
  EXPECT_THAT(read("sys/generate-root/attempt", "").error().message, HasSubstr("-target=recovery"))
      << "nobody holds shares yet";
  make_recovery(3, 2);
  const Json idle = must_read("sys/generate-root/attempt", "");
  EXPECT_EQ(idle.at("started"), false);
  EXPECT_EQ(idle.at("required"), 2);
  const Json begun = must_write("sys/generate-root/attempt", {}, "").data;
  EXPECT_EQ(begun.at("started"), true);
  const std::string password = begun.at("otp"), nonce = begun.at("nonce");
  EXPECT_EQ(password.size(), begun.at("otp_length").get<std::size_t>());
  EXPECT_EQ(must_read("sys/generate-root/attempt", "").at("otp"), "") << "said once";
  EXPECT_EQ(code_of(write("sys/generate-root/attempt", {}, "")), Errc::kInvalidArgument);

  const char* const update = "sys/generate-root/update";
  EXPECT_EQ(code_of(give(update, "x", shares_[0], "")), Errc::kInvalidArgument);
  const Json one = give(update, nonce, shares_[0], "")->data;
  EXPECT_EQ(one.at("progress"), 1);
  EXPECT_EQ(one.at("complete"), false);
  const auto last = give(update, nonce, shares_[1], "");
  ASSERT_TRUE(last.has_value()) << last.error().message;
  EXPECT_EQ(last->data.at("complete"), true);
  EXPECT_EQ(last->data.at("encoded_token"), last->data.at("encoded_root_token"));
  const auto token =
      decode_with_pad(last->data.at("encoded_token").get<std::string>(), Secret(password));
  ASSERT_TRUE(token.has_value());
  EXPECT_EQ(must_read("auth/token/lookup-self", token->reveal()).at("policies"),
            Json::array({"root"}));
  EXPECT_EQ(must_read("sys/generate-root/attempt", "").at("started"), false);
}

TEST_F(KeyHoldersTest, generate_root_takes_a_password_of_the_right_length_only) {
  make_recovery(1, 1);
  const char* const attempt = "sys/generate-root/attempt";
  const auto length = must_read(attempt, "").at("otp_length").get<std::size_t>();
  for (const std::string& password : {std::string("short"), std::string(length + 1, 'x')}) {
    const auto refused = write(attempt, {{"otp", password}}, "");
    EXPECT_EQ(code_of(refused), Errc::kInvalidArgument);
    EXPECT_THAT(refused.error().message, HasSubstr("wrong length"));
  }
  EXPECT_EQ(code_of(write(attempt, {{"pgp_key", "x"}}, "")), Errc::kInvalidArgument);
  for (const std::string& password :
       {std::string(length, 'x'), base64_encode(std::string(length, 'y'))}) {
    const Json begun = must_write(attempt, {{"otp", password}}, "").data;
    EXPECT_EQ(begun.at("otp"), "");
    const auto done = give("sys/generate-root/update", begun.at("nonce"), shares_[0], "");
    ASSERT_TRUE(done.has_value()) << done.error().message;
    const auto token =
        decode_with_pad(done->data.at("encoded_token").get<std::string>(), Secret(password));
    ASSERT_TRUE(token.has_value());
    EXPECT_TRUE(read("auth/token/lookup-self", token->reveal()).has_value());
  }
}

TEST_F(KeyHoldersTest, wrong_shares_make_no_token_and_the_attempt_goes_on) {
  make_recovery(3, 2);
  const std::string nonce = must_write("sys/generate-root/attempt", {}, "").data.at("nonce");
  std::string wrong = shares_[1];
  wrong[0] = wrong[0] == 'a' ? 'b' : 'a';
  const char* const update = "sys/generate-root/update";
  EXPECT_TRUE(give(update, nonce, shares_[0], "").has_value());
  EXPECT_EQ(code_of(give(update, nonce, wrong, "")), Errc::kInvalidArgument);
  EXPECT_EQ(must_read("sys/generate-root/attempt", "").at("progress"), 0);
  EXPECT_TRUE(give(update, nonce, shares_[0], "").has_value());
  EXPECT_EQ(give(update, nonce, shares_[1], "")->data.at("complete"), true);

  must_write("sys/generate-root/attempt", {}, "");
  EXPECT_TRUE(remove("sys/generate-root/attempt", "").has_value());
  EXPECT_EQ(must_read("sys/generate-root/attempt", "").at("started"), false);
  EXPECT_EQ(code_of(give(update, nonce, shares_[0], "")), Errc::kInvalidArgument);
}

TEST_F(KeyHoldersTest, a_store_that_fails_makes_no_token) {
  make_recovery(1, 1);
  const std::string nonce = must_write("sys/generate-root/attempt", {}, "").data.at("nonce");
  database_->fail_write(1);
  EXPECT_EQ(code_of(give("sys/generate-root/update", nonce, shares_[0], "")), Errc::kUnavailable);
  EXPECT_EQ(must_read("sys/generate-root/attempt", "").at("started"), false);
}

}  // namespace
}  // namespace curfew::broker

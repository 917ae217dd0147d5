#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "base/encoding.h"
#include "base/log.h"
#include "engines/postgres/scram.h"
#include "engines/postgres/verifier_stock.h"
#include "tests/fakes/fake_leases.h"
#include "tests/fakes/seeded_random.h"
#include "tests/support/postgres.h"

namespace curfew::engines::postgres {
namespace {

// The password and salt of RFC 7677; the keys were computed with another implementation.
TEST(Scram, the_verifier_is_postgresqls) {
  const std::string salt = *base64_decode("W22ZaJ0SNY7soEsUEjb6gQ==");
  EXPECT_EQ(scram_verifier("pencil", salt, 4096),
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
            "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
            "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
  EXPECT_EQ(scram_verifier("pencil", salt, 1),
            "SCRAM-SHA-256$1:W22ZaJ0SNY7soEsUEjb6gQ==$"
            "bzcn5wYzlcMpEXczzDM1iuyLhni5BVbqsm82vjMHWXI=:"
            "fg/vS0Y425LcbLGWSqdzrFlRn9451QblzgpwLQYoXCI=");
}

TEST(Scram, plain_passwords_are_printable_ascii) {
  EXPECT_TRUE(is_plain_password("aZ09 ~!"));
  EXPECT_FALSE(is_plain_password(""));
  EXPECT_FALSE(is_plain_password("pässword"));
  EXPECT_FALSE(is_plain_password("a\tb"));
}

class Stock : public ::testing::Test {
 protected:
  fakes::FakePasswords passwords_;
  fakes::SeededRandom random_;
  std::unique_ptr<Log> log_ = make_null_log();
};

TEST_F(Stock, what_it_gives_belongs_together_and_never_comes_twice) {
  VerifierStock stock(passwords_, random_, *log_, 4);
  std::set<std::string> seen;
  for (int i = 0; i < 40; ++i) {
    const auto pair = stock.take("", 16);
    ASSERT_TRUE(pair.has_value());
    EXPECT_TRUE(seen.insert(pair->password.reveal()).second);
    const std::string& verifier = pair->verifier;
    const auto colon = verifier.find(':');
    const std::string salt =
        *base64_decode(verifier.substr(colon + 1, verifier.find('$', colon) - colon - 1));
    EXPECT_EQ(salt.size(), kScramSaltBytes);
    EXPECT_EQ(verifier, scram_verifier(pair->password.reveal(), salt, 16));
  }
}

TEST_F(Stock, fills_up_to_its_bound_once_it_is_used) {
  VerifierStock stock(passwords_, random_, *log_, 4);
  EXPECT_EQ(stock.ready(), 0u);
  ASSERT_TRUE(stock.take("", 1).has_value());
  EXPECT_TRUE(test::eventually([&] { return stock.ready() == 4; }));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(stock.take("", 1).has_value());
  EXPECT_TRUE(test::eventually([&] { return stock.ready() == 4; }));
  ASSERT_TRUE(stock.take("", 2).has_value());  // another count has a shelf of its own
  EXPECT_TRUE(test::eventually([&] { return stock.ready() == 8; }));
  EXPECT_EQ(stock.ready(), 8u);
}

TEST_F(Stock, named_policies_are_asked_every_time) {
  VerifierStock stock(passwords_, random_, *log_, 4);
  ASSERT_TRUE(stock.take("strict", 1).has_value());
  EXPECT_EQ(stock.ready(), 0u);
  EXPECT_FALSE(stock.take("missing", 1).has_value());
}

TEST_F(Stock, passwords_that_clients_read_differently_are_refused) {
  class Umlauts final : public PasswordMaker {
    Result<Secret> make(std::string_view) override { return Secret("pässword"); }
  } umlauts;
  VerifierStock stock(umlauts, random_, *log_, 2);
  for (int i = 0; i < 3; ++i) {
    const auto pair = stock.take("", 1);
    ASSERT_FALSE(pair.has_value());
    EXPECT_EQ(pair.error().code, Errc::kInvalidArgument);
    EXPECT_EQ(pair.error().message.find("pässword"), std::string::npos);
  }
}

TEST_F(Stock, threads_may_take_at_once) {
  VerifierStock stock(passwords_, random_, *log_, 8);
  std::mutex mutex;
  std::set<std::string> seen;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        const auto pair = stock.take("", 1);
        const std::scoped_lock lock(mutex);
        if (pair) seen.insert(pair->password.reveal());
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(seen.size(), 200u);
}

}  // namespace
}  // namespace curfew::engines::postgres

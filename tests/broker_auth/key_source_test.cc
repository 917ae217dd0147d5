#include "broker/auth/jwt/key_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "broker/auth/jwt/jwks.h"
#include "tests/fakes/manual_clock.h"
#include "tests/support/token_signer.h"

namespace curfew::broker::jwt {
namespace {

using test::TokenSigner;

constexpr Errc kBelieved = Errc::kInternal;  // that no verification answers

class RemoteKeysTest : public ::testing::Test {
 protected:
  Errc outcome(const TokenSigner& signer, const Json& header = Json::object()) {
    const auto claims =
        keys_.verify(Jws::parse(signer.sign({{"sub", "x"}}, header)).value(), all_algorithms());
    return claims ? kBelieved : claims.error().code;
  }
  void publish(const std::vector<const TokenSigner*>& signers) {
    published_ = parse_jwks(test::jwks_text(signers)).value();
  }
  void take_down() { published_ = Error{Errc::kUnavailable, "down"}; }

  fakes::ManualClock clock_;
  const TokenSigner first_{"ES256", "first"}, second_{"ES256", "second"};
  Result<Keys> published_ = Error{Errc::kUnavailable, "down"};
  int fetches_ = 0;
  RemoteKeys keys_{[this] {
                     ++fetches_;
                     return published_;
                   },
                   clock_};
};

TEST_F(RemoteKeysTest, KeysAreFetchedOnceAndKept) {
  publish({&first_});
  for (int i = 0; i < 5; ++i) EXPECT_EQ(outcome(first_), kBelieved);
  EXPECT_EQ(fetches_, 1);
  clock_.advance(Millis{10 * 60'000});
  EXPECT_EQ(outcome(first_), kBelieved);
  EXPECT_EQ(fetches_, 2);
}

TEST_F(RemoteKeysTest, ANewKeyIsFetchedWhenATokenNeedsIt) {
  publish({&first_});
  EXPECT_EQ(outcome(first_), kBelieved);
  publish({&first_, &second_});
  clock_.advance(Millis{10'000});
  EXPECT_EQ(outcome(second_), kBelieved);
  EXPECT_EQ(outcome(first_), kBelieved);
  EXPECT_EQ(fetches_, 2);
}

TEST_F(RemoteKeysTest, ANewKeyUnderAnOldNameAlso) {
  publish({&first_});
  EXPECT_EQ(outcome(first_), kBelieved);
  const TokenSigner renewed("ES256", "first");
  publish({&renewed});
  clock_.advance(Millis{10'000});
  EXPECT_EQ(outcome(renewed), kBelieved);
  EXPECT_EQ(outcome(first_), Errc::kUnauthenticated);
}

TEST_F(RemoteKeysTest, ForgersCauseOneFetchInTenSeconds) {
  publish({&first_});
  EXPECT_EQ(outcome(first_), kBelieved);
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(outcome(second_), Errc::kUnauthenticated);
    EXPECT_EQ(outcome(second_, {{"kid", "k" + std::to_string(i)}}), Errc::kUnauthenticated);
    EXPECT_EQ(outcome(second_, {{"kid", nullptr}}), Errc::kUnauthenticated);
    clock_.advance(Millis{1'000});
  }
  EXPECT_LE(fetches_, 6);
  EXPECT_EQ(outcome(first_), kBelieved);
}

TEST_F(RemoteKeysTest, AKeyThatWasTakenBackServesTenMinutesAtMost) {
  publish({&first_, &second_});
  EXPECT_EQ(outcome(first_), kBelieved);
  publish({&second_});
  clock_.advance(Millis{10 * 60'000 - 1});
  EXPECT_EQ(outcome(first_), kBelieved);
  clock_.advance(Millis{1});
  EXPECT_EQ(outcome(first_), Errc::kUnauthenticated);
}

TEST_F(RemoteKeysTest, WhileTheServerIsDownOldKeysServeAnHourAtMost) {
  publish({&first_});
  EXPECT_EQ(outcome(first_), kBelieved);
  take_down();
  clock_.advance(Millis{60 * 60'000 - 1});
  EXPECT_EQ(outcome(first_), kBelieved);
  clock_.advance(Millis{1});
  EXPECT_EQ(outcome(first_), Errc::kUnavailable);
  publish({&first_});
  EXPECT_EQ(outcome(first_), Errc::kUnavailable);  // asked again in ten seconds
  clock_.advance(Millis{10'000});
  EXPECT_EQ(outcome(first_), kBelieved);
}

TEST_F(RemoteKeysTest, ADownServerIsNotAskedByEachLogin) {
  for (int i = 0; i < 20; ++i) EXPECT_EQ(outcome(first_), Errc::kUnavailable);
  EXPECT_EQ(fetches_, 1);
}

// A key that is not known while the server is down may be a new one: that is said, and not that the
// token is forged.
TEST_F(RemoteKeysTest, WhatCannotBeKnownIsNotCalledForged) {
  publish({&first_});
  EXPECT_EQ(outcome(first_), kBelieved);
  take_down();
  clock_.advance(Millis{60 * 60'000});
  EXPECT_EQ(outcome(second_), Errc::kUnavailable);
}

// One thread fetches, four wait for it, the rest are sent away; who has a usable key needs nobody.
TEST(RemoteValue, AHangingServerHoldsFewThreads) {
  fakes::ManualClock clock;
  std::promise<void> release;
  const auto released = release.get_future().share();
  std::atomic<int> fetches = 0;
  RemoteValue<int> value(
      [&]() -> Result<int> {
        ++fetches;
        released.wait();
        return 7;
      },
      clock);
  std::atomic<int> good = 0, sent_away = 0;
  std::vector<std::thread> callers;
  for (int i = 0; i < 12; ++i)
    callers.emplace_back([&] {
      const auto got = value.get();
      if (got)
        ++good;
      else if (got.error().code == Errc::kOverloaded)
        ++sent_away;
    });
  while (sent_away < 7) std::this_thread::yield();
  release.set_value();
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(good, 5);
  EXPECT_EQ(sent_away, 7);
  EXPECT_EQ(fetches, 1);
}

TEST(Slots, AreGivenBack) {
  Slots slots(2);
  {
    const auto a = slots.take(), b = slots.take();
    EXPECT_TRUE(a && b);
    EXPECT_EQ(slots.take().error().code, Errc::kOverloaded);
  }
  EXPECT_TRUE(slots.take());
}

}  // namespace
}  // namespace curfew::broker::jwt

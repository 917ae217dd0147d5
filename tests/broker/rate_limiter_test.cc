#include "broker/quota/rate_limiter.h"

#include <gtest/gtest.h>

#include "tests/fakes/manual_clock.h"

namespace curfew::broker {
namespace {

class RateLimiterTest : public ::testing::Test {
 protected:
  int allowed(const std::string& key, const RateLimit& limit, int times) {
    int count = 0;
    for (int i = 0; i < times; ++i) count += limiter_.take(key, limit).allowed ? 1 : 0;
    return count;
  }

  fakes::ManualClock clock_;
  RateLimiter limiter_{clock_};
};

TEST_F(RateLimiterTest, so_many_at_once_and_then_at_the_rate) {
  const RateLimit limit{.rate = 5, .interval = Seconds{1}};
  EXPECT_EQ(allowed("a", limit, 20), 5);
  clock_.advance(Millis{200});
  EXPECT_EQ(allowed("a", limit, 20), 1);
  clock_.advance(Seconds{60});
  EXPECT_EQ(allowed("a", limit, 20), 5);
}

TEST_F(RateLimiterTest, what_is_given_back_may_be_taken_again) {
  const RateLimit limit{.rate = 2, .interval = Seconds{60}};
  for (int i = 0; i < 50; ++i) {
    EXPECT_TRUE(limiter_.take("a", limit).allowed) << i;
    limiter_.give_back("a", limit);
  }
  limiter_.give_back("a", limit);
  EXPECT_EQ(allowed("a", limit, 10), 2);
}

TEST_F(RateLimiterTest, a_rate_below_one_is_one_in_a_longer_time) {
  const RateLimit limit{.rate = 0.5, .interval = Seconds{1}};
  EXPECT_EQ(allowed("a", limit, 3), 1);
  clock_.advance(Millis{1999});
  EXPECT_EQ(allowed("a", limit, 1), 0);
  clock_.advance(Millis{1});
  EXPECT_EQ(allowed("a", limit, 2), 1);
}

TEST_F(RateLimiterTest, an_absurd_rate_is_a_number_that_can_be_told) {
  const RateVerdict verdict = limiter_.take("a", {.rate = 1e300});
  EXPECT_TRUE(verdict.allowed);
  EXPECT_EQ(verdict.limit, kRateMax);
  EXPECT_EQ(verdict.remaining, kRateMax - 1);
}

TEST_F(RateLimiterTest, a_refusal_says_when_the_next_is_allowed) {
  const RateLimit limit{.rate = 2, .interval = Seconds{60}};
  EXPECT_EQ(limiter_.take("a", limit).remaining, 1);
  EXPECT_EQ(limiter_.take("a", limit).remaining, 0);
  const RateVerdict refused = limiter_.take("a", limit);
  EXPECT_FALSE(refused.allowed);
  EXPECT_EQ(refused.limit, 2);
  EXPECT_EQ(refused.reset, Seconds{30});
  clock_.advance(Seconds{30});
  EXPECT_TRUE(limiter_.take("a", limit).allowed);
}

TEST_F(RateLimiterTest, who_goes_beyond_is_kept_out_for_the_block_interval) {
  const RateLimit limit{.rate = 1, .interval = Seconds{1}, .block_interval = Seconds{30}};
  EXPECT_EQ(allowed("a", limit, 2), 1);
  clock_.advance(Seconds{29});
  const RateVerdict refused = limiter_.take("a", limit);
  EXPECT_FALSE(refused.allowed);
  EXPECT_EQ(refused.reset, Seconds{1});
  clock_.advance(Seconds{1});
  EXPECT_TRUE(limiter_.take("a", limit).allowed);
}

TEST_F(RateLimiterTest, each_key_has_its_own) {
  const RateLimit limit{.rate = 1, .interval = Seconds{1}};
  EXPECT_EQ(allowed("a", limit, 2), 1);
  EXPECT_EQ(allowed("b", limit, 2), 1);
}

TEST_F(RateLimiterTest, ever_new_keys_use_a_bounded_memory_and_give_no_new_allowance) {
  const RateLimit limit{.rate = 1, .interval = Seconds{3600}};
  const int keys = static_cast<int>(RateLimiter::kShards * RateLimiter::kKeysPerShardMax);
  for (int i = 0; i < keys * 2; ++i) limiter_.take("k" + std::to_string(i), limit);
  int more = 0;
  for (int i = 0; i < 1000; ++i) more += limiter_.take("n" + std::to_string(i), limit).allowed;
  EXPECT_EQ(more, 0);
  clock_.advance(Seconds{3600});
  EXPECT_TRUE(limiter_.take("later", limit).allowed);
}

}  // namespace
}  // namespace curfew::broker

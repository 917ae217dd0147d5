#include "broker/lease/target_breakers.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "tests/fakes/manual_clock.h"

namespace curfew::broker {
namespace {

using State = TargetBreakers::State;

class TargetBreakersTest : public ::testing::Test {
 protected:
  void fail(int times, int leases) {
    for (int i = 0; i < times; ++i)
      breakers_.failed("t", "lease" + std::to_string(i % leases), "no route");
  }
  // Until the next probe is due.
  Millis to_probe() const { return Millis{breakers_.open("t")->next_probe - clock_.steady()}; }

  fakes::ManualClock clock_;
  SystemRandom random_;
  TargetBreakers breakers_{BreakerOptions{}, clock_, random_};
};

TEST_F(TargetBreakersTest, failures_of_several_leases_in_a_row_open_it) {
  fail(4, 4);
  EXPECT_EQ(breakers_.state("t"), State::kClosed);
  fail(1, 1);
  EXPECT_EQ(breakers_.state("t"), State::kOpen);
  EXPECT_EQ(breakers_.open("t")->error, "no route");
  EXPECT_EQ(breakers_.state("u"), State::kClosed);
}

TEST_F(TargetBreakersTest, one_lease_alone_never_does) {
  fail(100, 1);
  EXPECT_EQ(breakers_.state("t"), State::kClosed);
  EXPECT_TRUE(breakers_.open().empty());
}

TEST_F(TargetBreakersTest, an_answer_in_between_begins_anew) {
  fail(4, 4);
  EXPECT_FALSE(breakers_.answered("t"));
  fail(4, 4);
  EXPECT_EQ(breakers_.state("t"), State::kClosed);
}

TEST_F(TargetBreakersTest, one_probe_at_a_time_at_growing_intervals_with_a_bound) {
  fail(5, 5);
  Millis longest{0};
  for (int i = 0; i < 12; ++i) {
    ASSERT_EQ(breakers_.state("t"), State::kOpen);
    longest = std::max(longest, to_probe());
    clock_.advance(to_probe());
    ASSERT_EQ(breakers_.state("t"), State::kDue);
    ASSERT_TRUE(breakers_.begin_probe("t"));
    EXPECT_FALSE(breakers_.begin_probe("t"));
    EXPECT_EQ(breakers_.state("t"), State::kProbing);
    breakers_.failed("t", "lease0", "still no route");
  }
  EXPECT_GT(longest, Seconds{30});
  EXPECT_LE(longest, Seconds{60});
  clock_.advance(Seconds{60});
  ASSERT_TRUE(breakers_.begin_probe("t"));
  EXPECT_TRUE(breakers_.answered("t"));
  EXPECT_EQ(breakers_.state("t"), State::kClosed);
}

TEST_F(TargetBreakersTest, a_probe_that_found_nothing_out_is_followed_by_another) {
  fail(5, 5);
  clock_.advance(Seconds{5});
  ASSERT_TRUE(breakers_.begin_probe("t"));
  breakers_.end_probe("t");
  EXPECT_EQ(breakers_.state("t"), State::kOpen);
  clock_.advance(Seconds{5});
  EXPECT_EQ(breakers_.state("t"), State::kDue);
}

}  // namespace
}  // namespace curfew::broker

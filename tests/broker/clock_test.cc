#include "base/duration.h"
#include "broker/clock_guard.h"
#include "tests/broker/broker_world.h"

// Pain 20: clocks that go wrong. What is due is judged by a time that never goes back and jumps
// far only when somebody says that it is right.
namespace curfew::broker {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

class ClockGuardTest : public ::testing::Test {
 protected:
  std::unique_ptr<Log> log_ = make_null_log();
  fakes::ManualClock machine_;
  const WallTime begin_ = machine_.wall();
  ClockGuard guard_{machine_, minutes{10}, *log_};
};

TEST_F(ClockGuardTest, it_goes_with_the_machines_clock) {
  machine_.advance(hours{3});
  EXPECT_EQ(guard_.wall(), begin_ + hours{3});
  EXPECT_FALSE(guard_.state().held);
}

TEST_F(ClockGuardTest, a_step_back_does_not_take_time_back_and_it_goes_on) {
  machine_.step_wall(-hours{2});
  EXPECT_EQ(guard_.wall(), begin_);
  machine_.advance(minutes{7});
  EXPECT_EQ(guard_.wall(), begin_ + minutes{7});
  EXPECT_TRUE(guard_.state().since.has_value());
  machine_.step_wall(hours{2});
  EXPECT_EQ(guard_.wall(), machine_.wall());
}

TEST_F(ClockGuardTest, a_small_step_forward_is_followed_and_a_large_one_held_until_confirmed) {
  machine_.step_wall(minutes{10});
  EXPECT_EQ(guard_.wall(), begin_ + minutes{10});
  machine_.step_wall(hours{5});
  EXPECT_EQ(guard_.wall(), begin_ + minutes{10});
  machine_.advance(minutes{1});
  EXPECT_EQ(guard_.wall(), begin_ + minutes{11});
  EXPECT_TRUE(guard_.state().held);
  EXPECT_FALSE(guard_.confirm().held);
  EXPECT_EQ(guard_.wall(), machine_.wall());
}

TEST_F(ClockGuardTest, a_wrong_jump_that_is_taken_back_leaves_nothing_behind) {
  machine_.step_wall(hours{24});
  EXPECT_TRUE(guard_.state().held);
  machine_.advance(minutes{3});
  machine_.step_wall(-hours{24});
  EXPECT_FALSE(guard_.state().held);
  EXPECT_EQ(guard_.wall(), begin_ + minutes{3});
}

TEST_F(ClockGuardTest, it_goes_on_from_what_was_seen_before_a_restart) {
  guard_.resume(begin_ + hours{1});
  machine_.advance(minutes{1});
  EXPECT_EQ(guard_.wall(), begin_ + hours{1} + minutes{1});
  guard_.resume(begin_);
  EXPECT_EQ(guard_.wall(), begin_ + hours{1} + minutes{1});
}

class ClockTest : public BrokerWorld {
 protected:
  ClockTest() {
    must_write("sys/mounts/db", {{"type", "scripted"}});
    outside_.role_ttl = minutes{15};
    outside_.role_max = hours{1};
  }
  std::string issue() {
    const auto response = read("db/creds/ro");
    EXPECT_TRUE(response.has_value());
    return response ? response->lease_id : "";
  }
  std::string state_of(const std::string& id) {
    return must_write("sys/leases/receipt", {{"lease_id", id}}).data.value("state", "?");
  }
};

TEST_F(ClockTest, pain_20_a_step_back_extends_no_lease_not_even_across_a_renewal) {
  const std::string plain = issue(), renewed = issue();
  clock_.advance(minutes{10});
  clock_.step_wall(-hours{2});
  const Response renewal =
      must_write("sys/leases/renew", {{"lease_id", renewed}, {"increment", 900}});
  EXPECT_EQ(renewal.lease_duration, Seconds{900});
  const std::string issued_after = issue();
  clock_.advance(minutes{5});
  run_due();
  EXPECT_EQ(state_of(plain), "revoked");
  EXPECT_EQ(state_of(renewed), "active");
  clock_.advance(minutes{10});
  run_due();
  EXPECT_EQ(state_of(renewed), "revoked");
  EXPECT_EQ(state_of(issued_after), "revoked");
  EXPECT_TRUE(outside_.names().empty());
}

TEST_F(ClockTest, pain_20_a_step_back_before_a_restart_extends_no_lease) {
  const std::string id = issue();
  clock_.advance(minutes{10});
  restart();
  clock_.step_wall(-hours{2});
  restart();
  clock_.advance(minutes{5});
  run_due();
  EXPECT_EQ(state_of(id), "revoked");
}

TEST_F(ClockTest, pain_20_a_jump_forward_ends_nothing_until_it_is_confirmed) {
  const std::string jumped = issue(), asked = issue();
  clock_.step_wall(hours{3});
  run_due();
  EXPECT_EQ(state_of(jumped), "active");
  Json clock = must_read("sys/clock");
  EXPECT_EQ(clock.at("held"), true);
  EXPECT_EQ(clock.at("difference_seconds"), 3 * 3600);
  // Who asks for it explicitly gets it.
  must_write("sys/leases/revoke", {{"lease_id", asked}});
  EXPECT_EQ(state_of(asked), "revoked");
  // What ends without the jump ends.
  const std::string later = issue();
  clock_.advance(minutes{15});
  run_due();
  EXPECT_EQ(state_of(jumped), "revoked");
  EXPECT_EQ(state_of(later), "revoked");
  const std::string last = issue();
  EXPECT_EQ(code_of(write("sys/clock")), Errc::kInvalidArgument);
  EXPECT_EQ(must_write("sys/clock", {{"confirm", true}}).data.at("held"), false);
  run_due();
  EXPECT_EQ(state_of(last), "revoked");
  EXPECT_EQ(must_read("sys/clock").at("difference_seconds"), 0);
}

TEST_F(ClockTest, the_figures_tell_of_a_held_clock) {
  clock_.step_wall(hours{3});
  const auto text = call(Operation::kRead, "sys/metrics", {{"format", "prometheus"}});
  ASSERT_TRUE(text.has_value());
  EXPECT_THAT(text->data.get<std::string>(), ::testing::HasSubstr("curfew_clock_held 1"));
}

}  // namespace
}  // namespace curfew::broker

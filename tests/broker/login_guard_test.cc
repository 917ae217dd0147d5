#include "broker/auth/login_guard.h"

#include "tests/broker/broker_world.h"

namespace curfew::broker {
namespace {

class LoginGuardTest : public BrokerWorld {
 protected:
  LoginGuardTest() : guard_(*database_, records_, clock_, *log_) {
    EXPECT_TRUE(guard_.load().has_value());
  }

  static LoginGuard::Attempt attempt(std::string name = "ana", std::string address = "192.0.2.1") {
    return {"auth_userpass_1", std::move(name), std::move(address), {}};
  }
  // How many of `times` are let through; each ends in failure.
  int fail(const LoginGuard::Attempt& given, int times) {
    int admitted = 0;
    for (int i = 0; i < times; ++i) {
      if (guard_.admit(given)) continue;
      ++admitted;
      guard_.failed(given);
    }
    return admitted;
  }
  void set(LoginLimits limits) { ASSERT_TRUE(guard_.set_limits(limits).has_value()); }

  const store::Records records_{*keyring_};
  LoginGuard guard_;
};

TEST_F(LoginGuardTest, five_failures_shut_a_name_for_a_quarter_of_an_hour) {
  EXPECT_EQ(fail(attempt(), 20), 5);
  const auto refusal = guard_.admit(attempt());
  ASSERT_TRUE(refusal);
  EXPECT_TRUE(refusal->locked);
  EXPECT_EQ(refusal->wait, Seconds{900});
  // From elsewhere as well, and nobody else.
  EXPECT_TRUE(guard_.admit(attempt("ana", "198.51.100.7")));
  EXPECT_FALSE(guard_.admit(attempt("bob")));
  ASSERT_EQ(guard_.locked().size(), 1U);
  EXPECT_EQ(guard_.locked()[0].name, "ana");
  clock_.advance(std::chrono::minutes{15});
  EXPECT_TRUE(guard_.locked().empty());
  EXPECT_FALSE(guard_.admit(attempt()));
}

TEST_F(LoginGuardTest, a_success_and_time_let_failures_be_forgotten) {
  EXPECT_EQ(fail(attempt(), 4), 4);
  EXPECT_FALSE(guard_.admit(attempt()));
  guard_.succeeded(attempt());
  EXPECT_EQ(fail(attempt(), 4), 4);
  clock_.advance(std::chrono::minutes{15});
  EXPECT_EQ(fail(attempt(), 4), 4);
  EXPECT_TRUE(guard_.locked().empty());
}

TEST_F(LoginGuardTest, an_operator_opens_a_name_again) {
  fail(attempt(), 5);
  guard_.unlock("auth_userpass_2", "ana");
  EXPECT_TRUE(guard_.admit(attempt()));
  guard_.unlock("auth_userpass_1", "ana");
  EXPECT_FALSE(guard_.admit(attempt()));
}

TEST_F(LoginGuardTest, without_a_lock_out_the_rate_bounds_guesses_from_one_address) {
  LoginGuard::Attempt given = attempt();
  given.lockout.threshold = 0;
  EXPECT_EQ(fail(given, 50), 20);
  const auto refusal = guard_.admit(given);
  ASSERT_TRUE(refusal);
  EXPECT_FALSE(refusal->locked);
  EXPECT_EQ(refusal->wait, Seconds{3});
  // Whoever knows a name can shut it for nobody at another address.
  given.address = "198.51.100.7";
  EXPECT_FALSE(guard_.admit(given));
}

TEST_F(LoginGuardTest, one_address_does_not_guess_its_way_through_many_names) {
  int admitted = 0;
  for (int i = 0; i < 400; ++i) admitted += fail(attempt("user" + std::to_string(i)), 1);
  EXPECT_EQ(admitted, 300);
}

TEST_F(LoginGuardTest, an_ipv6_network_is_one_address) {
  set({.per_address = 0, .per_name = 0, .failures_per_address = 10, .failures_per_name = 0});
  int admitted = 0;
  for (int i = 0; i < 40; ++i) {
    const std::string n = std::to_string(i);
    admitted += fail(attempt("u" + n, "2001:db8:1:2::" + n), 1);
  }
  EXPECT_EQ(admitted, 10);
  EXPECT_EQ(fail(attempt("x", "2001:db8:1:3::1"), 1), 1);
}

TEST_F(LoginGuardTest, success_uses_up_no_failures) {
  set({.per_address = 0, .per_name = 0, .failures_per_address = 2, .failures_per_name = 2});
  for (int i = 0; i < 100; ++i) {
    ASSERT_FALSE(guard_.admit(attempt())) << i;
    guard_.succeeded(attempt());
    ASSERT_FALSE(guard_.admit(attempt())) << i;
    guard_.undecided(attempt());
  }
  EXPECT_EQ(fail(attempt(), 10), 2);
}

TEST_F(LoginGuardTest, tries_that_are_under_way_count_as_failures) {
  set({.per_address = 0, .per_name = 0, .failures_per_address = 3, .failures_per_name = 0});
  int admitted = 0;
  for (int i = 0; i < 10; ++i) admitted += guard_.admit(attempt()) ? 0 : 1;
  EXPECT_EQ(admitted, 3);
}

TEST_F(LoginGuardTest, all_tries_are_bounded_too) {
  set({.per_address = 5, .per_name = 3, .failures_per_address = 0, .failures_per_name = 0});
  const auto succeed = [&](const std::string& name) {
    if (guard_.admit(attempt(name))) return 0;
    guard_.succeeded(attempt(name));
    return 1;
  };
  int admitted = 0;
  for (int i = 0; i < 10; ++i) admitted += succeed("ana");
  EXPECT_EQ(admitted, 3);
  clock_.advance(Seconds{10});
  for (int i = 0; i < 10; ++i) admitted += succeed("u" + std::to_string(i));
  EXPECT_EQ(admitted, 3 + 5);
}

TEST_F(LoginGuardTest, memory_is_bounded_however_many_names_fail) {
  set({.per_address = 0, .per_name = 0, .failures_per_address = 0, .failures_per_name = 0});
  fail(attempt("first"), 5);
  for (std::size_t i = 0; i <= LoginGuard::kNamesMax; ++i)
    guard_.failed(attempt(std::to_string(i)));
  // The one that failed longest ago made room.
  EXPECT_TRUE(guard_.locked().empty());
  guard_.failed(attempt(std::string(LoginGuard::kNameBytesMax + 1, 'x')));
}

TEST_F(LoginGuardTest, limits_survive_a_restart_and_odd_ones_are_refused) {
  LoginLimits limits;
  ASSERT_TRUE(apply_fields(Json{{"failures_per_name", "7"}}, limits).has_value());
  set(limits);
  LoginGuard other(*database_, records_, clock_, *log_);
  ASSERT_TRUE(other.load().has_value());
  EXPECT_EQ(other.limits().failures_per_name, 7);
  EXPECT_EQ(other.limits().per_address, 600);
  for (const Json& bad : {Json{{"attempts_per_name", -1}}, Json{{"attempts_per_name", "many"}},
                          Json{{"failures_per_address", 10'000'000'000}}})
    EXPECT_FALSE(apply_fields(bad, limits).has_value()) << bad;
}

}  // namespace
}  // namespace curfew::broker

#include <functional>

#include "tests/engines/postgres/postgres_fixture.h"

namespace curfew::engines::postgres {
namespace {

using std::chrono::hours;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

struct Crash {};

// A target whose login is not a superuser.
class Root : public ::testing::TestWithParam<std::string> {
 protected:
  Root() : login_(world_.database.login("CREATEROLE")) {
    world_.configure_as(login_);
    world_.role("ro");
  }

  std::string path() const { return "config/" + world_.target(); }
  Result<Reply> rotate() {
    return world_.call(Operation::kUpdate, "rotate-root/" + world_.target());
  }
  Result<Reply> configure(Json more) {
    Json body{{"username", login_.user}, {"password", login_.password}};
    body.update(more);
    return world_.call(Operation::kUpdate, path(), world_.config_body(body));
  }
  bool old_works() const {
    return test::can_log_in(world_.database.url(login_.user, login_.password));
  }
  // With connections of its own, not with ones that are open.
  bool broker_can_log_in() {
    (void)world_.call(Operation::kUpdate, "reset/" + world_.target());
    return world_.try_issue("ro").has_value();
  }
  bool tend() {
    const auto tended = world_.engine->tend("root/" + world_.target(), world_.in());
    EXPECT_TRUE(tended.has_value()) << tended.error().message;
    return tended && !tended->failing;
  }
  RotationOptions crashing_at(const std::string& step) {
    RotationOptions options;
    options.at_step = [step](std::string_view name) {
      if (name == step) throw Crash{};
    };
    return options;
  }
  std::string error_of(const Result<Reply>& reply) {
    return reply ? "no error" : reply.error().message;
  }

  PostgresWorld world_;
  const test::TestDatabase::Login login_;
};

TEST_F(Root, rotating_leaves_a_password_that_only_the_broker_knows) {
  const Leased before = world_.issue("ro");
  const auto rotated = rotate();
  ASSERT_TRUE(rotated.has_value()) << rotated.error().message;
  EXPECT_TRUE(rotated->data.is_null());
  EXPECT_FALSE(old_works());
  EXPECT_TRUE(broker_can_log_in());
  world_.revoke(before);
  const Json shown = world_.call(Operation::kRead, path())->data;
  EXPECT_EQ(shown["last_root_rotation"], "2027-01-15T08:00:00Z");
  EXPECT_THAT(shown.dump(), Not(HasSubstr("password-")));
  ASSERT_TRUE(rotate().has_value());
  EXPECT_TRUE(broker_can_log_in());
}

TEST_F(Root, own_statements_run_and_ones_that_change_nothing_are_found_out) {
  ASSERT_TRUE(configure({{"root_rotation_statements", {"SELECT 1"}}}).has_value());
  EXPECT_THAT(error_of(rotate()), HasSubstr("did not set the password"));
  EXPECT_TRUE(broker_can_log_in());
  ASSERT_TRUE(configure({{"root_rotation_statements",
                          {"ALTER USER \"{{username}}\" PASSWORD '{{password}}'"}}})
                  .has_value());
  ASSERT_TRUE(rotate().has_value());
  EXPECT_FALSE(old_works());
  EXPECT_TRUE(broker_can_log_in());
}

TEST_F(Root, what_cannot_be_rotated_is_refused_and_untouched) {
  EXPECT_THAT(error_of(world_.call(Operation::kUpdate, "rotate-root/nothing")),
              HasSubstr("failed to find entry for connection"));
  const std::string url = world_.database.url(login_.user, login_.password);
  ASSERT_TRUE(configure({{"connection_url", url}}).has_value());
  EXPECT_THAT(error_of(rotate()), HasSubstr("holds the password itself"));
  world_.configure_as(login_);
  ASSERT_TRUE(
      world_
          .call(Operation::kUpdate, "config/second",
                world_.config_body({{"username", login_.user}, {"password", login_.password}}))
          .has_value());
  EXPECT_THAT(error_of(rotate()), HasSubstr("config/second uses the same login"));
  EXPECT_TRUE(old_works());
}

TEST_F(Root, pain_15_a_write_of_the_first_password_keeps_the_rotated_one) {
  ASSERT_TRUE(rotate().has_value());
  ASSERT_TRUE(rotate().has_value());
  const auto written = configure({{"max_open_connections", 3}});
  ASSERT_TRUE(written.has_value()) << written.error().message;
  EXPECT_THAT(written->warnings, Contains(HasSubstr("from before a rotation")));
  EXPECT_TRUE(broker_can_log_in());
  EXPECT_EQ(
      world_.call(Operation::kRead, path())->data["connection_details"]["max_open_connections"], 3);
  // Untried as well.
  ASSERT_TRUE(configure({{"verify_connection", false}}).has_value());
  EXPECT_TRUE(broker_can_log_in());
}

TEST_F(Root, pain_15_another_password_is_taken_when_it_logs_in_and_only_then) {
  ASSERT_TRUE(rotate().has_value());
  EXPECT_THAT(error_of(configure({{"password", "guessed"}})), HasSubstr("verifying connection"));
  EXPECT_TRUE(broker_can_log_in());
  world_.database.superuser().run("ALTER ROLE \"" + login_.user + "\" PASSWORD 'by hand'");
  ASSERT_TRUE(configure({{"password", "by hand"}}).has_value());
  EXPECT_TRUE(broker_can_log_in());
  // Back to the first one by hand: the rotated one is refused now, and the given one works.
  ASSERT_TRUE(rotate().has_value());
  world_.database.superuser().run("ALTER ROLE \"" + login_.user + "\" PASSWORD '" +
                                  login_.password + "'");
  const auto written = configure(Json::object());
  ASSERT_TRUE(written.has_value()) << written.error().message;
  EXPECT_TRUE(broker_can_log_in());
}

TEST_F(Root, pain_15_a_configuration_that_is_deleted_and_written_again_keeps_the_rotated_one) {
  ASSERT_TRUE(rotate().has_value());
  ASSERT_TRUE(world_.call(Operation::kDelete, path()).has_value());
  const auto written = configure(Json::object());
  ASSERT_TRUE(written.has_value()) << written.error().message;
  EXPECT_THAT(written->warnings, Contains(HasSubstr("from before a rotation")));
  EXPECT_TRUE(broker_can_log_in());
}

TEST_F(Root, by_plan_it_rotates_when_due) {
  ASSERT_TRUE(configure({{"rotation_period", "24h"}}).has_value());
  EXPECT_TRUE(tend());
  EXPECT_TRUE(old_works());
  EXPECT_EQ(world_.call(Operation::kRead, path())->data["rotation_period"], 86'400);
  EXPECT_EQ(world_.call(Operation::kRead, path())->data["next_root_rotation"],
            "2027-01-16T08:00:00Z");
  world_.memory.clock.advance(hours{24});
  EXPECT_TRUE(tend());
  EXPECT_FALSE(old_works());
  EXPECT_TRUE(broker_can_log_in());
  EXPECT_THAT(error_of(configure({{"rotation_window", "1h"}})), HasSubstr("rotation_window"));
}

TEST_P(Root, pain_15_a_crash_anywhere_leaves_a_broker_that_can_log_in) {
  world_.start(crashing_at(GetParam()));
  EXPECT_THROW((void)rotate(), Crash);
  for (const char* second : {"write ahead", "change", "log in", "record"}) {
    world_.start({});
    (void)tend();  // finds out, or knows that it is too early
    world_.memory.clock.advance(Seconds{30});
    EXPECT_TRUE(tend()) << second;
    EXPECT_TRUE(broker_can_log_in()) << second;
    world_.start(crashing_at(second));
    EXPECT_THROW((void)rotate(), Crash);
  }
  world_.start({});
  world_.memory.clock.advance(Seconds{30});
  const auto rotated = rotate();
  ASSERT_TRUE(rotated.has_value()) << rotated.error().message;
  EXPECT_TRUE(broker_can_log_in());
  EXPECT_FALSE(old_works());
}

INSTANTIATE_TEST_SUITE_P(At, Root, ::testing::Values("write ahead", "change", "log in", "record"),
                         [](const auto& step) {
                           std::string name = step.param;
                           std::replace(name.begin(), name.end(), ' ', '_');
                           return name;
                         });

TEST_F(Root, pain_15_writes_to_the_store_that_fail) {
  for (int n = 1; n <= 3; ++n) {
    world_.memory.storage.fail_write(n);
    EXPECT_EQ(rotate().has_value(), n == 3) << n;  // a rotation writes twice
    world_.memory.storage.fail_write(0);
    world_.memory.clock.advance(Seconds{30});
    EXPECT_TRUE(tend()) << n;
    EXPECT_TRUE(broker_can_log_in()) << n;
  }
}

TEST_F(Root, pain_15_a_write_while_a_change_is_undecided_decides_it_first) {
  world_.start(crashing_at("log in"));
  EXPECT_THROW((void)rotate(), Crash);
  world_.start({});
  const auto written = configure({{"max_open_connections", 2}});
  ASSERT_TRUE(written.has_value()) << written.error().message;
  EXPECT_THAT(written->warnings, Contains(HasSubstr("from before a rotation")));
  EXPECT_TRUE(broker_can_log_in());
}

}  // namespace
}  // namespace curfew::engines::postgres

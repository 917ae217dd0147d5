#include <functional>

#include "base/encoding.h"
#include "engines/postgres/scram.h"
#include "tests/engines/postgres/static_world.h"

// A rotation that is interrupted anywhere: what is served afterwards logs in, and sooner or later
// something is served.
namespace curfew::engines::postgres {
namespace {

using std::chrono::hours;
using ::testing::HasSubstr;

struct Crash {};

class StaticFaults : public ::testing::TestWithParam<std::string> {
 protected:
  RotationOptions crashing_at(const std::string& step) {
    RotationOptions options;
    options.at_step = [step](std::string_view name) {
      if (name == step) throw Crash{};
    };
    return options;
  }
  void expect_crash(const std::function<void()>& work) { EXPECT_THROW(work(), Crash); }

  void expect_what_is_served_logs_in() {
    const std::string served = world_.password("app");
    EXPECT_TRUE(served.empty() || world_.logs_in(served));
  }

  // At once, and when what was under way can be under way no more.
  void expect_recovery() {
    world_.start({});
    expect_what_is_served_logs_in();
    world_.tend();
    expect_what_is_served_logs_in();
    world_.advance(Seconds{30});
    world_.tend();
    EXPECT_TRUE(world_.logs_in(world_.password("app")));
    EXPECT_EQ(world_.show("app")["state"], "good");
    const auto rotated = world_.rotate("app");
    ASSERT_TRUE(rotated.has_value()) << rotated.error().message;
    EXPECT_TRUE(world_.logs_in(world_.password("app")));
  }

  StaticWorld world_;
};

TEST_P(StaticFaults, a_crash_while_rotating_and_another_one_while_recovering) {
  world_.must_write("app");
  const std::string first = world_.password("app");
  world_.start(crashing_at(GetParam()));
  expect_crash([&] { (void)world_.rotate("app"); });
  expect_recovery();
  EXPECT_NE(world_.password("app"), first);
  for (const char* second : {"write ahead", "change", "log in", "record"}) {
    world_.start(crashing_at(GetParam()));
    world_.advance(hours{1});
    expect_crash([&] { world_.tend(); });
    world_.start(crashing_at(second));
    world_.advance(hours{1});
    try {
      world_.tend();
    } catch (const Crash&) {
    }
    expect_recovery();
  }
}

TEST_P(StaticFaults, a_crash_while_a_role_is_made_leaves_one_that_goes_on) {
  world_.start(crashing_at(GetParam()));
  expect_crash([&] { (void)world_.write("app"); });
  expect_recovery();
}

INSTANTIATE_TEST_SUITE_P(At, StaticFaults,
                         ::testing::Values("write ahead", "change", "log in", "record"),
                         [](const auto& step) {
                           std::string name = step.param;
                           std::replace(name.begin(), name.end(), ' ', '_');
                           return name;
                         });

TEST_F(StaticFaults, writes_to_the_store_that_fail) {
  for (int n = 1; n <= 3; ++n) {
    world_.must_write("app");
    world_.memory.storage.fail_write(n);
    const bool rotated = world_.rotate("app").has_value();
    world_.memory.storage.fail_write(0);
    EXPECT_EQ(rotated, n == 3) << n;  // a rotation writes twice
    expect_recovery();
  }
}

TEST_F(StaticFaults, a_store_that_fails_at_the_first_rotation) {
  for (int n = 1; n <= 4; ++n) {
    world_.memory.storage.fail_write(n);
    const auto written = world_.write("app");
    world_.memory.storage.fail_write(0);
    if (!written && world_.show("app").contains("error")) {
      EXPECT_TRUE(world_.logs_in(world_.first_password())) << n;
      continue;
    }
    expect_recovery();
    return;
  }
}

TEST_F(StaticFaults, a_connection_that_is_cut_before_the_commit) {
  world_.must_write("app");
  const std::string first = world_.password("app");
  world_.must_write("app",
                    {{"rotation_statements",
                      {"ALTER ROLE \"{{username}}\" PASSWORD '{{password}}'",
                       "SELECT pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid())"}}});
  const auto rotated = world_.rotate("app");
  ASSERT_FALSE(rotated.has_value());
  EXPECT_THAT(rotated.error().message, HasSubstr("nothing was changed"));
  EXPECT_EQ(world_.password("app"), first);
  EXPECT_TRUE(world_.logs_in(first));
  world_.must_write("app", {{"rotation_statements", Json::array()}});
  expect_recovery();
}

// The commit waits for something, the broker gives up, and the password changes all the same,
// later.
TEST_F(StaticFaults, a_commit_that_comes_after_the_broker_has_given_up) {
  world_.must_write("app");
  const std::string first = world_.password("app");
  world_.sql(
      "CREATE TABLE slow (id int); CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ "
      "BEGIN PERFORM pg_sleep(1); RETURN NULL; END $$; CREATE CONSTRAINT TRIGGER slow AFTER "
      "INSERT ON slow DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait()");
  world_.must_write("app", {{"rotation_statements",
                             {"ALTER ROLE \"{{username}}\" PASSWORD '{{password}}'; INSERT INTO "
                              "slow VALUES (1)"}}});
  RotationOptions options;
  options.attempt_time = Millis{300};
  world_.start(options);
  const auto rotated = world_.rotate("app");
  ASSERT_FALSE(rotated.has_value());
  EXPECT_THAT(rotated.error().message, HasSubstr("is not known yet"));
  EXPECT_EQ(world_.password("app"), "");  // nobody can say yet
  world_.advance(Seconds{30});
  const std::string second = world_.password("app");  // waits for the server
  EXPECT_NE(second, first);
  EXPECT_TRUE(world_.logs_in(second));
  world_.must_write("app", {{"rotation_statements", Json::array()}});
  expect_recovery();
}

// A server that asks nobody for a password: logins prove nothing, and only a commit does.
class Trusting : public ::testing::Test {
 protected:
  bool is_password_of(const std::string& user, const std::string& password) {
    const std::string stored = world_.database.superuser().value(
        "SELECT rolpassword FROM pg_authid WHERE rolname = '" + user + "'");
    const auto colon = stored.find(':');
    const auto salt = base64_decode(stored.substr(colon + 1, stored.find('$', colon) - colon - 1));
    return salt && stored == scram_verifier(password, *salt, kScramIterationsDefault);
  }
  RotationOptions crashing() {
    RotationOptions options;
    options.at_step = [](std::string_view step) {
      if (step == "log in") throw Crash{};
    };
    return options;
  }

  test::OwnServer server_{{}, {{"pg_hba.conf", "host all all 127.0.0.1/32 trust\n"}}};
  StaticWorld world_{server_.address()};
};

TEST_F(Trusting, what_a_login_cannot_decide_another_change_does) {
  world_.must_write("app");
  EXPECT_TRUE(is_password_of(world_.user(), world_.password("app")));
  EXPECT_THAT(world_.credentials("app")->warnings,
              ::testing::Contains(HasSubstr("a login proves nothing")));
  world_.start(crashing());
  EXPECT_THROW((void)world_.rotate("app"), Crash);
  world_.start({});
  EXPECT_EQ(world_.password("app"), "");
  world_.advance(Seconds{30});
  world_.tend();
  EXPECT_TRUE(is_password_of(world_.user(), world_.password("app")));

  const std::string login = world_.database.server().user;
  world_.start(crashing());
  EXPECT_THROW((void)world_.call(Operation::kUpdate, "rotate-root/" + world_.target()), Crash);
  world_.start({});
  world_.advance(Seconds{30});
  EXPECT_FALSE(world_.tend().failing);
  const auto config = world_.memory.storage.get("config/" + world_.target());
  EXPECT_TRUE(is_password_of(login, (*config)->at("details").at("password")));
}

}  // namespace
}  // namespace curfew::engines::postgres

#include "engines/postgres/static_role.h"

#include <set>
#include <thread>

#include "engines/postgres/membership.h"
#include "tests/engines/postgres/static_world.h"

namespace curfew::engines::postgres {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

class StaticRoles : public ::testing::Test {
 protected:
  std::string error_of(const Result<Reply>& reply) {
    return reply ? "no error: " + reply->data.dump() : reply.error().message;
  }
  StaticWorld world_;
};

TEST_F(StaticRoles, writing_one_changes_the_password_at_once) {
  world_.must_write("app");
  EXPECT_FALSE(world_.logs_in(world_.first_password()));
  const auto reply = world_.credentials("app");
  ASSERT_TRUE(reply.has_value()) << reply.error().message;
  EXPECT_EQ(reply->data["username"], world_.user());
  EXPECT_TRUE(world_.logs_in(reply->data["password"]));
  EXPECT_EQ(reply->data["ttl"], 3600);
  EXPECT_EQ(reply->data["rotation_period"], 3600);
  EXPECT_EQ(reply->data["last_vault_rotation"], "2027-01-15T08:00:00Z");
  EXPECT_TRUE(reply->warnings.empty());
  EXPECT_THAT(world_.database.superuser().value(
                  "SELECT rolpassword FROM pg_authid WHERE rolname = '" + world_.user() + "'"),
              HasSubstr("SCRAM-SHA-256$4096:"));
}

TEST_F(StaticRoles, a_stored_record_of_another_kind_is_an_error_and_no_exception) {
  ASSERT_TRUE(
      world_.memory.storage.put(static_user_key(world_.target(), world_.user()), 7).has_value());
  EXPECT_THAT(error_of(world_.write("app")), HasSubstr("belongs to static role"));
}

TEST(Memberships, an_odd_answer_is_no_list) {
  const auto good = parse_memberships(R"([["g","m","w"],["g","m",null]])");
  ASSERT_TRUE(good.has_value());
  EXPECT_EQ(good->size(), 2u);
  EXPECT_EQ(good->at(1).grantor, "");
  EXPECT_TRUE(parse_memberships(std::nullopt)->empty());
  for (const char* odd : {"7", "[7]", "[[]]", R"([["g"]])", R"([["g",7,"w"]])", "nonsense"})
    EXPECT_FALSE(parse_memberships(odd).has_value()) << odd;
}

TEST_F(StaticRoles, a_read_shows_what_was_written_and_how_it_goes) {
  world_.must_write("app",
                    {{"rotation_schedule", "0 3 * * SAT"},
                     {"rotation_period", nullptr},
                     {"rotation_window", "2h"},
                     {"rotation_statements", {"ALTER USER \"{{name}}\" PASSWORD '{{password}}'"}},
                     {"credential_config", {{"password_policy", "long"}}}});
  EXPECT_EQ(world_.show("app"),
            (Json{{"db_name", world_.target()},
                  {"username", world_.user()},
                  {"rotation_schedule", "0 3 * * SAT"},
                  {"rotation_window", 7200},
                  {"rotation_statements", {"ALTER USER \"{{name}}\" PASSWORD '{{password}}'"}},
                  {"skip_import_rotation", false},
                  {"credential_type", "password"},
                  {"credential_config", {{"password_policy", "long"}}},
                  {"state", "good"},
                  {"last_vault_rotation", "2027-01-15T08:00:00Z"},
                  {"next_rotation", "2027-01-16T03:00:00Z"},
                  {"last_login_test", "2027-01-15T08:00:00Z"},
                  {"problem", ""},
                  {"problem_since", nullptr},
                  {"rotation_error", ""},
                  {"rotation_failures", 0}}));
  EXPECT_EQ(world_.credentials("app")->data["ttl"], 19 * 3600);
  EXPECT_EQ(world_.call(Operation::kList, "static-roles")->data["keys"], Json({"app"}));
}

TEST_F(StaticRoles, bad_writes_are_refused_and_store_nothing) {
  const std::vector<std::pair<Json, const char*>> table = {
      {{{"db_name", ""}}, "db_name is a required field"},
      {{{"db_name", "nothing"}}, "failed to find entry for connection with name: \"nothing\""},
      {{{"username", ""}}, "username is a required field"},
      {{{"username", "a\"b"}}, "without quotes"},
      {{{"username", std::string(64, 'u')}}, "1 to 63 bytes"},
      {{{"rotation_period", nullptr}}, "one of rotation_schedule or rotation_period"},
      {{{"rotation_period", "4s"}}, "5 seconds or more"},
      {{{"rotation_period", "x"}}, "rotation_period"},
      {{{"rotation_schedule", "0 3 * * *"}}, "mutually exclusive"},
      {{{"rotation_period", nullptr}, {"rotation_schedule", "0 25 * * *"}},
       "rotation_schedule: hour: \"25\""},
      {{{"rotation_window", "1h"}}, "rotation_window is invalid without rotation_schedule"},
      {{{"rotation_period", nullptr},
        {"rotation_schedule", "0 3 * * *"},
        {"rotation_window", "59m59s"}},
       "3600 seconds or more"},
      {{{"rotation_statements", {"COMMIT"}}}, "rotation_statements[0]"},
      {{{"credential_type", "rsa_private_key"}}, "credential_type"},
      {{{"credential_config", {{"format", "x"}}}}, "credential_config"},
      {{{"password", "mine"}}, "only with skip_import_rotation"},
      {{{"username", "nobody_of_this_name"}}, "does not exist; create it"},
      {{{"username", world_.database.server().user}}, "the broker's own login"},
  };
  for (const auto& [more, message] : table) {
    const auto written = world_.write("app", more);
    EXPECT_THAT(error_of(written), HasSubstr(message)) << more.dump();
    EXPECT_EQ(world_.call(Operation::kRead, "static-roles/app").error().code, Errc::kNotFound);
  }
  EXPECT_TRUE(world_.logs_in(world_.first_password()));
}

TEST_F(StaticRoles, a_leased_database_role_is_not_taken) {
  world_.role("ro");
  const Leased leased = world_.issue("ro");
  EXPECT_THAT(error_of(world_.write("app", {{"username", leased.username}})),
              HasSubstr("belongs to a lease"));
  EXPECT_TRUE(test::can_log_in(world_.url_of(leased)));
}

TEST_F(StaticRoles, names_and_users_are_unique) {
  world_.role("both");
  EXPECT_THAT(error_of(world_.write("both")), HasSubstr("names must be unique"));
  world_.must_write("app");
  EXPECT_THAT(error_of(world_.call(Operation::kUpdate, "roles/app", {{"db_name", "x"}})),
              HasSubstr("Role and Static Role names must be unique"));
  EXPECT_THAT(error_of(world_.write("other")), HasSubstr("belongs to static role \"app\" already"));
}

TEST_F(StaticRoles, an_update_keeps_what_is_left_out_and_user_and_target_are_for_good) {
  world_.must_write("app");
  const std::string before = world_.password("app");
  const auto updated =
      world_.call(Operation::kUpdate, "static-roles/app", {{"rotation_period", 7200}});
  ASSERT_TRUE(updated.has_value()) << updated.error().message;
  EXPECT_EQ(world_.show("app")["rotation_period"], 7200);
  EXPECT_EQ(world_.show("app")["username"], world_.user());
  EXPECT_EQ(world_.password("app"), before);
  EXPECT_THAT(error_of(world_.write("app", {{"username", "another"}})),
              HasSubstr("cannot update static account username"));
  EXPECT_THAT(error_of(world_.write("app", {{"db_name", "another"}})),
              HasSubstr("db_name cannot be changed"));
}

TEST_F(StaticRoles, deleting_one_leaves_the_user_as_it_is) {
  world_.must_write("app");
  const std::string password = world_.password("app");
  ASSERT_TRUE(world_.call(Operation::kDelete, "static-roles/app").has_value());
  EXPECT_TRUE(world_.logs_in(password));
  EXPECT_THAT(error_of(world_.credentials("app")), HasSubstr("unknown role: app"));
  EXPECT_THAT(error_of(world_.rotate("app")), HasSubstr("no static role found"));
  ASSERT_TRUE(world_.call(Operation::kDelete, "static-roles/app").has_value());
  world_.must_write("again");
}

TEST_F(StaticRoles, allowed_roles_holds_for_writing_reading_and_rotating) {
  world_.must_write("app");
  world_.configure({{"allowed_roles", "else-*"}});
  EXPECT_THAT(error_of(world_.write("app")), HasSubstr("\"app\" is not an allowed role"));
  EXPECT_THAT(error_of(world_.credentials("app")), HasSubstr("\"app\" is not an allowed role"));
  EXPECT_THAT(error_of(world_.rotate("app")), HasSubstr("\"app\" is not an allowed role"));
}

TEST_F(StaticRoles, rotating_on_demand_gives_another_password) {
  world_.must_write("app");
  const std::string first = world_.password("app");
  world_.advance(minutes{10});
  ASSERT_TRUE(world_.rotate("app").has_value());
  const std::string second = world_.password("app");
  EXPECT_NE(first, second);
  EXPECT_FALSE(world_.logs_in(first));
  EXPECT_TRUE(world_.logs_in(second));
  EXPECT_EQ(world_.credentials("app")->data["ttl"], 3600);
}

TEST_F(StaticRoles, by_period_it_rotates_when_due_and_not_before) {
  world_.must_write("app");
  const std::string first = world_.password("app");
  world_.advance(minutes{59});
  const Tended before = world_.tend();
  EXPECT_EQ(world_.password("app"), first);
  EXPECT_EQ(world_.credentials("app")->data["ttl"], 60);
  EXPECT_EQ(before.next, world_.clock().wall() + minutes{1});
  EXPECT_FALSE(before.failing);
  world_.advance(minutes{1});
  world_.tend();
  EXPECT_NE(world_.password("app"), first);
  EXPECT_TRUE(world_.logs_in(world_.password("app")));
}

TEST_F(StaticRoles, a_window_that_was_missed_waits_for_the_next_time) {
  world_.must_write("app", {{"rotation_period", nullptr},
                            {"rotation_schedule", "0 3 * * *"},
                            {"rotation_window", "1h"}});
  const std::string first = world_.password("app");
  world_.advance(hours{20});  // 04:00, an hour after
  world_.tend();
  EXPECT_EQ(world_.password("app"), first);
  EXPECT_EQ(world_.show("app")["next_rotation"], "2027-01-17T03:00:00Z");
  world_.advance(hours{23} + minutes{59});  // 03:59
  world_.tend();
  EXPECT_NE(world_.password("app"), first);
}

TEST_F(StaticRoles, pain_14_on_demand_only_is_never_rotated_by_the_clock) {
  world_.must_write("app", {{"rotation_period", 0}});
  const std::string first = world_.password("app");
  EXPECT_EQ(world_.show("app")["next_rotation"], nullptr);
  world_.advance(std::chrono::days{3650});
  world_.tend();
  EXPECT_EQ(world_.password("app"), first);
  ASSERT_TRUE(world_.rotate("app").has_value());
  EXPECT_NE(world_.password("app"), first);
}

TEST_F(StaticRoles, pain_14_an_import_may_leave_the_password_alone) {
  const auto written = world_.write("app", {{"skip_import_rotation", true}});
  ASSERT_TRUE(written.has_value()) << written.error().message;
  EXPECT_THAT(written->warnings, Contains(HasSubstr("not known before the first rotation")));
  EXPECT_TRUE(world_.logs_in(world_.first_password()));
  EXPECT_THAT(error_of(world_.credentials("app")), HasSubstr("rotate-role/app sets one"));
  EXPECT_EQ(world_.show("app")["state"], "no_password");
  world_.advance(hours{1});
  world_.tend();
  EXPECT_TRUE(world_.logs_in(world_.password("app")));
}

TEST_F(StaticRoles, pain_14_an_import_may_name_the_password_that_is_there) {
  const Json skip{{"skip_import_rotation", true}, {"password", "wrong"}};
  EXPECT_THAT(error_of(world_.write("app", skip)), HasSubstr("cannot log in with it"));
  world_.must_write("app", {{"skip_import_rotation", true}, {"password", world_.first_password()}});
  EXPECT_EQ(world_.password("app"), world_.first_password());
  EXPECT_THAT(world_.show("app").dump(), Not(HasSubstr(world_.first_password())));
}

// ---- what goes wrong --------------------------------------------------------------------------

TEST_F(StaticRoles, pain_13_a_failed_rotation_shows_goes_on_and_makes_a_fresh_password) {
  world_.must_write("app");
  const std::string first = world_.password("app");
  world_.must_write("app", {{"rotation_statements", {"SELECT 1/0"}}});
  std::set<std::string> tried;
  RotationOptions options;
  options.at_step = [&](std::string_view step) {
    if (step == "change")
      tried.insert((*world_.memory.storage.get("static-password/app"))->at("next").at("password"));
  };
  world_.start(options);
  world_.advance(hours{1});
  EXPECT_TRUE(world_.tend().failing);
  EXPECT_EQ(world_.password("app"), first);
  EXPECT_TRUE(world_.logs_in(first));
  Json shown = world_.show("app");
  EXPECT_THAT(shown["rotation_error"].get<std::string>(), HasSubstr("division by zero"));
  EXPECT_THAT(shown["rotation_error"].get<std::string>(), HasSubstr("nothing was changed"));
  EXPECT_EQ(shown["rotation_failures"], 1);
  EXPECT_EQ(shown["next_rotation"], "2027-01-15T09:00:10Z");
  for (const int pause : {10, 20, 40, 80, 160, 300, 300}) {
    world_.advance(Seconds{pause} - Millis{1});
    world_.tend();
    EXPECT_EQ(world_.show("app")["rotation_failures"], shown["rotation_failures"]) << pause;
    world_.advance(Millis{1});
    world_.tend();
    EXPECT_EQ(world_.show("app")["rotation_failures"], shown["rotation_failures"].get<int>() + 1);
    shown = world_.show("app");
  }
  EXPECT_EQ(tried.size(), 8u);  // a fresh one each time
  world_.must_write("app", {{"rotation_statements", Json::array()}});
  world_.advance(minutes{5});
  EXPECT_FALSE(world_.tend().failing);
  EXPECT_TRUE(world_.logs_in(world_.password("app")));
  EXPECT_EQ(world_.show("app")["rotation_error"], "");
}

TEST_F(StaticRoles, statements_that_do_not_set_the_password_are_found_out) {
  world_.must_write("app");
  const std::string first = world_.password("app");
  world_.must_write("app", {{"rotation_statements", {"SELECT '{{username}}'"}}});
  EXPECT_THAT(error_of(world_.rotate("app")), HasSubstr("did not set the password"));
  EXPECT_EQ(world_.password("app"), first);
  EXPECT_TRUE(world_.logs_in(first));
}

TEST_F(StaticRoles, pain_13_a_rotation_that_is_refused_tells_whether_the_password_still_works) {
  world_.must_write("app", {{"rotation_period", "24h"}});
  const std::string first = world_.password("app");
  world_.sql("ALTER ROLE \"" + world_.user() + "\" NOLOGIN");
  EXPECT_THAT(error_of(world_.rotate("app")), HasSubstr("may not log in"));
  EXPECT_EQ(world_.password("app"), "");  // at once, not an hour later
  EXPECT_EQ(world_.show("app")["state"], "broken");
  world_.sql("ALTER ROLE \"" + world_.user() + "\" LOGIN");
  world_.advance(minutes{1});
  world_.tend();
  EXPECT_EQ(world_.show("app")["state"], "good");
  EXPECT_NE(world_.password("app"), first);
  EXPECT_TRUE(world_.logs_in(world_.password("app")));
}

struct Drift {
  const char* name;
  const char* sql;  // $ is the user
  const char* message;
  const char* undo;  // makes the old password work again; empty: nothing does
  bool rotating_repairs;
};

class Drifts : public StaticRoles, public ::testing::WithParamInterface<Drift> {
 protected:
  void run(const std::string& text) {
    std::string sql = text;
    for (auto at = sql.find('$'); at != std::string::npos; at = sql.find('$'))
      sql.replace(at, 1, world_.user());
    world_.sql(sql);
  }
};

TEST_P(Drifts, pain_13_is_found_reported_and_not_served) {
  const Drift& drift = GetParam();
  world_.must_write("app", {{"rotation_period", "24h"}});
  run(drift.sql);
  world_.advance(hours{1});
  EXPECT_TRUE(world_.tend().failing);
  const auto refused = world_.credentials("app");
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().message, HasSubstr(drift.message));
  EXPECT_THAT(refused.error().message, HasSubstr("rotate-role/app"));
  EXPECT_EQ(world_.show("app")["state"], "broken");
  EXPECT_EQ(world_.show("app")["problem_since"], "2027-01-15T09:00:00Z");
  const auto shown = world_.call(Operation::kRead, "static-roles/app");
  EXPECT_THAT(shown->warnings, Contains(HasSubstr(drift.message)));
  EXPECT_EQ(world_.rotate("app").has_value(), drift.rotating_repairs);
  if (*drift.undo != 0) {
    run(drift.undo);
    world_.advance(minutes{6});
    world_.tend();
  }
  EXPECT_TRUE(world_.logs_in(world_.password("app")));
  EXPECT_EQ(world_.show("app")["state"], "good");
}

INSTANTIATE_TEST_SUITE_P(
    Of, Drifts,
    ::testing::Values(Drift{"password", "ALTER ROLE \"$\" PASSWORD 'by hand'",
                            "somebody else changed it", "", true},
                      Drift{"nologin", "ALTER ROLE \"$\" NOLOGIN", "may not log in; ALTER ROLE",
                            "ALTER ROLE \"$\" LOGIN", false},
                      Drift{"expired", "ALTER ROLE \"$\" VALID UNTIL '2001-01-01'",
                            "has an end that is over", "ALTER ROLE \"$\" VALID UNTIL 'infinity'",
                            false},
                      Drift{"dropped", "DROP ROLE \"$\"", "does not exist; create it",
                            "CREATE ROLE \"$\" LOGIN", false}),
    [](const auto& drift) { return drift.param.name; });

TEST_F(StaticRoles, a_user_that_may_not_connect_to_the_database_has_a_password_all_the_same) {
  world_.sql("REVOKE CONNECT ON DATABASE \"" + world_.database.name() + "\" FROM PUBLIC");
  world_.must_write("app");
  EXPECT_NE(world_.password("app"), "");
}

TEST_F(StaticRoles, a_clock_that_was_set_back_neither_rotates_early_nor_never) {
  world_.must_write("app");
  const std::string first = world_.password("app");
  world_.memory.clock.step_wall(-std::chrono::days{30});
  world_.tend();
  EXPECT_EQ(world_.password("app"), first);
  EXPECT_EQ(world_.credentials("app")->data["ttl"], 3600);
  world_.advance(hours{1});
  world_.tend();
  const std::string second = world_.password("app");
  EXPECT_NE(second, first);
  world_.memory.clock.step_wall(std::chrono::days{30});
  world_.tend();
  EXPECT_NE(world_.password("app"), second);  // an hour has passed by this clock
}

TEST_F(StaticRoles, calls_at_the_same_time_take_turns) {
  world_.must_write("app");
  std::vector<std::thread> threads;
  std::atomic<int> rotated{0}, wrong{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] { rotated += world_.rotate("app").has_value() ? 1 : 0; });
    threads.emplace_back([&] { wrong += world_.password("app").empty() ? 1 : 0; });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(rotated, 4);
  EXPECT_EQ(wrong, 0);
  EXPECT_TRUE(world_.logs_in(world_.password("app")));
}

TEST_F(StaticRoles, a_target_that_is_away_is_tried_once_for_all_of_its_roles) {
  const auto second = world_.database.login("");
  world_.must_write("app");
  world_.must_write("bpp", {{"username", second.user}});
  world_.configure({{"verify_connection", false},
                    {"connection_url", "postgresql://{{username}}:{{password}}@127.0.0.1:1/x"}});
  world_.advance(hours{1});
  const Tended tended = world_.tend();
  EXPECT_TRUE(tended.failing);
  EXPECT_EQ(tended.next, world_.clock().wall() + Seconds{10});
  EXPECT_EQ(world_.show("app")["rotation_failures"].get<int>() +
                world_.show("bpp")["rotation_failures"].get<int>(),
            1);
  world_.configure();
  world_.advance(Seconds{10});
  EXPECT_FALSE(world_.tend().failing);
  EXPECT_TRUE(world_.logs_in(world_.password("app")));
}

}  // namespace
}  // namespace curfew::engines::postgres

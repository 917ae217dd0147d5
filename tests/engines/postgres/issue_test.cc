#include <thread>

#include "tests/engines/postgres/postgres_fixture.h"

namespace curfew::engines::postgres {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Issue : public ::testing::Test {
 protected:
  void SetUp() override { world_.configure(); }
  PostgresWorld world_;
};

TEST_F(Issue, the_holder_can_log_in_until_the_lease_ends) {
  world_.role("ro");
  const Leased leased = world_.issue("ro");
  EXPECT_EQ(world_.log_in(leased).value("SELECT current_user"), leased.username);
  EXPECT_FALSE(test::can_log_in(world_.database.url(leased.username, "another")));
  EXPECT_EQ(world_.database.superuser().value(
                "SELECT rolvaliduntil AT TIME ZONE 'UTC' FROM pg_roles WHERE rolname = '" +
                leased.username + "'"),
            "2027-01-15 09:00:00");
}

// Else one leased role could take every connection, and nobody could come in to end it.
TEST_F(Issue, the_sessions_of_one_role_are_limited) {
  const auto limit = [&](const Leased& leased) {
    return world_.database.superuser().value("SELECT rolconnlimit FROM pg_roles WHERE rolname = '" +
                                             leased.username + "'");
  };
  world_.role("usual");
  EXPECT_EQ(limit(world_.issue("usual")), "20");
  world_.role("few", "", {{"connection_limit", 1}});
  const Leased few = world_.issue("few");
  EXPECT_EQ(limit(few), "1");
  const auto session = world_.log_in(few);
  EXPECT_FALSE(test::can_log_in(world_.database.url(few.username, few.password)));
  world_.role("any", "", {{"connection_limit", 0}});
  EXPECT_EQ(limit(world_.issue("any")), "-1");
  world_.role("own", "",
              {{"creation_statements",
                {"CREATE ROLE \"{{name}}\" LOGIN CONNECTION LIMIT 3 PASSWORD '{{password}}' "
                 "VALID UNTIL '{{expiration}}'"}}});
  EXPECT_EQ(limit(world_.issue("own")), "3");
}

TEST_F(Issue, a_role_can_ask_for_a_purpose_a_session_a_ticket) {
  world_.role("asks", "", {{"required_context", {"purpose", "ticket"}}});
  EXPECT_THAT(world_.try_issue("asks").error().message, HasSubstr("X-Curfew-Purpose"));
  world_.who.purpose = "report";
  EXPECT_THAT(world_.try_issue("asks").error().message, HasSubstr("X-Curfew-Ticket"));
  world_.who.ticket = "OPS-7";
  EXPECT_TRUE(world_.try_issue("asks"));
  const auto unknown =
      world_.call(Operation::kUpdate, "roles/asks", {{"required_context", "mood"}});
  EXPECT_THAT(unknown.error().message, HasSubstr("purpose, session, ticket and trace"));
  // The rehearsal of such a role has no purpose of its own, and needs none.
  world_.role("asks", "", {{"required_context", "session"}, {"rehearse", true}});
}

TEST_F(Issue, the_mark_names_the_agent_and_the_human_behind_it) {
  world_.role("ro");
  world_.who.entity_name = "claude-code";
  world_.who.human = "ana'); --";
  const Leased leased = world_.issue("ro");
  const std::string comment = world_.database.superuser().value(
      "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = '" +
      leased.username + "'");
  EXPECT_TRUE(comment.starts_with("{\"curfew\":"));
  const Json mark = Json::parse(comment);
  EXPECT_EQ(mark.at("entity_name"), "claude-code");
  EXPECT_EQ(mark.at("human"), "ana'); --");
}

TEST_F(Issue, the_role_bears_the_mark_of_its_lease) {
  world_.role("ro");
  const Leased leased = world_.issue("ro");
  const Json mark = Json::parse(world_.database.superuser().value(
      "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = '" +
      leased.username + "'"));
  EXPECT_EQ(mark, (Json{{"curfew", "accessor_1"},
                        {"entity", "entity-7"},
                        {"lease", leased.lease_id},
                        {"target", world_.target()},
                        {"trace", "0af7651916cd43dd"}}));
}

TEST_F(Issue, the_plan_knows_name_and_times_before_anything_exists) {
  world_.role("ro");
  const auto plan = world_.plan("ro", "database/creds/ro/abc", {{"ttl", "10m"}});
  ASSERT_TRUE(plan.has_value()) << plan.error().message;
  EXPECT_EQ(plan->role, "ro");
  EXPECT_EQ(plan->handle.resource, world_.target());
  EXPECT_EQ(plan->terms.ttl, Seconds{3600});
  EXPECT_EQ(plan->terms.max_ttl, Seconds{86400});
  EXPECT_EQ(plan->terms.requested_ttl, Seconds{600});
  EXPECT_FALSE(world_.role_exists(plan->handle.fields["database_role"]));
}

TEST_F(Issue, the_default_name_leads_back_to_role_and_lease) {
  world_.configure({{"username_template", ""}});
  world_.role("agent-readonly");
  const auto plan = world_.plan("agent-readonly", "database/creds/agent-readonly/AbCd0123456789");
  ASSERT_TRUE(plan.has_value()) << plan.error().message;
  EXPECT_EQ(plan->handle.fields["database_role"], "cf-agent-readonly-AbCd0123456789");
}

TEST_F(Issue, nothing_is_left_of_statements_that_fail_half_way) {
  world_.role("bad", " GRANT nobody_of_this_name TO \"{{name}}\";");
  const auto leased = world_.try_issue("bad");
  ASSERT_FALSE(leased.has_value());
  EXPECT_EQ(leased.error().code, Errc::kRefused);
  EXPECT_THAT(leased.error().message, HasSubstr("failed to execute query"));
  EXPECT_THAT(leased.error().message, HasSubstr("role \"nobody_of_this_name\" does not exist"));
  EXPECT_THAT(leased.error().message, HasSubstr("42704"));
  EXPECT_EQ(world_.database.superuser().value("SELECT count(*) FROM pg_roles WHERE rolname LIKE '" +
                                              world_.database.role_prefix() + "%'"),
            "0");
}

TEST_F(Issue, errors_hold_neither_password_nor_sql) {
  // The verifier stands where the syntax error is.
  world_.role("bad", "", {{"creation_statements", {"CREATE ROLE \"{{name}}\" '{{password}}'"}}});
  const auto leased = world_.try_issue("bad");
  ASSERT_FALSE(leased.has_value());
  EXPECT_THAT(leased.error().message + leased.error().detail, Not(HasSubstr("SCRAM-SHA")));
  EXPECT_THAT(leased.error().message + leased.error().detail, Not(HasSubstr("password-")));
  EXPECT_THAT(leased.error().message, Not(HasSubstr(world_.database.server().password)));
  EXPECT_THAT(leased.error().message, Not(HasSubstr("CREATE ROLE")));
}

TEST_F(Issue, do_blocks_functions_and_comments_work) {
  world_.role("odd", "",
              {{"creation_statements",
                {"DO $x$ BEGIN EXECUTE 'CREATE ROLE \"{{name}}\" LOGIN PASSWORD ''{{password}}'''; "
                 "END; $x$ -- no semicolon; and a comment at the end",
                 "/* /* nested; */ ' */ ALTER ROLE \"{{name}}\" VALID UNTIL '{{expiration}}'"}}});
  const Leased leased = world_.issue("odd");
  EXPECT_TRUE(test::can_log_in(world_.url_of(leased)));
}

TEST_F(Issue, statements_in_base64_work) {
  world_.role("coded", "",
              {{"creation_statements",
                {"Q1JFQVRFIFJPTEUgInt7bmFtZX19IiBMT0dJTiBQQVNTV09SRCAne3twYXNzd29yZH19Jw=="}}});
  EXPECT_TRUE(test::can_log_in(world_.url_of(world_.issue("coded"))));
}

TEST_F(Issue, settings_of_the_statements_do_not_reach_the_next_lease) {
  world_.configure({{"max_open_connections", 1}});
  world_.role("sets", " SET search_path = pg_catalog; SET ROLE pg_monitor; RESET ROLE;");
  world_.role("plain", "CREATE TABLE search_path_was_reset (id int);");
  world_.issue("sets");
  world_.issue("plain");
  EXPECT_EQ(world_.database.superuser().value("SELECT to_regclass('public.search_path_was_reset')"),
            "search_path_was_reset");
}

TEST_F(Issue, a_name_that_is_taken_is_refused_and_stays_with_its_owner) {
  auto session = world_.database.superuser();
  session.run("CREATE ROLE " + world_.database.role_prefix() + "_fixed LOGIN");
  world_.role("ro");
  const std::string lease_id = world_.next_lease("ro");
  auto plan = world_.plan("ro", lease_id);
  ASSERT_TRUE(plan.has_value());
  plan->handle.fields["database_role"] = world_.database.role_prefix() + "_fixed";
  const auto issued = world_.engine->apply(world_.intent(lease_id, *plan), world_.in());
  ASSERT_FALSE(issued.has_value());
  EXPECT_EQ(issued.error().code, Errc::kRefused);
  // The broker revokes what it could not issue; somebody else's role is not its to drop.
  const Receipt receipt = world_.revoke({lease_id, plan->handle, "", ""});
  EXPECT_EQ(receipt.checked["role_absent"], true);
  EXPECT_THAT(receipt.warnings.dump(), HasSubstr("left alone"));
  EXPECT_TRUE(world_.role_exists(world_.database.role_prefix() + "_fixed"));
  EXPECT_EQ(session.value("SELECT rolcanlogin FROM pg_roles WHERE rolname = '" +
                          world_.database.role_prefix() + "_fixed'"),
            "t");
}

TEST_F(Issue, rounds_of_the_verifier_are_a_setting) {
  world_.configure({{"scram_iterations", 7}});
  world_.role("ro");
  const Leased leased = world_.issue("ro");
  EXPECT_THAT(world_.database.superuser().value(
                  "SELECT rolpassword FROM pg_authid WHERE rolname = '" + leased.username + "'"),
              ::testing::StartsWith("SCRAM-SHA-256$7:"));
  EXPECT_TRUE(test::can_log_in(world_.url_of(leased)));
}

TEST_F(Issue, a_missing_password_policy_is_named_before_anything_happens) {
  world_.role("ro", "", {{"credential_config", {{"password_policy", "missing"}}}});
  const auto leased = world_.try_issue("ro");
  ASSERT_FALSE(leased.has_value());
  EXPECT_THAT(leased.error().message, HasSubstr("\"missing\" does not exist"));
}

// "tuple concurrently updated" failed a third of such transactions without the lock.
TEST_F(Issue, sixteen_threads_granting_on_one_table_do_not_collide) {
  world_.configure({{"max_open_connections", 8}});
  world_.database.superuser().run("CREATE TABLE orders (id int)");
  world_.role("reader", " GRANT SELECT ON orders TO \"{{name}}\";");
  std::vector<std::string> problems(16);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < problems.size(); ++i)
    threads.emplace_back([&, i] {
      for (int n = 0; n < 8; ++n) {
        auto leased = world_.try_issue("reader");
        if (!leased) {
          problems[i] = "issue: " + leased.error().message;
          return;
        }
        // The cleaning changes the same access list.
        auto receipt = n % 2 == 0 ? world_.try_revoke(*leased) : Result<Receipt>(Receipt{});
        if (!receipt) problems[i] = "revoke: " + receipt.error().message;
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::string& problem : problems) EXPECT_EQ(problem, "");
}

TEST_F(Issue, renewing_moves_the_expiry_and_nothing_else) {
  world_.role("ro");
  const Leased leased = world_.issue("ro");
  const WallTime later = world_.clock().wall() + Millis{7'200'001};
  const Status renewed = world_.engine->renew(leased.lease_id, leased.handle, later, world_.in());
  ASSERT_TRUE(renewed.has_value()) << renewed.error().message;
  EXPECT_EQ(world_.database.superuser().value(
                "SELECT rolvaliduntil AT TIME ZONE 'UTC' FROM pg_roles WHERE rolname = '" +
                leased.username + "'"),
            "2027-01-15 10:00:01");
  EXPECT_TRUE(test::can_log_in(world_.url_of(leased)));
}

TEST_F(Issue, renewing_with_a_do_block_works) {  // 423: Vault splits it at its semicolons
  world_.role("ro", "",
              {{"renew_statements",
                {"DO $$ BEGIN EXECUTE 'ALTER ROLE \"{{name}}\" VALID UNTIL ''{{expiration}}'''; "
                 "PERFORM 1; END $$"}}});
  const Leased leased = world_.issue("ro");
  const Status renewed = world_.engine->renew(leased.lease_id, leased.handle,
                                              world_.clock().wall() + Seconds{60}, world_.in());
  ASSERT_TRUE(renewed.has_value()) << renewed.error().message;
  EXPECT_EQ(world_.database.superuser().value(
                "SELECT rolvaliduntil AT TIME ZONE 'UTC' FROM pg_roles WHERE rolname = '" +
                leased.username + "'"),
            "2027-01-15 08:01:00");
}

TEST_F(Issue, renewing_a_role_that_is_gone_is_refused) {
  world_.role("ro");
  const Leased leased = world_.issue("ro");
  world_.database.superuser().run("DROP ROLE \"" + leased.username + "\"");
  const Status renewed = world_.engine->renew(leased.lease_id, leased.handle,
                                              world_.clock().wall() + Seconds{60}, world_.in());
  ASSERT_FALSE(renewed.has_value());
  EXPECT_EQ(renewed.error().code, Errc::kRefused);
  EXPECT_THAT(renewed.error().message, HasSubstr(leased.username));
}

// What somebody renamed the role to is text of theirs, and would run as the broker's login.
TEST_F(Issue, renewing_a_role_with_sql_for_a_name_is_refused) {
  world_.role("ro");
  const Leased leased = world_.issue("ro");
  test::PgSession admin = world_.database.superuser();
  const std::string victim = world_.database.role_prefix();
  admin.run("CREATE ROLE " + victim + "; CREATE ROLE " + victim + "x; ALTER ROLE \"" +
            leased.username + "\" RENAME TO \"" + victim + "x\"\";ALTER ROLE " + victim +
            " SUPERUSER;--\"");
  const Status renewed = world_.engine->renew(leased.lease_id, leased.handle,
                                              world_.clock().wall() + Seconds{60}, world_.in());
  EXPECT_EQ(admin.value("SELECT rolsuper FROM pg_roles WHERE rolname = '" + victim + "'"), "f");
  ASSERT_FALSE(renewed.has_value());
  EXPECT_EQ(renewed.error().code, Errc::kRefused);
  EXPECT_THAT(renewed.error().message, HasSubstr("renamed"));
}

TEST_F(Issue, what_bears_the_mark_is_listed) {
  world_.role("ro");
  const Leased leased = world_.issue("ro");
  world_.database.superuser().run("CREATE ROLE " + world_.database.role_prefix() + "_other");
  const auto owned = world_.engine->list_owned(world_.in());
  ASSERT_TRUE(owned.has_value()) << owned.error().message;
  ASSERT_EQ(owned->size(), 1u);
  EXPECT_EQ(owned->front().resource, world_.target());
  EXPECT_EQ(owned->front().fields["database_role"], leased.username);
  EXPECT_EQ(owned->front().fields["lease_id"], leased.lease_id);
  // An orphan can be removed by what is listed alone.
  fakes::MemoryPhases phases;
  const auto receipt = world_.engine->revoke(leased.lease_id, owned->front(), phases, world_.in());
  ASSERT_TRUE(receipt.has_value()) << receipt.error().message;
  EXPECT_FALSE(world_.role_exists(leased.username));
}

}  // namespace
}  // namespace curfew::engines::postgres

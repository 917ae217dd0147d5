#include <thread>

#include "engines/postgres/lease_role.h"
#include "tests/engines/postgres/postgres_fixture.h"

// Every test here is a fact about PostgreSQL that a revocation has to get right, with the number
// of the user's complaint in brackets where there is one.
namespace curfew::engines::postgres {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

// Run as a superuser, and as a login that has CREATEROLE and nothing else.
class Revocation : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (std::string(GetParam()) == "superuser") {
      world_.configure();
    } else {
      login_ = world_.database.login("CREATEROLE");
      world_.configure_as(login_);
    }
    admin_.run("CREATE TABLE orders (id int); INSERT INTO orders SELECT generate_series(1, 100)");
    admin_.run("GRANT ALL ON SCHEMA public TO PUBLIC");
    if (!login_.user.empty())
      admin_.run("GRANT SELECT ON ALL TABLES IN SCHEMA public TO " + login_.user +
                 " WITH GRANT OPTION");
    group_ = world_.database.role_prefix() + "_grp";
    admin_.run("CREATE ROLE " + group_ + " NOLOGIN; GRANT SELECT, INSERT ON orders TO " + group_);
  }

  bool broker_is_superuser() const { return login_.user.empty(); }
  std::string in_group() const { return " GRANT " + group_ + " TO \"{{name}}\";"; }

  void expect_gone(const Leased& leased, const Receipt& receipt) {
    EXPECT_FALSE(world_.role_exists(leased.username));
    EXPECT_FALSE(test::can_log_in(world_.url_of(leased)));
    EXPECT_EQ(receipt.checked["role_absent"], true);
    EXPECT_EQ(receipt.checked["sessions"], 0);
    EXPECT_EQ(receipt.checked["dependencies"], 0);
    EXPECT_EQ(receipt.checked["database"], world_.database.name());
    EXPECT_THAT(receipt.checked["server"].get<std::string>(),
                HasSubstr(world_.database.server().port));
    EXPECT_EQ(receipt.checked["verified_at"], "2027-01-15T08:00:00Z");
  }

  PostgresWorld world_;
  test::PgSession admin_ = world_.database.superuser();
  test::TestDatabase::Login login_;
  std::string group_;
};

INSTANTIATE_TEST_SUITE_P(As, Revocation, ::testing::Values("superuser", "createrole"),
                         [](const auto& with) { return std::string(with.param); });

TEST_P(Revocation, a_role_that_bears_the_mark_of_another_lease_does_not_escape) {
  world_.role("ro", in_group());
  const Leased leased = world_.issue("ro");
  const Leased other = world_.issue("ro");
  const std::string mark =
      admin_.value("SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = '" +
                   other.username + "'");
  admin_.run("COMMENT ON ROLE \"" + leased.username + "\" IS '" + mark + "'");
  expect_gone(leased, world_.revoke(leased));
  EXPECT_TRUE(world_.role_exists(other.username));
  expect_gone(other, world_.revoke(other));
}

TEST_P(Revocation, takes_a_role_in_a_group) {
  world_.role("ro", in_group());
  const Leased leased = world_.issue("ro");
  EXPECT_EQ(world_.log_in(leased).value("SELECT count(*) FROM orders"), "100");
  expect_gone(leased, world_.revoke(leased));
}

// Fact 1 [1]: privileges on all tables stand in the way of the DROP ROLE that everybody writes.
TEST_P(Revocation, pain_1_the_bare_drop_role_of_the_documentation_works_after_grants_on_tables) {
  world_.role("ro", " GRANT SELECT ON ALL TABLES IN SCHEMA public TO \"{{name}}\";",
              {{"revocation_statements", {"DROP ROLE IF EXISTS \"{{name}}\";"}}});
  const Leased leased = world_.issue("ro");
  EXPECT_EQ(admin_.try_run("DROP ROLE \"" + leased.username + "\""), "2BP01");
  const Receipt receipt = world_.revoke(leased);
  expect_gone(leased, receipt);
  EXPECT_TRUE(receipt.warnings.empty()) << receipt.warnings;
}

// Facts 2 and 3 [2]: neither VALID UNTIL nor NOLOGIN nor DROP ROLE ends a session.
TEST_P(Revocation, pain_2_open_sessions_end_whatever_they_are_doing) {
  world_.role("rw", in_group());
  const Leased leased = world_.issue("rw");
  auto idle = world_.log_in(leased);
  auto as_group = world_.log_in(leased);
  as_group.run("SET ROLE " + group_);
  auto with_cursor = world_.log_in(leased);
  with_cursor.run("BEGIN; DECLARE c CURSOR FOR SELECT id FROM orders");
  with_cursor.run("FETCH 1 FROM c");
  auto in_transaction = world_.log_in(leased);
  in_transaction.run("BEGIN; INSERT INTO orders VALUES (0)");
  std::thread busy_thread([session = world_.log_in(leased)]() mutable {
    EXPECT_NE(session.try_run("SELECT pg_sleep(20)"), "");
  });

  expect_gone(leased, world_.revoke(leased));
  busy_thread.join();
  EXPECT_NE(idle.try_run("SELECT 1"), "");
  EXPECT_NE(as_group.try_run("INSERT INTO orders VALUES (0)"), "");
  EXPECT_NE(with_cursor.try_run("FETCH 1 FROM c"), "");
  EXPECT_NE(in_transaction.try_run("COMMIT"), "");
  EXPECT_EQ(admin_.value("SELECT count(*) FROM orders WHERE id = 0"), "0");
}

// An open transaction that changed the role makes every ALTER ROLE wait for it.
TEST_P(Revocation, pain_2_a_session_that_holds_the_roles_row_does_not_stop_its_lock_out) {
  world_.role("ro", in_group());
  const Leased leased = world_.issue("ro");
  auto session = world_.log_in(leased);
  session.run("BEGIN; ALTER ROLE CURRENT_USER PASSWORD 'mine'");
  const Receipt receipt = world_.revoke(leased);
  expect_gone(leased, receipt);
  EXPECT_NE(session.try_run("COMMIT"), "");
}

// Advisory locks are anybody's to take, and pg_locks shows their numbers.
TEST_P(Revocation, a_leased_role_that_takes_the_brokers_locks_stops_nobody) {
  if (!broker_is_superuser()) admin_.run("GRANT pg_signal_backend TO " + login_.user);
  world_.role("ro", " GRANT SELECT ON orders TO \"{{name}}\";");
  const Leased hostile = world_.issue("ro");
  const Leased known = world_.issue("ro");
  Leased unknown = world_.issue("ro");
  unknown.handle.fields.erase("role_oid");  // the answer to its creation never came
  auto own = world_.log_in(hostile);
  own.run("SELECT pg_advisory_lock(" + std::to_string(lease_lock_key(hostile.lease_id)) + ")");
  const auto hold = [&](const std::string& lock) {
    auto session = world_.log_in(hostile);
    session.run("BEGIN; " + lock);
    return session;
  };
  auto of_known = hold(lease_lock(known.lease_id) + grant_lock());
  expect_gone(known, world_.revoke(known));  // cleaning takes the lock for grants
  EXPECT_NE(of_known.try_run("SELECT 1"), "");
  auto of_unknown = hold(lease_lock(unknown.lease_id));
  expect_gone(unknown, world_.revoke(unknown));
  EXPECT_NE(of_unknown.try_run("SELECT 1"), "");
  auto of_grants = hold(grant_lock());
  const Leased later = world_.issue("ro");
  EXPECT_NE(of_grants.try_run("SELECT 1"), "");
  auto of_renewal = hold(lease_lock(later.lease_id));
  const auto renewed = world_.engine->renew(later.lease_id, later.handle,
                                            world_.clock().wall() + Seconds{9}, world_.in());
  EXPECT_TRUE(renewed.has_value()) << renewed.error().message;
  expect_gone(later, world_.revoke(later));
  EXPECT_EQ(own.value("SELECT 1"), "1");  // nobody needed that one
  expect_gone(hostile, world_.revoke(hostile));
}

// Fact 4: the holder may change its own password and settings.
TEST_P(Revocation, a_password_that_the_holder_changed_is_of_no_use) {
  world_.role("ro");
  Leased leased = world_.issue("ro");
  world_.log_in(leased).run(
      "ALTER ROLE CURRENT_USER PASSWORD 'mine'; "
      "ALTER ROLE CURRENT_USER SET statement_timeout = 0");
  leased.password = "mine";
  ASSERT_TRUE(test::can_log_in(world_.url_of(leased)));
  expect_gone(leased, world_.revoke(leased));
}

// After the first phase alone nobody gets in, whatever fails later.
TEST_P(Revocation, locking_out_is_durable_before_anything_else_is_tried) {
  world_.role("ro", in_group());
  const Leased leased = world_.issue("ro");
  fakes::MemoryPhases phases;
  phases.fail_done(1);
  ASSERT_FALSE(world_.engine->revoke(leased.lease_id, leased.handle, phases, world_.in()));
  EXPECT_FALSE(test::can_log_in(world_.url_of(leased)));
  const auto row = admin_.run(
      "SELECT rolcanlogin, rolpassword, rolconnlimit, rolvaliduntil < now() "
      "FROM pg_authid WHERE rolname = '" +
      leased.username + "'");
  ASSERT_EQ(row.size(), 1u);
  EXPECT_EQ(row[0][0], "f");
  EXPECT_EQ(row[0][1], std::nullopt);
  EXPECT_EQ(row[0][2], "0");
  EXPECT_EQ(row[0][3], "t");
  EXPECT_EQ(
      admin_.value("SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member "
                   "WHERE r.rolname = '" +
                   leased.username + "'"),
      "0");
  const auto receipt = world_.engine->revoke(leased.lease_id, leased.handle, phases, world_.in());
  ASSERT_TRUE(receipt.has_value()) << receipt.error().message;
  expect_gone(leased, *receipt);
}

// Up to version 14 the holder of a role can make others members of it; later somebody else can.
TEST_P(Revocation, whom_the_holder_let_in_is_put_out_with_it) {
  world_.role("ro", in_group());
  const Leased leased = world_.issue("ro");
  const auto friend_of_it = world_.database.login("");
  admin_.run("GRANT \"" + leased.username + "\" TO " + friend_of_it.user);
  test::PgSession session(world_.database.url(friend_of_it.user, friend_of_it.password));
  EXPECT_EQ(session.value("SELECT count(*) FROM orders"), "100");
  fakes::MemoryPhases phases;
  phases.fail_done(1);
  ASSERT_FALSE(world_.engine->revoke(leased.lease_id, leased.handle, phases, world_.in()));
  EXPECT_EQ(session.try_run("SELECT count(*) FROM orders"), "42501");
  EXPECT_EQ(session.try_run("SET ROLE \"" + leased.username + "\""), "42501");
  expect_gone(leased, world_.revoke(leased));
}

TEST_P(Revocation, a_membership_that_cannot_be_revoked_does_not_keep_the_door_open) {
  const std::string powerful = world_.database.role_prefix() + "_super";
  admin_.run("CREATE ROLE " + powerful + " NOLOGIN SUPERUSER");
  world_.role("ro", in_group());
  const Leased leased = world_.issue("ro");
  admin_.run("GRANT " + powerful + " TO \"" + leased.username + "\"");
  const Receipt receipt = world_.revoke(leased);
  expect_gone(leased, receipt);
  if (!broker_is_superuser()) {
    EXPECT_THAT(receipt.warnings.dump(), HasSubstr(powerful));
  }
}

TEST_P(Revocation, resumes_behind_every_phase) {
  world_.role("ro", " GRANT SELECT ON orders TO \"{{name}}\";");
  for (int n = 1; n <= 4; ++n) {
    const Leased leased = world_.issue("ro");
    auto session = world_.log_in(leased);
    fakes::MemoryPhases phases;
    phases.fail_done(n);
    ASSERT_FALSE(world_.engine->revoke(leased.lease_id, leased.handle, phases, world_.in()));
    EXPECT_EQ(phases.notes().size(), static_cast<std::size_t>(n - 1));
    const auto receipt = world_.engine->revoke(leased.lease_id, leased.handle, phases, world_.in());
    ASSERT_TRUE(receipt.has_value()) << n << ": " << receipt.error().message;
    EXPECT_EQ(phases.notes().size(), 4u);
    expect_gone(leased, *receipt);
    EXPECT_NE(session.try_run("SELECT 1"), "");
  }
}

TEST_P(Revocation, a_role_that_was_let_in_again_is_locked_out_again) {
  world_.role("ro");
  const Leased leased = world_.issue("ro");
  fakes::MemoryPhases phases;
  phases.fail_done(3);
  ASSERT_FALSE(world_.engine->revoke(leased.lease_id, leased.handle, phases, world_.in()));
  admin_.run("ALTER ROLE \"" + leased.username +
             "\" LOGIN PASSWORD 'again' CONNECTION LIMIT -1 VALID UNTIL 'infinity'");
  test::PgSession session(world_.database.url(leased.username, "again"));
  const auto receipt = world_.engine->revoke(leased.lease_id, leased.handle, phases, world_.in());
  ASSERT_TRUE(receipt.has_value()) << receipt.error().message;
  expect_gone(leased, *receipt);
  EXPECT_NE(session.try_run("SELECT 1"), "");
}

TEST_P(Revocation, pain_6_works_for_a_role_that_was_dropped_by_hand) {
  world_.role("ro");
  const Leased leased = world_.issue("ro");
  admin_.run("DROP ROLE \"" + leased.username + "\"");
  expect_gone(leased, world_.revoke(leased));
}

TEST_P(Revocation, works_for_a_role_that_was_renamed) {
  world_.role("ro");
  const Leased leased = world_.issue("ro");
  auto session = world_.log_in(leased);
  const std::string other = world_.database.role_prefix() + "_renamed";
  admin_.run("ALTER ROLE \"" + leased.username + "\" RENAME TO " + other);
  world_.revoke(leased);
  EXPECT_FALSE(world_.role_exists(other));
  EXPECT_NE(session.try_run("SELECT 1"), "");
}

TEST_P(Revocation, a_name_that_is_sql_is_not_filled_into_the_operators_statements) {
  world_.role("ro", "", {{"revocation_statements", {"ALTER ROLE \"{{name}}\" NOINHERIT"}}});
  const Leased leased = world_.issue("ro");
  const std::string victim = world_.database.role_prefix();
  admin_.run("CREATE ROLE " + victim + "; CREATE ROLE " + victim + "x");
  const std::string renamed = victim + "x\";DROP ROLE " + victim + ";--";
  ASSERT_LE(renamed.size(), 63u);
  admin_.run("ALTER ROLE \"" + leased.username + "\" RENAME TO \"" + victim + "x\"\";DROP ROLE " +
             victim + ";--\"");
  const Receipt receipt = world_.revoke(leased);
  EXPECT_TRUE(world_.role_exists(victim));
  EXPECT_FALSE(world_.role_exists(renamed));
  EXPECT_THAT(receipt.warnings.dump(), HasSubstr("renamed the role"));
}

TEST_P(Revocation, works_when_the_role_definition_is_gone) {  // [5]
  world_.role("ro");
  const Leased leased = world_.issue("ro");
  ASSERT_TRUE(world_.call(Operation::kDelete, "roles/ro").has_value());
  expect_gone(leased, world_.revoke(leased));
}

TEST_P(Revocation, a_role_of_the_same_name_that_is_not_the_leases_is_left_alone) {
  world_.role("ro");
  const Leased leased = world_.issue("ro");
  admin_.run("DROP ROLE \"" + leased.username + "\"; CREATE ROLE \"" + leased.username + "\"");
  const Receipt receipt = world_.revoke(leased);
  EXPECT_THAT(receipt.warnings.dump(), HasSubstr("left alone"));
  EXPECT_TRUE(world_.role_exists(leased.username));
}

// A create that has not committed yet cannot slip through: DROP ROLE IF EXISTS would find nothing.
TEST_P(Revocation, waits_for_a_create_of_the_same_lease_and_removes_it) {
  // The create holds the lease's lock until the test lets go of another one.
  admin_.run("SELECT pg_advisory_lock(4711)");
  world_.role("slow", " DO $$ BEGIN PERFORM pg_advisory_xact_lock(4711); END $$;");
  const std::string lease_id = world_.next_lease("slow");
  const auto plan = world_.plan("slow", lease_id);
  ASSERT_TRUE(plan.has_value());
  Result<Issued> issued = Error{};
  std::thread apply(
      [&] { issued = world_.engine->apply(world_.intent(lease_id, *plan), world_.in()); });
  const auto waiting = [&](const std::string& count) {
    return test::eventually([&] {
      return admin_.value(
                 "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted "
                 "AND database = (SELECT oid FROM pg_database WHERE datname = "
                 "current_database())") == count;
    });
  };
  EXPECT_TRUE(waiting("1"));
  Result<Receipt> receipt = Error{};
  std::thread revoke([&] {
    fakes::MemoryPhases phases;
    receipt = world_.engine->revoke(lease_id, plan->handle, phases, world_.in());
  });
  EXPECT_TRUE(waiting("2"));
  EXPECT_EQ(admin_.try_run("DROP ROLE \"" +
                           plan->handle.fields["database_role"].get<std::string>() + "\""),
            "42704");
  admin_.run("SELECT pg_advisory_unlock(4711)");
  apply.join();
  revoke.join();
  EXPECT_TRUE(issued.has_value()) << issued.error().message;
  ASSERT_TRUE(receipt.has_value()) << receipt.error().message;
  EXPECT_FALSE(world_.role_exists(plan->handle.fields["database_role"]));
}

TEST_P(Revocation, gives_up_by_its_deadline_when_a_create_does_not_end) {
  world_.role("ro");
  const Leased leased = world_.issue("ro");
  auto blocker = world_.database.superuser();
  blocker.run("BEGIN; ALTER ROLE \"" + leased.username + "\" VALID UNTIL '2030-01-01'");
  const auto receipt = world_.try_revoke(leased, Millis{300});
  ASSERT_FALSE(receipt.has_value());
  EXPECT_THAT((std::vector{Errc::kUnavailable, Errc::kInDoubt}), Contains(receipt.error().code));
  blocker.run("ROLLBACK");
  expect_gone(leased, world_.revoke(leased));
}

TEST_P(Revocation, the_operators_statements_are_run) {
  admin_.run("CREATE TABLE log (line text); GRANT ALL ON log TO PUBLIC");
  world_.role(
      "ro", "",
      {{"revocation_statements",
        {"INSERT INTO log VALUES ('bye {{name}}; at $$'); DROP ROLE IF EXISTS \"{{name}}\""}}});
  const Leased leased = world_.issue("ro");
  expect_gone(leased, world_.revoke(leased));
  EXPECT_EQ(admin_.value("SELECT line FROM log"), "bye " + leased.username + "; at $$");
}

TEST_P(Revocation, pain_6_whatever_the_operators_statements_do_to_the_role_it_ends_gone) {
  admin_.run("GRANT CREATE ON SCHEMA public TO PUBLIC");
  const std::string renamed = world_.database.role_prefix() + "_renamed";
  const std::vector<std::string> lists[] = {
      {"REVOKE ALL ON orders FROM \"{{name}}\"", "DROP ROLE \"{{name}}\""},
      {"ALTER ROLE \"{{name}}\" RENAME TO " + renamed},
      {"DO $$ BEGIN RAISE EXCEPTION 'no'; END; $$"},
      {"DROP ROLE IF EXISTS \"{{name}}_helper\""},
      {"SELECT 1; DROP OWNED BY \"{{name}}\"; DROP ROLE IF EXISTS \"{{name}}\";"}};
  int n = 0;
  for (const auto& list : lists) {
    world_.role("ro", "", {{"revocation_statements", list}, {"rehearse", false}});
    const Leased leased = world_.issue("ro");
    world_.log_in(leased).run("CREATE TABLE t" + std::to_string(++n) + " (i int)");
    const auto receipt = world_.try_revoke(leased);
    ASSERT_TRUE(receipt.has_value()) << n << ": " << receipt.error().message;
    EXPECT_FALSE(world_.role_exists(leased.username)) << n;
    EXPECT_FALSE(world_.role_exists(renamed)) << n;
    EXPECT_EQ(receipt->checked["dependencies"], 0) << n;
  }
}

TEST_P(Revocation, statements_of_the_operator_that_fail_are_reported_and_stop_nothing) {
  world_.role("ro", " GRANT SELECT ON orders TO \"{{name}}\";",
              {{"revocation_statements",
                {"REVOKE ALL ON no_such_table FROM \"{{name}}\"", "DROP ROLE \"{{name}}\""}}});
  const Leased leased = world_.issue("ro");
  const Receipt receipt = world_.revoke(leased);
  expect_gone(leased, receipt);
  EXPECT_THAT(receipt.warnings.dump(), HasSubstr("no_such_table"));
}

// Fact 9, and the case that a session outlives its role: nothing but the oid leads to it.
TEST_P(Revocation, sessions_of_a_role_that_is_gone_end_too) {
  world_.role("ro");
  const Leased leased = world_.issue("ro");
  auto session = world_.log_in(leased);
  admin_.run("DROP ROLE \"" + leased.username + "\"");
  EXPECT_EQ(session.try_run("SELECT 1"), "");
  if (!broker_is_superuser()) {
    const auto receipt = world_.try_revoke(leased);
    ASSERT_FALSE(receipt.has_value());
    EXPECT_THAT(receipt.error().message, HasSubstr("GRANT pg_signal_backend TO " + login_.user));
    EXPECT_EQ(session.try_run("SELECT 1"), "");
    admin_.run("GRANT pg_signal_backend TO " + login_.user);
  }
  expect_gone(leased, world_.revoke(leased));
  EXPECT_NE(session.try_run("SELECT 1"), "");
}

// Fact 6: grants in another database of the cluster block DROP ROLE, and DROP OWNED works on one
// database alone.
TEST_P(Revocation, pain_1_every_database_of_the_cluster_is_cleaned) {
  world_.role("ro", " GRANT SELECT ON orders TO \"{{name}}\";");
  const Leased leased = world_.issue("ro");
  test::TestDatabase granting, owning;
  auto granting_admin = granting.superuser();
  granting_admin.run("CREATE TABLE t (i int)");
  if (!broker_is_superuser())
    granting_admin.run("GRANT SELECT ON t TO " + login_.user + " WITH GRANT OPTION");
  granting_admin.run((broker_is_superuser() ? "" : "SET ROLE " + login_.user + "; ") +
                     "GRANT SELECT ON t TO \"" + leased.username + "\"; RESET ROLE");
  owning.superuser().run("GRANT ALL ON SCHEMA public TO PUBLIC");
  test::PgSession(owning.url(leased.username, leased.password))
      .run(
          "CREATE TABLE work (i int); INSERT INTO work VALUES (7);"
          "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'");
  EXPECT_EQ(admin_.try_run("DROP OWNED BY \"" + leased.username + "\"; DROP ROLE \"" +
                           leased.username + "\""),
            "2BP01");
  fakes::MemoryPhases phases;
  const auto receipt = world_.engine->revoke(leased.lease_id, leased.handle, phases, world_.in());
  ASSERT_TRUE(receipt.has_value()) << receipt.error().message;
  expect_gone(leased, *receipt);
  EXPECT_EQ(owning.superuser().value("SELECT i FROM work"), "7");
  const Json databases = phases.notes().at(Phase::kClean).at("databases");
  EXPECT_THAT(databases.at(owning.name()).dump(), HasSubstr("table public.work"));
  EXPECT_THAT(databases.at(owning.name()).at("dropped").dump(), HasSubstr("function"));
  EXPECT_TRUE(databases.contains(granting.name()));
  EXPECT_TRUE(databases.contains(world_.database.name()));
}

// Connections to other databases are closed when their work is done [12].
TEST_P(Revocation, pain_12_failing_revocations_leave_no_connection_behind) {
  world_.configure(broker_is_superuser() ? Json{{"max_open_connections", 1}}
                                         : Json{{"max_open_connections", 1},
                                                {"username", login_.user},
                                                {"password", login_.password}});
  world_.role("ro");
  const Leased leased = world_.issue("ro");
  test::TestDatabase closed, open;
  for (const test::TestDatabase* database : {&closed, &open}) {
    database->superuser().run("GRANT ALL ON SCHEMA public TO PUBLIC");
    test::PgSession(database->url(leased.username, leased.password)).run("CREATE TABLE t (i int)");
  }
  admin_.run("ALTER DATABASE " + closed.name() + " ALLOW_CONNECTIONS false");
  for (int attempt = 0; attempt < 3; ++attempt) {
    const auto receipt = world_.try_revoke(leased);
    ASSERT_FALSE(receipt.has_value());
    EXPECT_EQ(receipt.error().code, Errc::kRefused);
    EXPECT_THAT(receipt.error().message, HasSubstr("database \"" + closed.name() + "\""));
    EXPECT_THAT(receipt.error().message, HasSubstr("ALLOW_CONNECTIONS true"));
  }
  EXPECT_EQ(open.superuser().value("SELECT relowner::regrole FROM pg_class WHERE relname = 't'"),
            "curfew_quarantine");
  EXPECT_TRUE(test::eventually([&] {
    return admin_.value(
               "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'curfew' "
               "AND datname IN ('" +
               closed.name() + "', '" + open.name() + "')") == "0";
  }));
  EXPECT_EQ(admin_.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'curfew' "
                         "AND datname = current_database()"),
            "1");
  EXPECT_FALSE(test::can_log_in(world_.url_of(leased)));
  admin_.run("ALTER DATABASE " + closed.name() + " ALLOW_CONNECTIONS true");
  expect_gone(leased, world_.revoke(leased));
}

TEST_P(Revocation, a_database_that_may_not_be_entered_is_named_with_what_to_grant) {
  world_.role("ro");
  const Leased leased = world_.issue("ro");
  test::TestDatabase other;
  other.superuser().run("GRANT ALL ON SCHEMA public TO PUBLIC; REVOKE CONNECT ON DATABASE " +
                        other.name() + " FROM PUBLIC; GRANT CONNECT ON DATABASE " + other.name() +
                        " TO \"" + leased.username + "\"");
  test::PgSession(other.url(leased.username, leased.password)).run("CREATE TABLE t (i int)");
  // A session that still ends would let the broker's login join the role, and enter with its right.
  for (int i = 0;
       i < 500 && admin_.value("SELECT count(*) FROM pg_stat_activity WHERE usename = '" +
                               leased.username + "'") != "0";
       ++i)
    std::this_thread::sleep_for(Millis{10});
  auto receipt = world_.try_revoke(leased);
  if (broker_is_superuser()) {
    ASSERT_TRUE(receipt.has_value()) << receipt.error().message;
    return expect_gone(leased, *receipt);
  }
  ASSERT_FALSE(receipt.has_value());
  EXPECT_THAT(receipt.error().message, HasSubstr("GRANT CONNECT ON DATABASE \"" + other.name() +
                                                 "\" TO \"" + login_.user + "\""));
  admin_.run("GRANT CONNECT ON DATABASE " + other.name() + " TO " + login_.user);
  receipt = world_.try_revoke(leased);
  // What a superuser granted, only a superuser takes away.
  ASSERT_FALSE(receipt.has_value());
  EXPECT_THAT(receipt.error().message, HasSubstr("privileges for database " + other.name()));
  other.superuser().run("DROP OWNED BY \"" + leased.username + "\"");
  expect_gone(leased, world_.revoke(leased));
}

TEST_P(Revocation, what_others_granted_in_another_database_is_named_with_it) {
  world_.role("ro");
  const Leased leased = world_.issue("ro");
  test::TestDatabase other;
  other.superuser().run("CREATE TABLE t (i int); GRANT SELECT ON t TO \"" + leased.username + "\"");
  auto receipt = world_.try_revoke(leased);
  if (!broker_is_superuser()) {
    ASSERT_FALSE(receipt.has_value());
    EXPECT_EQ(receipt.error().code, Errc::kRefused);
    EXPECT_THAT(receipt.error().message, HasSubstr("in database \"" + other.name() + "\""));
    EXPECT_THAT(receipt.error().message, HasSubstr("table public.t"));
    EXPECT_FALSE(test::can_log_in(world_.url_of(leased)));
    other.superuser().run("DROP OWNED BY \"" + leased.username + "\"");
    receipt = world_.try_revoke(leased);
  }
  ASSERT_TRUE(receipt.has_value()) << receipt.error().message;
  expect_gone(leased, *receipt);
}

TEST_P(Revocation, rollback_statements_run_for_a_lease_that_never_became_active) {
  admin_.run("CREATE TABLE log (line text); GRANT ALL ON log TO PUBLIC");
  world_.role(
      "ro", "",
      {{"rollback_statements", {"DO $$ BEGIN INSERT INTO log VALUES ('undone; {{name}}'); END $$"}},
       {"revocation_statements", {"INSERT INTO log VALUES ('revoked')"}}});
  Leased leased = world_.issue("ro");
  leased.handle.fields.erase("role_oid");  // the answer to its creation never came
  expect_gone(leased, world_.revoke(leased));
  EXPECT_EQ(admin_.value("SELECT line FROM log"), "undone; " + leased.username);
}

TEST_P(Revocation, pain_6_statements_that_let_the_role_in_again_do_not_win) {
  world_.role("ro", "",
              {{"revocation_statements",
                {"DO $$ BEGIN EXECUTE format('ALTER ROLE %I LOGIN PASSWORD ''again'' VALID UNTIL "
                 "''infinity'' CONNECTION LIMIT -1', '{{name}}'); END $$"}}});
  const Leased leased = world_.issue("ro");
  fakes::MemoryPhases phases;
  phases.fail_done(3);
  ASSERT_FALSE(world_.engine->revoke(leased.lease_id, leased.handle, phases, world_.in()));
  EXPECT_FALSE(test::can_log_in(world_.database.url(leased.username, "again")));
  const auto receipt = world_.engine->revoke(leased.lease_id, leased.handle, phases, world_.in());
  ASSERT_TRUE(receipt.has_value()) << receipt.error().message;
  EXPECT_THAT(receipt->warnings.dump(), HasSubstr("locked out once more"));
  EXPECT_FALSE(world_.role_exists(leased.username));
}

TEST_P(Revocation, many_at_once) {
  world_.role("ro", " GRANT SELECT ON orders TO \"{{name}}\";" + in_group());
  std::vector<Leased> leases;
  for (int i = 0; i < 24; ++i) leases.push_back(world_.issue("ro"));
  std::vector<std::string> problems(leases.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < leases.size(); ++i)
    threads.emplace_back([&, i] {
      auto receipt = world_.try_revoke(leases[i]);
      if (!receipt) problems[i] = receipt.error().message;
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::string& problem : problems) EXPECT_EQ(problem, "");
}

// The two attributes that let a leased role make roles of its own.
TEST(RevocationAsSuperuser, takes_attributes_away_with_the_login) {
  PostgresWorld world;
  world.configure();
  world.role("dba", " ALTER ROLE \"{{name}}\" CREATEROLE CREATEDB REPLICATION BYPASSRLS;");
  const Leased leased = world.issue("dba");
  fakes::MemoryPhases phases;
  phases.fail_done(1);
  ASSERT_FALSE(world.engine->revoke(leased.lease_id, leased.handle, phases, world.in()));
  EXPECT_EQ(world.database.superuser().value(
                "SELECT count(*) FROM pg_roles WHERE rolname = '" + leased.username +
                "' AND (rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)"),
            "0");
  world.revoke(leased);
  EXPECT_FALSE(world.role_exists(leased.username));
}

TEST(RevocationAsSuperuser, says_that_the_target_has_no_configuration) {
  PostgresWorld world;
  world.configure();
  world.role("ro");
  const Leased leased = world.issue("ro");
  ASSERT_TRUE(world.call(Operation::kDelete, "config/" + world.target()).has_value());
  const auto receipt = world.try_revoke(leased);
  ASSERT_FALSE(receipt.has_value());
  EXPECT_EQ(receipt.error().code, Errc::kUnavailable);
  EXPECT_THAT(receipt.error().message, HasSubstr("write config/" + world.target() + " again"));
  world.configure();
  world.revoke(leased);
}

TEST(RevocationAsSuperuser, a_login_that_may_do_nothing_is_told_what_it_needs) {
  PostgresWorld world;
  world.configure();
  world.role("ro");
  const Leased leased = world.issue("ro");
  const auto weak = world.database.login("");
  world.configure_as(weak);
  const auto receipt = world.try_revoke(leased);
  ASSERT_FALSE(receipt.has_value());
  EXPECT_EQ(receipt.error().code, Errc::kRefused);
  EXPECT_THAT(receipt.error().message, HasSubstr("CREATEROLE"));
  EXPECT_THAT(receipt.error().message, HasSubstr(weak.user));
}

}  // namespace
}  // namespace curfew::engines::postgres

#include <thread>

#include "engines/postgres/lease_role.h"
#include "tests/contract/engine_contract.h"
#include "tests/engines/postgres/postgres_fixture.h"

namespace curfew::engines::postgres {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr const char* kUsedUp = "55000";

// A lease for one statement, and how its holder runs that.
struct ForOne : Leased {
  std::string execute;
};

// One database for all tests: making one takes long.
class StatementLease : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    world_ = new PostgresWorld;
    world_->configure();
    world_->database.superuser().run(
        "CREATE TABLE orders (id serial PRIMARY KEY, customer varchar(20), total numeric, "
        "  placed timestamptz, state text CHECK (state <> 'bad'));"
        "CREATE TABLE parts (order_id int REFERENCES orders DEFERRABLE INITIALLY DEFERRED);"
        "CREATE TABLE secrets (what text)");
    world_->role("rw",
                 "GRANT SELECT, INSERT, UPDATE, DELETE ON orders, parts TO \"{{name}}\"; "
                 "GRANT USAGE ON SEQUENCE orders_id_seq TO \"{{name}}\";",
                 {{"allow_dangerous", false}});
  }
  static void TearDownTestSuite() {
    delete world_;
    world_ = nullptr;
  }
  void SetUp() override {
    world_->database.superuser().run(
        "TRUNCATE parts, orders RESTART IDENTITY; INSERT INTO orders (customer, total, state) "
        "VALUES ('ann', 10, 'new'), ('bob', 20, 'new'), ('cem', 30, 'sent')");
  }

  static Result<ForOne> try_issue(const std::string& statement, Json parameters = Json::array(),
                                  const std::string& role = "rw") {
    ForOne out{{world_->next_lease(role), {}, "", ""}, ""};
    ASSIGN_OR_RETURN(
        const IssuePlan made,
        world_->plan(role, out.lease_id,
                     {{"statement", statement}, {"statement_parameters", std::move(parameters)}}));
    out.handle = made.handle;
    ASSIGN_OR_RETURN(const Issued issued,
                     world_->engine->apply(world_->intent(out.lease_id, made), world_->in()));
    out.handle.fields.update(issued.facts);
    out.username = issued.data.at("username");
    out.password = issued.data.at("password");
    out.execute = issued.data.at("execute");
    return out;
  }
  static ForOne issue(const std::string& statement, Json parameters = Json::array()) {
    auto lease = try_issue(statement, std::move(parameters));
    if (!lease) throw std::runtime_error("issuing failed: " + lease.error().message);
    return std::move(*lease);
  }
  // Ends the lease and sees that nothing of it is left.
  static void end(const ForOne& lease) {
    const Receipt receipt = world_->revoke(lease);
    EXPECT_EQ(receipt.checked.at("executor").at("role_absent"), true);
    EXPECT_EQ(receipt.warnings, Json::array());
    expect_nothing_left(lease);
  }
  static void expect_nothing_left(const Leased& lease) {
    const std::string executor = lease.handle.fields.at("executor");
    const std::string database_role = lease.handle.fields.at("database_role");
    EXPECT_FALSE(world_->role_exists(database_role));
    EXPECT_FALSE(world_->role_exists(executor));
    EXPECT_EQ(sql("SELECT count(*) FROM pg_namespace WHERE nspname = '" + executor + "'"), "0");
    EXPECT_EQ(world_->engine->probe(lease.lease_id, lease.handle, world_->in()).value(),
              Presence::kAbsent);
  }
  static std::string sql(const std::string& text) {
    return world_->database.superuser().value(text);
  }

  static PostgresWorld* world_;
};
PostgresWorld* StatementLease::world_ = nullptr;

TEST_F(StatementLease, the_statement_runs_with_its_parameters_and_counts_rows) {
  const ForOne lease = issue("UPDATE orders SET total = total + $1, placed = $2 WHERE state = $3",
                             {"0.5", "2027-01-02 03:04:05+00", "new"});
  EXPECT_THAT(lease.execute, HasSubstr("SELECT * FROM \"" + lease.username + ".run\".\"run\"()"));
  auto session = world_->log_in(lease);
  EXPECT_EQ(session.value(lease.execute), "2");
  EXPECT_EQ(sql("SELECT sum(total) FROM orders"), "61.0");
  EXPECT_EQ(sql("SELECT placed AT TIME ZONE 'UTC' FROM orders WHERE id = 1"),
            "2027-01-02 03:04:05");
  end(lease);
}

TEST_F(StatementLease, rows_are_given_as_objects) {
  const ForOne lease = issue(
      "SELECT id, customer, total > $1 AS much FROM orders WHERE customer = $2 OR $3 ORDER BY id",
      {15, "bob", nullptr});
  EXPECT_EQ(Json::parse(world_->log_in(lease).value(lease.execute)),
            (Json{{"id", 2}, {"customer", "bob"}, {"much", true}}));
  end(lease);
  const ForOne changing = issue(
      "WITH gone AS (DELETE FROM orders WHERE id < $1 RETURNING *) INSERT INTO parts SELECT $2 "
      "FROM gone RETURNING order_id",
      {3, 3});
  EXPECT_EQ(world_->log_in(changing).run(changing.execute).size(), 2u);
  EXPECT_EQ(sql("SELECT count(*) FROM orders"), "1");
  end(changing);
}

TEST_F(StatementLease, a_second_call_fails) {
  const ForOne lease = issue("UPDATE orders SET total = total + 1");
  auto session = world_->log_in(lease);
  EXPECT_EQ(session.try_run(lease.execute), "");
  EXPECT_EQ(session.try_run(lease.execute), kUsedUp);
  EXPECT_EQ(world_->log_in(lease).try_run(lease.execute), kUsedUp);
  EXPECT_EQ(sql("SELECT sum(total) FROM orders"), "63");
  end(lease);
}

TEST_F(StatementLease, two_calls_in_one_query_fail_both) {
  const ForOne lease = issue("UPDATE orders SET total = total + 1");
  const std::string call = lease.execute.substr(std::string("SELECT * FROM ").size());
  auto session = world_->log_in(lease);
  EXPECT_EQ(session.try_run("SELECT " + call + " FROM generate_series(1, 2)"), kUsedUp);
  EXPECT_EQ(session.try_run(lease.execute + "; " + lease.execute), kUsedUp);
  EXPECT_EQ(sql("SELECT sum(total) FROM orders"), "60");
  EXPECT_EQ(session.try_run(lease.execute), "");
  end(lease);
}

TEST_F(StatementLease, a_call_that_was_rolled_back_may_be_tried_again) {
  const ForOne lease = issue("UPDATE orders SET total = total + 1");
  auto session = world_->log_in(lease);
  session.run("BEGIN; " + lease.execute + "; ROLLBACK");
  session.run("BEGIN; SAVEPOINT a; " + lease.execute + "; ROLLBACK TO a; " + lease.execute +
              "; COMMIT");
  EXPECT_EQ(session.try_run(lease.execute), kUsedUp);
  EXPECT_EQ(sql("SELECT sum(total) FROM orders"), "63");
  end(lease);
}

TEST_F(StatementLease, two_sessions_at_once_run_it_once) {
  for (const std::string level : {"READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"}) {
    const ForOne lease = issue("UPDATE orders SET total = total + 1 WHERE id = 1");
    auto first = world_->log_in(lease), second = world_->log_in(lease);
    // Both have their snapshots before either runs it.
    first.run("BEGIN ISOLATION LEVEL " + level + "; SELECT 1");
    second.run("BEGIN ISOLATION LEVEL " + level + "; SELECT 1");
    first.run(lease.execute);
    std::string refused;
    std::thread waiting([&] { refused = second.try_run(lease.execute); });
    ASSERT_TRUE(test::eventually([&] {
      return sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND "
                 "usename = '" +
                 lease.username + "'") == "1";
    }));
    first.run("COMMIT");
    waiting.join();
    EXPECT_EQ(refused, level == "READ COMMITTED" ? kUsedUp : "40001") << level;
    second.try_run("ROLLBACK");
    EXPECT_EQ(second.try_run(lease.execute), kUsedUp) << level;
    end(lease);
  }
  EXPECT_EQ(sql("SELECT total FROM orders WHERE id = 1"), "13");
}

TEST_F(StatementLease, it_can_do_nothing_else) {
  const ForOne lease = issue("UPDATE orders SET total = 0 WHERE id = $1", {1});
  auto session = world_->log_in(lease);
  const std::string schema = "\"" + lease.username + ".run\"";
  for (const std::string& attempt :
       {std::string("SELECT * FROM orders"), std::string("UPDATE orders SET total = 1"),
        std::string("INSERT INTO parts VALUES (1)"), "SELECT * FROM " + schema + ".once",
        "INSERT INTO " + schema + ".once VALUES (true)", "CREATE TABLE " + schema + ".t (i int)",
        "CREATE FUNCTION " + schema + ".f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER FUNCTION " + schema + ".run() RESET ALL", "DROP FUNCTION " + schema + ".run()",
        "SET ROLE " + schema, "SET SESSION AUTHORIZATION " + schema,
        "GRANT " + schema + " TO CURRENT_USER", std::string("CREATE TABLE t (i int)"),
        std::string("CREATE SCHEMA s"), std::string("CREATE ROLE r")})
    EXPECT_EQ(session.try_run(attempt), "42501") << attempt;
  EXPECT_EQ(sql("SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid IN (m.member, "
                "m.roleid) WHERE r.rolname = '" +
                lease.username + "'"),
            "0");
  // This one is a warning: nothing is granted.
  session.run("GRANT EXECUTE ON FUNCTION " + schema + ".run() TO PUBLIC");
  // Another lease's function is as closed as everything else.
  const ForOne other = issue("DELETE FROM orders");
  EXPECT_EQ(session.try_run(other.execute), "42501");
  EXPECT_EQ(world_->log_in(other).try_run(lease.execute), "42501");
  EXPECT_EQ(sql("SELECT sum(total) FROM orders"), "60");
  end(other);
  end(lease);
}

TEST_F(StatementLease, what_the_session_is_set_to_changes_nothing) {
  const ForOne lease =
      issue(R"(UPDATE orders SET customer = 'a\' WHERE state = 'new' AND upper(customer) = 'ANN')");
  auto session = world_->log_in(lease);
  session.run(
      "CREATE TEMP TABLE orders (id int, customer text, state text);"
      "CREATE FUNCTION pg_temp.upper(varchar) RETURNS text LANGUAGE sql AS $$ SELECT 'ANN' $$;"
      "SET search_path = pg_temp, public; SET standard_conforming_strings = off;"
      "SET backslash_quote = on; SET transform_null_equals = on");
  EXPECT_EQ(session.value(lease.execute), "1");
  EXPECT_EQ(sql("SELECT customer FROM orders WHERE id = 1"), "a\\");
  end(lease);
}

TEST_F(StatementLease, constraints_that_wait_are_checked_with_the_statement) {
  const ForOne lease = issue("INSERT INTO parts VALUES ($1)", {99});
  auto session = world_->log_in(lease);
  EXPECT_EQ(session.try_run("BEGIN; SET CONSTRAINTS ALL DEFERRED; " + lease.execute), "23503");
  end(lease);
}

TEST_F(StatementLease, a_statement_that_the_target_cannot_read_makes_nothing) {
  const auto message = [&](const std::string& statement, Json parameters = Json::array()) {
    const auto refused = try_issue(statement, std::move(parameters));
    EXPECT_EQ(refused.error().code, Errc::kRefused);
    EXPECT_THAT(refused.error().message, HasSubstr("nothing was created"));
    return refused.error().message;
  };
  EXPECT_THAT(message("SELECT * FROM orders_typo"), HasSubstr("\"orders_typo\" does not exist"));
  EXPECT_THAT(message("SELECT * FROM orders WHERE id = $1", {"x"}),
              HasSubstr("statement_parameters[0]"));
  EXPECT_EQ(sql("SELECT count(*) FROM pg_roles WHERE rolname LIKE '" +
                world_->database.role_prefix() + "%'"),
            "0");
}

// What the executor may not do the statement cannot do.
TEST_F(StatementLease, the_rights_are_those_of_the_role) {
  const ForOne lease = issue("SELECT * FROM secrets");
  EXPECT_EQ(world_->log_in(lease).try_run(lease.execute), "42501");
  end(lease);
}

TEST_F(StatementLease, dangerous_rights_are_refused_when_it_is_issued) {
  const std::string group = world_->database.role_prefix() + "_group";
  world_->database.superuser().run("CREATE ROLE " + group);
  world_->role("in_group", "GRANT " + group + " TO \"{{name}}\"", {{"allow_dangerous", false}});
  EXPECT_TRUE(try_issue("SELECT 1", {}, "in_group"));
  world_->database.superuser().run("ALTER ROLE " + group + " CREATEROLE");
  EXPECT_THAT(try_issue("SELECT 1", {}, "in_group").error().message, HasSubstr("CREATEROLE"));
  world_->database.superuser().run("ALTER ROLE " + group + " NOCREATEROLE");
}

// As in databases from before PostgreSQL 15.
TEST_F(StatementLease, where_everybody_may_create_there_is_none) {
  world_->database.superuser().run("GRANT CREATE ON SCHEMA public TO PUBLIC");
  EXPECT_THAT(try_issue("SELECT 1").error().message,
              HasSubstr("REVOKE CREATE ON SCHEMA \"public\" FROM PUBLIC"));
  world_->database.superuser().run("REVOKE CREATE ON SCHEMA public FROM PUBLIC");
}

TEST_F(StatementLease, names_are_found_as_the_role_would_find_them) {
  world_->database.superuser().run(
      "CREATE SCHEMA app; CREATE TABLE app.orders (id int); GRANT USAGE ON SCHEMA app TO PUBLIC; "
      "GRANT SELECT ON app.orders TO PUBLIC");
  world_->role("app", "ALTER ROLE \"{{name}}\" SET search_path = app, public;");
  const ForOne lease = try_issue("SELECT count(*) FROM orders", {}, "app").value();
  EXPECT_EQ(world_->log_in(lease).value(lease.execute), "{\"count\": 0}");
  end(lease);
}

TEST_F(StatementLease, sessions_that_run_it_are_ended_with_the_lease) {
  const ForOne lease = issue("SELECT pg_sleep(600)");
  auto session = world_->log_in(lease);
  std::string ended;
  std::thread running([&] { ended = session.try_run(lease.execute); });
  ASSERT_TRUE(test::eventually([&] {
    return sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND usename = "
               "'" +
               lease.username + "'") == "1";
  }));
  end(lease);
  running.join();
  EXPECT_TRUE(ended == "57P01" || ended == "lost") << ended;
}

TEST_F(StatementLease, its_expiry_is_moved) {
  const ForOne lease = issue("SELECT 1");
  const auto until = [&] {
    return sql("SELECT extract(epoch FROM rolvaliduntil)::int8 FROM pg_roles WHERE rolname = '" +
               lease.username + "'");
  };
  const WallTime later = world_->clock().wall() + Seconds{7200};
  ASSERT_TRUE(world_->engine->renew(lease.lease_id, lease.handle, later, world_->in()));
  EXPECT_EQ(until(), std::to_string(to_unix_seconds(later)));
  end(lease);
}

TEST_F(StatementLease, batches_leave_it_to_the_whole_revocation) {
  const ForOne lease = issue("SELECT 1");
  const std::vector<LeaseRef> refs{{lease.lease_id, lease.handle}};
  ASSERT_TRUE(world_->engine->lock_out(refs, world_->in()).value()[0].has_value());
  EXPECT_FALSE(test::can_log_in(world_->url_of(lease)));
  EXPECT_FALSE(world_->engine->revoke_many(refs, world_->in()).value()[0].has_value());
  end(lease);
}

// As after kill -9 at any point of a revocation: whatever went first, the rest goes too.
TEST_F(StatementLease, killed_between_steps_it_is_cleaned) {
  const auto schema_of = [](const ForOne& lease) { return "\"" + lease.username + ".run\""; };
  const ForOne no_role = issue("SELECT 1");
  const ForOne no_schema = issue("SELECT 1");
  const ForOne no_executor = issue("SELECT 1");
  const ForOne no_facts = issue("SELECT 1");
  auto superuser = world_->database.superuser();
  superuser.run("DROP OWNED BY \"" + no_role.username + "\"; DROP ROLE \"" + no_role.username +
                "\"");
  superuser.run("DROP SCHEMA " + schema_of(no_schema) + " CASCADE");
  superuser.run("DROP OWNED BY " + schema_of(no_executor) + "; DROP ROLE " +
                schema_of(no_executor));
  EXPECT_EQ(world_->engine->probe(no_role.lease_id, no_role.handle, world_->in()).value(),
            Presence::kPresent);
  for (ForOne lease : {no_role, no_schema, no_executor, no_facts}) {
    for (const char* fact : {"role_oid", "executor_oid", "rights"}) lease.handle.fields.erase(fact);
    world_->revoke(lease);
    expect_nothing_left(lease);
    world_->revoke(lease);
  }
}

TEST_F(StatementLease, what_the_mark_tells_is_enough_to_remove_all_of_it) {
  const ForOne lease = issue("SELECT 1");
  const ForOne half = issue("SELECT 1");
  world_->database.superuser().run("DROP OWNED BY \"" + half.username + "\"; DROP ROLE \"" +
                                   half.username + "\"");
  const auto owned = world_->engine->list_owned(world_->in()).value();
  int seen = 0;
  for (const Handle& handle : owned) {
    const std::string id = handle.fields.value("lease_id", "");
    if (id != lease.lease_id && id != half.lease_id) continue;
    ++seen;
    fakes::MemoryPhases phases;
    ASSERT_TRUE(world_->engine->revoke(id, handle, phases, world_->in()));
  }
  EXPECT_EQ(seen, 2);  // two leases, not four roles
  expect_nothing_left(lease);
  expect_nothing_left(half);
}

// Data that somebody put there is kept, and does not hold the lease up.
TEST_F(StatementLease, what_else_is_in_its_schema_is_kept_in_quarantine) {
  const ForOne lease = issue("SELECT 1");
  const std::string schema = "\"" + lease.username + ".run\"";
  world_->database.superuser().run("CREATE TABLE " + schema + ".found AS SELECT 1; ALTER TABLE " +
                                   schema + ".found OWNER TO " + schema);
  const Receipt receipt = world_->revoke(lease);
  EXPECT_FALSE(world_->role_exists(lease.username + ".run"));
  EXPECT_EQ(sql("SELECT count(*) FROM " + schema + ".found"), "1");
  EXPECT_THAT(receipt.warnings, IsEmpty());
}

// The broker's usual login: not a superuser.
TEST_F(StatementLease, a_login_with_createrole_is_enough) {
  auto superuser = world_->database.superuser();
  const auto login = world_->database.login("CREATEROLE");
  superuser.run("GRANT CREATE ON DATABASE " + world_->database.name() + " TO " + login.user +
                "; GRANT pg_signal_backend TO " + login.user + "; GRANT SELECT ON orders TO " +
                login.user + " WITH GRANT OPTION");
  world_->configure_as(login);
  world_->role("reader", "GRANT SELECT ON orders TO \"{{name}}\";");
  const ForOne lease = try_issue("SELECT count(*) FROM orders", {}, "reader").value();
  EXPECT_EQ(world_->log_in(lease).value(lease.execute), "{\"count\": 3}");
  EXPECT_EQ(superuser.value("SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = "
                            "m.roleid WHERE r.rolname = '" +
                            lease.username + ".run'"),
            "0");
  end(lease);
  superuser.run("REVOKE CREATE ON DATABASE " + world_->database.name() + " FROM " + login.user);
  EXPECT_THAT(try_issue("SELECT 1", {}, "reader").error().message,
              HasSubstr("GRANT CREATE ON DATABASE"));
  world_->configure();
}

}  // namespace

class StatementContractWorld final : public LeasingWorld {
 public:
  StatementContractWorld() {
    world_.configure();
    world_.role("x");
  }
  SecretEngine& engine() override { return *world_.engine; }
  const Clock& clock() override { return world_.clock(); }
  IssueRequest request(const std::string& lease_id) override {
    return {.path = "creds/x",
            .params = {{"name", "x"}},
            .lease_id = lease_id,
            .data = {{"statement", "SELECT 1"}},
            .attribution = {}};
  }
  void forget_configuration() override {
    if (!world_.call(Operation::kDelete, "roles/x")) std::abort();
  }
  std::string known_secret() override { return ""; }

 private:
  PostgresWorld world_;
};

}  // namespace curfew::engines::postgres

namespace curfew::engines {
INSTANTIATE_TEST_SUITE_P(PostgresStatement, EngineContract,
                         ::testing::Values([]() -> std::unique_ptr<LeasingWorld> {
                           return std::make_unique<postgres::StatementContractWorld>();
                         }));
}  // namespace curfew::engines

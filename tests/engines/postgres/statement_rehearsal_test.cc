#include <thread>

#include "engines/postgres/evidence.h"
#include "engines/postgres/statement_effects.h"
#include "tests/engines/postgres/postgres_fixture.h"

namespace curfew::engines::postgres {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// One database for all tests: making one takes long.
class RehearsalOfStatement : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    world_ = new PostgresWorld;
    world_->configure();
    world_->database.superuser().run(
        "CREATE TABLE orders (id serial PRIMARY KEY, customer text, total int, "
        "  state text CHECK (state <> 'bad'));"
        "CREATE TABLE parts (order_id int REFERENCES orders ON DELETE CASCADE DEFERRABLE "
        "  INITIALLY DEFERRED);"
        "CREATE TABLE secrets (what text); INSERT INTO secrets VALUES ('launch code 77');"
        "CREATE TABLE audit (what text);"
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN "
        "  INSERT INTO public.audit VALUES (NEW.id); RETURN NEW; END $$;"
        "CREATE TRIGGER noted AFTER UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION note()");
    world_->role("rw",
                 "GRANT SELECT, INSERT, UPDATE, DELETE ON orders, parts TO \"{{name}}\"; "
                 "GRANT UPDATE ON secrets TO \"{{name}}\"; "
                 "GRANT USAGE ON SEQUENCE orders_id_seq TO \"{{name}}\";",
                 {{"allow_dangerous", false}});
  }
  static void TearDownTestSuite() {
    delete world_;
    world_ = nullptr;
  }
  void SetUp() override {
    sql("TRUNCATE parts, orders, audit RESTART IDENTITY; INSERT INTO orders (customer, total, "
        "state) VALUES ('ann', 10, 'new'), ('bob', 20, 'new'), ('cem', 30, 'sent'); INSERT INTO "
        "parts VALUES (1), (1), (2)");
  }
  // Whatever was tried, nothing of it is left.
  void TearDown() override {
    EXPECT_EQ(sql("SELECT sum(total) || ' ' || count(*) FROM orders"), "60 3");
    EXPECT_EQ(sql("SELECT count(*) FROM audit"), "0");
    EXPECT_EQ(sql("SELECT count(*) FROM pg_roles WHERE rolname LIKE '" +
                  world_->database.role_prefix() + "-%'"),
              "0");
    EXPECT_EQ(sql("SELECT count(*) FROM pg_namespace WHERE nspname LIKE '%.run'"), "0");
  }

  static Result<Json> rehearse(const std::string& statement, Json parameters = Json::array(),
                               const std::string& role = "rw", Millis time = Millis{20'000}) {
    Json data{{"statement_parameters", std::move(parameters)}};
    if (!statement.empty()) data["statement"] = statement;
    return world_->engine->rehearse(
        {"creds/" + role, {{"name", role}}, "", std::move(data), world_->who}, world_->in(time));
  }
  static Json seen(const std::string& statement, Json parameters = Json::array()) {
    auto evidence = rehearse(statement, std::move(parameters));
    if (!evidence) throw std::runtime_error("the trial failed: " + evidence.error().message);
    return std::move(*evidence);
  }
  static std::string refusal(const std::string& statement, Json parameters = Json::array()) {
    const auto refused = rehearse(statement, std::move(parameters));
    if (refused) return "tried: " + refused->dump();
    EXPECT_EQ(refused.error().code, Errc::kInvalidArgument) << refused.error().message;
    return refused.error().message;
  }
  static std::string sql(const std::string& text) {
    return world_->database.superuser().value(text);
  }

  static PostgresWorld* world_;
};
PostgresWorld* RehearsalOfStatement::world_ = nullptr;

TEST_F(RehearsalOfStatement, tells_what_an_update_changes_before_and_after) {
  const Json evidence = seen("UPDATE orders SET total = total + $1 WHERE state = $2", {5, "new"});
  EXPECT_EQ(evidence.at("rows"), 2);
  EXPECT_FALSE(evidence.contains("sample"));
  const Json& tables = evidence.at("tables");
  ASSERT_EQ(tables.size(), 2u) << evidence.dump(1);
  EXPECT_EQ(tables[0].at("table"), "public.audit");
  EXPECT_EQ(tables[0].at("inserted"), 2);
  EXPECT_EQ(tables[1].at("table"), "public.orders");
  EXPECT_EQ(tables[1].at("updated"), 2);
  EXPECT_EQ(tables[1].at("deleted"), 0);
  ASSERT_EQ(tables[1].at("sample_before").size(), 2u);
  EXPECT_EQ(tables[1].at("sample_before")[0],
            (Json{{"id", 1}, {"customer", "ann"}, {"total", 10}, {"state", "new"}}));
  EXPECT_EQ(tables[1].at("sample_after")[0].at("total"), 15);
  EXPECT_EQ(tables[1].at("sample_after")[1].at("id"), 2);
  EXPECT_THAT(evidence.at("triggers"), ElementsAre("noted on public.orders"));
  EXPECT_THAT(evidence.at("locks"), ::testing::Contains(Json{{"relation", "public.orders"},
                                                             {"mode", "RowExclusiveLock"}}));
  EXPECT_EQ(evidence.at("plan").at("Node Type"), "ModifyTable");
  EXPECT_GT(evidence.at("milliseconds").get<double>(), 0);
  EXPECT_EQ(evidence.at("warnings"), Json::array());
}

TEST_F(RehearsalOfStatement, tells_what_foreign_keys_take_along) {
  const Json evidence = seen("DELETE FROM orders WHERE id = 1");
  EXPECT_EQ(evidence.at("rows"), 1);
  const Json& tables = evidence.at("tables");
  ASSERT_EQ(tables.size(), 2u) << evidence.dump(1);
  EXPECT_EQ(tables[0].at("sample_before")[0].at("customer"), "ann");
  EXPECT_FALSE(tables[0].contains("sample_after"));
  EXPECT_EQ(tables[1].at("table"), "public.parts");
  EXPECT_EQ(tables[1].at("deleted"), 2);
}

TEST_F(RehearsalOfStatement, tells_the_first_rows_that_a_query_gives) {
  const Json evidence =
      seen("SELECT id, repeat('x', 500) AS long FROM orders, generate_series(1,4)");
  EXPECT_EQ(evidence.at("rows"), 12);
  ASSERT_EQ(evidence.at("sample").size(), 5u);
  EXPECT_EQ(evidence.at("sample")[0].at("long"), std::string(200, 'x') + "…");
  EXPECT_EQ(evidence.at("tables"), Json::array());
}

TEST_F(RehearsalOfStatement, warns_of_sequence_numbers_that_are_used_up) {
  const Json evidence = seen("INSERT INTO orders (customer) VALUES ($1) RETURNING id", {"dee"});
  EXPECT_EQ(evidence.at("rows"), 1);
  EXPECT_THAT(evidence.at("warnings").dump(), HasSubstr("sequence numbers are used up"));
  EXPECT_EQ(evidence.at("tables")[0].at("sample_after")[0].at("customer"), "dee");
  EXPECT_EQ(sql("SELECT last_value FROM orders_id_seq"), "4");
}

TEST_F(RehearsalOfStatement, constraints_that_wait_are_checked) {
  EXPECT_THAT(refusal("INSERT INTO parts VALUES (99)"),
              HasSubstr("violates foreign key constraint"));
  EXPECT_THAT(refusal("UPDATE orders SET state = 'bad'"), HasSubstr("violates check constraint"));
}

TEST_F(RehearsalOfStatement, what_the_role_may_not_do_fails) {
  EXPECT_THAT(refusal("SELECT * FROM secrets"), HasSubstr("permission denied for table secrets"));
  EXPECT_THAT(refusal("SELECT * FROM nowhere"), HasSubstr("\"nowhere\" does not exist"));
  EXPECT_THAT(refusal("SELECT * FROM orders WHERE id = $1", {"x"}),
              HasSubstr("statement_parameters[0]"));
}

// Rows that the role may change and not read are not shown either.
TEST_F(RehearsalOfStatement, samples_are_what_the_role_may_see) {
  const Json evidence = seen("UPDATE secrets SET what = 'none'");
  EXPECT_EQ(evidence.at("tables")[0].at("updated"), 1);
  EXPECT_FALSE(evidence.at("tables")[0].contains("sample_before"));
  EXPECT_THAT(evidence.dump(), Not(HasSubstr("launch code")));
}

// Who asks is not allowed to see anything yet.
TEST_F(RehearsalOfStatement, errors_tell_no_data) {
  for (const char* statement :
       {"SELECT customer::int FROM orders", "SELECT customer::regclass FROM orders WHERE id = 1",
        "SELECT query_to_xml('SELECT ' || customer, true, true, '') FROM orders"}) {
    const std::string message = refusal(statement);
    EXPECT_THAT(message, HasSubstr("SQLSTATE")) << statement;
    EXPECT_THAT(message, Not(HasSubstr("ann"))) << statement;
  }
}

TEST_F(RehearsalOfStatement, effects_that_stay_are_refused_and_not_tried) {
  auto superuser = world_->database.superuser();
  superuser.run(
      "CREATE FUNCTION writes_file() RETURNS void LANGUAGE plpgsql AS $$ BEGIN COPY orders TO "
      "  PROGRAM 'true'; END $$;"
      "CREATE EXTENSION IF NOT EXISTS postgres_fdw;"
      "CREATE SERVER away FOREIGN DATA WRAPPER postgres_fdw;"
      "CREATE FOREIGN TABLE far (i int) SERVER away; GRANT ALL ON far TO PUBLIC");
  for (const auto& [statement, what] :
       {std::pair{"SELECT setval('orders_id_seq', 1000)", "setval()"},
        std::pair{"SELECT pg_catalog . /* */ setval -- \n ('orders_id_seq', 1000)", "setval()"},
        std::pair{"SELECT nextval('orders_id_seq')", "nextval()"},
        std::pair{"SELECT lo_export(1, '/tmp/x')", "lo_export()"},
        std::pair{"SELECT pg_terminate_backend(pid) FROM pg_stat_activity", "pg_terminate_backend"},
        std::pair{"SELECT pg_reload_conf()", "pg_reload_conf()"},
        std::pair{"SELECT pg_logical_emit_message(false, 'a', 'b')", "pg_logical_emit_message"},
        std::pair{"SELECT writes_file()", "copies to a file or program"},
        std::pair{"SELECT * FROM far", "foreign table"},
        std::pair{"INSERT INTO far VALUES (1)", "foreign table"}})
    EXPECT_THAT(refusal(statement), ::testing::AllOf(HasSubstr(what), HasSubstr("taken back")))
        << statement;
  superuser.run("DROP SERVER away CASCADE; DROP FUNCTION writes_file()");
  EXPECT_EQ(sql("SELECT last_value FROM orders_id_seq"), "3");
}

TEST_F(RehearsalOfStatement, effects_are_looked_for_in_functions_and_triggers) {
  auto superuser = world_->database.superuser();
  superuser.run(
      "CREATE FUNCTION inner_one() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN "
      "  pg_catalog.setval('orders_id_seq', 1000); END $$;"
      "CREATE FUNCTION outer_two() RETURNS bigint LANGUAGE sql AS 'SELECT inner_one()';"
      "CREATE FUNCTION sends() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM "
      "  inner_one(); RETURN NULL; END $$;"
      "CREATE TRIGGER sends AFTER DELETE ON parts FOR EACH STATEMENT EXECUTE FUNCTION sends()");
  EXPECT_THAT(refusal("SELECT outer_two()"), HasSubstr("setval()"));
  EXPECT_THAT(refusal("DELETE FROM orders WHERE id = 1"), HasSubstr("setval()"));
  superuser.run("DROP TRIGGER sends ON parts; DROP FUNCTION sends(), outer_two(), inner_one()");
}

// The session of the trial belongs to the broker, which may do everything.
TEST_F(RehearsalOfStatement, the_statement_cannot_become_the_broker) {
  EXPECT_THAT(refusal("SELECT set_config('role', 'none', true)"), HasSubstr("42501"));
  EXPECT_THAT(refusal("SELECT set_config('session_authorization', 'postgres', true)"),
              HasSubstr("SQLSTATE"));
  EXPECT_EQ(seen("SELECT set_config('search_path', 'public', false), set_config('client_encoding', "
                 "'SJIS', false), set_config('statement_timeout', '0', false)")
                .at("rows"),
            1);
  EXPECT_EQ(seen("SELECT current_user LIKE '%.run' AS apart").at("sample")[0].at("apart"), true);
}

TEST_F(RehearsalOfStatement, locks_are_not_waited_for_long) {
  auto holder = world_->database.superuser();
  holder.run("BEGIN; LOCK TABLE orders");
  EXPECT_THAT(refusal("UPDATE orders SET total = 0"), HasSubstr("lock timeout"));
  holder.run("ROLLBACK");
}

TEST_F(RehearsalOfStatement, it_is_over_when_the_time_is) {
  const auto late = rehearse("SELECT pg_sleep(600)", {}, "rw", Millis{3'000});
  ASSERT_FALSE(late);
  EXPECT_TRUE(test::eventually([&] {
    return sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == "0";
  }));
}

TEST_F(RehearsalOfStatement, without_a_statement_it_tells_the_rights) {
  const auto rights = rehearse("");
  ASSERT_TRUE(rights) << rights.error().message;
  const Json wanted{
      {{"object", "public.orders"}, {"privileges", {"SELECT", "INSERT", "UPDATE", "DELETE"}}},
      {{"object", "public.parts"}, {"privileges", {"SELECT", "INSERT", "UPDATE", "DELETE"}}},
      {{"object", "public.secrets"}, {"privileges", {"UPDATE"}}},
      {{"object", "sequence public.orders_id_seq"}, {"privileges", {"USAGE"}}}};
  EXPECT_EQ(rights->at("privileges"), wanted) << rights->dump(1);
  EXPECT_EQ(seen("SELECT 1").at("privileges"), wanted);

  const std::string group = world_->database.role_prefix() + "_group";
  sql("CREATE ROLE " + group + " CREATEDB; GRANT SELECT (what) ON audit TO " + group);
  world_->role("in_group", "GRANT " + group + " TO \"{{name}}\"");
  const auto grouped = rehearse("", Json::array(), "in_group");
  ASSERT_TRUE(grouped) << grouped.error().message;
  EXPECT_THAT(grouped->at("member_of"), ElementsAre(group));
  EXPECT_EQ(grouped->at("privileges")[0],
            (Json{{"object", "public.audit"}, {"privileges", {"SELECT (some columns)"}}}));
}

TEST_F(RehearsalOfStatement, a_target_that_is_away_keeps_only_statements_from_being_asked_for) {
  world_->configure(
      {{"verify_connection", false},
       {"connection_url", "postgresql://{{username}}:{{password}}@127.0.0.1:1/nowhere"}});
  EXPECT_EQ(rehearse("").error().code, Errc::kUnsupportedOperation);
  EXPECT_EQ(rehearse("SELECT 1").error().code, Errc::kUnavailable);
  world_->configure();
}

TEST(Evidence, is_bounded) {
  Json rows = Json::array();
  for (int i = 0; i < 5; ++i) {
    Json row = Json::object();
    for (int column = 0; column < 100; ++column)
      row["column_" + std::to_string(column)] = std::string(1000, 'y');
    rows.push_back(row);
  }
  Json tables = Json::array();
  for (int i = 0; i < 20; ++i)
    tables.push_back({{"table", "t" + std::to_string(i)},
                      {"updated", 5},
                      {"sample_before", rows},
                      {"sample_after", rows}});
  const Json evidence = bounded_evidence({{"rows", 100}, {"tables", tables}, {"plan", "p"}});
  EXPECT_LE(dump_json(evidence).size(), kEvidenceBytesMax);
  EXPECT_EQ(evidence.at("shortened"), true);
  EXPECT_EQ(evidence.at("rows"), 100);
}

TEST(Evidence, a_long_plan_becomes_a_summary) {
  Json node{{"Node Type", "Append"}, {"Plan Rows", 7}, {"Plans", Json::array()}};
  for (int i = 0; i < 1000; ++i) node["Plans"].push_back({{"Node Type", "Seq Scan"}});
  const Json plan = bounded_plan(Json::array({{{"Plan", node}}}));
  EXPECT_EQ(plan, (Json{{"shortened", true}, {"Node Type", "Append"}, {"Plan Rows", 7}}));
}

TEST(StatementEffectsText, names_are_found_before_parentheses) {
  EXPECT_THAT(called_names("a.B (1) + \"C d\"(x) || e\n\t(2), (3)"), ElementsAre("C d", "b", "e"));
}

}  // namespace
}  // namespace curfew::engines::postgres

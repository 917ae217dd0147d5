#include "engines/postgres/cleaning.h"

#include "tests/engines/postgres/postgres_fixture.h"

namespace curfew::engines::postgres {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

class Cleaning : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    admin_.run("CREATE TABLE orders (id int); INSERT INTO orders SELECT generate_series(1, 100)");
    admin_.run("GRANT ALL ON orders TO PUBLIC; GRANT ALL ON SCHEMA public TO PUBLIC");
    if (std::string(GetParam()) == "superuser") {
      world_.configure();
    } else {
      login_ = world_.database.login("CREATEROLE");
      world_.configure_as(login_);
    }
    world_.role("dev", " GRANT CREATE ON DATABASE " + world_.database.name() + " TO \"{{name}}\";");
    if (!login_.user.empty())
      admin_.run("GRANT CREATE ON DATABASE " + world_.database.name() + " TO " + login_.user +
                 " WITH GRANT OPTION");
    leased_ = world_.issue("dev");
  }

  void as_leased(const std::string& sql) { world_.log_in(leased_).run(sql); }
  Receipt revoke() {
    auto receipt = engine_revoke();
    if (!receipt) throw std::runtime_error(receipt.error().message);
    EXPECT_FALSE(world_.role_exists(leased_.username));
    return std::move(*receipt);
  }
  Result<Receipt> engine_revoke() {
    return world_.engine->revoke(leased_.lease_id, leased_.handle, phases_, world_.in());
  }
  // What was done in the target's own database.
  Json clean_note() const {
    return phases_.notes().at(Phase::kClean).at("databases").at(world_.database.name());
  }
  std::string owner_of(const std::string& table) {
    return admin_.value("SELECT relowner::regrole FROM pg_class WHERE oid = '" + table +
                        "'::regclass");
  }

  PostgresWorld world_;
  test::PgSession admin_ = world_.database.superuser();
  test::TestDatabase::Login login_;
  Leased leased_;
  fakes::MemoryPhases phases_;
};

INSTANTIATE_TEST_SUITE_P(As, Cleaning, ::testing::Values("superuser", "createrole"),
                         [](const auto& with) { return std::string(with.param); });

// A function or an operator that fits a call better than the built-in one must not be found: it
// would run with the rights of the broker's login.
TEST_P(Cleaning, nothing_that_the_role_planted_runs_as_the_broker) {
  as_leased(R"sql(
    CREATE TABLE trap (who name);
    GRANT ALL ON trap TO PUBLIC;
    CREATE FUNCTION public.format(text, name) RETURNS text LANGUAGE plpgsql AS $$
      BEGIN INSERT INTO public.trap VALUES (current_user); RETURN 'x'; END $$;
    CREATE FUNCTION public.format(text, name, name) RETURNS text LANGUAGE plpgsql AS $$
      BEGIN INSERT INTO public.trap VALUES (current_user); RETURN 'x'; END $$;
    CREATE FUNCTION public.same(oid, regclass) RETURNS bool LANGUAGE plpgsql AS $$
      BEGIN INSERT INTO public.trap VALUES (current_user); RETURN $1 = $2::oid; END $$;
    CREATE OPERATOR public.= (LEFTARG = oid, RIGHTARG = regclass, FUNCTION = public.same);
    CREATE FUNCTION public.same(oid, int) RETURNS bool LANGUAGE plpgsql AS $$
      BEGIN INSERT INTO public.trap VALUES (current_user); RETURN $1 = $2::oid; END $$;
    CREATE OPERATOR public.= (LEFTARG = oid, RIGHTARG = int, FUNCTION = public.same);
    CREATE FUNCTION public.joined(text, name) RETURNS text LANGUAGE plpgsql AS $$
      BEGIN INSERT INTO public.trap VALUES (current_user); RETURN $1; END $$;
    CREATE OPERATOR public.|| (LEFTARG = text, RIGHTARG = name, FUNCTION = public.joined);
  )sql");
  revoke();
  EXPECT_EQ(admin_.value("SELECT pg_catalog.count(*) FROM public.trap"), "0");
}

// Fact 7: DROP OWNED alone would drop the table with its rows.
TEST_P(Cleaning, data_is_kept_and_listed) {
  as_leased(
      "CREATE TABLE \"Übersicht 1\" (id serial PRIMARY KEY, t text); "
      "INSERT INTO \"Übersicht 1\" (t) VALUES ('kept')");
  const Receipt receipt = revoke();
  EXPECT_EQ(admin_.value("SELECT t FROM \"Übersicht 1\""), "kept");
  EXPECT_EQ(owner_of("\"Übersicht 1\""), kQuarantineRole);
  EXPECT_THAT(clean_note()["quarantined"].get<std::vector<std::string>>(),
              Contains("table public.\"Übersicht 1\""));
  EXPECT_EQ(admin_.value("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'curfew_quarantine'"),
            "f");
  EXPECT_EQ(admin_.value("SELECT count(*) FROM pg_auth_members WHERE roleid = "
                         "'curfew_quarantine'::regrole"),
            "0");
}

TEST_P(Cleaning, everything_that_holds_data_is_kept) {
  as_leased(
      "CREATE SCHEMA mine; CREATE TYPE mine.mood AS ENUM ('good', 'bad');"
      "CREATE DOMAIN mine.small AS int CHECK (VALUE < 10);"
      "CREATE TABLE mine.parts (m mine.mood, s mine.small) PARTITION BY LIST (m);"
      "CREATE TABLE mine.good PARTITION OF mine.parts FOR VALUES IN ('good');"
      "INSERT INTO mine.parts VALUES ('good', 7);"
      "CREATE MATERIALIZED VIEW mine.sums AS SELECT count(*) FROM mine.parts;"
      "CREATE SEQUENCE mine.counter; SELECT nextval('mine.counter');"
      "SELECT lo_from_bytea(0, 'blob')");
  revoke();
  EXPECT_EQ(admin_.value("SELECT s FROM mine.parts"), "7");
  EXPECT_EQ(admin_.value("SELECT count FROM mine.sums"), "1");
  EXPECT_EQ(admin_.value("SELECT last_value FROM mine.counter"), "1");
  EXPECT_EQ(admin_.value("SELECT count(*) FROM pg_largeobject_metadata WHERE lomowner = "
                         "'curfew_quarantine'::regrole"),
            "1");
  for (const char* table : {"mine.parts", "mine.good", "mine.sums", "mine.counter"})
    EXPECT_EQ(owner_of(table), kQuarantineRole) << table;
}

// Fact 5: a function must not live on with somebody else's rights.
TEST_P(Cleaning, a_right_that_lacks_for_keeping_things_is_named) {
  if (login_.user.empty()) return;  // a superuser lacks none
  const std::string group = world_.database.role_prefix() + "-makers";
  admin_.run("CREATE ROLE \"" + group + "\"; GRANT CREATE ON DATABASE " + world_.database.name() +
             " TO \"" + group + "\"; GRANT \"" + group + "\" TO \"" + leased_.username +
             "\"; REVOKE CREATE ON DATABASE " + world_.database.name() + " FROM " + login_.user +
             " CASCADE");
  as_leased("CREATE SCHEMA own; CREATE TABLE own.work AS SELECT 1 AS a");
  const auto stuck = engine_revoke();
  ASSERT_FALSE(stuck.has_value());
  const std::string grant =
      "GRANT CREATE ON DATABASE \"" + world_.database.name() + "\" TO curfew_quarantine";
  EXPECT_THAT(stuck.error().message, HasSubstr(grant));
  EXPECT_THAT(stuck.error().message, HasSubstr("CREATE ROLE curfew_quarantine NOLOGIN"));
  admin_.try_run("CREATE ROLE curfew_quarantine NOLOGIN");  // another test may have made it
  admin_.run(grant);
  revoke();
  EXPECT_EQ(owner_of("own.work"), "curfew_quarantine");
}

TEST_P(Cleaning, functions_and_views_are_dropped) {
  as_leased(
      "CREATE FUNCTION evil() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS "
      "'SELECT count(*) FROM public.orders';"
      "CREATE VIEW peep AS SELECT id FROM orders; GRANT SELECT ON peep TO PUBLIC;"
      "CREATE TABLE t (i int); INSERT INTO t VALUES (1)");
  revoke();
  EXPECT_EQ(admin_.value("SELECT count(*) FROM pg_proc WHERE proname = 'evil'"), "0");
  EXPECT_EQ(admin_.value("SELECT to_regclass('peep')"), "");
  EXPECT_THAT(clean_note()["dropped"].dump(), HasSubstr("evil"));
}

TEST_P(Cleaning, code_on_kept_tables_does_not_survive) {
  as_leased(
      "CREATE TABLE t (i int); INSERT INTO t VALUES (1);"
      "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
      "CREATE TRIGGER spy BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();"
      "CREATE RULE also AS ON INSERT TO t DO ALSO SELECT 1;"
      "ALTER TABLE t ENABLE ROW LEVEL SECURITY;"
      "CREATE POLICY everybody ON t USING (true); GRANT SELECT ON t TO PUBLIC");
  revoke();
  EXPECT_EQ(admin_.value("SELECT count(*) FROM pg_trigger WHERE tgname = 'spy'"), "0");
  EXPECT_EQ(admin_.value("SELECT count(*) FROM pg_rewrite WHERE rulename = 'also'"), "0");
  EXPECT_EQ(admin_.value("SELECT count(*) FROM pg_policy WHERE polname = 'everybody'"), "0");
  EXPECT_EQ(admin_.value("SELECT count(*) FROM t"), "1");
}

TEST_P(Cleaning, default_privileges_and_shared_privileges_go) {  // [421]
  as_leased("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC");
  if (login_.user.empty())
    admin_.run("GRANT CONNECT ON DATABASE " + world_.database.name() + " TO \"" + leased_.username +
               "\"; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO \"" + leased_.username +
               "\"");
  revoke();
}

TEST_P(Cleaning, temporary_objects_are_no_obstacle) {
  auto session = world_.log_in(leased_);
  session.run("CREATE TEMP TABLE scratch (i int); CREATE TEMP SEQUENCE s");
  revoke();
  EXPECT_THAT(clean_note().dump(), Not(HasSubstr("scratch")));
}

TEST_P(Cleaning, what_others_need_is_kept_out_of_reach_and_reported) {
  as_leased(
      "CREATE FUNCTION double_it(i int) RETURNS int LANGUAGE sql IMMUTABLE SECURITY DEFINER "
      "AS 'SELECT i * 2'; CREATE VIEW ids AS SELECT id FROM orders;"
      "GRANT SELECT ON ids TO PUBLIC");
  admin_.run("CREATE VIEW theirs AS SELECT double_it(id) AS d FROM ids");
  const Receipt receipt = revoke();
  EXPECT_THAT(receipt.warnings.dump(), HasSubstr("used by objects of others"));
  EXPECT_EQ(admin_.value("SELECT count(*) FROM theirs"), "100");
  EXPECT_EQ(
      admin_.value("SELECT proowner::regrole || ' ' || prosecdef FROM pg_proc WHERE proname = "
                   "'double_it'"),
      "curfew_quarantine false");
  const auto anybody = world_.database.login("");
  test::PgSession session(world_.database.url(anybody.user, anybody.password));
  EXPECT_EQ(session.try_run("SELECT double_it(1)"), "42501");
  EXPECT_EQ(session.try_run("SELECT * FROM ids"), "42501");
}

// What is kept is out of everybody's reach: what the role gave away on it goes.
TEST_P(Cleaning, nobody_can_use_what_is_in_quarantine) {
  const auto friend_of_it = world_.database.login("");
  as_leased(
      "CREATE SCHEMA mine; GRANT ALL ON SCHEMA mine TO PUBLIC;"
      "CREATE TABLE mine.t (i serial, secret text); INSERT INTO mine.t (secret) VALUES ('x');"
      "GRANT SELECT ON mine.t TO PUBLIC; GRANT INSERT (secret) ON mine.t TO " +
      friend_of_it.user +
      " WITH GRANT OPTION; GRANT USAGE ON mine.t_i_seq TO PUBLIC;"
      "CREATE SEQUENCE s; GRANT ALL ON s TO PUBLIC; CREATE TYPE mood AS ENUM ('good');"
      "SELECT lo_from_bytea(4711, 'blob'); GRANT SELECT ON LARGE OBJECT 4711 TO PUBLIC");
  test::PgSession session(world_.database.url(friend_of_it.user, friend_of_it.password));
  EXPECT_EQ(session.try_run("SELECT * FROM mine.t"), "");
  revoke();
  for (const char* statement :
       {"SELECT * FROM mine.t", "INSERT INTO mine.t (secret) VALUES ('y')",
        "SELECT nextval('mine.t_i_seq')", "SELECT nextval('s')", "SELECT lo_get(4711)",
        "CREATE TABLE x (m mood)", "SET ROLE curfew_quarantine"})
    EXPECT_EQ(session.try_run(statement), "42501") << statement;
  EXPECT_EQ(admin_.value("SELECT secret FROM mine.t"), "x");
}

// Event triggers are a superuser's to make: this is a role that was one.
TEST_P(Cleaning, code_that_runs_by_itself_goes) {
  as_leased(
      "CREATE FUNCTION ev() RETURNS event_trigger LANGUAGE plpgsql AS "
      "'BEGIN RAISE EXCEPTION ''still here''; END';"
      "CREATE FUNCTION tr() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'");
  admin_.run(
      "CREATE EVENT TRIGGER spy ON ddl_command_end EXECUTE FUNCTION ev(); "
      "ALTER EVENT TRIGGER spy DISABLE");
  const bool superuser = login_.user.empty();
  if (!superuser) {
    const auto receipt = engine_revoke();
    ASSERT_FALSE(receipt.has_value());
    EXPECT_THAT(receipt.error().message, HasSubstr("event trigger spy"));
    admin_.run("DROP EVENT TRIGGER spy");
  }
  revoke();
  EXPECT_EQ(admin_.value("SELECT count(*) FROM pg_event_trigger"), "0");
}

// A role with TRIGGER on a table of others can leave code there that runs as whoever writes to it.
TEST_P(Cleaning, a_trigger_on_a_table_of_others_is_dropped_or_named) {
  as_leased(
      "CREATE FUNCTION tr() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
      "CREATE TRIGGER spy BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION tr()");
  if (!login_.user.empty()) {
    const auto receipt = engine_revoke();
    ASSERT_FALSE(receipt.has_value());
    EXPECT_EQ(receipt.error().code, Errc::kRefused);
    EXPECT_THAT(receipt.error().message, HasSubstr("trigger spy on public.orders"));
    EXPECT_FALSE(test::can_log_in(world_.url_of(leased_)));
    admin_.run("DROP TRIGGER spy ON orders");
  }
  revoke();
  admin_.run("INSERT INTO orders VALUES (101)");
  EXPECT_EQ(admin_.value("SELECT count(*) FROM orders"), "101");
}

// The function and the table may be anybody's where the condition is the role's.
TEST_P(Cleaning, a_condition_of_a_trigger_of_others_is_dropped_or_named) {
  as_leased(
      "CREATE FUNCTION evil(int) RETURNS bool LANGUAGE plpgsql AS "
      "'BEGIN RAISE EXCEPTION ''runs as %'', current_user; END';"
      "CREATE TRIGGER spy BEFORE UPDATE ON orders FOR EACH ROW WHEN (evil(NEW.id)) "
      "EXECUTE FUNCTION suppress_redundant_updates_trigger()");
  admin_.run("CREATE RULE also AS ON DELETE TO orders DO ALSO SELECT evil(1)");
  if (!login_.user.empty()) {
    const auto receipt = engine_revoke();
    ASSERT_FALSE(receipt.has_value());
    EXPECT_EQ(receipt.error().code, Errc::kRefused);
    EXPECT_THAT(receipt.error().message, HasSubstr("trigger spy on public.orders"));
    EXPECT_THAT(receipt.error().message, HasSubstr("rule also on public.orders"));
    admin_.run("DROP TRIGGER spy ON orders; DROP RULE also ON orders");
  }
  revoke();
  admin_.run("UPDATE orders SET id = id + 1; DELETE FROM orders WHERE id = 2");
  EXPECT_EQ(admin_.value("SELECT count(*) FROM pg_proc WHERE proname = 'evil'"), "0");
}

// The locks of one transaction would fill what the server has for all, and nothing would be undone.
TEST_P(Cleaning, many_objects_are_cleaned_in_several_transactions) {
  as_leased(
      "DO $$ BEGIN FOR i IN 1..1100 LOOP PERFORM lo_create(0); END LOOP;"
      "FOR i IN 1..700 LOOP EXECUTE 'CREATE TYPE e' || i || ' AS ENUM ()'; END LOOP;"
      "FOR i IN 1..600 LOOP EXECUTE format('CREATE FUNCTION f%s() RETURNS int LANGUAGE sql "
      "AS ''SELECT 1''', i); END LOOP; END $$;"
      "CREATE TABLE t (i int); INSERT INTO t VALUES (1)");
  revoke();
  EXPECT_EQ(owner_of("t"), kQuarantineRole);
  EXPECT_EQ(admin_.value("SELECT count(*) FROM pg_largeobject_metadata WHERE lomowner = "
                         "'curfew_quarantine'::regrole"),
            "1100");
  EXPECT_EQ(admin_.value("SELECT count(*) FROM pg_type WHERE typtype = 'e' AND typowner = "
                         "'curfew_quarantine'::regrole"),
            "700");
  EXPECT_EQ(admin_.value("SELECT count(*) FROM pg_proc WHERE proname ~ '^f[0-9]+$'"), "0");
  EXPECT_EQ(admin_.value("SELECT max(count) <= 500 FROM (SELECT count(*) FROM "
                         "pg_largeobject_metadata GROUP BY xmin::text) AS transactions"),
            "t");
  // Each of them is remembered.
  const auto listed = world_.call(Operation::kList, "quarantine/" + world_.target());
  ASSERT_TRUE(listed.has_value()) << listed.error().message;
  int remembered = 0;
  for (const auto& [id, object] : listed->data.at("key_info").items())
    if (object.at("database") == world_.database.name() && object.at("from").is_object())
      ++remembered;
  EXPECT_EQ(remembered, 1801);
}

TEST_P(Cleaning, publications_operators_casts_and_default_privileges_go) {
  as_leased(
      "CREATE TYPE money2 AS (v numeric); CREATE TABLE t (m money2);"
      "INSERT INTO t VALUES (ROW(1)::money2); CREATE PUBLICATION pub FOR TABLE t;"
      "CREATE FUNCTION to_n(money2) RETURNS numeric LANGUAGE sql AS 'SELECT $1.v';"
      "CREATE CAST (money2 AS numeric) WITH FUNCTION to_n(money2) AS IMPLICIT;"
      "CREATE FUNCTION eq(money2, money2) RETURNS bool LANGUAGE sql AS 'SELECT $1.v = $2.v';"
      "CREATE OPERATOR === (LEFTARG = money2, RIGHTARG = money2, FUNCTION = eq);"
      "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;"
      "ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC");
  revoke();
  EXPECT_EQ(admin_.value("SELECT (SELECT count(*) FROM pg_publication) || ' ' || "
                         "(SELECT count(*) FROM pg_operator WHERE oprname = '===') || ' ' || "
                         "(SELECT count(*) FROM pg_cast WHERE castsource = 'money2'::regtype) || "
                         "' ' || (SELECT count(*) FROM pg_default_acl)"),
            "0 0 0 0");
  EXPECT_EQ(admin_.value("SELECT m FROM t"), "(1)");
}

// Rows of others could not be deleted, or would take those in quarantine along.
TEST_P(Cleaning, kept_tables_hold_nothing_of_others) {
  admin_.run("ALTER TABLE orders ADD PRIMARY KEY (id)");
  as_leased(
      "CREATE TABLE notes (id int REFERENCES orders ON DELETE CASCADE, note text);"
      "INSERT INTO notes VALUES (1, 'kept')");
  revoke();
  admin_.run("DELETE FROM orders WHERE id = 1");
  EXPECT_EQ(admin_.value("SELECT note FROM notes"), "kept");
  EXPECT_THAT(clean_note()["dropped"].dump(), HasSubstr("foreign key"));
}

TEST_P(Cleaning, of_what_it_made_only_what_others_need_is_kept) {
  as_leased(
      "CREATE FUNCTION needed() RETURNS int LANGUAGE sql AS 'SELECT 1';"
      "CREATE FUNCTION base() RETURNS int LANGUAGE sql AS 'SELECT 2';"
      "CREATE VIEW over_base AS SELECT base()");
  admin_.run("CREATE VIEW theirs AS SELECT needed()");
  revoke();
  EXPECT_EQ(admin_.value("SELECT string_agg(proname, ',') FROM pg_proc WHERE proname IN "
                         "('needed', 'base')"),
            "needed");
  EXPECT_EQ(admin_.value("SELECT proowner::regrole FROM pg_proc WHERE proname = 'needed'"),
            kQuarantineRole);
  EXPECT_EQ(admin_.value("SELECT to_regclass('over_base')"), "");
}

// A trusted extension belongs to who created it; columns of others may have its types.
TEST_P(Cleaning, an_extension_goes_unless_others_use_it) {
  as_leased("CREATE EXTENSION hstore; CREATE EXTENSION citext");
  admin_.run("CREATE TABLE theirs (name citext)");
  revoke();
  EXPECT_EQ(admin_.value("SELECT string_agg(extname || ' ' || extowner::regrole, ',') FROM "
                         "pg_extension WHERE extname IN ('hstore', 'citext')"),
            "citext curfew_quarantine");
  admin_.run("INSERT INTO theirs VALUES ('works')");
}

// However many objects there are beside it.
TEST_P(Cleaning, an_extension_that_holds_data_is_kept) {
  as_leased(
      "CREATE EXTENSION hstore; DO $$ BEGIN FOR i IN 1..5001 LOOP EXECUTE format('CREATE "
      "FUNCTION a%s() RETURNS int LANGUAGE sql AS ''SELECT 1''', i); END LOOP; END $$");
  admin_.run(
      "CREATE TABLE data (i int); INSERT INTO data VALUES (1); "
      "ALTER EXTENSION hstore ADD TABLE data");
  revoke();
  EXPECT_EQ(admin_.value("SELECT i FROM data"), "1");
}

// Fact 8: what a superuser granted, a login with CREATEROLE cannot take away. It says so.
TEST_P(Cleaning, what_was_made_after_the_cleaning_goes_with_the_drop) {
  phases_.fail_done(4);  // the drop is not recorded
  for (const Phase phase : {Phase::kLockOut, Phase::kTerminate, Phase::kClean})
    ASSERT_TRUE(phases_.done(phase, Json::object()).has_value());
  phases_.fail_done(0);
  admin_.run("GRANT SELECT ON orders TO \"" + leased_.username + "\"; ALTER ROLE \"" +
             leased_.username + "\" NOLOGIN");
  if (!login_.user.empty()) {
    const auto receipt = engine_revoke();
    ASSERT_FALSE(receipt.has_value());
    EXPECT_EQ(receipt.error().code, Errc::kRefused);
    EXPECT_THAT(receipt.error().message, HasSubstr("privileges for table public.orders"));
    EXPECT_THAT(receipt.error().message, HasSubstr("DROP OWNED BY"));
    admin_.run("DROP OWNED BY \"" + leased_.username + "\"");
  }
  revoke();
}

}  // namespace
}  // namespace curfew::engines::postgres

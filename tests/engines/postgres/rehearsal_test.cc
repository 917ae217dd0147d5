#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "engines/postgres/role_rights.h"
#include "tests/engines/postgres/postgres_fixture.h"

namespace curfew::engines::postgres {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// The engine works as a login that is no superuser, with a group role that it may pass on. After
// each test no role of a rehearsal is left.
class RehearsalTest : public ::testing::Test {
 protected:
  RehearsalTest()
      : login_(world_.database.login("CREATEROLE")), superuser_(world_.database.superuser()) {
    group_ = world_.database.role_prefix() + "_readers";
    superuser_.run("CREATE TABLE public.customers (id int); CREATE ROLE " + group_ +
                   "; GRANT SELECT ON customers TO " + group_ + "; GRANT " + group_ + " TO " +
                   login_.user + " WITH ADMIN OPTION; GRANT pg_signal_backend TO " + login_.user);
    world_.configure_as(login_);
  }
  ~RehearsalTest() override {
    EXPECT_EQ(roles_left(), "") << "a role of the rehearsal was left behind";
    EXPECT_EQ(superuser_.value("SELECT string_agg(u.rolname, ',') FROM pg_auth_members m JOIN "
                               "pg_roles g ON g.oid = m.roleid JOIN pg_roles u ON u.oid = m.member "
                               "WHERE g.rolname = '" +
                               group_ + "'"),
              login_.user);
    superuser_.run("DROP OWNED BY " + group_ + " CASCADE");
  }

  std::string roles_left() {
    return superuser_.value("SELECT string_agg(rolname, ',') FROM pg_roles WHERE rolname LIKE '" +
                            world_.database.role_prefix() + "-%'");
  }

  Result<Reply> write(const std::string& name, const std::string& more,
                      Json fields = Json::object()) {
    Json body{{"db_name", world_.target()}, {"creation_statements", {kCreate, more}}};
    body.update(fields);
    return world_.call(Operation::kUpdate, "roles/" + name, body);
  }
  std::vector<std::string> warnings(const std::string& more, Json fields = Json::object()) {
    const auto reply = write("ro", more, std::move(fields));
    EXPECT_TRUE(reply.has_value()) << (reply ? "" : reply.error().message);
    return reply ? reply->warnings : std::vector<std::string>{};
  }
  std::string refusal(const std::string& more, Json fields = Json::object()) {
    const auto reply = write("refused", more, std::move(fields));
    EXPECT_FALSE(reply.has_value()) << more;
    if (reply) return "";
    EXPECT_EQ(reply.error().code, Errc::kInvalidArgument);
    EXPECT_EQ(world_.call(Operation::kRead, "roles/refused").error().code, Errc::kNotFound);
    return reply.error().message;
  }
  std::string in_do(const std::string& sql) {
    return "DO $do$ BEGIN EXECUTE replace($sql$" + sql + "$sql$, '~', '\"{{name}}\"'); END $do$";
  }

  PostgresWorld world_;
  const test::TestDatabase::Login login_;
  test::PgSession superuser_;
  std::string group_;
};

TEST_F(RehearsalTest, a_good_role_is_stored_without_a_word) {
  EXPECT_THAT(warnings("GRANT " + group_ + " TO \"{{name}}\""), IsEmpty());
  const Leased leased = world_.issue("ro");
  EXPECT_EQ(world_.log_in(leased).value("SELECT count(*) FROM customers"), "0");
  world_.revoke(leased);
}

TEST_F(RehearsalTest, an_error_of_the_target_names_the_statement_and_stores_nothing) {
  EXPECT_THAT(refusal("SELECT 1;\nGRANT SELECT ON nowhere TO \"{{name}}\""),
              AllOf(HasSubstr("creation_statements[1], line 2: "),
                    HasSubstr("relation \"nowhere\" does not exist (SQLSTATE 42P01)"),
                    HasSubstr("nothing was stored")));
  EXPECT_THAT(refusal("GRANTT x TO y"), HasSubstr("syntax error"));
  EXPECT_THAT(refusal("VACUUM"), HasSubstr("creation_statements[1], line 1"));
  EXPECT_THAT(refusal("SELECT 1", {{"creation_statements", {"SELECT '{{name}}'"}}}),
              HasSubstr("no database role"));
  for (const char* list : {"renew_statements", "revocation_statements", "rollback_statements"})
    EXPECT_THAT(
        refusal("SELECT 1", {{list, {"SELECT 1", "DO $$ BEGIN PERFORM 1/0; END $$"}}}),
        AllOf(HasSubstr(std::string(list) + "[1], line 1: "), HasSubstr("division by zero")));
}

TEST_F(RehearsalTest, a_right_that_the_login_lacks_is_told_with_the_way_to_find_out) {
  superuser_.run("CREATE ROLE " + world_.database.role_prefix() + "_super SUPERUSER");
  EXPECT_THAT(refusal("GRANT " + world_.database.role_prefix() + "_super TO \"{{name}}\""),
              AllOf(HasSubstr("creation_statements[1]"), HasSubstr("42501"),
                    HasSubstr("the broker's login " + login_.user), HasSubstr("configuration")));
}

TEST_F(RehearsalTest, what_a_do_block_gives_is_seen_in_the_catalog) {
  superuser_.run("GRANT pg_monitor TO " + login_.user + " WITH ADMIN OPTION");
  EXPECT_THAT(refusal(in_do("ALTER ROLE ~ CREATEROLE")), HasSubstr("CREATEROLE"));
  EXPECT_THAT(refusal(in_do("ALTER ROLE ~ CREATEDB")), HasSubstr("CREATEDB"));
  EXPECT_THAT(refusal(in_do("GRANT " + group_ + " TO ~ WITH ADMIN OPTION")),
              HasSubstr("ADMIN OPTION"));
  EXPECT_THAT(refusal(in_do("GRANT " + login_.user + " TO ~")),
              HasSubstr("the broker's own login"));
  EXPECT_THAT(warnings(in_do("GRANT pg_monitor TO ~")), ElementsAre(HasSubstr("all sessions")));
  EXPECT_THAT(warnings(in_do("ALTER ROLE ~ VALID UNTIL 'infinity'")),
              ElementsAre(HasSubstr("VALID UNTIL")));
  EXPECT_THAT(warnings(in_do("ALTER ROLE ~ VALID UNTIL '2099-01-01'")),
              ElementsAre(HasSubstr("later than the lease's end")));
  EXPECT_THAT(warnings(in_do("ALTER ROLE ~ NOLOGIN")), ElementsAre(HasSubstr("cannot log in")));
}

TEST_F(RehearsalTest, groups_count_with_all_that_is_behind_them) {
  const std::string outer = world_.database.role_prefix() + "_outer";
  const std::string boss = world_.database.role_prefix() + "_boss";
  superuser_.run("CREATE ROLE " + boss + " CREATEROLE; CREATE ROLE " + outer + " IN ROLE " + boss +
                 "; GRANT " + outer + " TO " + login_.user + " WITH ADMIN OPTION");
  EXPECT_THAT(refusal("GRANT " + outer + " TO \"{{name}}\""),
              AllOf(HasSubstr("member of \"" + boss + "\""), HasSubstr("CREATEROLE")));
  superuser_.run("ALTER ROLE " + boss + " NOCREATEROLE SUPERUSER");
  EXPECT_THAT(refusal("GRANT " + outer + " TO \"{{name}}\""), HasSubstr("SUPERUSER"));
  superuser_.run("ALTER ROLE " + boss + " NOSUPERUSER; ALTER TABLE customers OWNER TO " + boss);
  EXPECT_THAT(warnings("GRANT " + outer + " TO \"{{name}}\""),
              ElementsAre(HasSubstr("which owns 1 objects")));
  superuser_.run("ALTER TABLE customers OWNER TO postgres; GRANT SELECT ON customers TO " + boss +
                 " WITH GRANT OPTION");
  EXPECT_THAT(refusal("GRANT " + outer + " TO \"{{name}}\""),
              HasSubstr("GRANT OPTION on table public.customers"));
  superuser_.run("DROP OWNED BY " + boss);
}

TEST_F(RehearsalTest, functions_that_lend_rights_are_seen) {
  superuser_.run("GRANT CREATE ON SCHEMA public TO " + login_.user);
  const std::string make =
      "CREATE FUNCTION public.lend() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'";
  EXPECT_THAT(refusal(in_do(make)), HasSubstr("public.lend() SECURITY DEFINER"));
  superuser_.run(
      "CREATE FUNCTION public.old() RETURNS int LANGUAGE sql SECURITY DEFINER AS "
      "'SELECT 1'");
  EXPECT_THAT(warnings("GRANT " + group_ + " TO \"{{name}}\""), IsEmpty())
      << "one that is there already is not this role's";
  superuser_.run("REVOKE CREATE ON SCHEMA public FROM " + login_.user);
}

TEST_F(RehearsalTest, danger_that_is_allowed_is_stored_shown_and_warned_about) {
  const std::string text = "ALTER ROLE \"{{name}}\" CREATEROLE";
  EXPECT_THAT(refusal(text), HasSubstr("creation_statements[1], line 1, column 23: "));
  EXPECT_THAT(warnings(text, {{"allow_dangerous", "true"}}),
              Contains(AllOf(HasSubstr("CREATEROLE"), HasSubstr("allow_dangerous=true"))));
  EXPECT_EQ(world_.call(Operation::kRead, "roles/ro")->data["allow_dangerous"], true);
  EXPECT_THAT(warnings(text, {{"default_ttl", "5m"}}), Not(IsEmpty())) << "kept by later writes";
  EXPECT_FALSE(write("ro", text, {{"allow_dangerous", false}}).has_value());
  EXPECT_EQ(world_.call(Operation::kRead, "roles/ro")->data["default_ttl"], 300);
}

TEST_F(RehearsalTest, what_can_be_created_and_what_is_left_behind_is_told) {
  superuser_.run("CREATE SCHEMA open; GRANT CREATE, USAGE ON SCHEMA open TO PUBLIC");
  EXPECT_THAT(warnings("SELECT 1"), ElementsAre(HasSubstr("it can create objects in schema open")));
  EXPECT_THAT(warnings("GRANT \"{{name}}\" TO " + login_.user +
                       "; CREATE TABLE open.scratch (a int); ALTER TABLE open.scratch OWNER TO "
                       "\"{{name}}\""),
              Contains(HasSubstr("leaves table open.scratch behind in quarantine")));
  EXPECT_EQ(superuser_.value("SELECT to_regclass('open.scratch')"), "");
}

TEST_F(RehearsalTest, renew_statements_that_do_not_renew_are_told) {
  EXPECT_THAT(warnings("SELECT 1", {{"renew_statements", {"SELECT '{{expiration}}'"}}}),
              ElementsAre(HasSubstr("VALID UNTIL is not the new {{expiration}}")));
  EXPECT_THAT(warnings("SELECT 1", {{"renew_statements",
                                     {"ALTER ROLE \"{{name}}\" VALID UNTIL '{{expiration}}'"}}}),
              IsEmpty());
}

TEST_F(RehearsalTest, revocation_statements_run_as_they_will_run) {
  EXPECT_THAT(warnings("GRANT " + group_ + " TO \"{{name}}\"",
                       {{"revocation_statements",
                         {"REVOKE " + group_ + " FROM \"{{name}}\"; DROP ROLE \"{{name}}\""}},
                        {"rollback_statements", {"DROP ROLE IF EXISTS \"{{name}}\";"}}}),
              IsEmpty());
  EXPECT_THAT(refusal("SELECT 1", {{"revocation_statements", {"DROP OWNED BY \"{{name}}\""}}}),
              AllOf(HasSubstr("revocation_statements[0], line 1"), HasSubstr("permission denied")));
}

TEST_F(RehearsalTest, a_list_that_goes_on_as_another_role_does_not_disturb_the_next) {
  EXPECT_THAT(
      warnings(
          "SELECT 1",
          {{"renew_statements",
            {"ALTER ROLE \"{{name}}\" VALID UNTIL '{{expiration}}'; SET LOCAL ROLE " + group_}}}),
      IsEmpty());
}

TEST_F(RehearsalTest, rehearsals_and_issuing_do_not_disturb_each_other) {
  superuser_.run("ALTER TABLE customers OWNER TO " + login_.user);
  const std::string grant = "GRANT SELECT ON customers TO \"{{name}}\"";
  world_.role("busy", grant);
  std::atomic<int> failed{0};
  std::vector<std::thread> writers;
  for (int i = 0; i < 3; ++i)
    writers.emplace_back([&, i] {
      for (int round = 0; round < 4; ++round)
        if (!write("w" + std::to_string(i), grant)) ++failed;
    });
  for (int i = 0; i < 8; ++i) world_.revoke(world_.issue("busy"));
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(failed.load(), 0);
}

TEST_F(RehearsalTest, statements_that_need_other_sessions_get_a_real_role) {
  superuser_.run("CREATE EXTENSION dblink");
  const std::string call = "SELECT public.dblink_exec('" + world_.database.url() + "', 'GRANT " +
                           group_ + " TO \"{{name}}\"')";
  EXPECT_THAT(warnings("SELECT 1", {{"revocation_statements", {call}}}), IsEmpty());
  EXPECT_EQ(roles_left(), "");
  EXPECT_THAT(refusal("SELECT 1", {{"revocation_statements", {call, "SELECT 1/0 -- dblink"}}}),
              HasSubstr("division by zero"));
  EXPECT_THAT(refusal("SELECT 1", {{"renew_statements", {"SELECT 1/0 -- dblink"}}}),
              HasSubstr("division by zero"));
  EXPECT_THAT(refusal(in_do("ALTER ROLE ~ CREATEROLE"), {{"revocation_statements", {call}}}),
              HasSubstr("CREATEROLE"));
}

TEST_F(RehearsalTest, a_target_that_cannot_be_reached_does_not_keep_a_role_from_being_stored) {
  ASSERT_TRUE(world_
                  .call(Operation::kUpdate, "config/down",
                        {{"plugin_name", "postgresql-database-plugin"},
                         {"allowed_roles", "*"},
                         {"connection_url", "postgresql://u:p@127.0.0.1:1/x"},
                         {"verify_connection", false}})
                  .has_value());
  EXPECT_THAT(warnings("SELECT 1", {{"db_name", "down"}}),
              ElementsAre(HasSubstr("were not rehearsed: target \"down\"")));
  EXPECT_THAT(warnings("SELECT 1/0", {{"rehearse", false}}),
              ElementsAre(HasSubstr("rehearse=false")));
  EXPECT_THAT(refusal("ALTER ROLE \"{{name}}\" SUPERUSER", {{"db_name", "down"}}),
              HasSubstr("SUPERUSER"))
      << "the text alone is enough";
}

TEST_F(RehearsalTest, a_statement_without_end_is_stopped_and_nothing_is_stored) {
  world_.engine =
      std::move(*make_postgres_engine(world_.memory.services(), {.verify_time = Millis{2'000}}));
  const auto reply = write("slow", "SELECT pg_sleep(600)");
  ASSERT_FALSE(reply.has_value());
  EXPECT_EQ(reply.error().code, Errc::kUnavailable);
  EXPECT_THAT(reply.error().message, HasSubstr("came to no end"));
  EXPECT_EQ(world_.call(Operation::kRead, "roles/slow").error().code, Errc::kNotFound);
}

// Grants for every lease fill pg_class.relacl until nobody is granted anything any more. The
// warning says how many fit for certain; and a group role has no such end.
TEST_F(RehearsalTest, pain_4_per_lease_grants_are_warned_about_with_the_limit_of_the_list) {
  superuser_.run("ALTER TABLE customers OWNER TO " + login_.user);
  const int sure = access_list_entries_sure(150000);
  EXPECT_THAT(warnings("GRANT SELECT ON ALL TABLES IN SCHEMA public TO \"{{name}}\""),
              ElementsAre(AllOf(HasSubstr("creation_statements[1], line 1: "),
                                HasSubstr("access lists of 1 tables"),
                                HasSubstr("holds " + std::to_string(sure) + " for certain"),
                                HasSubstr("public.customers has 3 now"))));
  const std::string fill =
      "DO $$ BEGIN FOR i IN 1..{} LOOP EXECUTE format('CREATE ROLE %I', '" +
      world_.database.role_prefix() +
      "_f' || i); END LOOP; EXECUTE 'GRANT SELECT ON customers TO "
      "' || (SELECT string_agg(quote_ident(rolname), ',') FROM pg_roles WHERE rolname LIKE '" +
      world_.database.role_prefix() + "\\_f%'); END $$";
  const auto filled_with = [&](int roles) {
    std::string sql = fill;
    return superuser_.try_run(sql.replace(sql.find("{}"), 2, std::to_string(roles)));
  };
  EXPECT_EQ(filled_with(2'600), "54000") << "row is too big";
  EXPECT_EQ(filled_with(sure - 2), "");
  EXPECT_THAT(warnings("GRANT " + group_ + " TO \"{{name}}\""), IsEmpty());
  EXPECT_EQ(superuser_.value("SELECT array_length(relacl, 1) FROM pg_class WHERE relname = "
                             "'customers'"),
            std::to_string(sure));
}

}  // namespace
}  // namespace curfew::engines::postgres

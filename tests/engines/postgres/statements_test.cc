#include "engines/postgres/statements.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engines/postgres/sql_lexer.h"
#include "engines/postgres/sql_text.h"

namespace curfew::engines::postgres {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Elements = std::vector<std::string>;

std::size_t count(std::string_view sql) {
  const auto statements = split_statements(sql);
  EXPECT_TRUE(statements.has_value()) << sql << ": " << statements.error().message;
  return statements ? statements->size() : 0;
}

std::string problem(std::string_view sql) {
  const auto statements = split_statements(sql);
  EXPECT_FALSE(statements.has_value()) << sql;
  return statements ? "" : statements.error().message;
}

StatementFacts facts(const Elements& elements) {
  auto found = examine_statements("creation_statements", elements);
  EXPECT_TRUE(found.has_value()) << (found ? "" : found.error().message);
  return found ? std::move(*found) : StatementFacts{};
}

std::string refusal(const Elements& elements) {
  const auto found = examine_statements("creation_statements", elements);
  EXPECT_FALSE(found.has_value()) << ::testing::PrintToString(elements);
  return found ? "" : found.error().message;
}

TEST(SqlLexer, semicolons_split_only_where_the_server_splits) {
  EXPECT_EQ(count(""), 0u);
  EXPECT_EQ(count(" ; -- nothing; here\n /* nor; /* here; */ */ ;"), 0u);
  EXPECT_EQ(count("SELECT 1; SELECT 2"), 2u);
  EXPECT_EQ(count("SELECT ';' || 'it''s;'"), 1u);
  EXPECT_EQ(count("SELECT 'back\\'; SELECT 2"), 2u);
  EXPECT_EQ(count("SELECT E'back\\'; SELECT 2'"), 1u);
  EXPECT_EQ(count("SELECT e'\\\\'; SELECT 2"), 2u);
  EXPECT_EQ(count("SELECT \"a;\"\"b;\""), 1u);
  EXPECT_EQ(count("SELECT U&\"d;\\0061t\" , U&'x;', B'01;', N'n;'"), 1u);
  EXPECT_EQ(count("DO $$ BEGIN PERFORM 1; END; $$; SELECT 2"), 2u);
  EXPECT_EQ(count("DO $a$ x; $b$; $$; $a$; SELECT 2"), 2u);
  EXPECT_EQ(count("SELECT a$b$; SELECT $1; SELECT 2"), 3u);
  EXPECT_EQ(count("SELECT 1$a; SELECT 2"), 2u);
  EXPECT_EQ(count("CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3"), 2u);
  EXPECT_EQ(count("SELECT 1 --\r; SELECT 2"), 2u);
}

TEST(SqlLexer, bodies_of_sql_functions_are_one_statement) {
  EXPECT_EQ(count("CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true "
                  "THEN 1 END; SELECT 2; END; SELECT 3"),
            2u);
  EXPECT_EQ(count("CREATE PROCEDURE p() BEGIN ATOMIC DELETE FROM t; END"), 1u);
  // Elsewhere the words mean nothing.
  EXPECT_EQ(count("SELECT 1 AS begin; SELECT atomic; SELECT 2"), 3u);
}

TEST(SqlLexer, says_what_does_not_end_and_where_it_begins) {
  EXPECT_THAT(problem("SELECT\n 'x"), HasSubstr("a string that begins at line 2, column 2"));
  EXPECT_THAT(problem("SELECT E'x\\'"), HasSubstr("a string"));
  EXPECT_THAT(problem("SELECT \"x"), HasSubstr("a quoted name"));
  EXPECT_THAT(problem("DO $body$ x $bod$"), HasSubstr("$body$"));
  EXPECT_THAT(problem("DO $$ BEGIN PERFORM 1"), HasSubstr("line 1, column 4"));  // 423
  EXPECT_THAT(problem("SELECT 1 /* a /* b */"), HasSubstr("a comment"));
  EXPECT_THAT(problem("SELECT (1; SELECT 2"), HasSubstr("parenthesis"));
  EXPECT_THAT(problem(std::string_view("a\0b", 3)), HasSubstr("zero byte"));
}

TEST(Statements, transaction_control_is_refused_with_its_place) {
  for (const char* sql : {"BEGIN", "begin transaction", "START TRANSACTION", "COMMIT", "END",
                          "ROLLBACK", "ABORT", "SAVEPOINT a", "RELEASE a", "COMMIT PREPARED 'x'",
                          "PREPARE TRANSACTION 'x'", "/* x */ CoMmIt"}) {
    EXPECT_THAT(refusal({"SELECT 1", std::string("SELECT 2;\n  ") + sql}),
                HasSubstr("creation_statements[1]"))
        << sql;
  }
  EXPECT_THAT(refusal({"SELECT 1;\n  COMMIT; SELECT 2"}), HasSubstr("line 2, column 3"));
  EXPECT_THAT(refusal({"COPY t FROM STDIN"}), HasSubstr("\"copy\""));
}

TEST(Statements, the_same_words_inside_of_bodies_are_fine) {
  facts({"DO $$ BEGIN PERFORM 1; COMMIT; END $$"});
  facts({"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END"});
  facts({"SELECT 'COMMIT'; CREATE ROLE \"commit\"; COPY t FROM '/x'"});
}

TEST(Statements, grants_on_objects_are_told_from_grants_of_groups) {
  EXPECT_TRUE(facts({"GRANT SELECT ON t TO \"{{name}}\""}).grants_on_objects);
  EXPECT_TRUE(facts({"REVOKE ALL ON SCHEMA s FROM x"}).grants_on_objects);
  EXPECT_TRUE(facts({"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO x"}).grants_on_objects);
  EXPECT_TRUE(facts({"DROP OWNED BY x"}).grants_on_objects);
  EXPECT_TRUE(
      facts({"DO $$ BEGIN EXECUTE format('grant all on t to %I', r); END $$"}).grants_on_objects);
  EXPECT_FALSE(
      facts({"GRANT readers TO \"{{name}}\"", "CREATE ROLE x IN ROLE g"}).grants_on_objects);
  EXPECT_FALSE(facts({"SELECT 'GRANT SELECT ON t TO x'"}).grants_on_objects);
}

TEST(Statements, a_bare_drop_role_is_recognised) {
  for (const char* sql :
       {"DROP ROLE \"{{name}}\"", "drop role if exists \"{{name}}\";",
        "DROP USER IF EXISTS {{username}}", "/* x */ DROP ROLE \"{{ name }}\"; -- y"}) {
    EXPECT_TRUE(facts({sql}).only_drops_role) << sql;
  }
  for (const char* sql : {"DROP OWNED BY x; DROP ROLE x", "DROP ROLE a, b", "DROP ROLE x",
                          "DROP ROLE {{name}}_x", "DROP ROLE", "SELECT 1", "DROP TABLE x", ""}) {
    EXPECT_FALSE(facts({sql}).only_drops_role) << sql;
  }
}

TEST(Statements, other_facts) {
  EXPECT_TRUE(facts({}).empty);
  EXPECT_TRUE(facts({" -- only this", ";"}).empty);
  for (const char* sql : {"SET search_path = x", "SET ROLE x", "RESET ALL", "LISTEN x",
                          "CREATE TEMP TABLE t ()", "SELECT set_config('a', 'b', false)",
                          "SELECT pg_advisory_lock(1)", "DO $$ BEGIN PERFORM set_config(); END $$"})
    EXPECT_TRUE(facts({sql}).changes_session) << sql;
  for (const char* sql :
       {"SET LOCAL search_path = x", "ALTER ROLE x SET search_path = y", "CREATE TABLE t ()"})
    EXPECT_FALSE(facts({sql}).changes_session) << sql;
}

TEST(Statements, are_found_with_their_places_and_words) {
  const auto placed = place_statements(
      "f", {"SELECT 1 -- a;\n ;; /* b */ SELECT\n 'x;' ;", "U0VMRUNUIDE7IFNFTEVDVCAy"});
  ASSERT_TRUE(placed.has_value());
  ASSERT_EQ(placed->size(), 4u);
  EXPECT_EQ((*placed)[0].text, "SELECT 1");
  EXPECT_EQ((*placed)[1].text, "SELECT\n 'x;'");
  EXPECT_EQ((*placed)[1].place, "f[0], line 2");
  EXPECT_EQ((*placed)[3].text, "SELECT 2");
  EXPECT_EQ((*placed)[3].place, "f[1], line 1");
}

TEST(Statements, placeholders_are_found_also_those_that_mean_nothing) {
  EXPECT_THAT(placeholders_in("GRANT x TO \"{{nmae}}\" '{{ name }}{{'"),
              ElementsAre("nmae", "name"));
  EXPECT_FALSE(is_placeholder("nmae"));
  EXPECT_TRUE(is_placeholder("expiration"));
}

TEST(Statements, lists_are_bounded) {
  EXPECT_THAT(refusal(Elements(kStatementElementsMax + 1, "SELECT 1")), HasSubstr("elements"));
  EXPECT_THAT(refusal({std::string(kStatementBytesMax + 1, ' ')}), HasSubstr("bytes"));
}

TEST(Statements, elements_are_joined_so_that_none_swallows_the_next) {
  EXPECT_EQ(join_statements({"SELECT 1 -- comment", "SELECT 2;"}),
            "SELECT 1 -- comment\n;\nSELECT 2;\n;\n");
  EXPECT_EQ(join_statements({"U0VMRUNUIDE7IFNFTEVDVCAy"}), "SELECT 1; SELECT 2\n;\n");
  EXPECT_EQ(join_statements({"SELECT"}), "SELECT\n;\n");
}

TEST(Statements, base64_is_examined_as_what_it_holds) {
  EXPECT_THAT(refusal({"U0VMRUNUIDE7IENPTU1JVDs="}), HasSubstr("\"commit\""));
}

TEST(Statements, placeholders_are_replaced_literally) {
  const Placeholders values{"cf-x", "SCRAM$1:a$b:c", "2027-01-15 08:00:00+0000"};
  EXPECT_EQ(fill("\"{{name}}\" '{{password}}' {{ username }} '{{expiration}}'", values),
            "\"cf-x\" 'SCRAM$1:a$b:c' cf-x '2027-01-15 08:00:00+0000'");
  EXPECT_EQ(fill("{{other}} {{ {{name}} {{{name}}} }} {{", values),
            "{{other}} {{ cf-x {cf-x} }} {{");
  EXPECT_EQ(fill("'{{password}}'", {"x", "", "y"}), "'{{password}}'");
}

TEST(SqlText, quoting_cannot_be_left) {
  EXPECT_EQ(quote_identifier("a\"b; DROP"), "\"a\"\"b; DROP\"");
  EXPECT_EQ(quote_literal("it's"), "'it''s'");
  EXPECT_EQ(quote_literal("\\' OR"), "E'\\\\'' OR'");
  EXPECT_EQ(quote_literal(std::string_view("a\0b", 3)), "'ab'");
}

}  // namespace
}  // namespace curfew::engines::postgres

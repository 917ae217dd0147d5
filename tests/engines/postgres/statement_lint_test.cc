#include "engines/postgres/statement_lint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace curfew::engines::postgres {
namespace {

using ::testing::HasSubstr;

constexpr const char* kGood =
    "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';\n"
    "GRANT readers TO \"{{name}}\";\n";

std::vector<Finding> lint(const LeaseRole& role) {
  auto found = lint_statements(role);
  EXPECT_TRUE(found.has_value()) << (found ? "" : found.error().message);
  return found ? std::move(*found) : std::vector<Finding>{};
}

LeaseRole creating(std::vector<std::string> statements) {
  LeaseRole role;
  role.creation_statements = std::move(statements);
  return role;
}

// What a statement behind the good ones is found to be.
struct Case {
  const char* sql;
  bool dangerous;
  const char* key;    // "": nothing is found
  const char* place;  // of the finding
};

class Lint : public ::testing::TestWithParam<Case> {};

TEST_P(Lint, finds) {
  const Case& expected = GetParam();
  const auto found = lint(creating({kGood, expected.sql}));
  if (std::string(expected.key).empty()) {
    EXPECT_TRUE(found.empty()) << found.front().text();
    return;
  }
  ASSERT_EQ(found.size(), 1u) << expected.sql;
  EXPECT_THAT(found[0].key, HasSubstr(expected.key));
  EXPECT_EQ(found[0].dangerous, expected.dangerous);
  EXPECT_EQ(found[0].place, std::string("creation_statements[1], line ") + expected.place);
}

INSTANTIATE_TEST_SUITE_P(
    Dangerous, Lint,
    ::testing::Values(
        Case{"ALTER ROLE \"{{name}}\" CREATEROLE", true, "CREATEROLE", "1, column 23"},
        Case{"ALTER ROLE \"{{name}}\"\n  SUPERUSER", true, "SUPERUSER", "2, column 3"},
        Case{"ALTER USER \"{{name}}\" CREATEDB", true, "CREATEDB", "1, column 23"},
        Case{"alter role \"{{name}}\" replication", true, "REPLICATION", "1, column 23"},
        Case{"ALTER ROLE \"{{name}}\" BYPASSRLS", true, "BYPASSRLS", "1, column 23"},
        Case{"GRANT SELECT ON t TO g WITH GRANT OPTION", true, "grant option", "1"},
        Case{"GRANT g TO \"{{name}}\" WITH ADMIN OPTION", true, "admin option", "1"},
        Case{"GRANT g TO \"{{name}}\" WITH ADMIN TRUE", true, "admin option", "1"},
        Case{"GRANT pg_execute_server_program TO x", true, "execute", "1, column 7"},
        Case{"GRANT g,\n pg_read_server_files TO x", true, "read_server", "2, column 2"},
        Case{"GRANT \"pg_write_server_files\" TO x", true, "write_server", "1, column 7"},
        Case{"GRANT pg_signal_backend TO x", true, "signal", "1, column 7"},
        Case{"CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS $$SELECT 1$$", true,
             "definer", "1"},
        Case{"\n\nALTER FUNCTION f() SECURITY DEFINER", true, "definer", "3"}));

INSTANTIATE_TEST_SUITE_P(
    Unwise, Lint,
    ::testing::Values(Case{"GRANT SELECT ON t TO \"{{name}}\"", false, "object grants", "1"},
                      Case{"GRANT USAGE ON SCHEMA s TO {{username}}", false, "object grants", "1"},
                      Case{"GRANT CREATE ON SCHEMA public TO g", false, "may create", "1"},
                      Case{"GRANT ALL ON DATABASE d TO g", false, "may create", "1"},
                      Case{"GRANT pg_write_all_data TO x", false, "write_all", "1, column 7"},
                      Case{"GRANT pg_monitor TO x", false, "monitor", "1, column 7"},
                      Case{"GRANT pg_of_a_later_version TO x", false, "later", "1, column 7"},
                      Case{"ALTER DEFAULT PRIVILEGES IN SCHEMA s GRANT SELECT ON TABLES TO g",
                           false, "default", "1"},
                      Case{"SELECT '{{nmae}}'", false, "placeholder", "1"}));

INSTANTIATE_TEST_SUITE_P(
    Harmless, Lint,
    ::testing::Values(Case{"ALTER ROLE \"{{name}}\" NOCREATEROLE NOSUPERUSER", false, "", ""},
                      Case{"ALTER ROLE \"{{name}}\" SET a.superuser = 'x'", false, "", ""},
                      Case{"COMMENT ON ROLE x IS 'CREATEROLE'", false, "", ""},
                      Case{"SELECT 1 -- SUPERUSER WITH GRANT OPTION", false, "", ""},
                      Case{"GRANT \"createrole\" TO \"{{name}}\"", false, "", ""},
                      Case{"GRANT SELECT ON t TO g", false, "", ""},
                      Case{"GRANT g TO \"{{name}}\" WITH ADMIN FALSE", false, "", ""},
                      Case{"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$SELECT 1$$", false,
                           "", ""}));

std::string keys(const std::vector<Finding>& found) {
  std::string out;
  for (const Finding& finding : found) out += finding.key + ";";
  return out;
}

TEST(StatementLint, what_is_missing_is_found) {
  EXPECT_EQ(keys(lint(creating({}))), "no statements;");
  EXPECT_EQ(keys(lint(creating({"CREATE ROLE x"}))), "no name;no password;no expiry;");
  EXPECT_EQ(keys(lint(creating({"CREATE ROLE \"{{ username }}\" PASSWORD '{{password}}'"}))),
            "no expiry;");
  EXPECT_EQ(keys(lint(creating({"DO $$ BEGIN EXECUTE 'CREATE ROLE \"{{name}}\" PASSWORD "
                                "''{{password}}'' VALID UNTIL ''{{expiration}}'''; END $$"}))),
            "");
}

TEST(StatementLint, the_other_lists_are_looked_at_too) {
  LeaseRole role = creating({kGood});
  role.revocation_statements = {"DO $$ BEGIN REASSIGN OWNED BY \"{{name}}\" TO app; END $$",
                                "SELECT 1;\nREASSIGN OWNED BY \"{{nme}}\" TO app"};
  role.renew_statements = {"SELECT '{{when}}'"};
  role.rollback_statements = {"SELECT '{{what}}'"};
  const auto found = lint(role);
  EXPECT_EQ(keys(found), "placeholder;reassign;reassign;placeholder;placeholder;");
  EXPECT_EQ(found[2].place, "revocation_statements[1], line 2");
}

TEST(StatementLint, statements_in_base64_are_read) {
  // ALTER ROLE x SUPERUSER
  const auto found = lint(creating({kGood, "QUxURVIgUk9MRSB4IFNVUEVSVVNFUg=="}));
  EXPECT_EQ(keys(found), "attribute SUPERUSER ;");
}

TEST(StatementLint, the_catalog_speaks_at_the_place_of_the_text) {
  const std::vector<Finding> text{{"a", "creation_statements[1], line 2", "guess", false},
                                  {std::string(kNoExpiry), "creation_statements", "none", false}};
  const std::vector<Finding> catalog{{"a", "creation_statements", "fact", true},
                                     {"b", "creation_statements", "more", false}};
  const auto joined = joined_findings(text, catalog, true);
  ASSERT_EQ(joined.size(), 2u);
  EXPECT_EQ(joined[0].text(), "creation_statements[1], line 2: fact");
  EXPECT_TRUE(joined[0].dangerous);
  EXPECT_EQ(joined[1].key, "b");
  EXPECT_EQ(joined_findings(text, {}, false).size(), 2u);
}

TEST(StatementLint, danger_is_refused_all_of_it_or_allowed_with_a_warning) {
  const std::vector<Finding> found{
      {"a", "p1", "first", true}, {"b", "p2", "unwise", false}, {"c", "p3", "second", true}};
  std::vector<std::string> warnings;
  const Status refused = judge_findings(found, false, warnings);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::kInvalidArgument);
  EXPECT_THAT(refused.error().message, HasSubstr("p1: first; p3: second; nothing was stored"));
  EXPECT_THAT(refused.error().message, HasSubstr("allow_dangerous=true"));
  warnings.clear();
  EXPECT_TRUE(judge_findings(found, true, warnings).has_value());
  ASSERT_EQ(warnings.size(), 3u);
  EXPECT_THAT(warnings[0], HasSubstr("allow_dangerous=true"));
  EXPECT_EQ(warnings[1], "p2: unwise");
}

}  // namespace
}  // namespace curfew::engines::postgres

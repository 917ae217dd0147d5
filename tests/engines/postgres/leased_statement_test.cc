#include "engines/postgres/leased_statement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engines/postgres/username.h"

namespace curfew::engines::postgres {
namespace {

using ::testing::HasSubstr;

Result<std::optional<LeasedStatement>> read(const std::string& text, Json parameters = nullptr) {
  return leased_statement({{"statement", text}, {"statement_parameters", std::move(parameters)}});
}

TEST(LeasedStatementText, statements_about_rows_are_allowed) {
  for (const char* text :
       {"SELECT 1", "select * from a where b = ';'", "VALUES (1), (2)", "TABLE a",
        "INSERT INTO a SELECT * FROM b", "UPDATE a SET b = 1;", "DELETE FROM a RETURNING *",
        "MERGE INTO a USING b ON a.i = b.i WHEN MATCHED THEN DELETE",
        "WITH x AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM x",
        "-- why\nSELECT 1 -- because\n;"})
    EXPECT_TRUE(read(text)) << text;
}

TEST(LeasedStatementText, all_else_is_refused_and_told_what_is_allowed) {
  for (const char* text : {"SELECT 1; SELECT 2",
                           "BEGIN",
                           "COMMIT",
                           "COPY a TO PROGRAM 'sh'",
                           "VACUUM",
                           "SET ROLE b",
                           "CREATE DATABASE d",
                           "DO $$BEGIN END$$",
                           "CALL p()",
                           "GRANT a TO b",
                           "DROP ROLE b",
                           "LISTEN a",
                           "NOTIFY a",
                           "PREPARE x AS SELECT 1",
                           "EXPLAIN ANALYZE DELETE FROM a",
                           "EXECUTE x",
                           "TRUNCATE a",
                           "LOCK a",
                           "SELECT * INTO b FROM a",
                           "(SELECT 1)",
                           ";",
                           "WITH x AS (SELECT 1) SELECT * INTO b FROM x",
                           "DECLARE c CURSOR FOR SELECT 1"}) {
    const auto refused = read(text);
    ASSERT_FALSE(refused) << text;
    EXPECT_EQ(refused.error().code, Errc::kInvalidArgument);
    EXPECT_THAT(refused.error().message, HasSubstr("one SELECT, INSERT, UPDATE")) << text;
  }
}

// PostgreSQL takes the second string by the rules of the first, in which \' is no end.
TEST(LeasedStatementText, a_second_statement_cannot_hide_in_a_string_that_goes_on) {
  EXPECT_THAT(read("SELECT E'a'\n'\\' ' ; DELETE FROM t; --'").error().message,
              HasSubstr("goes on in another string"));
}

TEST(LeasedStatementText, what_people_cannot_see_is_refused) {
  EXPECT_FALSE(read("SELECT 1 /* \xe2\x80\xae */"));
  EXPECT_FALSE(read("SELECT 'a\xe2\x80\x8b'"));
  EXPECT_FALSE(read("SELECT 'a\x1b[2J'"));
  EXPECT_FALSE(read("SELECT $1", Json::array({"\xe2\x80\xae"})));
  EXPECT_FALSE(read("SELECT U&\"\\0073etval\"('s', 1)"));
  EXPECT_TRUE(read("SELECT 'Grüße, 世界'"));
}

TEST(LeasedStatementText, there_are_as_many_parameters_as_the_statement_has) {
  EXPECT_TRUE(read("SELECT $2, $1, $2", Json::array({1, nullptr})));
  EXPECT_THAT(read("SELECT $1").error().message, HasSubstr("0 are given"));
  EXPECT_FALSE(read("SELECT 1", Json::array({1})));
  EXPECT_FALSE(read("SELECT '$1', $$ $1 $$", Json::array({1})));
  EXPECT_FALSE(read("SELECT $0"));
  EXPECT_FALSE(read("SELECT $1", Json::array({Json::object()})));
  EXPECT_FALSE(leased_statement({{"statement_parameters", {1}}}));
}

TEST(LeasedStatementText, none_is_asked_for) {
  EXPECT_FALSE(leased_statement(Json::object()).value().has_value());
}

TEST(LeasedStatementText, parameters_are_text_for_sql) {
  const LeasedStatement made =
      read("SELECT $1, $2, $3, $4", Json::array({"a", 1.5, true, nullptr})).value().value();
  EXPECT_EQ(made.parameter_text(0), "a");
  EXPECT_EQ(made.parameter_text(1), "1.5");
  EXPECT_EQ(made.parameter_text(2), "true");
  EXPECT_EQ(made.parameter_text(3), std::nullopt);
  const LeasedStatement again = LeasedStatement::from_json(made.to_json()).value();
  EXPECT_EQ(again.text, made.text);
  EXPECT_EQ(again.parameters, made.parameters);
}

TEST(ExecutorName, fits_and_is_told_apart) {
  EXPECT_EQ(executor_name("cf-rw-AbC"), "cf-rw-AbC.run");
  const std::string longest(kRoleNameBytesMax, 'a');
  const std::string name = executor_name(longest);
  EXPECT_EQ(name.size(), kRoleNameBytesMax);
  EXPECT_TRUE(name.ends_with(".run"));
  EXPECT_TRUE(is_issued_name(name));
  EXPECT_NE(name, executor_name(longest.substr(1)));
  EXPECT_NE(name, executor_name(longest.substr(1) + "b"));
}

}  // namespace
}  // namespace curfew::engines::postgres

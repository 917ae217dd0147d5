#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/target_setup_sql.h"
#include "tests/cli/cli_runner.h"

namespace curfew::cli {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(TargetSetupSql, a_group_has_a_name_rights_and_a_schema) {
  const auto group = parse_group_role("app_writers:select,Insert:sales");
  ASSERT_TRUE(group.has_value());
  EXPECT_EQ(group->name, "app_writers");
  EXPECT_THAT(group->privileges, ElementsAre("SELECT", "INSERT"));
  EXPECT_EQ(group->schema, "sales");
  for (const char* bad : {"", "a", "a:select", ":select:s", "a::s", "a:select:", "a:all:s",
                          "a:select:s:t", "a:drop table:s", "a\"b:select:s", "a:select:s;--"}) {
    const auto refused = parse_group_role(bad);
    ASSERT_FALSE(refused.has_value()) << bad;
    EXPECT_EQ(refused.error().code, Errc::kInvalidArgument);
    EXPECT_THAT(refused.error().message, HasSubstr("-group")) << bad;
  }
}

TEST(TargetSetupSql, names_cannot_leave_their_quotes) {
  for (const char* good : {"a", "Readers", "team-1.app_ro"}) EXPECT_TRUE(check_name(good, "x"));
  for (const char* bad : {"", "a b", "a\"", "a'", "a$b", "a\\", "a;b", "\n"})
    EXPECT_FALSE(check_name(bad, "x")) << bad;
  EXPECT_TRUE(check_name(std::string(63, 'a'), "x"));
  EXPECT_FALSE(check_name(std::string(64, 'a'), "x"));
}

TEST(TargetSetupSql, rights_on_sequences_come_with_those_to_write) {
  const TargetSetup reading{"app", "broker", {{"r", {"SELECT"}, "s"}}, {"app_owner"}, {}};
  EXPECT_THAT(setup_sql(reading, ""),
              AllOf(HasSubstr("GRANT SELECT ON ALL TABLES IN SCHEMA \"s\" TO \"r\""),
                    HasSubstr("FOR ROLE \"app_owner\" IN SCHEMA \"s\" GRANT SELECT ON TABLES"),
                    Not(HasSubstr("SEQUENCES")), Not(HasSubstr("PASSWORD"))));
  const TargetSetup writing{"app", "broker", {{"w", {"SELECT", "INSERT"}, "s"}}, {"o"}, {"s"}};
  EXPECT_THAT(setup_sql(writing, "SCRAM-x"),
              AllOf(HasSubstr("USAGE ON ALL SEQUENCES IN SCHEMA \"s\""),
                    HasSubstr("USAGE ON SEQUENCES TO \"w\""), HasSubstr("PASSWORD 'SCRAM-x'"),
                    HasSubstr("USAGE, CREATE ON SCHEMA \"s\" TO curfew_quarantine")));
}

TEST(TargetSetup, prints_a_script_that_asks_for_the_password) {
  testing::CliRunner cli;
  const auto printed = cli.run(
      {"target", "setup", "-database=app", "-login=broker", "-group=readers:select:public"});
  EXPECT_EQ(printed.code, 0) << printed.err;
  EXPECT_THAT(printed.out, AllOf(HasSubstr("\\connect \"app\""), HasSubstr("\\password broker"),
                                 HasSubstr("CREATE ROLE \"broker\" LOGIN CREATEROLE")));
}

TEST(TargetSetup, says_what_is_wrong_with_the_command_line) {
  testing::CliRunner cli;
  const auto said = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"target", "setup"});
    const auto result = cli.run(words);
    EXPECT_EQ(result.code, 1);
    EXPECT_EQ(result.out, "");
    return result.err;
  };
  EXPECT_THAT(said({}), HasSubstr("-database"));
  EXPECT_THAT(said({"-database=a b"}), HasSubstr("-database: \"a b\""));
  EXPECT_THAT(said({"-database=app", "-login=a'b"}), HasSubstr("-login"));
  EXPECT_THAT(said({"-database=app", "-owner="}), HasSubstr("-owner"));
  EXPECT_THAT(said({"-database=app", "-quarantine=\""}), HasSubstr("-quarantine"));
  EXPECT_THAT(said({"-database=app", "-name=app"}), HasSubstr("-run"));
  const std::string refused =
      said({"-database=app", "-name=app", "-run=postgresql://postgres:s3cret@127.0.0.1:1"});
  EXPECT_THAT(refused, AllOf(HasSubstr("PGPASSWORD"), Not(HasSubstr("s3cret"))));
  EXPECT_THAT(said({"-database=app", "-run=s3cret"}), Not(HasSubstr("s3cret")));
}

TEST(TargetSetup, a_server_that_is_not_there_is_the_servers_fault) {
  testing::CliRunner cli;
  const auto result =
      cli.run({"target", "setup", "-database=app", "-run=postgresql://u@127.0.0.1:1"});
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.err, HasSubstr("cannot be reached"));
}

}  // namespace
}  // namespace curfew::cli

#include "engines/postgres/login_rights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/engines/postgres/postgres_fixture.h"

namespace curfew::engines::postgres {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

TEST(GrantedGroups, are_what_creation_statements_grant_membership_in) {
  LeaseRole role;
  role.creation_statements = {
      "CREATE ROLE \"{{name}}\"; GRANT Readers, \"Big Writers\" TO \"{{name}}\"",
      "grant readers to \"{{name}}\"; GRANT SELECT ON t TO x; GRANT \"{{name}}\" TO app; "
      "GRANT {{name}} TO app"};
  EXPECT_THAT(granted_groups(role), ElementsAre("Big Writers", "readers"));
}

std::vector<std::string> lacks(const Json& facts, int version) {
  auto found = read_login_rights({{dump_json(facts)}}, version);
  EXPECT_TRUE(found.has_value());
  return found ? std::move(*found) : std::vector<std::string>{};
}

// The rules of versions that are not installed here, from what their catalogs would say.
TEST(LoginRights, since_version_16_createrole_is_not_enough_to_grant) {
  const Json facts{
      {"login", "broker"},
      {"createrole", true},
      {"signals", true},
      {"groups", {{{"name", "readers"}, {"exists", true}, {"superuser", false}, {"admin", false}}}},
      {"quarantine", {{"open", false}, {"admin", false}}}};
  EXPECT_THAT(lacks(facts, 150000), IsEmpty());
  EXPECT_THAT(lacks(facts, 160000),
              ElementsAre(HasSubstr("GRANT \"readers\" TO \"broker\" WITH ADMIN OPTION"),
                          HasSubstr("GRANT curfew_quarantine TO \"broker\" WITH ADMIN OPTION")));
  Json with_admin = facts;
  with_admin["groups"][0]["admin"] = true;
  with_admin["quarantine"]["admin"] = true;
  EXPECT_THAT(lacks(with_admin, 160000), IsEmpty());
}

TEST(LoginRights, a_catalog_that_answers_otherwise_is_an_error) {
  EXPECT_FALSE(read_login_rights({}, 150000).has_value());
  EXPECT_FALSE(read_login_rights({{"no json"}}, 150000).has_value());
}

class LoginRightsAt : public ::testing::Test {
 protected:
  LoginRightsAt() : superuser_(world_.database.superuser()) {}

  std::vector<std::string> warnings(const test::TestDatabase::Login& login) {
    const auto reply =
        world_.call(Operation::kUpdate, "config/" + world_.target(),
                    world_.config_body({{"username", login.user}, {"password", login.password}}));
    EXPECT_TRUE(reply.has_value()) << (reply ? "" : reply.error().message);
    std::vector<std::string> out = reply ? reply->warnings : std::vector<std::string>{};
    // Other tests, in the same cluster, may have closed databases of their own.
    std::erase_if(out, [&](const std::string& warning) {
      return warning.find("may not connect") != std::string::npos &&
             warning.find(world_.database.name()) == std::string::npos;
    });
    return out;
  }
  std::string quoted(const std::string& name) { return "\"" + name + "\""; }

  PostgresWorld world_;
  test::PgSession superuser_;
};

TEST_F(LoginRightsAt, what_a_login_lacks_is_told_with_the_statement_that_gives_it) {
  const auto login = world_.database.login("");
  const std::string group = world_.database.role_prefix() + "_readers";
  const std::string boss = world_.database.role_prefix() + "_boss";
  superuser_.run("CREATE ROLE " + group + "; CREATE ROLE " + boss + " SUPERUSER");
  world_.role("ro", "GRANT " + group + ", " + boss + ", nobody_of_this_name TO \"{{name}}\"");
  EXPECT_THAT(warnings(login),
              UnorderedElementsAre(HasSubstr("ALTER ROLE " + quoted(login.user) + " CREATEROLE"),
                                   HasSubstr("GRANT pg_signal_backend TO " + quoted(login.user)),
                                   HasSubstr("GRANT " + quoted(group) + " TO " +
                                             quoted(login.user) + " WITH ADMIN OPTION"),
                                   HasSubstr("only a superuser can grant it"),
                                   HasSubstr("CREATE ROLE \"nobody_of_this_name\" NOLOGIN")));

  // What it says is what helps.
  superuser_.run("ALTER ROLE " + login.user + " CREATEROLE; GRANT pg_signal_backend TO " +
                 login.user + "; ALTER ROLE " + boss +
                 " NOSUPERUSER; CREATE ROLE nobody_of_this_name");
  EXPECT_THAT(warnings(login), IsEmpty());
  superuser_.run("DROP ROLE nobody_of_this_name");
}

TEST_F(LoginRightsAt, databases_that_it_cannot_clean_up_are_named) {
  const auto login = world_.database.login("CREATEROLE");
  const std::string closed = world_.database.name() + "_closed";
  superuser_.run("GRANT pg_signal_backend TO " + login.user);
  superuser_.run("CREATE DATABASE " + closed);
  superuser_.run("REVOKE CONNECT ON DATABASE " + closed + " FROM PUBLIC");
  EXPECT_THAT(warnings(login), Contains(HasSubstr("GRANT CONNECT ON DATABASE " + quoted(closed) +
                                                  " TO " + quoted(login.user))));
  superuser_.run("GRANT CONNECT ON DATABASE " + closed + " TO " + login.user);
  EXPECT_THAT(warnings(login), Not(Contains(HasSubstr(closed))));
  superuser_.run("DROP DATABASE " + closed);
}

TEST_F(LoginRightsAt, a_superuser_lacks_nothing) {
  EXPECT_THAT(warnings({world_.database.server().user, world_.database.server().password}),
              IsEmpty());
}

}  // namespace
}  // namespace curfew::engines::postgres

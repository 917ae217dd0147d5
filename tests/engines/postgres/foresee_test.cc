#include "tests/engines/postgres/postgres_fixture.h"

namespace curfew::engines::postgres {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Foresee : public ::testing::Test {
 protected:
  void SetUp() override {
    world_.configure();
    world_.role("rw", "GRANT app TO \"{{name}}\";", {{"max_ttl", "2h"}});
  }

  Result<Foreseen> foresee(Json data = Json::object(), const std::string& role = "rw") {
    return world_.engine->foresee(
        {"creds/" + role, {{"name", role}}, "", std::move(data), world_.who});
  }
  Json content(Json data = Json::object()) { return foresee(std::move(data)).value().content; }

  PostgresWorld world_;
};

TEST_F(Foresee, tells_the_database_the_statements_and_the_times) {
  const Foreseen seen = foresee({{"ttl", "10m"}}).value();
  EXPECT_EQ(seen.role, "rw");
  EXPECT_EQ(seen.target, world_.target());
  EXPECT_EQ(seen.shown.at("database"), world_.database.name());
  EXPECT_THAT(seen.shown.at("statements").at(0), HasSubstr("GRANT app TO \"{{name}}\""));
  EXPECT_FALSE(seen.shown.contains("statement"));
  EXPECT_EQ(seen.terms.ttl, Millis{3'600'000});
  EXPECT_EQ(seen.terms.max_ttl, Millis{7'200'000});
  EXPECT_EQ(seen.terms.requested_ttl, Millis{600'000});
}

TEST_F(Foresee, shows_the_statement_as_it_will_run) {
  const Json asked{{"statement", " /* all */ DELETE FROM orders WHERE id = $1 ; "},
                   {"statement_parameters", {7}}};
  const Foreseen seen = foresee(asked).value();
  const Json wanted{{"text", "DELETE FROM orders WHERE id = $1"}, {"parameters", {7}}};
  EXPECT_EQ(seen.shown.at("statement"), wanted);
  EXPECT_EQ(seen.content.at("statement"), wanted);
}

TEST_F(Foresee, is_equal_while_nothing_changes_and_asks_nobody) {
  const Json before = content();
  EXPECT_EQ(before, content());
  // Neither the secret nor what limits the broker's own connections is part of what was approved.
  ASSERT_TRUE(world_.call(
      Operation::kUpdate, "config/" + world_.target(),
      {{"password", "another"}, {"verify_connection", false}, {"max_open_connections", 2}}));
  EXPECT_EQ(before, content());
  EXPECT_THAT(dump_json(before), Not(HasSubstr("another")));
}

TEST_F(Foresee, differs_with_everything_that_makes_it_another_access) {
  std::vector<Json> all{content()};
  const auto differs = [&](const char* what, Json now) {
    for (const Json& earlier : all) EXPECT_NE(earlier, now) << what;
    all.push_back(std::move(now));
  };
  const auto change = [&](Json more) {
    more["rehearse"] = false;
    ASSERT_TRUE(world_.call(Operation::kUpdate, "roles/rw", std::move(more)));
  };
  const auto target = [&](Json more) {
    more["verify_connection"] = false;
    ASSERT_TRUE(world_.call(Operation::kUpdate, "config/" + world_.target(), std::move(more)));
  };
  change({{"creation_statements", {std::string(kCreate) + "GRANT admin TO \"{{name}}\";"}}});
  differs("creation", content());
  change({{"revocation_statements", {"SELECT 1"}}});
  differs("revocation", content());
  change({{"renew_statements", {"SELECT 2"}}});
  differs("renewal", content());
  change({{"connection_limit", 3}});
  differs("connection limit", content());
  change({{"max_ttl", "3h"}});
  differs("max_ttl", content());
  change({{"allow_dangerous", false}});
  differs("allow_dangerous", content());
  change({{"credential_config", {{"password_policy", "long"}}}});
  differs("password policy", content());
  target({{"connection_url", "postgresql://{{username}}:{{password}}@db.example/orders"}});
  differs("database", content());
  target({{"username", "somebody"}});
  differs("login", content());
  target({{"username_template", "{{random 20}}"}});
  differs("names", content());
  differs("a statement", content({{"statement", "SELECT 1"}}));
  differs("another", content({{"statement", "SELECT $1"}, {"statement_parameters", {1}}}));
  differs("parameter", content({{"statement", "SELECT $1"}, {"statement_parameters", {"1"}}}));
}

TEST_F(Foresee, refuses_what_plan_refuses) {
  EXPECT_EQ(foresee(Json::object(), "none").error().code, Errc::kInvalidArgument);
  EXPECT_EQ(foresee({{"ttl", "soon"}}).error().code, Errc::kInvalidArgument);
  EXPECT_EQ(foresee({{"statement", "DROP TABLE orders"}}).error().code, Errc::kInvalidArgument);
  world_.role("asks", "", {{"required_context", {"ticket"}}});
  EXPECT_THAT(foresee(Json::object(), "asks").error().message, HasSubstr("X-Curfew-Ticket"));
  world_.configure({{"allowed_roles", "other"}});
  EXPECT_THAT(foresee().error().message, HasSubstr("not an allowed role"));
}

}  // namespace
}  // namespace curfew::engines::postgres

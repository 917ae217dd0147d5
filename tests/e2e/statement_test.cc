// One statement, through the real program: an agent asks for it, a person sees what it does and
// approves it, and it runs once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/e2e/agent_world.h"

namespace curfew::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class StatementStoryTest : public ::testing::Test {
 protected:
  StatementStoryTest() {
    server_.start_initialized();
    world_.emplace(server_, database_);
    world_->superuser().run(
        "CREATE TABLE orders (id int PRIMARY KEY, state text);"
        "INSERT INTO orders VALUES (1, 'new'), (2, 'new');"
        "GRANT SELECT, UPDATE ON orders TO " +
        world_->broker_login().user + " WITH GRANT OPTION; " + "GRANT CREATE ON DATABASE " +
        database_.name() + " TO " + world_->broker_login().user);
    server_.must("POST", "database/config/app", {{"allowed_roles", "*"}});
    server_.must("POST", "database/roles/writer",
                 {{"db_name", "app"},
                  {"creation_statements",
                   {R"(CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL )"
                    R"('{{expiration}}'; GRANT SELECT, UPDATE ON orders TO "{{name}}";)"}},
                  {"default_ttl", "15m"}});
    server_.must("PUT", "sys/policies/acl/guarded", {{"policy", R"(
      path "database/creds/writer" {
        capabilities = ["read"]
        approval {
          factor "owners" { identity { group_names = ["owners"]
                                       approvals   = 1 } }
        }
      })"}});
    server_.must("POST", "sys/auth/userpass", {{"type", "userpass"}});
    const std::string accessor =
        server_.must("GET", "sys/auth").at("data").at("userpass/").at("accessor");
    server_.must("POST", "auth/userpass/users/ben",
                 {{"password", "correct horse"}, {"token_policies", "guarded"}});
    server_.must("POST", "identity/entity", {{"name", "ben"}, {"kind", "human"}});
    const std::string ben = server_.must("GET", "identity/entity/name/ben").at("data").at("id");
    server_.must("POST", "identity/entity-alias",
                 {{"name", "ben"}, {"mount_accessor", accessor}, {"canonical_id", ben}});
    server_.must("POST", "identity/group", {{"name", "owners"}, {"member_entity_ids", {ben}}});
    ben_ = server_.must("POST", "auth/userpass/login/ben", {{"password", "correct horse"}})
               .at("auth")
               .at("client_token");
    agent_ = server_
                 .must("POST", "auth/token/create",
                       {{"policies", {"guarded"}}, {"display_name", "claude"}})
                 .at("auth")
                 .at("client_token");
  }

  ServerProcess server_;
  test::TestDatabase database_;
  std::optional<AgentWorld> world_;
  std::string ben_, agent_;
};

TEST_F(StatementStoryTest, what_a_person_read_runs_once_and_nothing_else_does) {
  const Json asked{{"path", "database/creds/writer"},
                   {"reason", "the parcel left"},
                   {"statement", "UPDATE orders SET state = $1 WHERE id = $2;"},
                   {"statement_parameters", {"sent", 2}}};
  const Answer request = server_.call("POST", "sys/approvals", asked, agent_);
  ASSERT_EQ(request.status, 200) << request.error();
  const std::string id = request.data().at("id");

  const Json shown = server_.call("GET", "sys/approvals/" + id, nullptr, ben_).data();
  const Json& evidence = shown.at("evidence");
  EXPECT_EQ(evidence.at("statement"), (Json{{"text", "UPDATE orders SET state = $1 WHERE id = $2"},
                                            {"parameters", {"sent", 2}}}));
  const Json& trial = evidence.at("rehearsal");
  EXPECT_EQ(trial.at("rows"), 1);
  EXPECT_EQ(trial.at("tables").at(0).at("sample_before").at(0).at("state"), "new");
  EXPECT_EQ(trial.at("tables").at(0).at("sample_after").at(0).at("state"), "sent");
  EXPECT_EQ(world_->superuser().value("SELECT state FROM orders WHERE id = 2"), "new");

  const Answer approved = server_.call("POST", "sys/approvals/" + id + "/approve",
                                       {{"digest", shown.at("digest")}}, ben_);
  ASSERT_EQ(approved.status, 200) << approved.error();
  const Credential made =
      credential_of(server_.call("POST", "sys/approvals/" + id + "/claim", Json::object(), agent_));
  ASSERT_EQ(made.status, 200) << made.error;
  const std::string execute = made.answer.at("data").at("execute");
  test::PgSession session(database_.url(made.user, made.password));
  EXPECT_EQ(session.try_run("UPDATE orders SET state = 'mine'"), "42501");
  EXPECT_EQ(session.value(execute), "1");
  EXPECT_EQ(session.try_run(execute), "55000");
  EXPECT_EQ(world_->superuser().value("SELECT string_agg(state, ' ' ORDER BY id) FROM orders"),
            "new sent");

  server_.must("PUT", "sys/leases/revoke", {{"lease_id", made.lease}});
  EXPECT_TRUE(test::eventually([&] { return world_->state_of(made.lease) == "revoked"; }));
  EXPECT_EQ(world_->marked_roles(), 0);
  EXPECT_EQ(world_->superuser().value("SELECT count(*) FROM pg_namespace WHERE nspname LIKE "
                                      "'%.run'"),
            "0");
}

TEST_F(StatementStoryTest, a_statement_that_does_not_work_is_not_asked_for) {
  const auto refused = [&](const std::string& statement) {
    return server_.call(
        "POST", "sys/approvals",
        {{"path", "database/creds/writer"}, {"reason", "why"}, {"statement", statement}}, agent_);
  };
  EXPECT_EQ(refused("DROP TABLE orders").status, 400);
  EXPECT_EQ(refused("SELECT * FROM nowhere").status, 400);
  const Answer curious = refused("SELECT state::int FROM orders");
  EXPECT_EQ(curious.status, 400);
  EXPECT_THAT(curious.error(), HasSubstr("22P02"));
  EXPECT_THAT(curious.error(), Not(HasSubstr("\"new\"")));
}

}  // namespace
}  // namespace curfew::e2e

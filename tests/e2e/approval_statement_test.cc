// Approve the statement, through the front door: what was approved is run once by a role that can
// do nothing else, and crashes on the way lose nothing.
#include "tests/e2e/approval_story.h"

namespace curfew::e2e {
namespace {

using ::testing::HasSubstr;

class ApprovalStatementTest : public ApprovalStoryTest {
 protected:
  ApprovalStatementTest() {
    Json role = server_.must("GET", "database/roles/agent-readonly").at("data");
    role["creation_statements"].push_back(R"(GRANT SELECT, UPDATE ON customers TO "{{name}}";)");
    server_.must("POST", "database/roles/agent-readonly", role);
  }

  Json asked(const std::string& statement, const Json& parameters) {
    return server_
        .must("POST", "sys/approvals",
              {{"path", kPath},
               {"reason", "Bo Tamm has moved"},
               {"statement", statement},
               {"statement_parameters", parameters}},
              agent_)
        .at("data");
  }
  void approve(const Json& request) {
    server_.must("POST", "sys/approvals/" + request.at("id").get<std::string>() + "/approve",
                 {{"digest", request.at("digest")}}, ben_);
  }
  Credential claim(const Json& request) {
    return credential_of(server_.call(
        "POST", "sys/approvals/" + request.at("id").get<std::string>() + "/claim", {}, agent_));
  }
};

TEST_F(ApprovalStatementTest, what_was_approved_is_run_once_and_nothing_else_is) {
  const Json request = asked("UPDATE customers SET name = $1 WHERE id = 2", {"Bo Tam"});
  const Json seen =
      server_.must("GET", "sys/approvals/" + request.at("id").get<std::string>(), nullptr, ben_)
          .at("data")
          .at("evidence");
  EXPECT_EQ(seen.at("statement").at("text"), "UPDATE customers SET name = $1 WHERE id = 2");
  EXPECT_EQ(seen.at("rehearsal").at("rows"), 1) << seen;
  const auto name = [&] {
    return world_->superuser().value("SELECT name FROM customers WHERE id = 2");
  };
  EXPECT_NE(name(), "Bo Tam");

  // Before the decision, after it, and after the claim.
  server_.kill();
  server_.start();
  approve(request);
  server_.kill();
  server_.start();
  const Credential made = claim(request);
  ASSERT_EQ(made.status, 200) << made.error;
  server_.kill();
  server_.start();
  EXPECT_EQ(claim(request).status, 400);

  const std::string execute = made.answer.at("data").at("execute");
  test::PgSession session(database_.url(made.user, made.password));
  EXPECT_EQ(session.try_run("UPDATE customers SET name = 'x'"), "42501");
  EXPECT_EQ(session.try_run("SELECT * FROM customers"), "42501");
  EXPECT_EQ(session.value(execute), "1");
  EXPECT_EQ(name(), "Bo Tam");
  EXPECT_EQ(session.try_run(execute), "55000");

  server_.must("PUT", "sys/leases/revoke", {{"lease_id", made.lease}, {"sync", true}});
  EXPECT_EQ(world_->state_of(made.lease), "revoked");
  EXPECT_EQ(world_->marked_roles(), 0);
  EXPECT_FALSE(world_->can_log_in(made));
}

TEST_F(ApprovalStatementTest, a_statement_that_cannot_work_is_refused_before_anybody_is_asked) {
  for (const char* statement :
       {"UPDATE nothing SET x = 1", "DROP TABLE customers", "UPDATE customers SET id = 'x'",
        "SELECT nextval('s'); DELETE FROM customers"}) {
    const Answer refused =
        server_.call("POST", "sys/approvals", {{"path", kPath}, {"statement", statement}}, agent_);
    EXPECT_EQ(refused.status, 400) << statement;
  }
  EXPECT_TRUE(server_.must("GET", "sys/approvals?state=pending").at("data").at("keys").empty());
  EXPECT_EQ(world_->marked_roles(), 0);
}

}  // namespace
}  // namespace curfew::e2e

#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "tests/e2e/agent_world.h"

namespace curfew::e2e {

inline constexpr const char* kPath = "database/creds/agent-readonly";

// Ada answers for the agent, ben and cleo are the owners of the data: one of them has to approve.
class ApprovalStoryTest : public ::testing::Test {
 protected:
  ApprovalStoryTest() {
    server_.start_initialized();
    world_.emplace(server_, database_);
    server_.must("PUT", "sys/policies/acl/guarded", {{"policy", R"(
      path "database/creds/agent-readonly" {
        capabilities = ["read"]
        approval {
          factor "owners" { identity { group_names = ["owners"]
                                       approvals   = 1 } }
        }
      }
      path "auth/token/create" { capabilities = ["update"] })"}});
    server_.must("POST", "sys/auth/userpass", {{"type", "userpass"}});
    accessor_ = server_.must("GET", "sys/auth").at("data").at("userpass/").at("accessor");
    const std::string ada_id = human("ada"), ben_id = human("ben"), cleo_id = human("cleo");
    server_.must("POST", "identity/group",
                 {{"name", "owners"}, {"member_entity_ids", {ben_id, cleo_id}}});
    must({"agent", "write", "-owner=ada", "-policy=guarded", "claude-code"});
    ada_ = login("ada");
    ben_ = login("ben");
    cleo_ = login("cleo");
    agent_ = Json::parse(must({"token", "create", "-format=json", "-agent=claude-code",
                               "-policy=guarded", "-ttl=8h"},
                              ada_)
                             .out)
                 .at("auth")
                 .at("client_token");
  }

  // Makes a human who can log in; the entity's id.
  std::string human(const std::string& name) {
    server_.must("POST", "auth/userpass/users/" + name,
                 {{"password", "correct horse"}, {"token_policies", "guarded"}});
    server_.must("POST", "identity/entity", {{"name", name}, {"kind", "human"}});
    const std::string id = server_.must("GET", "identity/entity/name/" + name).at("data").at("id");
    server_.must("POST", "identity/entity-alias",
                 {{"name", name}, {"mount_accessor", accessor_}, {"canonical_id", id}});
    return id;
  }
  std::string login(const std::string& name) {
    const Outcome done =
        server_.cli({"login", "-method=userpass", "-token-only", "username=" + name, "password=-"},
                    "", "correct horse\n", {{"HOME", server_.folder()}});
    EXPECT_EQ(done.exit, 0) << done.err;
    return done.out;
  }
  Outcome must(const std::vector<std::string>& command, const std::string& token = "root") {
    const Outcome done = server_.cli(command, token);
    EXPECT_EQ(done.exit, 0) << done.err;
    return done;
  }
  // The agent asks; the request's id.
  std::string ask(const std::string& reason) {
    return must({"request", kPath, "-ttl=10m", "-reason=" + reason, "-field=id"}, agent_).out;
  }
  Credential claimed(const Outcome& done) {
    return credential_of({done.exit == 0 ? 200 : 0, Json::parse(done.out, nullptr, false), ""});
  }

  ServerProcess server_;
  test::TestDatabase database_;
  std::optional<AgentWorld> world_;
  std::string accessor_, ada_, ben_, cleo_, agent_;
};

}  // namespace curfew::e2e

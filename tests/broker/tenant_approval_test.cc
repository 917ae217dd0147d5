// Approval requests belong to their namespace, and so do those who decide.
#include "tests/broker/tenant_world.h"

namespace curfew::broker {
namespace {

using ::testing::HasSubstr;

class TenantApprovalTest : public TenantWorld {
 protected:
  struct Human {
    std::string token;
    std::string entity;
  };

  TenantApprovalTest() {
    for (const char* place : {"", "team-a", "team-b"}) {
      if (std::string(place).empty()) furnish("");
      must_in(place, Operation::kUpdate, "sys/auth/userpass", {{"type", "userpass"}});
      must_in(place, Operation::kUpdate, "sys/policies/acl/guarded",
              {{"policy", R"(path "db/creds/rw" { capabilities = ["read"] control_group = {
                 factor "owners" { identity { group_names = ["owners"] approvals = 1 } } } }
                 path "team-a/sys/approvals" { capabilities = ["update"] }
                 path "team-a/db/creds/rw" { capabilities = ["read"] control_group = {
                 factor "owners" { identity { group_names = ["owners"] approvals = 1 } } } })"}});
      const Human human = must_have_human(place);
      must_in(place, Operation::kUpdate, "identity/group",
              {{"name", "owners"}, {"member_entity_ids", {human.entity}}});
      humans_[place] = human;
    }
  }

  // "ann" of a namespace, another one in each.
  Human must_have_human(const std::string& place) {
    must_in(place, Operation::kUpdate, "auth/userpass/users/ann", {{"password", "pw-of-ann"}});
    const Response login = must_in(place, Operation::kUpdate, "auth/userpass/login/ann",
                                   {{"password", "pw-of-ann"}}, "");
    if (!login.auth) return {};
    must_in(place, Operation::kUpdate, "identity/entity/id/" + login.auth->entity_id,
            {{"kind", "human"}});
    return {std::string(login.auth->client_token.reveal()), login.auth->entity_id};
  }

  Json must_ask(const std::string& place, const std::string& token) {
    return must_in(place, Operation::kUpdate, "sys/approvals", {{"path", "db/creds/rw"}}, token)
        .data;
  }
  Result<Response> approve(const std::string& place, const Json& request,
                           const std::string& token) {
    return in(place, Operation::kUpdate,
              "sys/approvals/" + request.at("id").get<std::string>() + "/approve",
              {{"digest", request.at("digest")}}, token);
  }

  std::map<std::string, Human> humans_;
};

TEST_F(TenantApprovalTest, hole_a_group_of_the_same_name_in_another_tenant_decides_nothing) {
  const Json request = must_ask("team-a", token_in("team-a", {"guarded"}));
  EXPECT_FALSE(approve("team-b", request, humans_["team-b"].token).has_value());
  EXPECT_FALSE(approve("team-a", request, humans_["team-b"].token).has_value());
  const auto own = approve("team-a", request, humans_["team-a"].token);
  ASSERT_TRUE(own.has_value()) << own.error().message;
  EXPECT_EQ(own->data.at("state"), "approved");
}

TEST_F(TenantApprovalTest, a_request_from_above_is_decided_by_those_whose_it_is) {
  const std::string token = token_in("", {"guarded"});
  const Json request = must_ask("team-a", token);
  // Ann of the first namespace is in a group of the same name there, and may act below; she is no
  // approver here.
  const auto above = approve("team-a", request, humans_[""].token);
  EXPECT_FALSE(above.has_value());
  ASSERT_TRUE(approve("team-a", request, humans_["team-a"].token).has_value());
  const auto lease = in("team-a", Operation::kRead, "db/creds/rw", Json::object(), token);
  ASSERT_TRUE(lease.has_value()) << lease.error().message;
  EXPECT_FALSE(lease->lease_id.empty());
}

TEST_F(TenantApprovalTest, lists_and_events_stay_in_their_namespace) {
  must_ask("team-a", token_in("team-a", {"guarded"}));
  const auto keys = [&](const std::string& place) {
    return must_in(place, Operation::kList, "sys/approvals/").data.at("keys").size();
  };
  EXPECT_EQ(keys("team-a"), 1U);
  EXPECT_EQ(keys("team-b"), 0U);
  EXPECT_EQ(keys(""), 0U);
}

TEST_F(TenantApprovalTest, nothing_of_them_is_left_when_their_namespace_goes) {
  must_ask("team-a", token_in("team-a", {"guarded"}));
  must_in("", Operation::kDelete, "sys/namespaces/team-a");
  for (int i = 0; i < 3; ++i) run_due();
  std::int64_t rows = -1;
  EXPECT_TRUE(database_
                  ->read([&](const store::Reader& reader) -> Status {
                    ASSIGN_OR_RETURN(const auto row,
                                     reader.query_one("SELECT count(*) FROM approvals"));
                    rows = row->integer(0);
                    return ok();
                  })
                  .has_value());
  EXPECT_EQ(rows, 0);
}

}  // namespace
}  // namespace curfew::broker

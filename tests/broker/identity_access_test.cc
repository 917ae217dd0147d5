// What identities do to requests: through the whole broker, with logins.
#include "tests/broker/identity_world.h"

namespace curfew::broker {
namespace {

using ::testing::HasSubstr;

TEST_F(IdentityAccessTest, policies_of_entities_and_groups_count_for_tokens_that_exist) {
  const Session session = must_login("ana");
  EXPECT_EQ(verdict(session), Errc::kPermissionDenied);
  must_write("identity/entity/id/" + session.entity, {{"policies", {"reader"}}});
  EXPECT_EQ(verdict(session), Errc::kInternal);
  must_write("identity/entity/id/" + session.entity, {{"policies", Json::array()}});
  EXPECT_EQ(verdict(session), Errc::kPermissionDenied);
  const Json team =
      must_write("identity/group", {{"name", "team"}, {"member_entity_ids", {session.entity}}})
          .data;
  must_write(
      "identity/group",
      {{"name", "company"}, {"policies", {"reader"}}, {"member_group_ids", {team.at("id")}}});
  EXPECT_EQ(verdict(session), Errc::kInternal);
  EXPECT_TRUE(remove("identity/group/name/team").has_value());
  EXPECT_EQ(verdict(session), Errc::kPermissionDenied);
}

TEST_F(IdentityAccessTest, groups_that_the_login_names_count) {
  const Json made =
      must_write("identity/group-alias", {{"name", "cn=ops"}, {"mount_accessor", accessor_}}).data;
  must_write("identity/group/id/" + made.at("canonical_id").get<std::string>(),
             {{"policies", {"reader"}}});
  const Session session = must_login("ana", "cn=ops");
  EXPECT_EQ(verdict(session), Errc::kInternal);
  must_login("ana", "cn=others");
  EXPECT_EQ(verdict(session), Errc::kPermissionDenied);
}

TEST_F(IdentityAccessTest, a_disabled_entity_is_out_at_once) {
  const Session session = must_login("ana");
  must_write("identity/entity/id/" + session.entity, {{"policies", {"reader"}}});
  EXPECT_EQ(verdict(session), Errc::kInternal);
  must_write("identity/entity/id/" + session.entity, {{"disabled", true}});
  EXPECT_EQ(verdict(session), Errc::kPermissionDenied);
  EXPECT_EQ(code_of(call(Operation::kUpdate, "auth/open/login", {{"name", "ana"}}, "")),
            Errc::kPermissionDenied);
  must_write("identity/entity/id/" + session.entity, {{"disabled", false}});
  EXPECT_EQ(verdict(session), Errc::kInternal);
  EXPECT_TRUE(remove("identity/entity/id/" + session.entity).has_value());
  EXPECT_EQ(verdict(session), Errc::kPermissionDenied);
}

TEST_F(IdentityAccessTest, a_token_of_a_merged_entity_is_the_others) {
  const Session from = must_login("ana");
  const std::string to = must_write("identity/entity", {{"name", "to"}, {"policies", {"reader"}}})
                             .data.at("id")
                             .get<std::string>();
  EXPECT_EQ(verdict(from), Errc::kPermissionDenied);
  must_write("identity/entity/merge", {{"from_entity_ids", {from.entity}}, {"to_entity_id", to}});
  EXPECT_EQ(verdict(from), Errc::kInternal);
  EXPECT_EQ(must_login("ana").entity, to);
}

TEST_F(IdentityAccessTest, an_altered_entity_or_group_is_refused_and_grants_nothing) {
  const Session session = must_login("ana");
  must_write("identity/entity/id/" + session.entity, {{"policies", {"reader"}}});
  must_write("identity/group", {{"name", "team"}, {"member_entity_ids", {session.entity}}});
  EXPECT_EQ(verdict(session), Errc::kInternal);
  restart();  // nothing is remembered
  EXPECT_EQ(verdict(session), Errc::kInternal);
  tamper("UPDATE records SET sealed = x'00' WHERE scope = 'identity/group'");
  restart();
  EXPECT_EQ(verdict(session), Errc::kCorrupt);
  tamper("UPDATE records SET sealed = x'00' WHERE scope = 'identity/entity'");
  restart();
  EXPECT_EQ(verdict(session), Errc::kCorrupt);
  EXPECT_EQ(code_of(call(Operation::kUpdate, "auth/open/login", {{"name", "ana"}}, "")),
            Errc::kCorrupt);
}

TEST_F(IdentityAccessTest, an_agents_ceiling_bounds_it) {
  const Session session = must_have_agent("bot", {{"ceiling_policies", {"leaser"}}});
  EXPECT_EQ(verdict(session), Errc::kPermissionDenied) << "its own policies allow it";
  EXPECT_EQ(verdict(session, "db/creds/ro"), Errc::kInternal);
  must_write("identity/agent/bot", {{"ceiling_policies", {"leaser", "reader"}}});
  EXPECT_EQ(verdict(session), Errc::kInternal);
}

TEST_F(IdentityAccessTest, an_agent_whose_owner_is_disabled_is_out) {
  const Session session = must_have_agent("bot", Json::object());
  EXPECT_EQ(verdict(session), Errc::kInternal);
  must_write("identity/entity/name/ada", {{"disabled", true}});
  EXPECT_EQ(verdict(session), Errc::kPermissionDenied);
}

TEST_F(IdentityAccessTest, an_agent_leases_its_allowed_roles_only) {
  const Session session = must_have_agent("bot", {{"allowed_roles", {"db/ro*"}}});
  EXPECT_EQ(verdict(session, "db/creds/ro-1"), Errc::kInternal);
  const auto refused = read("db/creds/rw", session.token);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::kPermissionDenied);
  EXPECT_THAT(refused.error().message, HasSubstr("may not lease db/rw"));
  EXPECT_TRUE(read("db/creds/rw").has_value()) << "others may";
}

TEST_F(IdentityAccessTest, an_agents_budget_survives_logins_and_restarts) {
  const Session session =
      must_have_agent("bot", {{"max_live_leases", 2}, {"max_leases_per_hour", 3}});
  const std::string first = read("db/creds/ro", session.token)->lease_id;
  EXPECT_EQ(verdict(session, "db/creds/ro"), Errc::kInternal);
  EXPECT_EQ(verdict(session, "db/creds/ro"), Errc::kQuotaExceeded);
  EXPECT_EQ(verdict(must_login("bot"), "db/creds/ro"), Errc::kQuotaExceeded);
  must_write("sys/leases/revoke", {{"lease_id", first}});
  EXPECT_EQ(verdict(session, "db/creds/ro"), Errc::kInternal);
  must_write("identity/agent/bot", {{"max_live_leases", 0}});
  restart();
  EXPECT_EQ(verdict(session, "db/creds/ro"), Errc::kQuotaExceeded) << "three within the hour";
  clock_.advance(std::chrono::hours{1});
  run_due();
  EXPECT_EQ(verdict(session, "db/creds/ro"), Errc::kInternal);
}

TEST_F(IdentityAccessTest, an_agents_leases_live_no_longer_than_it_may_have_them) {
  const Session session = must_have_agent("bot", {{"max_ttl", "10m"}});
  const auto issued = read("db/creds/ro", session.token);
  ASSERT_TRUE(issued.has_value()) << issued.error().message;
  EXPECT_EQ(issued->lease_duration, std::chrono::minutes{10});
  clock_.advance(std::chrono::minutes{8});
  const Response renewed = must_write(
      "sys/leases/renew", {{"lease_id", issued->lease_id}, {"increment", "1h"}}, session.token);
  EXPECT_EQ(renewed.lease_duration, std::chrono::minutes{2});
}

TEST_F(IdentityAccessTest, a_lease_keeps_the_name_that_its_agent_had) {
  const Session session = must_have_agent("bot", Json::object());
  const std::string lease = read("db/creds/ro", session.token)->lease_id;
  must_write("identity/entity/id/" + session.entity, {{"name", "renamed"}});
  const Json shown = must_write("sys/leases/receipt", {{"lease_id", lease}}).data;
  EXPECT_EQ(shown.at("attribution").at("agent"), "bot");
  EXPECT_EQ(shown.at("attribution").at("entity_id"), session.entity);
}

}  // namespace
}  // namespace curfew::broker

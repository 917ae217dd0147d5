#include <fstream>

#include "tests/broker/broker_world.h"

namespace curfew::broker {
namespace {

using ::testing::HasSubstr;

class TokenTest : public BrokerWorld {
 protected:
  TokenTest() {
    write_policy("reader", R"(path "secret/*" { capabilities = ["read"] })");
    write_policy("maker", R"(path "auth/token/create*" { capabilities = ["create", "update"] })");
    write_policy("chief",
                 R"(path "auth/token/create*" { capabilities = ["create", "update", "sudo"] })");
  }
  Json self(const std::string& token) { return must_read("auth/token/lookup-self", token); }
  bool lives(const std::string& token) { return read("auth/token/lookup-self", token).has_value(); }
  std::string message(const Result<Response>& result) {
    return result ? "(no error)" : result.error().message;
  }
};

TEST_F(TokenTest, a_token_has_what_it_was_made_with) {
  const Response made = must_write("auth/token/create", {{"policies", {"Reader", "reader"}},
                                                         {"ttl", "1h"},
                                                         {"display_name", "a 1"},
                                                         {"meta", {{"agent", "a1"}}},
                                                         {"explicit_max_ttl", "2h"},
                                                         {"num_uses", 9}});
  ASSERT_TRUE(made.auth.has_value());
  EXPECT_EQ(made.auth->policies, (std::vector<std::string>{"default", "reader"}));
  EXPECT_EQ(made.auth->lease_duration, std::chrono::hours{1});
  const std::string token = made.auth->client_token.reveal();
  const Json data = self(token);
  EXPECT_EQ(data.at("id"), token);
  EXPECT_EQ(data.at("display_name"), "token-a-1");
  EXPECT_EQ(data.at("meta").at("agent"), "a1");
  EXPECT_EQ(data.at("ttl"), 3600);
  EXPECT_EQ(data.at("explicit_max_ttl"), 7200);
  EXPECT_EQ(data.at("num_uses"), 8);
  EXPECT_EQ(data.at("orphan"), false);
  EXPECT_EQ(data.at("path"), "auth/token/create");
  EXPECT_EQ(data.at("type"), "service");
}

TEST_F(TokenTest, the_token_itself_is_not_in_the_store) {
  const std::string token = make_token({"reader"});
  broker_->lifecycle().seal();
  std::string bytes;
  for (const auto& file : std::filesystem::directory_iterator(directory_)) {
    std::ifstream in(file.path(), std::ios::binary);
    bytes.append(std::istreambuf_iterator<char>(in), {});
  }
  EXPECT_GT(bytes.size(), 1000u);
  EXPECT_EQ(bytes.find(token), std::string::npos);
}

TEST_F(TokenTest, what_is_no_token_is_refused_like_an_ended_one) {
  for (const char* bad : {"", "nope", "cfs.0000000000000000000000000000"}) {
    const auto result = read("auth/token/lookup-self", bad);
    EXPECT_EQ(code_of(result), Errc::kUnauthenticated);
    EXPECT_EQ(message(result), "permission denied");
  }
}

TEST_F(TokenTest, a_token_ends_when_its_time_is_up_and_not_before) {
  const std::string token = make_token({"reader"}, {{"ttl", "10s"}});
  clock_.advance(Millis{9'999});
  EXPECT_TRUE(lives(token));
  clock_.advance(Millis{1});
  EXPECT_FALSE(lives(token));
  run_due();
  EXPECT_FALSE(lives(token));
}

TEST_F(TokenTest, renewal_counts_from_now_up_to_the_maximum) {
  const std::string token = make_token({"reader"}, {{"ttl", "1h"}, {"explicit_max_ttl", "3h"}});
  clock_.advance(std::chrono::minutes{30});
  EXPECT_EQ(must_write("auth/token/renew-self", {{"increment", "2h"}}, token).auth->lease_duration,
            std::chrono::hours{2});
  clock_.advance(std::chrono::minutes{90});
  const Response capped = must_write("auth/token/renew-self", {{"increment", "2h"}}, token);
  EXPECT_EQ(capped.auth->lease_duration, std::chrono::hours{1});
  ASSERT_EQ(capped.warnings.size(), 1u);
  EXPECT_THAT(capped.warnings[0], HasSubstr("exceeded the effective max_ttl"));
  EXPECT_TRUE(self(token).contains("last_renewal"));
}

TEST_F(TokenTest, tokens_that_cannot_be_renewed_say_so) {
  const std::string fixed = make_token({"reader"}, {{"renewable", false}, {"ttl", "1h"}});
  EXPECT_EQ(message(write("auth/token/renew-self", {}, fixed)), "lease is not renewable");
  EXPECT_EQ(message(write("auth/token/renew-self")), "lease is not renewable");
}

TEST_F(TokenTest, a_periodic_token_lives_for_ever_if_renewed_in_time) {
  const std::string token = make_token({"reader"}, {{"period", "24h"}});
  for (int day = 0; day < 60; ++day) {
    clock_.advance(std::chrono::hours{23});
    must_write("auth/token/renew-self", {}, token);
  }
  EXPECT_EQ(self(token).at("ttl"), 86400);
}

TEST_F(TokenTest, revoking_ends_the_whole_tree) {
  const std::string parent = make_token({"maker", "reader"});
  const Response child = must_write("auth/token/create", {{"policies", {"maker"}}}, parent);
  const std::string child_token = child.auth->client_token.reveal();
  const Response grandchild = must_write("auth/token/create", Json::object(), child_token);
  must_write("auth/token/revoke", {{"token", parent}});
  EXPECT_FALSE(lives(parent));
  EXPECT_FALSE(lives(child_token));
  EXPECT_FALSE(lives(grandchild.auth->client_token.reveal()));
  run_due();
  EXPECT_EQ(list("auth/token/accessors")->data.at("keys").size(), 1u);
  must_write("auth/token/revoke", {{"token", parent}});  // again: no error
}

TEST_F(TokenTest, revoke_orphan_keeps_the_children) {
  const std::string parent = make_token({"maker"});
  const Response child = must_write("auth/token/create", Json::object(), parent);
  must_write("auth/token/revoke-orphan", {{"token", parent}});
  run_due();
  EXPECT_FALSE(lives(parent));
  EXPECT_EQ(self(child.auth->client_token.reveal()).at("orphan"), true);
}

TEST_F(TokenTest, an_orphan_survives_the_one_who_made_it) {
  const std::string maker = make_token({"chief"});
  const Response orphan = must_write("auth/token/create-orphan", {{"policies", {"reader"}}}, maker);
  must_write("auth/token/revoke", {{"token", maker}});
  run_due();
  EXPECT_TRUE(lives(orphan.auth->client_token.reveal()));
}

TEST_F(TokenTest, a_token_can_be_found_and_ended_by_its_accessor) {
  const std::string token = make_token({"reader"});
  const std::string accessor = self(token).at("accessor");
  const Json found = must_write("auth/token/lookup-accessor", {{"accessor", accessor}}).data;
  EXPECT_EQ(found.at("id"), "");
  EXPECT_EQ(found.at("accessor"), accessor);
  must_write("auth/token/renew-accessor", {{"accessor", accessor}});
  must_write("auth/token/revoke-accessor", {{"accessor", accessor}});
  EXPECT_FALSE(lives(token));
  EXPECT_EQ(code_of(write("auth/token/revoke-accessor", {{"accessor", accessor}})),
            Errc::kPermissionDenied);
}

// ---- what a token may pass on
// ----------------------------------------------------------------------

TEST_F(TokenTest, a_child_gets_no_policy_that_its_parent_lacks) {
  const std::string maker = make_token({"maker"});
  const auto refused = write("auth/token/create", {{"policies", {"reader"}}}, maker);
  EXPECT_THAT(message(refused), HasSubstr("child policies must be subset of parent"));
  EXPECT_THAT(message(write("auth/token/create", {{"policies", {"root"}}}, maker)),
              HasSubstr("root tokens may not be created"));
  const std::string chief = make_token({"chief"});
  EXPECT_TRUE(write("auth/token/create", {{"policies", {"reader"}}}, chief).has_value());
  EXPECT_FALSE(write("auth/token/create", {{"policies", {"root"}}}, chief).has_value());
}

TEST_F(TokenTest, privileged_members_need_sudo) {
  const std::string maker = make_token({"maker"});
  for (const Json& body : {Json{{"id", "mine"}}, Json{{"period", "1h"}}, Json{{"no_parent", true}}})
    EXPECT_THAT(message(write("auth/token/create", body, maker)), HasSubstr("root or sudo"))
        << body;
  const std::string chief = make_token({"chief"});
  EXPECT_TRUE(write("auth/token/create", {{"id", "chosen"}}, chief).has_value());
  EXPECT_TRUE(lives("chosen"));
  EXPECT_THAT(message(write("auth/token/create", {{"id", "chosen"}}, chief)),
              HasSubstr("duplicate"));
}

TEST_F(TokenTest, an_expiring_root_token_makes_no_eternal_one) {
  const Response root = must_write("auth/token/create", {{"policies", {"root"}}, {"ttl", "1h"}});
  const std::string token = root.auth->client_token.reveal();
  EXPECT_THAT(message(write("auth/token/create", {{"policies", {"root"}}}, token)),
              HasSubstr("expiring root"));
  EXPECT_TRUE(
      write("auth/token/create", {{"policies", {"root"}}, {"ttl", "5m"}}, token).has_value());
}

TEST_F(TokenTest, unknown_policies_are_warned_of) {
  const Response made = must_write("auth/token/create", {{"policies", {"ghost"}}});
  ASSERT_EQ(made.warnings.size(), 1u);
  EXPECT_THAT(made.warnings[0], HasSubstr("\"ghost\" does not exist"));
}

TEST_F(TokenTest, a_type_that_is_not_there_is_refused) {
  EXPECT_THAT(message(write("auth/token/create", {{"type", "recovery"}})),
              HasSubstr("invalid 'token_type' value"));
}

// ---- limited use
// -----------------------------------------------------------------------------------

TEST_F(TokenTest, uses_are_counted_also_for_refused_requests) {
  const std::string token = make_token({"reader"}, {{"num_uses", 2}});
  EXPECT_EQ(code_of(read("sys/mounts", token)), Errc::kPermissionDenied);
  EXPECT_TRUE(lives(token));
  EXPECT_FALSE(lives(token));
}

TEST_F(TokenTest, a_token_of_limited_use_makes_no_children) {
  const std::string token = make_token({"maker"}, {{"num_uses", 5}});
  EXPECT_THAT(message(write("auth/token/create", {}, token)), HasSubstr("restricted use token"));
}

TEST_F(TokenTest, the_last_use_is_refused_a_lease_instead_of_killing_it) {
  must_write("sys/mounts/db", {{"type", "scripted"}});
  write_policy("agent", R"(path "db/creds/*" { capabilities = ["read"] })");
  const std::string token = make_token({"agent"}, {{"num_uses", 2}});
  EXPECT_TRUE(read("db/creds/ro", token).has_value());
  EXPECT_THAT(message(read("db/creds/ro", token)), HasSubstr("token had one use left"));
  run_due();
  EXPECT_TRUE(outside_.names().empty()) << "the first lease ends with its token";
}

// ---- addresses
// -------------------------------------------------------------------------------------

TEST_F(TokenTest, a_bound_token_works_from_its_networks_only) {
  must_write("auth/token/roles/near",
             {{"allowed_policies", "reader"}, {"token_bound_cidrs", "10.0.0.0/8"}});
  const Response made = must_write("auth/token/create/near");
  const std::string token = made.auth->client_token.reveal();
  EXPECT_FALSE(lives(token));
  extra_.remote_address = "10.2.3.4";
  EXPECT_TRUE(lives(token));
}

// ---- roles
// -----------------------------------------------------------------------------------------

TEST_F(TokenTest, a_role_fixes_what_its_tokens_are) {
  must_write("auth/token/roles/r1", {{"allowed_policies", "reader"},
                                     {"orphan", true},
                                     {"token_period", "1h"},
                                     {"path_suffix", "ci"}});
  const Json role = must_read("auth/token/roles/r1");
  EXPECT_EQ(role.at("token_period"), 3600);
  EXPECT_EQ(role.at("allowed_policies"), Json({"reader"}));
  const Response made = must_write("auth/token/create/r1");
  const Json data = self(made.auth->client_token.reveal());
  EXPECT_EQ(data.at("orphan"), true);
  EXPECT_EQ(data.at("period"), 3600);
  EXPECT_EQ(data.at("path"), "auth/token/create/r1/ci");
  EXPECT_EQ(data.at("policies"), Json({"default", "reader"}));
  EXPECT_THAT(message(write("auth/token/create/r1", {{"policies", "maker"}})),
              HasSubstr("does not allow"));
  must_write("auth/token/roles/r1", {{"orphan", false}});
  EXPECT_EQ(must_read("auth/token/roles/r1").at("token_period"), 3600) << "the rest stays";
  EXPECT_EQ(list("auth/token/roles")->data.at("keys"), Json({"r1"}));
  EXPECT_TRUE(remove("auth/token/roles/r1").has_value());
  EXPECT_EQ(code_of(read("auth/token/roles/r1")), Errc::kNotFound);
}

TEST_F(TokenTest, globs_allow_and_deny) {
  must_write("auth/token/roles/g",
             {{"allowed_policies_glob", "team-*"}, {"disallowed_policies", "team-admin"}});
  EXPECT_TRUE(write("auth/token/create/g", {{"policies", "team-a"}}).has_value());
  EXPECT_FALSE(write("auth/token/create/g", {{"policies", "team-admin"}}).has_value());
  EXPECT_FALSE(write("auth/token/create/g", {{"policies", "other"}}).has_value());
}

// ---- damage
// ----------------------------------------------------------------------------------------

TEST_F(TokenTest, a_role_that_names_no_policies_gives_none_that_the_parent_lacks) {
  must_write("auth/token/roles/plain", {{"token_period", "1h"}, {"orphan", true}});
  const std::string maker = make_token({"maker"});
  EXPECT_THAT(message(write("auth/token/create/plain", {{"policies", "chief"}}, maker)),
              HasSubstr("subset of parent"));
  EXPECT_EQ(must_write("auth/token/create/plain", Json::object(), maker).auth->policies,
            (std::vector<std::string>{"default", "maker"}));
}

TEST_F(TokenTest, policies_of_a_role_are_compared_without_case) {
  must_write("auth/token/roles/c",
             {{"allowed_policies_glob", "*"}, {"disallowed_policies", "Chief"}});
  EXPECT_FALSE(write("auth/token/create/c", {{"policies", "chief"}}).has_value());
  EXPECT_FALSE(write("auth/token/create/c", {{"policies", "CHIEF"}}).has_value());
}

TEST_F(TokenTest, no_name_of_a_policy_can_stand_for_several) {
  must_write("auth/token/roles/dev", {{"allowed_policies_glob", "dev-*"}});
  EXPECT_FALSE(write("auth/token/create/dev", {{"policies", {"dev-x\nchief"}}}).has_value());
  EXPECT_FALSE(write("auth/token/create", {{"policies", {"a\nb"}}}).has_value());
}

TEST_F(TokenTest, a_long_chain_of_tokens_ends_whole_and_holds_nothing_up) {
  must_write("sys/mounts/db", {{"type", "scripted"}});
  write_policy("chain", R"(path "auth/token/create" { capabilities = ["update"] })");
  write_policy("agent", R"(path "db/creds/*" { capabilities = ["read"] })");
  const std::string first = make_token({"chain"});
  std::string last = first;
  for (int i = 0; i < 250; ++i)
    last = must_write("auth/token/create", Json::object(), last).auth->client_token.reveal();
  const std::string other = make_token({"agent"});
  ASSERT_TRUE(read("db/creds/ro", other).has_value());
  must_write("auth/token/revoke", {{"token", first}});
  must_write("auth/token/revoke", {{"token", other}});
  EXPECT_FALSE(lives(last));
  run_due();
  EXPECT_TRUE(outside_.names().empty());
  EXPECT_EQ(list("auth/token/accessors")->data.at("keys").size(), 1u);
}

TEST_F(TokenTest, an_ended_parent_takes_children_that_would_live_longer) {
  const std::string parent = make_token({"maker"}, {{"ttl", "1h"}});
  const Response child = must_write("auth/token/create", {{"ttl", "10h"}}, parent);
  clock_.advance(std::chrono::hours{1});
  run_due();
  EXPECT_FALSE(lives(child.auth->client_token.reveal()));
}

TEST_F(TokenTest, a_token_that_nobody_got_is_ended) {
  const Response made = must_write("auth/token/create", {{"policies", {"reader"}}});
  const std::string token = made.auth->client_token.reveal();
  broker_->undelivered(must_write("auth/token/renew-self", Json::object(), token));
  EXPECT_TRUE(lives(token)) << "a renewal that is lost ends nothing";
  broker_->undelivered(made);
  EXPECT_FALSE(lives(token));
}

TEST_F(TokenTest, an_altered_child_does_not_keep_its_parent_alive_nor_others) {
  must_write("sys/mounts/db", {{"type", "scripted"}});
  write_policy("agent", R"(path "db/creds/*" { capabilities = ["read"] })");
  const std::string parent = make_token({"maker"});
  must_write("auth/token/create", Json::object(), parent);
  const std::string parents_accessor = self(parent).at("accessor");
  const std::string other = make_token({"agent"}, {{"ttl", "1h"}});
  ASSERT_TRUE(read("db/creds/ro", other).has_value());
  tamper(
      "UPDATE tokens SET sealed = zeroblob(80) WHERE parent = (SELECT id FROM tokens WHERE "
      "accessor = '" +
      parents_accessor + "')");
  EXPECT_TRUE(write("auth/token/revoke", {{"token", parent}}).has_value());
  EXPECT_FALSE(lives(parent));
  clock_.advance(std::chrono::hours{1});
  run_due();
  EXPECT_TRUE(outside_.names().empty());
}

TEST_F(TokenTest, an_edited_row_gives_no_access) {
  const std::string token = make_token({"reader"}, {{"ttl", "1h"}});
  const std::string other = make_token({"maker"});
  tamper("UPDATE tokens SET expires_at = NULL WHERE expires_at IS NOT NULL");
  EXPECT_EQ(code_of(read("auth/token/lookup-self", token)), Errc::kCorrupt);
  EXPECT_TRUE(lives("root"));
}

TEST_F(TokenTest, a_row_that_is_edited_after_its_use_gives_no_access) {
  const std::string token = make_token({"reader"}, {{"ttl", "1h"}});
  ASSERT_TRUE(lives(token));
  tamper("UPDATE tokens SET expires_at = expires_at + 1000 WHERE expires_at IS NOT NULL");
  EXPECT_EQ(code_of(read("auth/token/lookup-self", token)), Errc::kCorrupt);
  tamper("UPDATE tokens SET expires_at = expires_at - 1000 WHERE expires_at IS NOT NULL");
  EXPECT_TRUE(lives(token));
  tamper("UPDATE tokens SET sealed = zeroblob(64) WHERE expires_at IS NOT NULL");
  EXPECT_EQ(code_of(read("auth/token/lookup-self", token)), Errc::kCorrupt);
  tamper("DELETE FROM tokens WHERE expires_at IS NOT NULL");
  EXPECT_EQ(code_of(read("auth/token/lookup-self", token)), Errc::kUnauthenticated);
}

TEST_F(TokenTest, a_row_put_in_the_place_of_another_gives_no_access) {
  const std::string weak = make_token({"reader"});
  tamper(
      "UPDATE tokens SET sealed = (SELECT sealed FROM tokens WHERE parent = '') WHERE parent <> "
      "''");
  EXPECT_EQ(code_of(read("sys/mounts", weak)), Errc::kCorrupt);
}

TEST_F(TokenTest, tokens_survive_a_restart) {
  const std::string token = make_token({"reader"});
  restart();
  EXPECT_TRUE(lives(token));
}

}  // namespace
}  // namespace curfew::broker

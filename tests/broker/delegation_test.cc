// Tokens for agents that act for humans, and for their child tasks.
#include <atomic>
#include <thread>

#include "tests/broker/identity_world.h"

namespace curfew::broker {
namespace {

using ::testing::HasSubstr;

// Ada answers for "bot"; both may lease and read by what their entities have.
class DelegationTest : public IdentityAccessTest {
 protected:
  DelegationTest() {
    write_policy("maker", R"(path "auth/token/create" { capabilities = ["update"] }
                             path "auth/token/create-orphan" { capabilities = ["update"] }
                             path "auth/token/create/*" { capabilities = ["update"] })");
    write_policy("admin", R"(path "*" { capabilities = ["create", "read", "update", "sudo"] }
                             path "auth/token/create" { capabilities = ["update", "sudo"] })");
    must_write("identity/entity-alias",
               {{"name", "ada"}, {"mount_accessor", accessor_}, {"canonical_id", id_of("ada")}});
    must_write("identity/entity/name/ada", {{"policies", {"leaser", "reader"}}});
    ada_ = must_login("ada", "", "maker").token;
    must_write("identity/agent/bot", {{"owner", "ada"}, {"policies", {"leaser", "maker"}}});
  }

  std::string id_of(const std::string& name) {
    return must_read("identity/entity/name/" + name).at("id");
  }
  Result<Response> make(const std::string& by, Json more) {
    return write("auth/token/create", std::move(more), by);
  }
  std::string must_make(const std::string& by, Json more) {
    const auto made = make(by, std::move(more));
    EXPECT_TRUE(made.has_value()) << (made ? "" : made.error().message);
    return made ? made->auth->client_token.reveal() : "";
  }
  // What refuses a token; empty: it was made.
  std::string refusal(const std::string& by, Json more) {
    const auto made = make(by, std::move(more));
    return made ? "" : made.error().message;
  }
  bool may(const std::string& token, const std::string& path) {
    return read(path, token).has_value();
  }
  std::string lease(const std::string& token) {
    const auto issued = read("db/creds/ro", token);
    return issued ? issued->lease_id : "";
  }
  std::string lease_refusal(const std::string& token) {
    const auto issued = read("db/creds/ro", token);
    return issued ? "" : issued.error().message;
  }
  Json lookup(const std::string& token) {
    return must_write("auth/token/lookup", {{"token", token}}).data;
  }

  std::string ada_;
};

// ---- on behalf of -----------------------------------------------------------------------------

TEST_F(DelegationTest, an_owners_token_for_her_agent_is_on_her_behalf) {
  const std::string bot = must_make(ada_, {{"agent", "bot"}});
  EXPECT_EQ(lookup(bot).at("entity_id"), id_of("bot"));
  EXPECT_EQ(lookup(bot).at("on_behalf_of"), id_of("ada"));
  const std::string made = lease(bot);
  const Json by = must_write("sys/leases/receipt", {{"lease_id", made}}).data.at("attribution");
  EXPECT_EQ(by.at("agent"), "bot");
  EXPECT_EQ(by.at("human"), "ada");
  EXPECT_EQ(by.at("human_id"), id_of("ada"));
}

TEST_F(DelegationTest, rights_are_what_token_ceiling_and_human_all_allow_now) {
  const std::string bot = must_make(ada_, {{"agent", "bot"}, {"policies", {"reader"}}});
  EXPECT_TRUE(may(bot, "kv/a"));
  EXPECT_TRUE(may(bot, "db/creds/ro"));
  must_write("identity/agent/bot", {{"ceiling_policies", {"leaser"}}});
  EXPECT_FALSE(may(bot, "kv/a")) << "above its ceiling";
  must_write("identity/agent/bot", {{"ceiling_policies", Json::array()}});
  must_write("identity/entity/name/ada", {{"policies", {"leaser"}}});
  EXPECT_FALSE(may(bot, "kv/a")) << "the human may not any more";
  EXPECT_TRUE(may(bot, "db/creds/ro"));
  must_write("identity/entity/name/ada", {{"policies", {"reader"}}});
  EXPECT_FALSE(may(bot, "db/creds/ro")) << "the agent's own policies give no more than hers";
  must_write("identity/agent/bot", {{"owner", "ada"}});
  must_write("identity/entity/name/ada", {{"disabled", true}});
  EXPECT_FALSE(may(bot, "kv/a"));
}

TEST_F(DelegationTest, an_agent_gets_no_policies_that_it_is_not_given) {
  must_write("identity/agent/bot", {{"policies", Json::array()}});
  const std::string bot = must_make(ada_, {{"agent", "bot"}});
  EXPECT_FALSE(may(bot, "kv/a"));
  EXPECT_THAT(refusal(ada_, {{"agent", "bot"}, {"policies", {"admin"}}}), HasSubstr("subset"));
  EXPECT_THAT(refusal(ada_, {{"agent", "bot"}, {"policies", {"root"}}}), HasSubstr("root"));
}

TEST_F(DelegationTest, only_who_answers_for_an_agent_makes_tokens_for_it) {
  const std::string eve = must_login("eve", "", "maker").token;
  EXPECT_EQ(code_of(make(eve, {{"agent", "bot"}})), Errc::kPermissionDenied);
  EXPECT_EQ(refusal(eve, {{"agent", "bot"}}).size(), refusal(eve, {{"agent", "bat"}}).size())
      << "whether there is such an agent is not told";
  const std::string bot = must_make(ada_, {{"agent", "bot"}, {"policies", {"maker"}}});
  EXPECT_EQ(code_of(make(bot, {{"agent", "bot"}})), Errc::kPermissionDenied);
  EXPECT_EQ(code_of(make(ada_, {{"agent", "bot"}, {"on_behalf_of", "eve"}})),
            Errc::kPermissionDenied);
  EXPECT_EQ(code_of(make(ada_, {{"on_behalf_of", "ada"}})), Errc::kInvalidArgument);
  // A group's members answer for its agents, those of groups in it too.
  const Json inner =
      must_write(
          "identity/group",
          {{"name", "inner"},
           {"member_entity_ids",
            {id_of(must_read("identity/entity/id/" + lookup(eve).at("entity_id").get<std::string>())
                       .at("name"))}}})
          .data;
  must_write("identity/group", {{"name", "team"}, {"member_group_ids", {inner.at("id")}}});
  must_write("identity/agent/bot", {{"owner", "group:team"}});
  EXPECT_EQ(lookup(must_make(eve, {{"agent", "bot"}})).at("on_behalf_of"),
            lookup(eve).at("entity_id"));
  EXPECT_EQ(code_of(make(ada_, {{"agent", "bot"}})), Errc::kPermissionDenied);
}

TEST_F(DelegationTest, sudo_makes_tokens_for_any_agent_and_any_human) {
  EXPECT_FALSE(lookup(must_make("root", {{"agent", "bot"}, {"policies", {"reader"}}}))
                   .contains("on_behalf_of"));
  const Json wanted = {{"agent", "bot"}, {"on_behalf_of", "ada"}, {"policies", {"reader"}}};
  const std::string bot = must_make("root", wanted);
  EXPECT_TRUE(may(bot, "kv/a"));
  must_write("identity/entity/name/ada", {{"policies", Json::array()}});
  EXPECT_FALSE(may(bot, "kv/a")) << "what her entity has counts, and no login of hers";
  EXPECT_THAT(refusal("root", {{"agent", "bot"}, {"on_behalf_of", "bot"}}), HasSubstr("agent"));
  EXPECT_THAT(refusal("root", {{"agent", "bot"}, {"on_behalf_of", "nobody"}}),
              HasSubstr("no entity"));
  must_write("identity/agent/bot/disable");
  EXPECT_THAT(refusal("root", wanted), HasSubstr("it is disabled"));
}

TEST_F(DelegationTest, nobody_leaves_the_human_behind) {
  must_write("identity/entity/name/ada", {{"policies", {"admin"}}});
  must_write("identity/agent/other", {{"owner", "ada"}, {"policies", {"reader"}}});
  const std::string bot = must_make(ada_, {{"agent", "bot"}, {"policies", {"admin"}}});
  EXPECT_EQ(lookup(must_make(bot, Json::object())).at("on_behalf_of"), id_of("ada"));
  EXPECT_EQ(lookup(must_make(bot, {{"no_parent", true}})).at("on_behalf_of"), id_of("ada"));
  EXPECT_EQ(lookup(must_make(bot, {{"agent", "other"}})).at("on_behalf_of"), id_of("ada"));
  must_write("identity/entity", {{"name", "bea"}, {"kind", "human"}});
  EXPECT_EQ(code_of(make(bot, {{"agent", "other"}, {"on_behalf_of", "bea"}})),
            Errc::kPermissionDenied);
}

TEST_F(DelegationTest, a_token_that_outlives_the_humans_has_what_her_entity_has) {
  must_write("identity/entity/name/ada", {{"policies", {"leaser"}}});
  const std::string ada = must_login("ada", "", "maker,reader").token;
  const Json wanted = {{"agent", "bot"}, {"policies", {"reader"}}};
  EXPECT_TRUE(may(must_make(ada, wanted), "kv/a")) << "by her login";
  const auto orphan = write("auth/token/create-orphan", wanted, ada);
  ASSERT_TRUE(orphan.has_value()) << orphan.error().message;
  EXPECT_FALSE(may(orphan->auth->client_token.reveal(), "kv/a"));
  EXPECT_TRUE(may(orphan->auth->client_token.reveal(), "db/creds/ro"));
}

// ---- aliases ----------------------------------------------------------------------------------

TEST_F(DelegationTest, a_token_role_makes_tokens_for_the_aliases_that_it_allows) {
  must_write("auth/token/roles/ci",
             {{"allowed_entity_aliases", "Job-*,nightly"}, {"allowed_policies", "reader"}});
  EXPECT_EQ(must_read("auth/token/roles/ci").at("allowed_entity_aliases"),
            (Json{"job-*", "nightly"}));
  const auto as = [&](const std::string& alias) {
    return write("auth/token/create/ci", {{"entity_alias", alias}});
  };
  const auto first = as("JOB-1");
  ASSERT_TRUE(first.has_value()) << first.error().message;
  const std::string entity = first->auth->entity_id;
  EXPECT_FALSE(entity.empty());
  EXPECT_EQ(as("job-1")->auth->entity_id, entity);
  EXPECT_NE(as("nightly")->auth->entity_id, entity);
  EXPECT_EQ(as("weekly").error().message, "invalid 'entity_alias' value");
  EXPECT_THAT(refusal("root", {{"entity_alias", "job-1"}}), HasSubstr("token role"));
  must_write("identity/entity/id/" + entity, {{"disabled", true}});
  EXPECT_EQ(code_of(as("job-1")), Errc::kPermissionDenied);
}

// ---- sub-agents -------------------------------------------------------------------------------

TEST_F(DelegationTest, a_sub_agent_has_the_policies_that_it_is_given_and_no_more) {
  const std::string bot = must_make(ada_, {{"agent", "bot"}, {"policies", {"reader", "maker"}}});
  const std::string child =
      must_make(bot, {{"sub_agent", "tests"}, {"policies", {"leaser", "maker"}}});
  EXPECT_TRUE(may(child, "db/creds/ro")) << "the agent has it by its entity";
  EXPECT_FALSE(may(child, "kv/a"));
  EXPECT_THAT(refusal(child, {{"policies", {"reader"}}}), HasSubstr("subset"));
  EXPECT_THAT(refusal(bot, {{"sub_agent", "x"}, {"policies", {"admin"}}}), HasSubstr("subset"));
  must_write("auth/token/roles/wide", {{"allowed_policies", "reader"}});
  const auto by_role = write("auth/token/create/wide", Json::object(), child);
  ASSERT_FALSE(by_role.has_value());
  EXPECT_THAT(by_role.error().message, HasSubstr("subset"));
  must_write("identity/agent/bot", {{"policies", {"maker"}}});
  EXPECT_FALSE(may(child, "db/creds/ro")) << "the agent has it no more";
  EXPECT_TRUE(may(must_make(bot, {{"sub_agent", "all"}}), "kv/a"));
}

TEST_F(DelegationTest, sub_agents_keep_their_names_and_their_human) {
  const std::string bot = must_make(ada_, {{"agent", "bot"}});
  const std::string child = must_make(bot, {{"sub_agent", "plan"}});
  const std::string inner = must_make(child, {{"sub_agent", "tests"}});
  const std::string made = lease(inner);
  must_write("sys/leases/revoke", {{"lease_id", made}});
  const Json by = must_write("sys/leases/receipt", {{"lease_id", made}}).data.at("attribution");
  EXPECT_EQ(by.at("agent"), "bot");
  EXPECT_EQ(by.at("human"), "ada");
  EXPECT_EQ(by.at("sub_agent"), "plan/tests");
  EXPECT_THAT(refusal(child, {{"sub_agent", "a/b"}}), HasSubstr("name"));
  EXPECT_THAT(refusal(ada_, {{"sub_agent", "x"}}), HasSubstr("only an agent"));
  EXPECT_THAT(refusal("root", {{"sub_agent", "x"}}), HasSubstr("only an agent"));
  EXPECT_THAT(refusal(bot, {{"sub_agent", "x"}, {"agent", "bot"}}), HasSubstr("only one of"));
  std::string deep = inner;
  for (int i = 3; i <= 8; ++i) deep = must_make(deep, {{"sub_agent", "d"}});
  EXPECT_THAT(refusal(deep, {{"sub_agent", "d"}}), HasSubstr("at most 8"));
}

TEST_F(DelegationTest, a_budget_counts_the_whole_tree) {
  const std::string bot = must_make(ada_, {{"agent", "bot"}});
  const std::string child = must_make(bot, {{"sub_agent", "plan"}, {"max_live_leases", 2}});
  const std::string left = must_make(child, {{"sub_agent", "left"}, {"max_live_leases", 1}});
  const std::string right = must_make(child, Json::object());
  const std::string first = lease(left);
  EXPECT_FALSE(first.empty());
  EXPECT_THAT(lease_refusal(left), HasSubstr("\"plan/left\" is used up"));
  EXPECT_EQ(code_of(read("db/creds/ro", left)), Errc::kQuotaExceeded);
  EXPECT_FALSE(lease(right).empty());
  EXPECT_THAT(lease_refusal(child), HasSubstr("\"plan\" is used up"));
  restart();
  EXPECT_THAT(lease_refusal(right), HasSubstr("\"plan\" is used up"));
  EXPECT_FALSE(lease(bot).empty()) << "the agent itself is not bound by it";
  must_write("sys/leases/revoke", {{"lease_id", first}});
  EXPECT_FALSE(lease(left).empty());
}

TEST_F(DelegationTest, a_budget_is_exact_however_many_ask_at_once) {
  const std::string bot = must_make(ada_, {{"agent", "bot"}});
  const std::string child = must_make(bot, {{"sub_agent", "plan"}, {"max_live_leases", 5}});
  std::vector<std::string> tokens;
  for (int i = 0; i < 8; ++i) tokens.push_back(must_make(child, Json::object()));
  std::atomic<int> given = 0;
  std::atomic<int> refused = 0;
  std::vector<std::thread> callers;
  for (const std::string& token : tokens)
    callers.emplace_back([&] {
      for (int i = 0; i < 3; ++i) {
        const auto issued = read("db/creds/ro", token);
        if (issued)
          ++given;
        else if (issued.error().code == Errc::kQuotaExceeded)
          ++refused;
      }
    });
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(given, 5);
  EXPECT_EQ(refused, 19);
}

TEST_F(DelegationTest, leases_of_tokens_that_ended_go_on_counting) {
  const std::string bot = must_make(ada_, {{"agent", "bot"}});
  const std::string child = must_make(bot, {{"sub_agent", "plan"}, {"max_leases_per_hour", 2}});
  for (int i = 0; i < 2; ++i) {
    const std::string inner = must_make(child, Json::object());
    EXPECT_FALSE(lease(inner).empty());
    must_write("auth/token/revoke", {{"token", inner}});
    run_due();
  }
  EXPECT_THAT(lease_refusal(must_make(child, Json::object())), HasSubstr("within an hour"));
  clock_.advance(std::chrono::hours{1});
  EXPECT_FALSE(lease(child).empty());
}

TEST_F(DelegationTest, a_child_gets_no_larger_budget_than_its_parent_has) {
  must_write("identity/agent/bot", {{"max_live_leases", 5}, {"max_ttl", "10m"}});
  const std::string bot = must_make(ada_, {{"agent", "bot"}, {"max_leases_per_hour", 4}});
  EXPECT_THAT(refusal(bot, {{"sub_agent", "x"}, {"max_live_leases", 6}}), HasSubstr("than the 5"));
  EXPECT_THAT(refusal(bot, {{"sub_agent", "x"}, {"max_leases_per_hour", 5}}),
              HasSubstr("than the 4"));
  EXPECT_THAT(refusal(bot, {{"sub_agent", "x"}, {"max_lease_ttl", "11m"}}), HasSubstr("10m"));
  EXPECT_THAT(refusal(bot, {{"sub_agent", "x"}, {"max_live_leases", -1}}), HasSubstr("0 or more"));
  EXPECT_THAT(refusal("root", {{"policies", {"leaser"}}, {"max_live_leases", 1001}}),
              HasSubstr("at most 1000"));
  EXPECT_THAT(refusal(bot, {{"type", "batch"}, {"max_live_leases", 1}}), HasSubstr("batch"));
  const std::string child = must_make(bot, {{"sub_agent", "x"}, {"max_lease_ttl", "2m"}});
  const auto issued = read("db/creds/ro", child);
  ASSERT_TRUE(issued.has_value()) << issued.error().message;
  EXPECT_EQ(issued->lease_duration, std::chrono::minutes{2});
  clock_.advance(Seconds{60});
  EXPECT_EQ(must_write("sys/leases/renew", {{"lease_id", issued->lease_id}, {"increment", "1h"}})
                .lease_duration,
            Seconds{60});
}

TEST_F(DelegationTest, nobody_gets_out_of_a_tree_with_a_budget) {
  must_write("identity/entity/name/ada", {{"policies", {"admin"}}});
  must_write("identity/agent/other", {{"owner", "ada"}});
  const std::string bot = must_make(ada_, {{"agent", "bot"}, {"policies", {"admin"}}});
  const std::string child = must_make(bot, {{"sub_agent", "x"}, {"max_live_leases", 1}});
  EXPECT_THAT(refusal(child, {{"no_parent", true}}), HasSubstr("orphan"));
  EXPECT_FALSE(write("auth/token/create-orphan", Json::object(), child).has_value());
  EXPECT_THAT(refusal(child, {{"agent", "other"}}), HasSubstr("own task only"));
  EXPECT_FALSE(write("auth/token/revoke-orphan", {{"token", child}}).has_value());
  const std::string batch = must_make(child, {{"type", "batch"}, {"ttl", "5m"}});
  EXPECT_FALSE(lease(batch).empty());
  EXPECT_THAT(lease_refusal(batch), HasSubstr("\"x\" is used up"));
}

TEST_F(DelegationTest, one_call_ends_a_tree_and_its_leases) {
  const std::string bot = must_make(ada_, {{"agent", "bot"}});
  const std::string child = must_make(bot, {{"sub_agent", "plan"}, {"max_live_leases", 9}});
  const std::string inner = must_make(child, {{"sub_agent", "tests"}, {"max_live_leases", 9}});
  const std::vector<std::string> made = {lease(child), lease(inner)};
  const std::string kept = lease(bot);
  must_write("auth/token/revoke-accessor", {{"accessor", lookup(child).at("accessor")}});
  EXPECT_EQ(code_of(read("auth/token/lookup-self", inner)), Errc::kUnauthenticated);
  run_due();
  for (const std::string& id : made)
    EXPECT_EQ(must_write("sys/leases/receipt", {{"lease_id", id}}).data.at("state"), "revoked");
  EXPECT_EQ(must_write("sys/leases/receipt", {{"lease_id", kept}}).data.at("state"), "active");
  EXPECT_TRUE(may(bot, "auth/token/lookup-self"));
}

}  // namespace
}  // namespace curfew::broker

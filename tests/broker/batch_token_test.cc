#include "broker/token/batch_token.h"

#include "tests/broker/broker_world.h"

namespace curfew::broker {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class BatchTokenTest : public BrokerWorld {
 protected:
  BatchTokenTest() {
    must_write("sys/mounts/db", {{"type", "scripted"}});
    write_policy("agent", R"(
      path "db/creds/*" { capabilities = ["read"] }
      path "auth/token/create*" { capabilities = ["create", "update"] }
      path "auth/token/revoke*" { capabilities = ["update"] })");
    outside_.role_ttl = Seconds{900};
  }

  Response make(Json more = Json::object(), const std::string& parent = "root") {
    more["type"] = "batch";
    more.emplace("policies", Json{"agent"});
    more.emplace("ttl", "10m");
    return must_write("auth/token/create", std::move(more), parent);
  }
  std::string make_batch(const std::string& parent = "root", Json more = Json::object()) {
    const Response made = make(std::move(more), parent);
    return made.auth ? made.auth->client_token.reveal() : "";
  }
  std::string make_orphan_batch() {
    const Response made = must_write("auth/token/create-orphan",
                                     {{"type", "batch"}, {"policies", {"agent"}}, {"ttl", "10m"}});
    return made.auth ? made.auth->client_token.reveal() : "";
  }
  bool lives(const std::string& token) { return read("auth/token/lookup-self", token).has_value(); }
  std::string message(const Result<Response>& result) {
    return result ? "(no error)" : result.error().message;
  }
  std::string state_of(const std::string& id) {
    return must_write("sys/leases/receipt", {{"lease_id", id}}).data.value("state", "?");
  }
  std::size_t rows() { return list("auth/token/accessors")->data.at("keys").size(); }
};

TEST_F(BatchTokenTest, a_batch_token_carries_what_it_is_and_has_no_row) {
  const int writes = database_->writes();
  const Response made = make({{"meta", {{"job", "7"}}}, {"display_name", "job"}});
  EXPECT_EQ(database_->writes(), writes);
  ASSERT_TRUE(made.auth.has_value());
  EXPECT_THAT(made.auth->client_token.reveal(), StartsWith("cfb."));
  EXPECT_EQ(made.auth->accessor, "");
  EXPECT_EQ(made.auth->token_type, "batch");
  EXPECT_FALSE(made.auth->renewable);
  EXPECT_FALSE(made.auth->orphan);
  EXPECT_EQ(made.auth->lease_duration, std::chrono::minutes{10});
  EXPECT_EQ(made.auth->policies, (std::vector<std::string>{"agent", "default"}));
  EXPECT_EQ(rows(), 1u);

  const std::string token = made.auth->client_token.reveal();
  clock_.advance(Seconds{60});
  const Json self = must_read("auth/token/lookup-self", token);
  EXPECT_EQ(self.at("id"), token);
  EXPECT_EQ(self.at("type"), "batch");
  EXPECT_EQ(self.at("accessor"), "");
  EXPECT_EQ(self.at("ttl"), 540);
  EXPECT_EQ(self.at("meta"), Json({{"job", "7"}}));
  EXPECT_EQ(self.at("display_name"), "token-job");
  EXPECT_EQ(self.at("renewable"), false);
  EXPECT_EQ(must_write("auth/token/lookup", {{"token", token}}).data, self);
}

TEST_F(BatchTokenTest, it_ends_with_its_time) {
  const std::string token = make_batch();
  clock_.advance(Millis{599'999});
  EXPECT_TRUE(lives(token));
  clock_.advance(Millis{1});
  EXPECT_EQ(code_of(read("auth/token/lookup-self", token)), Errc::kUnauthenticated);
}

TEST_F(BatchTokenTest, it_outlives_a_restart) {
  const std::string token = make_batch();
  restart();
  EXPECT_TRUE(lives(token));
}

TEST_F(BatchTokenTest, it_ends_with_its_parent_unless_it_is_an_orphan) {
  const std::string parent = make_token({"agent"});
  const std::string child = make_batch(parent), orphan = make_orphan_batch();
  must_write("auth/token/revoke", {{"token", parent}});
  EXPECT_FALSE(lives(child));
  EXPECT_TRUE(lives(orphan));
  run_due();
  EXPECT_FALSE(lives(child)) << "also when the parent's row is gone";

  const std::string brief = make_token({"agent"}, {{"ttl", "1m"}});
  const std::string under_brief = make_batch(brief);
  clock_.advance(Seconds{60});
  EXPECT_FALSE(lives(under_brief));
}

TEST_F(BatchTokenTest, what_needs_a_row_is_refused_in_vaults_words) {
  const auto refused = [&](const char* name, Json value) {
    Json body = {{"type", "batch"}, {"policies", {"agent"}}};
    body[name] = std::move(value);
    return message(write("auth/token/create", std::move(body)));
  };
  EXPECT_EQ(refused("num_uses", 3), "batch tokens cannot have \"num_uses\" set");
  EXPECT_EQ(refused("period", "1h"), "batch tokens cannot have \"period\" set");
  EXPECT_EQ(refused("explicit_max_ttl", "1h"), "batch tokens cannot have \"explicit_max_ttl\" set");
  EXPECT_EQ(refused("id", "mine"), "batch tokens cannot have \"id\" set");
  EXPECT_EQ(refused("policies", {"root"}), "batch tokens cannot be root tokens");
  EXPECT_THAT(message(write("auth/token/create", {{"id", "cfb.mine"}})), HasSubstr("\"id\""));

  const std::string token = make_batch();
  EXPECT_EQ(message(write("auth/token/create", Json::object(), token)),
            "batch tokens cannot create more tokens");
  EXPECT_EQ(message(write("auth/token/create", {{"type", "batch"}}, token)),
            "batch tokens cannot create more tokens");
  EXPECT_EQ(message(write("auth/token/renew-self", Json::object(), token)),
            "batch tokens cannot be renewed");
  EXPECT_EQ(message(write("auth/token/renew", {{"token", token}})),
            "batch tokens cannot be renewed");
  EXPECT_EQ(message(write("auth/token/revoke-self", Json::object(), token)),
            "batch tokens cannot be revoked");
  EXPECT_EQ(message(write("auth/token/revoke", {{"token", token}})),
            "batch tokens cannot be revoked");
  EXPECT_EQ(message(write("auth/token/revoke-orphan", {{"token", token}})),
            "batch tokens cannot be revoked");
  EXPECT_FALSE(write("auth/token/lookup-accessor", {{"accessor", ""}}).has_value());
  EXPECT_TRUE(lives(token));
}

TEST_F(BatchTokenTest, every_altered_token_is_refused_like_none) {
  const std::string token = make_batch();
  std::vector<std::string> bad = {"cfb.",         "cfb.AAAA",  "cfb.!",
                                  token + "A",    token + "=", token.substr(0, token.size() - 1),
                                  token.substr(4)};
  for (std::size_t i = 4; i < token.size(); i += 7) {
    std::string altered = token;
    altered[i] = altered[i] == 'A' ? 'B' : 'A';
    bad.push_back(altered);
  }
  std::string other_alphabet = token;
  for (char& c : other_alphabet) c = c == '-' ? '+' : c == '_' ? '/' : c;
  if (other_alphabet != token) bad.push_back(other_alphabet);
  bad.push_back("cfb." + std::string(100'000, 'A'));
  for (const std::string& altered : bad) {
    const auto refused = read("auth/token/lookup-self", altered);
    EXPECT_EQ(code_of(refused), Errc::kUnauthenticated) << altered;
    EXPECT_EQ(message(refused), "permission denied");
  }
}

// Another store's keys, and another purpose of the same keys.
TEST_F(BatchTokenTest, only_what_this_store_sealed_as_a_token_opens) {
  store::Keyring other("root", random_, clock_);
  ASSERT_TRUE(database_
                  ->write([&](store::Writer& writer) -> Status {
                    RETURN_IF_ERROR(writer.execute("DELETE FROM keyring"));
                    return other.create(writer, store::make_root_key(random_));
                  })
                  .has_value());
  Token forged;
  forged.type = TokenType::kBatch;
  forged.policies = {"root"};
  forged.expires_at = clock_.wall() + std::chrono::hours{1};
  const auto sealed = seal_batch_token(other, forged);
  ASSERT_TRUE(sealed.has_value());
  EXPECT_EQ(code_of(read("auth/token/lookup-self", sealed->reveal())), Errc::kUnauthenticated);
}

TEST_F(BatchTokenTest, it_keeps_its_networks) {
  must_write("auth/token/roles/near",
             {{"allowed_policies", "agent"}, {"token_bound_cidrs", "10.0.0.0/8"}});
  const Response made = must_write("auth/token/create/near", {{"type", "batch"}, {"ttl", "1m"}});
  const std::string token = made.auth->client_token.reveal();
  EXPECT_FALSE(lives(token));
  extra_.remote_address = "10.1.1.1";
  EXPECT_TRUE(lives(token));
}

TEST_F(BatchTokenTest, one_that_would_be_too_long_is_refused) {
  Json meta = Json::object();
  for (int i = 0; i < 60; ++i) meta["key" + std::to_string(i)] = std::string(100, 'x');
  EXPECT_THAT(message(write("auth/token/create",
                            {{"type", "batch"}, {"policies", "agent"}, {"meta", meta}})),
              HasSubstr("longer than 4096 bytes"));
}

// ---- leases -----------------------------------------------------------------------------------

TEST_F(BatchTokenTest, leases_end_with_the_token_and_no_renewal_goes_beyond) {
  for (const bool orphan : {false, true}) {
    const std::string token = orphan ? make_orphan_batch() : make_batch();
    const auto issued = read("db/creds/ro", token);
    ASSERT_TRUE(issued.has_value()) << issued.error().message;
    EXPECT_EQ(issued->lease_duration, Seconds{600});
    ASSERT_FALSE(issued->warnings.empty());
    clock_.advance(Seconds{300});
    const auto renewed =
        write("sys/leases/renew", {{"lease_id", issued->lease_id}, {"increment", "1h"}}, token);
    ASSERT_TRUE(renewed.has_value()) << renewed.error().message;
    EXPECT_EQ(renewed->lease_duration, Seconds{300});
    const auto by_root =
        write("sys/leases/renew", {{"lease_id", issued->lease_id}, {"increment", "1h"}});
    EXPECT_EQ(by_root->lease_duration, Seconds{300});
    clock_.advance(Seconds{300});
    run_due();
    EXPECT_EQ(state_of(issued->lease_id), "revoked");
  }
}

TEST_F(BatchTokenTest, leases_end_with_the_parent) {
  const std::string parent = make_token({"agent"});
  const std::string child = make_batch(parent), orphan = make_orphan_batch();
  const auto held = read("db/creds/ro", child), free = read("db/creds/ro", orphan);
  ASSERT_TRUE(held && free);
  must_write("auth/token/revoke", {{"token", parent}});
  run_due();
  EXPECT_EQ(state_of(held->lease_id), "revoked");
  EXPECT_EQ(state_of(free->lease_id), "active");
}

TEST_F(BatchTokenTest, a_lease_is_not_born_when_the_parent_ends_meanwhile) {
  const std::string parent = make_token({"agent"});
  const std::string child = make_batch(parent);
  // Between the check of the token and the lease's transaction.
  database_->fail_write(1);
  database_->on_fault([&] {
    database_->on_fault(nullptr);
    must_write("auth/token/revoke", {{"token", parent}});
  });
  EXPECT_FALSE(read("db/creds/ro", child).has_value());
  EXPECT_FALSE(read("db/creds/ro", child).has_value());
  EXPECT_TRUE(outside_.names().empty());
}

TEST_F(BatchTokenTest, an_incident_at_the_parent_covers_it) {
  const Response made = must_write("auth/token/create", {{"policies", {"agent"}}});
  const std::string parent = made.auth->client_token.reveal();
  const std::string child = make_batch(parent);
  ASSERT_TRUE(read("db/creds/ro", child).has_value());
  must_write("sys/lockdown", {{"token", made.auth->accessor}, {"reason", "incident"}});
  EXPECT_THAT(message(read("db/creds/ro", child)), HasSubstr("locked down"));
}

// ---- token roles ------------------------------------------------------------------------------

TEST_F(BatchTokenTest, a_role_fixes_or_suggests_the_type) {
  const auto type_of = [&](const std::string& role, Json body = Json::object()) {
    const auto made = write("auth/token/create/" + role, std::move(body));
    return made ? made->auth->token_type : made.error().message;
  };
  must_write("auth/token/roles/fixed", {{"allowed_policies", "agent"},
                                        {"orphan", true},
                                        {"renewable", false},
                                        {"token_type", "batch"}});
  EXPECT_EQ(must_read("auth/token/roles/fixed").at("token_type"), "batch");
  EXPECT_EQ(type_of("fixed"), "batch");
  EXPECT_EQ(type_of("fixed", {{"type", "service"}}), "batch");
  must_write("auth/token/roles/usual",
             {{"allowed_policies", "agent"}, {"token_type", "default-batch"}});
  EXPECT_EQ(type_of("usual"), "batch");
  EXPECT_EQ(type_of("usual", {{"type", "service"}}), "service");
  must_write("auth/token/roles/service",
             {{"allowed_policies", "agent"}, {"token_type", "service"}});
  EXPECT_EQ(type_of("service", {{"type", "batch"}}), "service");
  must_write("auth/token/roles/none", {{"allowed_policies", "agent"}});
  EXPECT_EQ(must_read("auth/token/roles/none").at("token_type"), "default-service");
  EXPECT_EQ(type_of("none", {{"type", "batch"}}), "batch");
}

TEST_F(BatchTokenTest, a_batch_role_says_nothing_that_needs_a_row) {
  const Json good = {{"orphan", true}, {"renewable", false}, {"token_type", "batch"}};
  const auto refused = [&](const char* name, Json value) {
    Json body = good;
    body[name] = std::move(value);
    return message(write("auth/token/roles/r", std::move(body)));
  };
  EXPECT_THAT(refused("orphan", false), HasSubstr("generate non-orphan tokens"));
  EXPECT_THAT(refused("renewable", true), HasSubstr("generate renewable tokens"));
  EXPECT_THAT(refused("token_period", "1h"), HasSubstr("generate periodic tokens"));
  EXPECT_THAT(refused("token_explicit_max_ttl", "1h"), HasSubstr("explicit max TTL"));
  EXPECT_THAT(refused("token_num_uses", 3), HasSubstr("limited use count"));
  EXPECT_THAT(refused("token_type", "odd"), HasSubstr("invalid 'token_type' value"));
  must_write("auth/token/roles/r", good);
  EXPECT_THAT(message(write("auth/token/roles/r", {{"token_period", "1h"}})),
              HasSubstr("periodic tokens"))
      << "also when the type was set before";
}

TEST_F(BatchTokenTest, a_new_one_that_is_not_delivered_leaves_nothing_to_end) {
  const Response made = make();
  broker_->undelivered(made);
  run_due();
  EXPECT_EQ(rows(), 1u);
}

TEST_F(BatchTokenTest, it_can_be_wrapped) {
  extra_.wrap_ttl = Seconds{60};
  const Response wrapped = make();
  extra_.wrap_ttl.reset();
  ASSERT_TRUE(wrapped.wrap_info.has_value());
  EXPECT_EQ(wrapped.wrap_info->wrapped_accessor, "");
  const auto opened =
      write("sys/wrapping/unwrap", Json::object(), wrapped.wrap_info->token.reveal());
  ASSERT_TRUE(opened && opened->auth);
  EXPECT_EQ(opened->auth->token_type, "batch");
  EXPECT_TRUE(lives(opened->auth->client_token.reveal()));
}

}  // namespace
}  // namespace curfew::broker

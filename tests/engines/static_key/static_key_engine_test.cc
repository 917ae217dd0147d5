#include "tests/engines/static_key/static_key_fixture.h"

namespace curfew::engines::static_key {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(StaticKeyTest, a_lease_is_given_the_secret_with_what_describes_it) {
  must(Operation::kUpdate, "keys/stripe",
       {{"value", "sk-1"}, {"type", "api_key"}, {"metadata", {{"owner", "ada"}}}});
  EXPECT_EQ(lease("stripe", "l1"), Json({{"value", "sk-1"},
                                         {"name", "stripe"},
                                         {"type", "api_key"},
                                         {"version", 1},
                                         {"metadata", {{"owner", "ada"}}}}));
  must(Operation::kUpdate, "keys/aws", {{"value", {{"id", "AK"}, {"secret", "s"}}}});
  EXPECT_EQ(lease("aws", "l2")["fields"], Json({{"id", "AK"}, {"secret", "s"}}));
}

TEST_F(StaticKeyTest, terms_come_from_the_key_and_the_request) {
  must(Operation::kUpdate, "keys/k", {{"value", "v"}, {"default_ttl", "5m"}, {"max_ttl", "1h"}});
  const auto made = plan("k", "l1", {{"ttl", "20m"}});
  ASSERT_TRUE(made.has_value());
  EXPECT_EQ(made->terms.ttl, std::chrono::minutes{5});
  EXPECT_EQ(made->terms.max_ttl, std::chrono::hours{1});
  EXPECT_EQ(made->terms.requested_ttl, std::chrono::minutes{20});
  EXPECT_EQ(made->handle.resource, "k@1");
  EXPECT_EQ(made->role, "k");
  EXPECT_EQ(plan("k", "l1", {{"ttl", "soon"}}).error().code, Errc::kInvalidArgument);
  const Error unknown = plan("nope", "l1").error();
  EXPECT_EQ(unknown.code, Errc::kInvalidArgument);
  EXPECT_THAT(unknown.message, HasSubstr("unknown key \"nope\""));
}

TEST_F(StaticKeyTest, the_lease_can_be_read_again_until_it_ends) {
  must(Operation::kUpdate, "keys/k", {{"value", "v"}});
  lease("k", "l1");
  world_.clock.advance(Seconds{100});
  for (const char* id : {"keys/creds/k/l1", "creds/k/l1", "l1"}) {
    const auto reply = call(Operation::kRead, std::string("leases/") + id);
    ASSERT_TRUE(reply.has_value()) << id;
    EXPECT_EQ(reply->data["value"], "v");
    EXPECT_EQ(reply->advisory_ttl, Seconds{500});
  }
  end("k", "l1", 1);
  EXPECT_EQ(fails(Operation::kRead, "leases/keys/creds/k/l1").code, Errc::kNotFound);
  EXPECT_EQ(fails(Operation::kRead, "leases/unknown").code, Errc::kNotFound);
  EXPECT_EQ(fails(Operation::kRead, "leases").code, Errc::kInvalidArgument);
}

TEST_F(StaticKeyTest, a_lease_past_its_end_reads_nothing_even_before_it_is_revoked) {
  must(Operation::kUpdate, "keys/k", {{"value", "v"}});
  lease("k", "l1");
  world_.clock.advance(Seconds{600});
  EXPECT_EQ(fails(Operation::kRead, "leases/keys/creds/k/l1").code, Errc::kNotFound);
}

TEST_F(StaticKeyTest, an_ended_grant_reads_nothing_even_if_the_lease_seems_active) {
  must(Operation::kUpdate, "keys/k", {{"value", "v"}});
  lease("k", "l1");
  fakes::MemoryPhases phases;
  const std::string id = "keys/creds/k/l1";
  ASSERT_TRUE(engine_->revoke(id, handle_of({id, "k", 1}), phases, in_time()).has_value());
  ASSERT_TRUE(world_.leases.active(id).value().has_value());
  EXPECT_EQ(fails(Operation::kRead, "leases/" + id).code, Errc::kNotFound);
}

TEST_F(StaticKeyTest, a_lease_keeps_its_version_when_the_key_is_rotated) {
  must(Operation::kUpdate, "keys/k", {{"value", "old"}});
  lease("k", "l1");
  must(Operation::kUpdate, "keys/k/rotate", {{"value", "new"}});
  EXPECT_EQ(must(Operation::kRead, "leases/keys/creds/k/l1")["value"], "old");
  EXPECT_EQ(lease("k", "l2")["value"], "new");
  EXPECT_TRUE(stored("k", 1));
  end("k", "l1", 1);
  EXPECT_FALSE(stored("k", 1));
  EXPECT_TRUE(stored("k", 2));
  EXPECT_EQ(must(Operation::kRead, "keys/k")["versions"].size(), 1u);
}

TEST_F(StaticKeyTest, the_receipt_says_what_is_proven_and_what_is_not) {
  must(Operation::kUpdate, "keys/k", {{"value", "hunter2"}});
  lease("k", "l1");
  lease("k", "l2");
  const Receipt current = end("k", "l1", 1);
  EXPECT_EQ(current.checked["grant_present"], false);
  EXPECT_EQ(current.checked["version_still_stored"], true);
  EXPECT_EQ(current.checked["not_proven"], "that the key is invalid at its issuer");
  ASSERT_EQ(current.warnings.size(), 1u);
  EXPECT_THAT(current.warnings[0].get<std::string>(), HasSubstr("keys/k/rotate"));
  must(Operation::kUpdate, "keys/k/rotate", {{"value", "hunter3"}});
  const Receipt older = end("k", "l2", 1);
  EXPECT_EQ(older.checked["version_still_stored"], false);
  EXPECT_THAT(older.warnings[0].get<std::string>(), HasSubstr("no longer handed out"));
  EXPECT_THAT(current.checked.dump() + current.warnings.dump() + older.warnings.dump(),
              Not(HasSubstr("hunter")));
}

TEST_F(StaticKeyTest, revoking_wins_against_an_apply_that_comes_later) {
  must(Operation::kUpdate, "keys/k", {{"value", "v"}});
  const auto made = plan("k", "l1");
  end("k", "l1", 1);
  const auto late = apply("l1", *made);
  ASSERT_FALSE(late.has_value());
  EXPECT_EQ(late.error().code, Errc::kRefused);
  EXPECT_TRUE(engine_->list_owned(in_time())->empty());
}

TEST_F(StaticKeyTest, a_key_rotated_between_plan_and_apply_is_asked_for_again) {
  must(Operation::kUpdate, "keys/k", {{"value", "old"}});
  const auto made = plan("k", "l1");
  must(Operation::kUpdate, "keys/k/rotate", {{"value", "new"}});
  const auto issued = apply("l1", *made);
  ASSERT_FALSE(issued.has_value());
  EXPECT_EQ(issued.error().code, Errc::kRefused);
}

TEST_F(StaticKeyTest, a_store_that_fails_while_issuing_grants_nothing) {
  must(Operation::kUpdate, "keys/k", {{"value", "v"}});
  const auto made = plan("k", "l1");
  world_.storage.fail_write(1);
  EXPECT_EQ(apply("l1", *made).error().code, Errc::kUnavailable);
  EXPECT_TRUE(engine_->list_owned(in_time())->empty());
}

TEST_F(StaticKeyTest, a_revocation_that_could_not_be_stored_is_an_error) {
  must(Operation::kUpdate, "keys/k", {{"value", "v"}});
  lease("k", "l1");
  const std::string id = "keys/creds/k/l1";
  fakes::MemoryPhases phases;
  world_.storage.fail_write(1);
  EXPECT_FALSE(engine_->revoke(id, handle_of({id, "k", 1}), phases, in_time()).has_value());
  EXPECT_FALSE(phases.is_done(Phase::kLockOut));
  EXPECT_EQ(must(Operation::kRead, "leases/" + id)["value"], "v");
  EXPECT_TRUE(engine_->revoke(id, handle_of({id, "k", 1}), phases, in_time()).has_value());
  EXPECT_TRUE(phases.is_done(Phase::kLockOut));
}

}  // namespace
}  // namespace curfew::engines::static_key

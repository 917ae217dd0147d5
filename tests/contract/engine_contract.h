#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "engines/engine.h"
#include "tests/fakes/intent_maker.h"
#include "tests/fakes/memory_phases.h"
#include "tests/fakes/seeded_random.h"

// What the broker relies on in every engine that issues leases. A test program runs it with
//
//   INSTANTIATE_TEST_SUITE_P(StaticKey, EngineContract, ::testing::Values(make_my_world));
namespace curfew::engines {

// An engine with everything configured that a lease needs.
class LeasingWorld {
 public:
  virtual ~LeasingWorld() = default;
  virtual SecretEngine& engine() = 0;
  virtual const Clock& clock() = 0;
  // A request that is granted; "lease_id" is the only thing that differs between two of them.
  virtual IssueRequest request(const std::string& lease_id) = 0;
  // Removes the role (key, target configuration) that requests are made for.
  virtual void forget_configuration() = 0;
  // A text that what apply() gives holds and nothing that is stored on the lease may. Empty: it is
  // only known from the issued data, where every string counts.
  virtual std::string known_secret() = 0;
};

using MakeLeasingWorld = std::function<std::unique_ptr<LeasingWorld>()>;

class EngineContract : public ::testing::TestWithParam<MakeLeasingWorld> {
 protected:
  void SetUp() override { world_ = GetParam()(); }

  SecretEngine& engine() { return world_->engine(); }
  CallContext in_time() { return {world_->clock().steady() + Seconds{30}}; }
  CallContext too_late() { return {world_->clock().steady()}; }

  IssuePlan plan(const std::string& lease_id, std::uint64_t seed = 1) {
    fakes::SeededRandom random(seed);
    auto made = engine().plan(world_->request(lease_id), random);
    if (!made) {
      ADD_FAILURE() << made.error().message;
      return {};
    }
    return std::move(*made);
  }
  Result<Issued> apply(const std::string& lease_id, const IssuePlan& made,
                       const CallContext& context) {
    return engine().apply(
        DurableIntentMaker::make(lease_id, made, world_->clock().wall() + Seconds{600}), context);
  }
  // The handle as the lease holds it after a successful issue.
  Handle issue(const std::string& lease_id) {
    IssuePlan made = plan(lease_id);
    const auto issued = apply(lease_id, made, in_time());
    EXPECT_TRUE(issued.has_value()) << (issued ? "" : issued.error().message);
    if (issued && issued->facts.is_object()) made.handle.fields.update(issued->facts);
    return made.handle;
  }
  Result<Receipt> revoke(const std::string& lease_id, const Handle& handle) {
    fakes::MemoryPhases phases;
    return engine().revoke(lease_id, handle, phases, in_time());
  }
  Presence probe(const std::string& lease_id, const Handle& handle) {
    const auto presence = engine().probe(lease_id, handle, in_time());
    EXPECT_TRUE(presence.has_value()) << (presence ? "" : presence.error().message);
    return presence ? *presence : Presence::kAbsent;
  }
  bool owns(const Handle& handle) {
    const auto owned = engine().list_owned(in_time());
    EXPECT_TRUE(owned.has_value());
    if (!owned) return false;
    for (const Handle& item : *owned) {
      if (item.resource != handle.resource) continue;
      bool same = true;  // what is found may know less than the lease, never something else
      for (const auto& [name, value] : item.fields.items())
        same = same && (!handle.fields.contains(name) || handle.fields[name] == value);
      if (same) return true;
    }
    return false;
  }

  std::unique_ptr<LeasingWorld> world_;
};

TEST_P(EngineContract, a_plan_is_decided_by_its_inputs) {
  const IssuePlan first = plan("mount/creds/x/lease1");
  const IssuePlan second = plan("mount/creds/x/lease1");
  EXPECT_EQ(first.handle.resource, second.handle.resource);
  EXPECT_EQ(first.handle.fields, second.handle.fields);
  EXPECT_EQ(first.role, second.role);
  EXPECT_EQ(first.work, second.work);
  EXPECT_TRUE(first.handle.fields.is_object());
  EXPECT_FALSE(first.handle.resource.empty());
  EXPECT_FALSE(first.role.empty());
}

TEST_P(EngineContract, two_leases_are_told_apart) {
  EXPECT_NE(plan("mount/creds/x/lease1", 1).handle.fields,
            plan("mount/creds/x/lease2", 2).handle.fields);
}

TEST_P(EngineContract, a_plan_makes_nothing) {
  const IssuePlan made = plan("mount/creds/x/lease1");
  EXPECT_EQ(probe("mount/creds/x/lease1", made.handle), Presence::kAbsent);
  EXPECT_FALSE(owns(made.handle));
}

TEST_P(EngineContract, from_apply_to_revoke_the_effect_exists) {
  const Handle handle = issue("mount/creds/x/lease1");
  EXPECT_EQ(probe("mount/creds/x/lease1", handle), Presence::kPresent);
  EXPECT_TRUE(owns(handle));
  const auto receipt = revoke("mount/creds/x/lease1", handle);
  ASSERT_TRUE(receipt.has_value()) << receipt.error().message;
  EXPECT_TRUE(receipt->checked.is_object());
  EXPECT_FALSE(receipt->checked.empty());
  EXPECT_TRUE(receipt->warnings.is_array());
  EXPECT_EQ(probe("mount/creds/x/lease1", handle), Presence::kAbsent);
  EXPECT_FALSE(owns(handle));
}

TEST_P(EngineContract, the_secret_is_in_the_answer_and_nowhere_else) {
  const IssuePlan made = plan("mount/creds/x/lease1");
  const auto issued = apply("mount/creds/x/lease1", made, in_time());
  ASSERT_TRUE(issued.has_value()) << issued.error().message;
  const std::string secret = world_->known_secret();
  if (!secret.empty()) {
    EXPECT_THAT(issued->data.dump(), ::testing::HasSubstr(secret));
  }
  const std::string password = issued->data.value("password", secret);
  ASSERT_FALSE(password.empty());
  EXPECT_THAT(made.handle.fields.dump() + issued->facts.dump(),
              ::testing::Not(::testing::HasSubstr(password)));
  const auto receipt = revoke("mount/creds/x/lease1", made.handle);
  ASSERT_TRUE(receipt.has_value());
  EXPECT_THAT(receipt->checked.dump() + receipt->warnings.dump(),
              ::testing::Not(::testing::HasSubstr(password)));
}

TEST_P(EngineContract, revoking_twice_succeeds) {
  const Handle handle = issue("mount/creds/x/lease1");
  EXPECT_TRUE(revoke("mount/creds/x/lease1", handle).has_value());
  EXPECT_TRUE(revoke("mount/creds/x/lease1", handle).has_value());
}

TEST_P(EngineContract, revoking_what_was_never_made_succeeds) {
  const IssuePlan made = plan("mount/creds/x/lease1");
  EXPECT_TRUE(revoke("mount/creds/x/lease1", made.handle).has_value());
}

TEST_P(EngineContract, one_lease_ends_and_the_other_lives) {
  const Handle first = issue("mount/creds/x/lease1");
  IssuePlan made = plan("mount/creds/x/lease2", 2);
  ASSERT_TRUE(apply("mount/creds/x/lease2", made, in_time()).has_value());
  EXPECT_TRUE(revoke("mount/creds/x/lease1", first).has_value());
  EXPECT_EQ(probe("mount/creds/x/lease2", made.handle), Presence::kPresent);
  EXPECT_TRUE(revoke("mount/creds/x/lease2", made.handle).has_value());
}

TEST_P(EngineContract, an_apply_after_its_deadline_makes_nothing) {
  const IssuePlan made = plan("mount/creds/x/lease1");
  const auto issued = apply("mount/creds/x/lease1", made, too_late());
  ASSERT_FALSE(issued.has_value());
  EXPECT_EQ(probe("mount/creds/x/lease1", made.handle), Presence::kAbsent);
  EXPECT_TRUE(revoke("mount/creds/x/lease1", made.handle).has_value());
}

TEST_P(EngineContract, renewing_needs_something_to_renew) {
  const Handle handle = issue("mount/creds/x/lease1");
  const WallTime later = world_->clock().wall() + Seconds{1200};
  EXPECT_TRUE(engine().renew("mount/creds/x/lease1", handle, later, in_time()).has_value());
  EXPECT_EQ(probe("mount/creds/x/lease1", handle), Presence::kPresent);
  ASSERT_TRUE(revoke("mount/creds/x/lease1", handle).has_value());
  EXPECT_FALSE(engine().renew("mount/creds/x/lease1", handle, later, in_time()).has_value());
  EXPECT_EQ(probe("mount/creds/x/lease1", handle), Presence::kAbsent);
}

TEST_P(EngineContract, revoking_needs_only_what_is_on_the_lease) {
  const Handle handle = issue("mount/creds/x/lease1");
  world_->forget_configuration();
  const auto receipt = revoke("mount/creds/x/lease1", handle);
  ASSERT_TRUE(receipt.has_value()) << receipt.error().message;
  EXPECT_EQ(probe("mount/creds/x/lease1", handle), Presence::kAbsent);
}

TEST_P(EngineContract, a_revocation_that_lost_its_record_is_done_again) {
  const Handle handle = issue("mount/creds/x/lease1");
  fakes::MemoryPhases phases;
  // However many phases there are: lose the record of the first, then of the second, …
  for (int n = 1; n <= 5; ++n) {
    phases.fail_done(n);
    (void)engine().revoke("mount/creds/x/lease1", handle, phases, in_time());
  }
  phases.fail_done(0);
  const auto receipt = engine().revoke("mount/creds/x/lease1", handle, phases, in_time());
  ASSERT_TRUE(receipt.has_value()) << receipt.error().message;
  EXPECT_EQ(probe("mount/creds/x/lease1", handle), Presence::kAbsent);
}

TEST_P(EngineContract, a_foreign_handle_is_an_error_and_no_crash) {
  for (const char* text :
       {"{}", R"({"name":7})", R"({"name":["x"],"version":"y"})", "[]", "null"}) {
    const Handle handle{"nothing", Json::parse(text)};
    EXPECT_FALSE(revoke("mount/creds/x/lease1", handle).has_value()) << text;
    EXPECT_FALSE(engine().probe("mount/creds/x/lease1", handle, in_time()).has_value()) << text;
  }
}

}  // namespace curfew::engines

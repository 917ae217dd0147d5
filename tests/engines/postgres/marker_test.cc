#include "engines/postgres/marker.h"

#include "engines/inventory.h"
#include "tests/engines/postgres/postgres_fixture.h"

namespace curfew::engines::postgres {
namespace {

using ::testing::HasSubstr;

MarkerValue value(std::int64_t epoch, const char* nonce) {
  return {epoch, nonce};
}

TEST(MarkerRule, who_is_in_charge) {
  const StoredMarker none;
  const StoredMarker stored{.current = value(5, "five"), .pending = value(6, "six")};
  // The first use, and a target that was replaced.
  EXPECT_FALSE(not_in_charge(none, std::nullopt));
  EXPECT_FALSE(not_in_charge(stored, std::nullopt));
  // As it was left, whether or not the last renewal arrived.
  EXPECT_FALSE(not_in_charge(stored, value(5, "five")));
  EXPECT_FALSE(not_in_charge(stored, value(6, "six")));
  // The target went back in time.
  EXPECT_FALSE(not_in_charge(stored, value(4, "four")));
  // Somebody else's: a copy that is as old, one that is ahead, one that took charge.
  EXPECT_TRUE(not_in_charge(stored, value(5, "other")));
  EXPECT_TRUE(not_in_charge(stored, value(6, "other")));
  EXPECT_TRUE(not_in_charge(stored, value(700, "other")));
  EXPECT_TRUE(not_in_charge(none, value(1, "other")));
}

TEST(MarkerRule, what_is_stored_comes_back) {
  StoredMarker stored{.current = value(5, "five"), .pending = std::nullopt};
  stored.observing = Inventory::Observing{from_unix_millis(1234), "why"};
  const StoredMarker read = StoredMarker::from_json(stored.to_json());
  EXPECT_EQ(read.current, stored.current);
  EXPECT_EQ(read.pending, std::nullopt);
  ASSERT_TRUE(read.observing.has_value());
  EXPECT_EQ(read.observing->since, from_unix_millis(1234));
  EXPECT_EQ(read.observing->reason, "why");
}

// Two stores with the same past in front of one target; each world has an engine of its own.
class MarkerTest : public ::testing::Test {
 protected:
  MarkerTest() {
    world_.configure();
    world_.role("ro");
  }

  Inventory& inventory() { return *inventory_of(*world_.engine); }
  std::optional<Inventory::Observing> observing() { return inventory().observing(world_.target()); }
  std::string role() { return marker_role("accessor_1", world_.target()); }
  std::string comment() {
    return world_.database.superuser().value(
        "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = '" + role() +
        "'");
  }
  void renew() {
    world_.memory.clock.advance(std::chrono::minutes{10});
    const auto tended = world_.engine->tend("marker/" + world_.target(), world_.in());
    EXPECT_TRUE(tended.has_value()) << (tended ? "" : tended.error().message);
  }
  Json stored() { return **world_.memory.storage.get("marker/" + world_.target()); }
  void store(const Json& marker) {
    ASSERT_TRUE(world_.memory.storage.put("marker/" + world_.target(), marker).has_value());
    world_.engine = *make_postgres_engine(world_.memory.services());  // nothing is remembered
  }

  PostgresWorld world_;
};

TEST_F(MarkerTest, the_first_use_writes_it_and_the_next_look_renews_it) {
  world_.issue("ro");
  const std::string first = comment();
  EXPECT_THAT(first, HasSubstr("curfew_marker"));
  EXPECT_EQ(world_.database.superuser().value("SELECT rolcanlogin FROM pg_roles WHERE rolname = '" +
                                              role() + "'"),
            "f");
  world_.issue("ro");
  EXPECT_EQ(comment(), first);
  renew();
  EXPECT_NE(comment(), first);
  EXPECT_FALSE(observing());
}

TEST_F(MarkerTest, a_renewal_that_was_lost_on_either_side_is_no_reason) {
  world_.issue("ro");
  const Json before = stored();
  renew();
  const Json after = stored();
  // The target has the next value, the store says it was about to write it.
  store(after);
  renew();
  EXPECT_FALSE(observing());
  // The crash came before the target had it.
  world_.database.superuser().run("COMMENT ON ROLE " + role() + " IS '" +
                                  stored().at("current").dump() + "'");
  renew();
  EXPECT_FALSE(observing());
}

TEST_F(MarkerTest, an_older_copy_of_the_store_only_observes_until_it_is_told_otherwise) {
  const Leased leased = world_.issue("ro");
  const Json old = stored();
  renew();
  renew();
  const Json newer = stored();
  store(old);
  const auto refused = world_.try_revoke(leased);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::kUnavailable);
  EXPECT_THAT(refused.error().message, HasSubstr("observe accept"));
  EXPECT_TRUE(world_.role_exists(leased.username));
  const auto issued = world_.try_issue("ro");
  ASSERT_FALSE(issued.has_value());
  EXPECT_EQ(issued.error().code, Errc::kUnavailable);
  EXPECT_FALSE(
      world_.engine
          ->renew(leased.lease_id, leased.handle, world_.clock().wall() + Seconds{60}, world_.in())
          .has_value());
  ASSERT_TRUE(observing());
  EXPECT_THAT(observing()->reason, HasSubstr("restored"));
  renew();
  EXPECT_TRUE(observing()) << "looking again does not take charge";

  EXPECT_TRUE(inventory().take_charge(world_.target(), world_.in()).has_value());
  EXPECT_FALSE(observing());
  world_.revoke(leased);
  // Whoever had charge before finds out.
  store(newer);
  renew();
  EXPECT_TRUE(observing());
}

TEST_F(MarkerTest, a_marker_that_somebody_dropped_is_written_again) {
  world_.issue("ro");
  world_.database.superuser().run("DROP ROLE " + role());
  renew();
  EXPECT_FALSE(observing());
  EXPECT_THAT(comment(), HasSubstr("curfew_marker"));
}

TEST_F(MarkerTest, a_target_that_went_back_in_time_is_still_in_charge) {
  world_.issue("ro");
  const std::string old = comment();
  renew();
  renew();
  world_.database.superuser().run("COMMENT ON ROLE " + role() + " IS '" + old + "'");
  renew();
  EXPECT_FALSE(observing());
}

TEST_F(MarkerTest, a_store_that_does_not_take_the_next_value_writes_nothing_to_the_target) {
  world_.issue("ro");
  const std::string before = comment();
  world_.memory.clock.advance(std::chrono::minutes{10});
  world_.memory.storage.fail_write(1);
  EXPECT_FALSE(world_.engine->tend("marker/" + world_.target(), world_.in()).has_value());
  EXPECT_EQ(comment(), before);
  renew();
  EXPECT_FALSE(observing());
}

TEST_F(MarkerTest, a_charge_that_could_not_be_taken_leaves_the_target_observed) {
  world_.issue("ro");
  const Json old = stored();
  renew();
  renew();
  store(old);
  renew();
  ASSERT_TRUE(observing());
  world_.memory.storage.fail_write(1);
  EXPECT_FALSE(inventory().take_charge(world_.target(), world_.in()).has_value());
  EXPECT_TRUE(observing());
  EXPECT_FALSE(world_.try_issue("ro").has_value());
}

TEST_F(MarkerTest, a_login_that_may_make_no_roles_is_served_without_protection) {
  const auto login = world_.database.login("");
  world_.configure_as(login);
  const auto tended = world_.engine->tend("marker/" + world_.target(), world_.in());
  EXPECT_TRUE(tended.has_value()) << tended.error().message;
  EXPECT_FALSE(observing());
  EXPECT_EQ(comment(), "");
}

}  // namespace
}  // namespace curfew::engines::postgres

#include "engines/inventory.h"
#include "tests/engines/postgres/postgres_fixture.h"

namespace curfew::engines::postgres {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

class RoleInventoryTest : public ::testing::Test {
 protected:
  RoleInventoryTest() {
    world_.configure();
    world_.role("ro");
  }

  Inventory& inventory() { return *inventory_of(*world_.engine); }
  EffectState look_at(const Leased& leased) {
    const ExpectedEffect expected{leased.lease_id, leased.handle,
                                  world_.clock().wall() + Seconds{3600}};
    const auto seen = inventory().inspect(world_.target(), {&expected, 1}, world_.in());
    if (!seen) throw std::runtime_error(seen.error().message);
    return seen->front();
  }
  void run(const std::string& sql) { world_.database.superuser().run(sql); }

  PostgresWorld world_;
};

TEST_F(RoleInventoryTest, what_bears_a_mark_comes_page_by_page_in_the_order_of_names) {
  std::vector<std::string> made;
  for (int i = 0; i < 5; ++i) made.push_back(world_.issue("ro").username);
  std::sort(made.begin(), made.end());
  std::vector<std::string> found;
  std::string after;
  do {
    const auto page = inventory().marked(world_.target(), after, 2, world_.in());
    ASSERT_TRUE(page.has_value()) << page.error().message;
    EXPECT_LE(page->effects.size(), 2u);
    for (const MarkedEffect& effect : page->effects)
      if (effect.resource == world_.target()) found.push_back(effect.name);
    after = page->next;
  } while (!after.empty());
  EXPECT_EQ(found, made);
}

TEST_F(RoleInventoryTest, a_role_as_it_was_made_has_nothing_to_report) {
  const EffectState state = look_at(world_.issue("ro"));
  EXPECT_TRUE(state.present && state.usable && state.marked);
  EXPECT_FALSE(state.renamed || state.outlives_lease);
  EXPECT_THAT(state.gained, ElementsAre());
  EXPECT_EQ(state.sessions, 0);
}

TEST_F(RoleInventoryTest, what_was_changed_by_hand_is_seen) {
  const Leased leased = world_.issue("ro");
  const std::string group = world_.database.role_prefix() + "_g";
  run("CREATE ROLE " + group + "; GRANT " + group + " TO \"" + leased.username +
      "\"; ALTER ROLE \"" + leased.username +
      "\" CREATEDB NOLOGIN VALID UNTIL 'infinity'; COMMENT ON ROLE \"" + leased.username +
      "\" IS 'mine'");
  const EffectState state = look_at(leased);
  EXPECT_TRUE(state.present);
  EXPECT_FALSE(state.usable || state.marked || state.renamed);
  EXPECT_TRUE(state.outlives_lease);
  EXPECT_THAT(state.gained, UnorderedElementsAre("CREATEDB", "member of " + group));
}

TEST_F(RoleInventoryTest, sessions_outlive_their_role_and_are_seen) {
  const Leased leased = world_.issue("ro");
  test::PgSession session = world_.log_in(leased);
  EXPECT_EQ(look_at(leased).sessions, 1);
  run("DROP ROLE \"" + leased.username + "\"");
  const EffectState state = look_at(leased);
  EXPECT_FALSE(state.present);
  EXPECT_EQ(state.sessions, 1);
  EXPECT_EQ(state.name, leased.username);
  const auto ownerless = inventory().has_ownerless_sessions(world_.target(), world_.in());
  EXPECT_TRUE(ownerless.has_value() && *ownerless);
}

TEST_F(RoleInventoryTest, somebody_elses_role_of_the_same_name_is_not_the_leases) {
  const Leased leased = world_.issue("ro");
  run("DROP ROLE \"" + leased.username + "\"; CREATE ROLE \"" + leased.username + "\" LOGIN");
  EXPECT_FALSE(look_at(leased).present);
}

}  // namespace
}  // namespace curfew::engines::postgres

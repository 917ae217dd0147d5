#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "tests/crash/kill_run.h"

namespace curfew::crash {
namespace {

// The short form of `make crash`.
TEST(KillTest, kills_of_server_and_target_at_random_moments_orphan_and_lose_nothing) {
  const KillPlan plan{.kills_each = 3, .seed = 20'261'120, .wait_for_interrupted = false};
  std::ostringstream progress;
  const KillFigures figures = run_kills(plan, progress);
  EXPECT_THAT(figures.violations, ::testing::IsEmpty()) << progress.str();
  EXPECT_EQ(figures.orphaned, 0u);
  EXPECT_EQ(figures.lost, 0u);
  EXPECT_EQ(figures.server_kills + figures.target_kills + figures.both_kills, 9);
  EXPECT_GT(figures.clients.issued, 0);
  EXPECT_GT(figures.clients.logins, 0);
  EXPECT_GT(figures.clients.revoked, 0);
  EXPECT_GT(figures.clients.rotated, 0);
}

}  // namespace
}  // namespace curfew::crash

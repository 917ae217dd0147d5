#include "api/worker_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>

#include "tests/api/server_fixture.h"

namespace curfew::api {
namespace {

TEST(WorkerPoolTest, RunsWhatItTookBeforeItStops) {
  const auto log = make_null_log();
  std::atomic<int> ran = 0;
  {
    WorkerPool pool(2, 100, *log);
    for (int i = 0; i < 50; ++i) EXPECT_TRUE(pool.try_submit([&] { ++ran; }));
  }
  EXPECT_EQ(ran, 50);
}

TEST(WorkerPoolTest, RefusesBeyondItsBound) {
  const auto log = make_null_log();
  testing::Gate gate;
  std::atomic<int> ran = 0;
  WorkerPool pool(2, 3, *log);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(pool.try_submit([&] { gate.wait(), ++ran; })) << i;
  gate.wait_for(2);
  EXPECT_FALSE(pool.try_submit([&] { ++ran; }));
  EXPECT_EQ(pool.running(), 2u);
  EXPECT_EQ(pool.waiting(), 3u);
  pool.submit([&] { ++ran; });
  EXPECT_EQ(pool.waiting(), 4u);
  gate.open();
  pool.stop();
  EXPECT_EQ(ran, 6);
}

TEST(WorkerPoolTest, AfterTheStopOnlyWhatMustRunRuns) {
  const auto log = make_null_log();
  WorkerPool pool(1, 10, *log);
  pool.stop();
  pool.stop();
  int ran = 0;
  EXPECT_FALSE(pool.try_submit([&] { ++ran; }));
  pool.submit([&] { ++ran; });
  EXPECT_EQ(ran, 1);
}

TEST(WorkerPoolTest, AJobThatThrowsCostsNoThread) {
  const auto log = make_null_log();
  std::atomic<int> ran = 0;
  WorkerPool pool(1, 10, *log);
  pool.submit([] { throw std::runtime_error("no"); });
  pool.submit([] { throw 1; });
  pool.submit([&] { ++ran; });
  pool.stop();
  EXPECT_EQ(ran, 1);
}

}  // namespace
}  // namespace curfew::api

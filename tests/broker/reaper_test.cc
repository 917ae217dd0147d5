#include <atomic>
#include <thread>

#include "base/duration.h"
#include "broker/lease/reaper_queue.h"
#include "tests/broker/broker_world.h"

// Many leases at once: in which order they are worked on, and what a target that cannot be reached
// means for them.
namespace curfew::broker {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class ReaperTest : public BrokerWorld {
 protected:
  ReaperTest() {
    must_write("sys/mounts/db", {{"type", "scripted"}});
    outside_.role_ttl = Seconds{900};
  }

  std::vector<std::string> issue(int n, const std::string& role = "ro") {
    std::vector<std::string> ids(static_cast<std::size_t>(n));
    std::atomic<int> next{0};
    std::vector<std::thread> clients;
    for (int i = 0; i < 16; ++i)
      clients.emplace_back([&] {
        for (int at = next++; at < n; at = next++) {
          const auto response = read("db/creds/" + role);
          if (response) ids[static_cast<std::size_t>(at)] = response->lease_id;
        }
      });
    for (std::thread& client : clients) client.join();
    EXPECT_THAT(ids, Each(StartsWith("db/creds/")));
    return ids;
  }
  Json show(const std::string& id) {
    return must_write("sys/leases/receipt", {{"lease_id", id}}).data;
  }
  std::int64_t live() { return must_read("sys/leases/count").value("lease_count", -1); }
};

TEST_F(ReaperTest, pain_10_all_that_is_due_is_locked_out_before_anything_slower_begins) {
  outside_.batches = true;
  const auto ids = issue(300);
  clock_.advance(Seconds{900});
  run_due();
  const auto events = outside_.events();
  ASSERT_EQ(events.size(), 600u);
  for (std::size_t i = 0; i < events.size(); ++i)
    EXPECT_THAT(events[i], StartsWith(i < 300 ? "lock " : "drop ")) << i;
  EXPECT_EQ(live(), 0);
  const Json lease = show(ids[0]);
  EXPECT_EQ(lease.at("state"), "revoked");
  EXPECT_EQ(lease.at("receipt").at("attempts"), 1);
  EXPECT_EQ(lease.at("receipt").at("due_at"), lease.at("expire_time"));
  EXPECT_TRUE(lease.at("receipt").at("phases").contains("lock_out"));
  EXPECT_TRUE(lease.at("receipt").at("phases").contains("drop"));
}

// With threads it would be the end of the process, and of every revocation in it.
TEST_F(ReaperTest, an_exception_out_of_an_engine_is_one_failed_attempt) {
  const auto ids = issue(1);
  outside_.during_apply = [](const std::string&) { throw std::runtime_error("odd answer"); };
  const auto refused = read("db/creds/ro");
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::kInternal);
  EXPECT_THAT(refused.error().message, testing::Not(HasSubstr("odd answer")));
  outside_.during_apply = nullptr;

  outside_.during_revoke = [](const std::string&) { throw std::runtime_error("odd answer"); };
  clock_.advance(Seconds{900});
  run_due();
  EXPECT_EQ(show(ids[0]).at("state"), "revoking");
  EXPECT_EQ(live(), 2);
  outside_.during_revoke = nullptr;
  clock_.advance(std::chrono::minutes{10});
  run_due();
  EXPECT_EQ(live(), 0);
}

TEST_F(ReaperTest, no_failure_of_the_store_and_no_crash_loses_a_lease_of_a_batch) {
  outside_.batches = true;
  for (const bool crash : {false, true}) {
    for (const auto moment :
         {fakes::FaultyDatabase::Moment::kBefore, fakes::FaultyDatabase::Moment::kAfter}) {
      for (int n = 1; n <= 3; ++n) {
        SCOPED_TRACE(testing::Message() << "write " << n << (crash ? ", crash" : ""));
        const auto ids = issue(5);
        clock_.advance(Seconds{900});
        database_->fail_write(n, moment);
        (void)broker_->run_due().has_value();
        database_->fail_write(0);
        if (crash) restart();
        clock_.advance(std::chrono::minutes{2});
        run_due();
        EXPECT_TRUE(outside_.names().empty());
        for (const std::string& id : ids) EXPECT_EQ(show(id).at("state"), "revoked");
      }
    }
  }
}

TEST_F(ReaperTest, a_renewal_and_a_batch_cannot_both_have_a_lease) {
  outside_.batches = true;
  const auto ids = issue(2);
  clock_.advance(Seconds{899});
  must_write("sys/leases/renew", {{"lease_id", ids[0]}, {"increment", 900}});
  clock_.advance(Seconds{1});
  run_due();
  EXPECT_EQ(show(ids[0]).at("state"), "active");
  EXPECT_EQ(show(ids[1]).at("state"), "revoked");
  EXPECT_FALSE(write("sys/leases/renew", {{"lease_id", ids[1]}}).has_value());
}

// Pain 3: a database that is away for ten minutes; pains 11 and 12: what tries it meanwhile.
TEST_F(ReaperTest, pain_3_after_an_outage_of_ten_minutes_a_thousand_leases_end_by_themselves) {
  outside_.batches = true;
  const auto ids = issue(1000);
  outside_.fail_revokes(-1);
  clock_.advance(Seconds{900});
  for (int second = 0; second < 600; second += 5) {
    run_due();
    clock_.advance(Seconds{5});
  }
  EXPECT_EQ(live(), 1000);
  // Each lease tried for itself would be thousands of connections.
  EXPECT_LT(outside_.revokes.load(), 60);
  int told = 0;
  for (const std::string& id : ids) {
    const Json lease = show(id);
    EXPECT_THAT(lease.at("revoke_error").get<std::string>(), HasSubstr("the target is down"));
    EXPECT_GE(*parse_rfc3339(lease.at("next_attempt").get<std::string>()),
              clock_.wall() - Seconds{6});
    told += lease.at("revoke_error").get<std::string>().starts_with("not tried") ? 1 : 0;
  }
  EXPECT_GT(told, 900);
  outside_.fail_revokes(0);
  // At the longest interval between two probes all is over.
  for (int second = 0; second <= 60; second += 5) {
    clock_.advance(Seconds{5});
    run_due();
  }
  EXPECT_EQ(live(), 0);
  EXPECT_TRUE(outside_.names().empty());
}

TEST_F(ReaperTest, one_lease_that_refuses_does_not_stop_the_others_of_its_target) {
  issue(4, "locked");
  clock_.advance(Seconds{900});
  for (int i = 0; i < 10; ++i) {
    run_due();
    clock_.advance(std::chrono::minutes{5});
  }
  const auto ids = issue(5);
  clock_.advance(Seconds{900});
  run_due();
  for (const std::string& id : ids) EXPECT_EQ(show(id).at("state"), "revoked");
  EXPECT_EQ(live(), 4);
}

TEST_F(ReaperTest, an_answer_to_an_explicit_revocation_sets_the_others_going) {
  const auto ids = issue(20);
  outside_.fail_revokes(-1);
  clock_.advance(Seconds{900});
  run_due();
  outside_.fail_revokes(0);
  must_write("sys/leases/revoke", {{"lease_id", ids[7]}});
  run_due();
  EXPECT_EQ(live(), 0);
}

TEST_F(ReaperTest, leases_of_a_target_that_hangs_wait_and_no_more_threads_than_allowed_go_there) {
  std::atomic<int> inside{0}, most{0};
  std::atomic<bool> hanging{true};
  outside_.during_revoke = [&](const std::string&) {
    most = std::max(most.load(), ++inside);
    while (hanging) std::this_thread::sleep_for(Millis{1});
    --inside;
  };
  issue(50);
  clock_.advance(Seconds{900});
  reaper_threads_ = true;
  restart();
  for (int i = 0; i < 2000 && inside < 2; ++i) std::this_thread::sleep_for(Millis{1});
  EXPECT_EQ(inside, 2) << "the third place is for lock-outs";
  hanging = false;
  for (int i = 0; i < 3000 && live() > 0; ++i) std::this_thread::sleep_for(Millis{10});
  EXPECT_EQ(live(), 0);
  EXPECT_LE(most, 2);
}

// ---- the queue ----------------------------------------------------------------------------------

LeaseStore::Due due(const std::string& group, int n, std::int64_t attempts = 0) {
  return {WallTime{}, group + std::to_string(n), group, false, attempts};
}

ReaperQueue::Mode work(const std::string&) {
  return ReaperQueue::Mode::kWork;
}

TEST(ReaperQueueTest, targets_take_turns_and_each_has_a_bound) {
  ReaperQueue queue({.busy_max = 2, .waiting_max = 100, .batch_max = 10});
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(queue.add(due("a", i)));
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(queue.add(due("b", i)));
  EXPECT_FALSE(queue.add(due("a", 3)));
  std::vector<ReaperQueue::Batch> taken;
  while (auto batch = queue.take(work)) taken.push_back(*batch);
  ASSERT_EQ(taken.size(), 3u);
  EXPECT_EQ(taken[0].group, "a");
  EXPECT_EQ(taken[1].group, "b");
  EXPECT_EQ(taken[1].ids.size(), 5u);
  EXPECT_EQ(taken[2].group, "a");
  EXPECT_EQ(taken[2].ids.size(), 10u);
}

TEST(ReaperQueueTest, slower_steps_wait_until_all_are_locked_out_also_those_that_did_not_fit) {
  ReaperQueue queue({.busy_max = 3, .waiting_max = 4, .batch_max = 4});
  queue.begin_scan();
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(queue.add(due("a", i)));
  ASSERT_FALSE(queue.add(due("a", 9)));
  ASSERT_TRUE(queue.add(due("a", 10, 1)));
  const auto first = queue.take(work);
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->step, ReapStep::kLockOut);
  EXPECT_FALSE(queue.take(work).has_value());
  queue.finish(*first, {.many = first->ids, .one = {}});
  EXPECT_FALSE(queue.take(work).has_value());
  EXPECT_TRUE(queue.wants_more());
  queue.begin_scan();
  ASSERT_TRUE(queue.add(due("a", 9)));
  const auto second = queue.take(work);
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->step, ReapStep::kLockOut);
  queue.finish(*second, {});
  const auto third = queue.take(work);
  ASSERT_TRUE(third.has_value());
  EXPECT_EQ(third->step, ReapStep::kMany);
}

}  // namespace
}  // namespace curfew::broker

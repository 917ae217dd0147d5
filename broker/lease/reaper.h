#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "broker/lease/batch_revoker.h"
#include "broker/lease/lease_ends.h"
#include "broker/lease/lease_store.h"
#include "broker/lease/reaper_queue.h"
#include "broker/lease/revoker.h"
#include "broker/lease/target_breakers.h"
#include "broker/mount/mount_table.h"
#include "broker/token/token_budgets.h"
#include "broker/token/token_store.h"
#include "broker/wrapping/wraps.h"

namespace curfew::broker {

struct ReaperOptions {
  std::size_t threads = 8;  // that revoke; one more finds what is due
  // Threads that one target may have, so that two that hang leave some for the others.
  std::size_t per_group_max = 3;
  // Leases of one target that wait for a thread in one step: further ones stay in the store until
  // there is room.
  std::size_t queue_per_group_max = 4096;
  // Leases that go through a step together. More of them hold up the store's other writers longer.
  std::size_t batch_max = 128;
};

// Ends what is due: leases, tokens with what they hold, wrapped answers that nobody opened, mounts
// that are being removed, ended leases whose retention is over. It has threads of its own, so that
// a mass expiry takes none from requests. Thread-safe.
class Reaper {
 public:
  // Makes due what a token that has ended holds elsewhere.
  using TokenEnded = std::function<Status(const std::string& id, WallTime now)>;

  Reaper(LeaseStore& leases, TokenStore& tokens, TokenBudgets& budgets, Wraps& wraps,
         MountTable& mounts, Revoker& revoker, BatchRevoker& batches, TargetBreakers& breakers,
         LeaseEnds& ends, const Clock& clock, Log& log, ReaperOptions options,
         std::function<void()> attempt_finished, std::function<Status()> housekeeping,
         TokenEnded token_ended = {}, std::function<Status()> also_due = {});
  ~Reaper();  // stops

  void start();
  // Begins no more work. What was queued is found again after the next start.
  void request_stop();
  // Waits for the attempts under way as well.
  void stop();

  // Looks for due work now instead of at the next expiry. Cheap; may be called from anywhere.
  void wake();

  // Does all that is due now in the calling thread. For tests, without start().
  Status run_due();

 private:
  void find_work();
  Millis look_once();
  void work();
  bool is_stopping();
  bool resume_interrupted();
  Result<std::size_t> sweep_tokens();
  bool sweep_token(const std::string& id, WallTime now);
  Status enqueue_due();
  Result<bool> enqueue_due(LeaseStore::Kind kind, WallTime now, LeaseStore::Due& from);
  bool enqueue(const LeaseStore::Due& due);
  void keep_house();
  ReaperQueue::Mode mode_of(const std::string& group);
  ReaperQueue::Next run(const ReaperQueue::Batch& batch);
  ReaperQueue::Next run_contained(const ReaperQueue::Batch& batch);
  void revoke_one(const std::string& id);
  void retire(const std::vector<std::string>& ids);
  void put_off(const std::string& id, const Error& error);
  void put_off(const std::vector<std::string>& ids, Millis how_long);
  Millis time_to_next();

  LeaseStore& leases_;
  TokenStore& tokens_;
  TokenBudgets& budgets_;
  Wraps& wraps_;
  MountTable& mounts_;
  Revoker& revoker_;
  BatchRevoker& batches_;
  TargetBreakers& breakers_;
  LeaseEnds& ends_;
  const Clock& clock_;
  Log& log_;
  const ReaperOptions options_;
  const std::function<void()> attempt_finished_;
  const std::function<Status()> housekeeping_;
  const TokenEnded token_ended_;
  const std::function<Status()> also_due_;  // does what else is due; cheap where nothing is

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable job_ready_;
  // Guarded by mutex_.
  bool stopping_ = false;
  bool woken_ = false;
  ReaperQueue queue_;
  std::map<std::string, SteadyTime> put_off_;  // rows that cannot be worked on, until then
  SteadyTime retire_not_before_{};             // ended rows cannot leave until then

  // Of the thread that finds work:
  SteadyTime next_housekeeping_{};
  bool resumed_ = false;
  bool backlog_ = false;                    // the last look found more than a page
  LeaseStore::Due live_from_, ended_from_;  // where the next look goes on
  std::vector<std::thread> threads_;
};

}  // namespace curfew::broker

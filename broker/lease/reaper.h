#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "broker/lease/lease_store.h"
#include "broker/lease/revoker.h"
#include "broker/mount/mount_table.h"
#include "broker/token/token_store.h"

namespace curfew::broker {

struct ReaperOptions {
  std::size_t threads = 8;  // that revoke; one more finds what is due
  // Threads that one target may have, so that two that hang leave some for the others.
  std::size_t per_group_max = 3;
  // Leases of one target that wait for a thread: further ones stay in the store until there is
  // room.
  std::size_t queue_per_group_max = 64;
};

// Ends what is due: leases, tokens with what they hold, mounts that are being removed, ended leases
// whose retention is over. It has threads of its own, so that a mass expiry takes none from
// requests. Thread-safe.
class Reaper {
 public:
  Reaper(LeaseStore& leases, TokenStore& tokens, MountTable& mounts, Revoker& revoker,
         const Clock& clock, Log& log, ReaperOptions options,
         std::function<void()> attempt_finished, std::function<Status()> housekeeping);
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
  void work();
  bool is_stopping();
  bool resume_interrupted();
  Result<std::size_t> sweep_tokens();
  bool sweep_token(const std::string& id, WallTime now);
  Result<std::size_t> enqueue_due();
  bool enqueue(const LeaseStore::Due& due);
  void keep_house();
  void revoke_or_remove(const LeaseStore::Due& job);
  Millis time_to_next();

  LeaseStore& leases_;
  TokenStore& tokens_;
  MountTable& mounts_;
  Revoker& revoker_;
  const Clock& clock_;
  Log& log_;
  const ReaperOptions options_;
  const std::function<void()> attempt_finished_;
  const std::function<Status()> housekeeping_;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable job_ready_;
  // Guarded by mutex_.
  bool stopping_ = false;
  bool woken_ = false;
  std::deque<LeaseStore::Due> queue_;
  std::set<std::string> taken_;                 // ids in queue_ or being worked on
  std::map<std::string, std::size_t> waiting_;  // in queue_, by group
  std::map<std::string, std::size_t> busy_;     // threads, by group
  std::map<std::string, SteadyTime> put_off_;   // rows that cannot be worked on, until then

  SteadyTime next_housekeeping_{};  // of the thread that finds work
  std::vector<std::thread> threads_;
};

}  // namespace curfew::broker

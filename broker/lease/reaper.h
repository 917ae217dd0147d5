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
  std::size_t threads = 4;  // that revoke; one more finds what is due
  // Of one target at a time, so that a target that hangs leaves threads for the others. Less than
  // threads.
  std::size_t per_resource_max = 3;
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
  // Waits for the attempts under way; what was queued is found again after the next start.
  void stop();

  // Looks for due work now instead of at the next expiry. Cheap; may be called from anywhere.
  void wake();

  // Does all that is due now in the calling thread. For tests, without start().
  Status run_due();

 private:
  void find_work();
  void work();
  Status sweep_tokens();
  Status find_leases(std::vector<Lease>& due);
  void keep_house();
  bool resume_interrupted();
  bool enqueue(Lease lease);
  void revoke_or_remove(const std::string& id, bool ended);
  Millis time_to_next();

  struct Job {
    std::string id;
    std::string resource;  // mount and resource, for the bound
    bool ended = false;    // only the row is left to remove
  };

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
  std::deque<Job> queue_;
  std::set<std::string> queued_;             // ids in queue_ or being worked on
  std::map<std::string, std::size_t> busy_;  // threads by resource

  SteadyTime next_housekeeping_{};  // of the thread that finds work
  std::vector<std::thread> threads_;
};

}  // namespace curfew::broker

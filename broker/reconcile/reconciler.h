#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "broker/lease/lease_service.h"
#include "broker/lease/lease_store.h"
#include "broker/metric.h"
#include "broker/mount/mount_table.h"
#include "broker/reconcile/repair.h"
#include "broker/reconcile/report.h"

namespace curfew::broker {

struct ReconcilerOptions {
  Millis interval = std::chrono::hours{1};  // 0: only when asked
  Repair repair = Repair::kEnded;           // at the start and by the schedule
};

// Compares the roles in the targets of all mounts with the leases: at the start, from time to time,
// and when asked. One run at a time, in a thread of its own. Thread-safe.
class Reconciler {
 public:
  struct Request {
    std::string mount = {};   // path; empty: all
    std::string target = {};  // empty: all
    Repair repair = Repair::kNone;
    bool with_foreign = false;  // also report what other brokers own
    std::string trigger = "request";
  };

  // `wake_reaper` is called when leases were made due.
  Reconciler(const Repairer::Parts& parts, ReconcilerOptions options,
             std::function<void()> wake_reaper);
  ~Reconciler();  // stops

  void start();
  void request_stop();  // a run under way ends soon, with what it has
  void stop();

  // Runs soon, and gives the report when it is there within `wait`; nullptr: it goes on, see
  // last(). Without start(), for tests: in the calling thread. kOverloaded: too many are waiting;
  // kNotFound: no such mount, or it has no targets.
  Result<std::shared_ptr<const ReconcileReport>> run(Request request, Millis wait);

  // The last run that has ended; nullptr: none since the start.
  std::shared_ptr<const ReconcileReport> last() const;
  bool is_running() const;

  // A look at one target that leaves no trace in last(). Blocks.
  Result<ReconcileReport> look_at(const std::string& mount, const std::string& target);

  std::vector<Metric> metrics() const;

 private:
  struct Job {
    Request request;
    std::shared_ptr<const ReconcileReport> report;  // guarded by mutex_; set at the end
  };

  void work();
  ReconcileReport carry_out(const Request& request);
  void compare(const Request& request, const std::shared_ptr<const Mount>& mount,
               const std::string& target, ReconcileReport& report);
  Status check(const Request& request) const;
  void keep(std::shared_ptr<const ReconcileReport> report);
  bool is_stopping() const;
  bool is_threaded() const;
  std::int64_t observed_targets() const;

  const Repairer::Parts parts_;
  const ReconcilerOptions options_;
  const std::function<void()> wake_reaper_;
  Repairer repairer_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  bool threaded_ = false;  // between start() and stop()
  bool stopping_ = false;
  bool running_ = false;
  std::deque<std::shared_ptr<Job>> jobs_;
  std::shared_ptr<const ReconcileReport> last_;
  std::shared_ptr<const ReconcileReport> last_whole_;

  std::thread thread_;
};

}  // namespace curfew::broker

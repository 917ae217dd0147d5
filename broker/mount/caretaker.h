#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "broker/mount/mount_table.h"

namespace curfew::broker {

struct CaretakerOptions {
  std::size_t threads = 8;  // that tend; one more finds what is due
  // Threads that one mount may have, so that targets of one that hang leave some for the others.
  std::size_t per_mount_max = 3;
  Millis call_timeout = Seconds{30};           // one call of an engine's tend()
  Millis retry_first = Seconds{1};             // after a failed call; doubled each time,
  Millis retry_max = std::chrono::minutes{5};  // and capped here, for ever
  // The wall clock may be set back: nothing that has a date waits longer than this for a look.
  Millis look_again = std::chrono::minutes{10};
};

// Has the engines do their periodic work (SecretEngine::tend) when it is due, on threads of its
// own: what hangs holds up neither requests nor revocation nor another mount. A chore is never run
// by two threads at once. Nothing is stored: at a start every chore is called once. Thread-safe.
class Caretaker {
 public:
  Caretaker(MountTable& mounts, const Clock& clock, Log& log, CaretakerOptions options);
  ~Caretaker();  // stops

  void start();
  // Begins no more work.
  void request_stop();
  // Waits for the calls under way as well.
  void stop();

  // The chores of this mount may have changed, or one may be due sooner than it was: all of them
  // are called. Cheap; may be called from anywhere, also from within tend().
  void wake(const std::string& accessor);

  // How many chores have something that fails.
  std::size_t failing() const;

  // Does all that is due now in the calling thread. For tests, without start().
  Status run_due();

 private:
  // The mount's accessor and the chore's name.
  using Key = std::pair<std::string, std::string>;
  struct Chore {
    bool due_now = true;
    bool running = false;           // or in the queue
    std::optional<WallTime> next;   // as the engine said; nullopt: when it asks
    SteadyTime not_before{};        // after a failed call
    SteadyTime look_at_latest{};    // where `next` is set
    std::int64_t failed_calls = 0;  // in a row
    bool failing = false;
  };

  void find_work();
  void work();
  bool is_due(const Chore& chore, WallTime now, SteadyTime steady) const;
  void ask_for_chores();
  void ask_mount(const Mount& mount);
  void enqueue_due();
  Millis time_to_next() const;
  void tend(const Key& key);
  void finished(const Key& key, const Result<engines::Tended>& outcome);

  MountTable& mounts_;
  const Clock& clock_;
  Log& log_;
  const CaretakerOptions options_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable job_ready_;
  // Guarded by mutex_.
  bool stopping_ = false;
  bool woken_ = false;
  bool ask_all_ = true;        // every mount, for its chores
  std::set<std::string> ask_;  // these mounts
  std::map<Key, Chore> chores_;
  std::deque<Key> queue_;
  std::map<std::string, std::size_t> busy_;  // threads, by mount

  std::vector<std::thread> threads_;
};

}  // namespace curfew::broker

#pragma once

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "broker/lease/lease_store.h"

namespace curfew::broker {

// What is to be done with a lease, in the order in which it is done: nothing of a target's slower
// steps begins while some of its leases are not locked out.
enum class ReapStep { kLockOut, kMany, kOne, kRetire };

// Ids of leases that wait for a thread, by target. Bounded: what does not fit stays in the store
// and is found again. Not thread-safe.
class ReaperQueue {
 public:
  struct Limits {
    std::size_t busy_max;     // batches of one target that are worked on at once
    std::size_t waiting_max;  // ids of one target in one step
    std::size_t batch_max;    // ids in one batch
  };
  explicit ReaperQueue(Limits limits) : limits_(limits) {}

  // A new look at what is due begins: what is to be locked out may all fit this time.
  void begin_scan();
  // False: it is in here already, or there is no room.
  bool add(const LeaseStore::Due& due);

  // What a target lets be done with its leases now.
  enum class Mode {
    kWork,
    kProbe,   // one lease, to see whether the target answers
    kPutOff,  // it does not: they wait in the store
    kWait,    // nothing
  };
  struct Batch {
    std::string group;
    ReapStep step = ReapStep::kOne;
    Mode mode = Mode::kWork;
    std::vector<std::string> ids;
  };
  // The next batch, targets taking turns. `mode_of` is asked when there is work for a target; what
  // it answers is done.
  std::optional<Batch> take(const std::function<Mode(const std::string& group)>& mode_of);

  // Those of a batch that go on to another step.
  struct Next {
    std::vector<std::string> many;
    std::vector<std::string> one;
  };
  void finish(const Batch& batch, const Next& next);

  // Whether another look at what is due would find more to do: nothing waits, or there is room
  // again where there was none.
  bool wants_more() const;
  void clear();

 private:
  static constexpr std::size_t kSteps = 4;
  struct Group {
    std::array<std::deque<std::string>, kSteps> waiting;
    std::size_t busy = 0;
    std::size_t locking = 0;    // batches of kLockOut that are worked on
    bool more_to_lock = false;  // some that are to be locked out did not fit
    bool more = false;          // some did not fit
    std::size_t size() const;   // that wait
  };
  std::optional<ReapStep> next_step(const Group& group, bool lock_out) const;
  Batch take_from(const std::string& name, Group& group, ReapStep step, Mode mode);
  void push(Group& group, ReapStep step, const std::vector<std::string>& ids);

  const Limits limits_;
  std::map<std::string, Group> groups_;
  std::set<std::string> taken_;  // ids that wait or are worked on
  std::string last_;             // the group that was served last
};

}  // namespace curfew::broker

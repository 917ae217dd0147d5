#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"

namespace curfew::broker {

struct BreakerOptions {
  // So many attempts in a row, of so many leases, find a target unreachable: then one probe alone
  // is let through, at growing intervals, until it gets an answer.
  int failures = 5;
  std::size_t leases = 3;
  Millis probe_first = Seconds{5};
  Millis probe_max = Seconds{60};
};

// Which targets cannot be reached, judged from what became of attempts to revoke. A target is what
// target_group() names. An answer that refuses is an answer: one role that cannot be dropped stops
// no others. In memory alone; a start finds out anew. Thread-safe.
class TargetBreakers {
 public:
  TargetBreakers(BreakerOptions options, const Clock& clock, Random& random)
      : options_(options), clock_(clock), random_(random) {}

  enum class State {
    kClosed,   // attempts go on
    kOpen,     // none is made
    kDue,      // one is to be made
    kProbing,  // it is under way
  };
  State state(const std::string& group) const;

  // Begins a probe: true for one caller alone, until the probe's outcome is known or end_probe().
  bool begin_probe(const std::string& group);
  void end_probe(const std::string& group);

  // An attempt did not reach the target.
  void failed(const std::string& group, const std::string& lease, const std::string& error);
  // The target answered. True: it had been given up until now.
  bool answered(const std::string& group);

  struct Open {
    std::string group;
    WallTime since;
    SteadyTime next_probe;
    std::int64_t failures = 0;
    std::string error;
  };
  // Those that are not kClosed.
  std::vector<Open> open() const;
  std::optional<Open> open(const std::string& group) const;

 private:
  struct Entry {
    Open open;
    bool is_open = false;
    bool probing = false;
    Millis interval{0};
    std::set<std::string> leases;  // that failed since the last answer; bounded
  };
  void postpone_probe(Entry& entry);  // mutex_ is held

  const BreakerOptions options_;
  const Clock& clock_;
  Random& random_;
  mutable std::mutex mutex_;
  std::map<std::string, Entry> entries_;  // guarded by mutex_; targets whose last attempt failed
};

}  // namespace curfew::broker

#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "broker/notify/notice.h"
#include "store/records.h"
#include "store/sql.h"

namespace curfew::broker {

struct OutboxOptions {
  int attempts_max = 12;                        // of one delivery; then it is dead
  Millis retry_first = Seconds{1};              // after a failed attempt; doubled each time,
  Millis retry_max = std::chrono::minutes{10};  // and capped here
  std::size_t waiting_max = 10'000;             // what comes beyond is not taken
  std::size_t dead_max = 1'000;                 // the oldest make room
};

// The deliveries of one namespace that wait, and those that were given up. One that was written
// down is delivered at least once, also after a restart. Its id sorts by time and stays the same
// at every attempt. Thread-safe.
class Outbox {
 public:
  Outbox(store::Database& database, const store::Records& records, const Clock& clock,
         Random& random, Log& log, OutboxOptions options)
      : database_(database),
        records_(records),
        clock_(clock),
        random_(random),
        log_(log),
        options_(options) {}

  // Reads what waits.
  Status load();
  void unload();

  // Writes a delivery down in a transaction of the caller's; it counts once that is through.
  Status add(store::Writer& writer, const Notice& notice, const std::string& target);

  struct Due {
    std::string id;
    std::string target;
    bool target_failed = false;  // at the last attempt of any delivery
  };
  // Everything that is due, one for each target, none for a target that has one out. Each must be
  // given back by one of the four calls below.
  std::vector<Due> take_due();
  void delivered(const Due& due);
  // Counts the attempt. `why`: for operators; nothing secret.
  void failed(const Due& due, const std::string& why);
  void dropped(const Due& due);    // nobody wants it any more
  void postponed(const Due& due);  // nothing was tried

  // The notice of one that waits; nullopt: it is gone.
  Result<std::optional<Notice>> read(const std::string& id) const;

  // What was given up, oldest first; all of {"event", "approval_id", "target", "attempts",
  // "error", "at", "given_up_at"}; nullopt: there is none of this id.
  Result<std::vector<std::string>> dead() const;
  Result<std::optional<Json>> dead_one(const std::string& id) const;
  Status remove_dead(const std::string& id);
  // Lets one wait again, from the first attempt on. False: there is none of this id.
  Result<bool> retry_dead(const std::string& id);

  // Written down in a transaction that has not been seen to be through yet.
  bool expects_some() const;
  std::size_t waiting() const;
  // Since the start.
  std::uint64_t delivered_count() const;
  std::uint64_t failed_count() const;
  std::uint64_t dead_count() const;

 private:
  struct Waiting {
    std::string target;
    SteadyTime not_before{};
  };
  void learn(const std::string& id, const Json& stored);
  void look();
  void release(const Due& due, bool gone, Millis pause);
  Millis pause_after(int attempts) const;
  Status bury(store::Writer& writer, const std::string& id, Json stored);

  store::Database& database_;
  const store::Records& records_;
  const Clock& clock_;
  Random& random_;
  Log& log_;
  const OutboxOptions options_;

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::map<std::string, Waiting> waiting_;      // by id
  std::map<std::string, SteadyTime> expected_;  // ids, until when
  std::set<std::string> out_;                   // targets that a delivery is under way to
  std::set<std::string> failing_;               // targets
  std::uint64_t delivered_ = 0;
  std::uint64_t failed_ = 0;
  std::uint64_t dead_ = 0;
};

}  // namespace curfew::broker

#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/result.h"
#include "broker/quota/rate_limiter.h"
#include "store/records.h"
#include "store/sql.h"

namespace curfew::broker {

// How often somebody may try to log in; 0: without limit. Addresses are IPv4 addresses and /64
// networks of IPv6.
struct LoginLimits {
  std::int64_t per_address = 600;           // attempts from one address in 10 seconds
  std::int64_t per_name = 600;              // attempts as one name in 10 seconds
  std::int64_t failures_per_address = 300;  // failures from one address in a minute
  std::int64_t failures_per_name = 20;      // failures as one name from one address in a minute
};

// Applies the members of a write; those that are absent stay. kInvalidArgument names the member.
Status apply_fields(const Json& data, LoginLimits& limits);
Json to_api(const LoginLimits& limits);

// When a name is shut after failed logins, whoever it was that failed. threshold 0: never.
struct Lockout {
  std::int64_t threshold = 5;
  Millis duration = std::chrono::minutes{15};
  Millis counter_reset = std::chrono::minutes{15};  // failures longer ago count no more
};

// Stands before the auth methods: how often may be guessed, and how much work callers who are not
// known yet may make. What it counts is in memory alone and bounded; it makes no difference between
// names that exist and names that do not. Thread-safe.
class LoginGuard {
 public:
  LoginGuard(store::Database& database, const store::Records& records, const Clock& clock,
             Log& log);

  // The limits from the store. Those that were altered there are logged and the defaults hold.
  Status load();
  // Forgets everything.
  void unload();

  LoginLimits limits() const;
  // Durable when it returns success.
  Status set_limits(const LoginLimits& limits);

  // One try to log in.
  struct Attempt {
    std::string mount;    // the accessor of the auth method
    std::string name;     // as whom; empty: the method has no names
    std::string address;  // from where
    Lockout lockout;
  };
  // Why an attempt is not let through, and for how long.
  struct Refusal {
    bool locked = false;  // else beyond a limit
    Seconds wait{1};
  };
  // Before the method does anything. nullopt: let through, and one of the next three must follow.
  std::optional<Refusal> admit(const Attempt& attempt);
  void succeeded(const Attempt& attempt);
  void failed(const Attempt& attempt);
  void undecided(const Attempt& attempt);  // not looked at: the broker was busy, a server was down

  // A name that is shut now.
  struct Locked {
    std::string mount;
    std::string name;
    Seconds left{0};
  };
  // Sorted by mount and name.
  std::vector<Locked> locked() const;
  // Absent is success.
  void unlock(const std::string& mount, const std::string& name);

  // Since the start.
  std::uint64_t successes() const { return successes_.load(); }
  std::uint64_t failures() const { return failures_.load(); }
  std::uint64_t refusals() const { return refusals_.load(); }

  static constexpr std::size_t kNamesMax = 65'536;   // with failures counted
  static constexpr std::size_t kNameBytesMax = 512;  // longer ones are nobody's and never shut

 private:
  using Key = std::pair<std::string, std::string>;  // mount and name
  struct Failures {
    std::int64_t count = 0;
    SteadyTime last;
    SteadyTime locked_until;
    std::list<Key>::iterator place;  // in order_
  };
  using ByName = std::map<Key, Failures>;

  std::optional<Seconds> lock_left(const Attempt& attempt);
  bool take(const std::string& key, std::int64_t count, Millis interval, Seconds& wait);
  void give_back(const std::string& key, std::int64_t count, Millis interval);
  void give_failure_back(const Attempt& attempt);

  store::Database& database_;
  const store::Records& records_;
  const Clock& clock_;
  Log& log_;
  RateLimiter limiter_;
  mutable std::mutex mutex_;
  LoginLimits limits_;  // guarded by mutex_, as are the next two
  ByName failures_by_name_;
  std::list<Key> order_;  // the one that failed longest ago first
  std::atomic<std::uint64_t> successes_{0};
  std::atomic<std::uint64_t> failures_{0};
  std::atomic<std::uint64_t> refusals_{0};
};

}  // namespace curfew::broker

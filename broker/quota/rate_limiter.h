#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

#include "base/clock.h"

namespace curfew::broker {

inline constexpr std::int64_t kRateMax = 1'000'000'000;  // more is as good as no limit

// How fast something may be done: `rate` times in each interval, as many at once.
struct RateLimit {
  double rate = 0;  // beyond kRateMax it counts as that
  Millis interval = Seconds{1};
  Millis block_interval{0};  // > 0: whoever goes beyond is kept out for so long
};

struct RateVerdict {
  bool allowed = true;
  std::int64_t limit = 0;
  std::int64_t remaining = 0;
  // Allowed: until all of it may be used again. Refused: until the next one is allowed.
  Seconds reset{0};
};

// Counts by key with token buckets, in memory alone: after a restart everybody begins anew. Holds a
// bounded number of keys; beyond it new keys share one bucket. Thread-safe.
class RateLimiter {
 public:
  explicit RateLimiter(const Clock& clock) : clock_(clock) {}

  // Takes one for `key`, which is always used with the same limit.
  RateVerdict take(const std::string& key, const RateLimit& limit);

  // Undoes a take() that was allowed, for what did not happen after all.
  void give_back(const std::string& key, const RateLimit& limit);

  void forget();

  static constexpr std::size_t kShards = 16;
  static constexpr std::size_t kKeysPerShardMax = 8192;

 private:
  struct Bucket {
    double tokens = 0;
    SteadyTime filled_at;
    SteadyTime blocked_until;
    SteadyTime full_at;  // from then on the bucket says nothing that a new one would not
  };
  struct Shard {
    std::mutex mutex;
    std::unordered_map<std::string, Bucket> buckets;  // guarded by mutex, as is the next
    SteadyTime next_sweep;
  };
  static Bucket& bucket_of(Shard& shard, const std::string& key, const RateLimit& limit,
                           SteadyTime now);

  const Clock& clock_;
  std::array<Shard, kShards> shards_;
};

}  // namespace curfew::broker

#include "broker/quota/rate_limiter.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace curfew::broker {
namespace {

constexpr Millis kSweepPause = Seconds{1};

double capacity_of(const RateLimit& limit) {
  return std::clamp(limit.rate, 1.0, double{kRateMax});
}

Millis time_for(double tokens, const RateLimit& limit) {
  // A day is long enough to wait, and keeps absurd rates from overflowing.
  const double millis = tokens / limit.rate * static_cast<double>(limit.interval.count());
  return Millis{static_cast<std::int64_t>(std::ceil(std::min(millis, 86'400'000.0)))};
}

Seconds rounded_up(Millis wait) {
  return std::max(std::chrono::ceil<Seconds>(wait), Seconds{0});
}

}  // namespace

RateLimiter::Bucket& RateLimiter::bucket_of(Shard& shard, const std::string& key,
                                            const RateLimit& limit, SteadyTime now) {
  const auto found = shard.buckets.find(key);
  if (found != shard.buckets.end()) return found->second;
  if (shard.buckets.size() >= kKeysPerShardMax && now >= shard.next_sweep) {
    shard.next_sweep = now + kSweepPause;
    std::erase_if(shard.buckets, [&](const auto& item) {
      return item.second.full_at <= now && item.second.blocked_until <= now;
    });
  }
  // Somebody who sends from ever new addresses gets no new allowance with each.
  const bool full = shard.buckets.size() >= kKeysPerShardMax;
  const auto [at, made] = shard.buckets.try_emplace(full ? std::string() : key);
  if (made) at->second = {capacity_of(limit), now, SteadyTime{}, now};
  return at->second;
}

RateVerdict RateLimiter::take(const std::string& key, const RateLimit& limit) {
  Shard& shard = shards_[std::hash<std::string>{}(key) % kShards];
  const SteadyTime now = clock_.steady();
  const double capacity = capacity_of(limit);
  const std::scoped_lock lock(shard.mutex);
  Bucket& bucket = bucket_of(shard, key, limit, now);
  RateVerdict verdict{.limit = static_cast<std::int64_t>(capacity)};
  const double since = static_cast<double>(Millis{now - bucket.filled_at}.count());
  bucket.tokens = std::min(
      capacity, bucket.tokens + since * limit.rate / static_cast<double>(limit.interval.count()));
  bucket.filled_at = now;
  if (now < bucket.blocked_until) {
    verdict.allowed = false;
    verdict.reset = std::max(rounded_up(bucket.blocked_until - now), Seconds{1});
    return verdict;
  }
  // Sums of fractions end a little below the whole number that they stand for.
  if (bucket.tokens + 1e-9 < 1.0) {
    verdict.allowed = false;
    Millis wait = time_for(1.0 - bucket.tokens, limit);
    if (limit.block_interval > Millis{0}) {
      wait = limit.block_interval;
      bucket.blocked_until = now + wait;
    }
    verdict.reset = std::max(rounded_up(wait), Seconds{1});
    return verdict;
  }
  bucket.tokens = std::max(0.0, bucket.tokens - 1.0);
  const Millis until_full = time_for(capacity - bucket.tokens, limit);
  bucket.full_at = now + until_full;
  verdict.remaining = static_cast<std::int64_t>(bucket.tokens + 1e-9);
  verdict.reset = rounded_up(until_full);
  return verdict;
}

void RateLimiter::give_back(const std::string& key, const RateLimit& limit) {
  Shard& shard = shards_[std::hash<std::string>{}(key) % kShards];
  const std::scoped_lock lock(shard.mutex);
  Bucket& bucket = bucket_of(shard, key, limit, clock_.steady());
  bucket.tokens = std::min(capacity_of(limit), bucket.tokens + 1.0);
}

void RateLimiter::forget() {
  for (Shard& shard : shards_) {
    const std::scoped_lock lock(shard.mutex);
    shard.buckets.clear();
  }
}

}  // namespace curfew::broker

#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "base/json.h"
#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"

namespace curfew::broker {

// What one argon2id hash costs whoever tries passwords, and us.
struct HashCost {
  std::int64_t memory_kib = 19 * 1024;
  std::int64_t passes = 2;

  bool operator==(const HashCost&) const = default;
};

// How much of the machine hashing may take: each hash has HashCost::memory_kib for itself.
struct HasherOptions {
  HashCost cost = {};
  std::size_t at_once = 2;
  std::size_t waiting_max = 16;  // callers beyond these get kOverloaded at once
};

// Hashes of passwords: argon2id with a salt, stored with their cost, so that it can be raised
// later. Thread-safe; one for all mounts, because callers who are not known yet share the machine.
// Blocking: 10 to 100 ms of computing, and the turns before.
class PasswordHasher {
 public:
  explicit PasswordHasher(HasherOptions options = {});

  // What to store; an object. kOverloaded: too many are being computed.
  Result<Json> hash(const Secret& password, Random& random) const;

  // Whether `password` is the one that `stored` was made of. With null, as for users that do not
  // exist, it is never right and takes as long. kOverloaded: as above. kCorrupt: no such object.
  Result<bool> verify(const Json& stored, const Secret& password) const;

  // What was computed so far, in passes over a KiB: tells whether two ways cost the same.
  std::int64_t work() const { return work_; }

  // Made at another cost than hash() would use now.
  bool is_outdated(const Json& stored) const;

 private:
  class Turn;

  Result<std::string> compute(const HashCost& cost, const std::string& salt,
                              const Secret& password) const;

  const HasherOptions options_;
  mutable std::mutex mutex_;
  mutable std::condition_variable turn_ended_;
  mutable std::size_t computing_ = 0;  // guarded by mutex_, as is the next
  mutable std::size_t waiting_ = 0;
  mutable std::atomic<std::int64_t> work_ = 0;
};

}  // namespace curfew::broker

#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "engines/postgres/config.h"
#include "engines/postgres/pool.h"

namespace curfew::engines::postgres {

// The pools of all targets of one mount, made when they are first needed. Thread-safe.
class TargetPools {
 public:
  // The references outlive this.
  TargetPools(Pool::Limits limits, const Clock& clock, Log& log)
      : limits_(limits), clock_(clock), log_(log) {}

  // The pool of a target. Where the configuration is another than the last time a new one takes its
  // place, and connections of the old one close as they come back.
  Result<std::shared_ptr<Pool>> of(const TargetConfig& config);

  // Closes a target's connections; they are opened again when needed.
  void reset(std::string_view name);

 private:
  struct Entry {
    std::string fingerprint;
    std::shared_ptr<Pool> pool;
  };

  const Pool::Limits limits_;
  const Clock& clock_;
  Log& log_;
  std::mutex mutex_;
  std::map<std::string, Entry, std::less<>> pools_;  // guarded by mutex_
};

}  // namespace curfew::engines::postgres

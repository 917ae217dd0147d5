#pragma once

#include <map>
#include <mutex>
#include <string>

#include "engines/engine.h"

namespace curfew::fakes {

// A mount's storage in memory, with the promises of the real one: writers run alone and leave
// nothing when they fail. Thread-safe.
class MemoryStorage final : public engines::MountStorage {
 public:
  Status read(const std::function<Status(const engines::StorageReader&)>& reader) const override;
  Status write(const std::function<Status(engines::StorageWriter&)>& writer) override;

  // The n-th write from now on (1: the next) fails with kUnavailable; 0: none does.
  void fail_write(int n);

 private:
  mutable std::recursive_mutex mutex_;
  std::map<std::string, std::string, std::less<>> values_;  // JSON text, so that nothing is shared
  int fail_in_ = 0;
};

}  // namespace curfew::fakes

#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "broker/identity/identities.h"

namespace curfew::broker {

// Standings that were put together once, by the id that was asked for. A bounded number: those that
// were not asked for lately go first. Thread-safe.
class StandingCache {
 public:
  // How often something was forgotten: read it before the store is read.
  std::uint64_t generation() const;

  // nullptr: not known.
  std::shared_ptr<const Standing> find(const std::string& id);

  // Not kept if anything was forgotten since `generation`: what was read may be from before.
  void put(const std::string& id, std::shared_ptr<const Standing> standing,
           std::uint64_t generation);

  void forget(const std::string& id);
  void forget_all();

 private:
  using Known = std::unordered_map<std::string, std::shared_ptr<const Standing>>;

  mutable std::mutex mutex_;
  // Guarded by mutex_. When the recent ones are many they become the older ones, and those that
  // were the older ones go.
  Known recent_;
  Known older_;
  std::uint64_t generation_ = 0;
};

}  // namespace curfew::broker

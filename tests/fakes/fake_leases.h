#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "engines/engine.h"

namespace curfew::fakes {

// The leases of a mount as a test arranges them. Thread-safe.
class FakeLeases final : public engines::MountLeases {
 public:
  // A lease that is active until it is ended or removed.
  void add(engines::LeaseView lease) {
    const std::scoped_lock lock(mutex_);
    const std::string id = lease.id;
    leases_.insert_or_assign(id, Entry{std::move(lease), false});
  }
  // The lease is revoked: nothing is left of it.
  void remove(const std::string& id) {
    const std::scoped_lock lock(mutex_);
    leases_.erase(id);
  }
  // Due, but not revoked yet.
  std::vector<std::string> ended() const {
    const std::scoped_lock lock(mutex_);
    std::vector<std::string> ids;
    for (const auto& [id, entry] : leases_) {
      if (entry.due) ids.push_back(id);
    }
    return ids;
  }

  Result<std::optional<engines::LeaseView>> active(std::string_view id) const override {
    const std::scoped_lock lock(mutex_);
    for (const auto& [whole, entry] : leases_) {
      if (entry.due) continue;
      const bool is_rest = whole.size() > id.size() && whole.ends_with(id) &&
                           whole[whole.size() - id.size() - 1] == '/';
      if (whole == id || is_rest) return std::optional{entry.view};
    }
    return std::optional<engines::LeaseView>{};
  }

  Result<std::int64_t> count(std::string_view resource) const override {
    const std::scoped_lock lock(mutex_);
    std::int64_t found = 0;
    for (const auto& [id, entry] : leases_) found += entry.view.handle.resource == resource;
    return found;
  }

  Result<std::int64_t> end_all(std::string_view resource) override {
    const std::scoped_lock lock(mutex_);
    std::int64_t ended = 0;
    for (auto& [id, entry] : leases_) {
      if (entry.view.handle.resource != resource || entry.due) continue;
      entry.due = true;
      ++ended;
    }
    return ended;
  }

 private:
  struct Entry {
    engines::LeaseView view;
    bool due;
  };

  mutable std::mutex mutex_;
  std::map<std::string, Entry, std::less<>> leases_;
};

// "password-1", "password-2", …; the policy "missing" does not exist. Thread-safe.
class FakePasswords final : public engines::PasswordMaker {
 public:
  Result<Secret> make(std::string_view policy) override {
    const std::scoped_lock lock(mutex_);
    if (policy == "missing")
      return Error{Errc::kInvalidArgument, "password policy \"missing\" does not exist"};
    return Secret("password-" + std::to_string(++made_));
  }

 private:
  std::mutex mutex_;
  int made_ = 0;
};

}  // namespace curfew::fakes

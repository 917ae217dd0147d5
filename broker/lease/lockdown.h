#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "broker/lease/scope.h"
#include "store/records.h"
#include "store/sql.h"

namespace curfew::broker {

// While there is one, no lease is born or renewed in its scope. Lifted by hand only.
struct Lockdown {
  std::string id;
  LeaseScope scope;  // with its ids
  std::string reason;
  std::string by;           // agent_of() whoever made it
  std::string by_accessor;  // of the token
  WallTime since;
};

// The lockdowns of one namespace: in the store, and the same in memory for a first look that costs
// nothing. Thread-safe. A mutating call is durable when it returns success and has had no effect
// when it fails.
class Lockdowns {
 public:
  // `above`: those of the namespace above this one, which hold here too; nullptr: there is none.
  Lockdowns(store::Database& database, const store::Records& records, Log& log,
            const Lockdowns* above = nullptr);

  // Reads what is stored. What cannot be read refuses every issue (see check) until it is lifted.
  void load();
  void unload();

  // Makes or replaces one. `also` belongs to the same transaction.
  Status put(const Lockdown& lockdown, const std::function<Status(store::Writer&)>& also = nullptr);
  // Whether there was one. One whose record was damaged is lifted too.
  Result<bool> lift(const std::string& id);

  Result<std::optional<Lockdown>> get(const std::string& id) const;
  Result<std::vector<Lockdown>> list() const;

  // kPermissionDenied, with id and reason: a lockdown covers the subject. From memory: spares work
  // that would be in vain, and is not the last word.
  Status check(const ScopeSubject& subject) const;

  // The last word, inside the transaction that makes a lease durable: a lockdown that was
  // committed before is seen, and one that is committed after it finds the lease. The subject's
  // first token is its own; those above it are looked up here.
  Status check(const store::Reader& reader, ScopeSubject subject) const;
  // The same in a transaction of its own.
  Status check_stored(const ScopeSubject& subject) const;

 private:
  using List = std::vector<Lockdown>;
  void refresh();

  store::Database& database_;
  const store::Records& records_;
  Log& log_;
  const Lockdowns* const above_;
  std::mutex changing_;                // one change at a time
  mutable std::mutex mutex_;           // guards known_
  std::shared_ptr<const List> known_;  // nullptr: none
};

Json to_api(const Lockdown& lockdown);

}  // namespace curfew::broker

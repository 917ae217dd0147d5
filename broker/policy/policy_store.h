#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "policy/acl.h"
#include "policy/policy.h"
#include "store/records.h"
#include "store/sql.h"

namespace curfew::broker {

// The policies by name, and what they say together. Thread-safe. Names are lower case throughout:
// callers may give any case.
class PolicyStore {
 public:
  PolicyStore(store::Database& database, const store::Records& records, const Clock& clock,
              Log& log);

  // nullptr: there is none. "root" and "default" always exist. kCorrupt: the stored policy was
  // altered.
  Result<std::shared_ptr<const policy::Policy>> get(const std::string& name) const;
  Result<bool> exists(const std::string& name) const;

  // Sorted.
  Result<std::vector<std::string>> names() const;

  // kInvalidArgument: the text is no policy, or the name is one that cannot be changed.
  Status put(const std::string& name, const std::string& text);
  // Absent is success. kInvalidArgument: the name is one that must stay.
  Status remove(const std::string& name);

  // What the policies of these names allow. A name without a policy grants nothing; a policy that
  // cannot be read is an error, so that a denial is never lost.
  // Templates are filled in for `identity`.
  Result<std::shared_ptr<const policy::Acl>> acl(const std::vector<std::string>& names,
                                                 const policy::Identity& identity = {}) const;

  // Forgets everything that was read (the broker is being sealed).
  void forget();

 private:
  // What was put together once, until a policy changes.
  struct Cached {
    std::shared_ptr<const policy::Acl> acl;
    std::optional<WallTime> valid_until;
    bool templated = false;  // what it grants depends on who asks; then `acl` is not set
  };
  std::shared_ptr<const policy::Acl> cached(const std::string& key, bool& templated) const;
  void keep(const std::string& key, Cached entry, std::uint64_t generation) const;

  store::Database& database_;
  const store::Records& records_;
  const Clock& clock_;
  Log& log_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, Cached> acls_;  // by names (and identity); guarded by mutex_
  mutable std::uint64_t generation_ = 0;        // counts changes; guarded by mutex_
};

}  // namespace curfew::broker

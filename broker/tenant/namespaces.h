#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "broker/metric.h"
#include "broker/tenant/namespace_entry.h"

namespace curfew::broker {

// What may be done with the namespaces directly below one: what sys/namespaces serves. Thread-safe.
// `above` is the path of the one, `name` that of the namespace below it (see namespace_name()).
class Namespaces {
 public:
  virtual ~Namespaces() = default;

  // Sorted by path.
  virtual std::vector<NamespaceEntry> list(const std::string& above) const = 0;
  virtual std::optional<NamespaceEntry> find(const std::string& above,
                                             const std::string& name) const = 0;

  // Makes one with keys of its own, or replaces the metadata of one that there is.
  // kInvalidArgument: it is being deleted, a mount is in the way, or there are too many.
  virtual Result<NamespaceEntry> put(const std::string& above, const std::string& name,
                                     const std::map<std::string, Json>& metadata) = 0;

  // Sets members of its metadata, takes those away that are null. kNotFound: there is none.
  virtual Result<NamespaceEntry> patch(const std::string& above, const std::string& name,
                                       const std::map<std::string, Json>& metadata) = 0;

  // Closes it, ends all its tokens and leases, and removes it with its keys once all leases are
  // proven gone; waits for that for a while. Absent is success. kInvalidArgument: it has namespaces
  // below it. When this succeeds it is closed for good, also after a restart.
  struct Deletion {
    bool done = false;
    std::string waits_for = {};  // where it is not done: for people
  };
  virtual Result<Deletion> remove(const std::string& above, const std::string& name) = 0;

  // The longest start of a path that is a namespace below `above`, with its slash; "" if none is.
  virtual std::string leading(const std::string& above, const std::string& path) const = 0;

  // What is counted of all namespaces below a path, at any depth, each with its path as a label.
  virtual std::vector<Metric> metrics_below(const std::string& path, WallTime now) const = 0;

  // What a namespace that is being deleted still waits for: its live leases.
  virtual Result<std::int64_t> leases_left(const std::string& path) const = 0;
};

}  // namespace curfew::broker

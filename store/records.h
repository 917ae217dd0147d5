#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "store/barrier.h"
#include "store/sql.h"

namespace curfew::store {

// Sealed values that are found by name: the table `records` of one namespace. A scope is a group of
// names ("policy", "mount", an engine's mount); names may hold '/'. Each value is bound to its
// namespace, scope and name. Every method also gives the barrier's and the database's errors.
//
// Thread-safe: holds nothing.
class Records {
 public:
  // The records of the barrier's namespace. `barrier` outlives this object.
  explicit Records(const Barrier& barrier) : barrier_(barrier), namespace_(barrier.name_space()) {}

  const std::string& name_space() const { return namespace_; }

  // nullopt: there is none. kCorrupt: the row was changed or moved.
  Result<std::optional<Json>> get(const Reader& reader, std::string_view scope,
                                  std::string_view name) const;

  // Makes or replaces the value.
  Status put(Writer& writer, std::string_view scope, std::string_view name,
             const Json& value) const;

  // Whether there was one.
  Result<bool> remove(Writer& writer, std::string_view scope, std::string_view name) const;

  // Removes all values of a scope; gives their number.
  Result<std::int64_t> remove_scope(Writer& writer, std::string_view scope) const;

  // The next path elements below `prefix` ("" or ending in '/', else kInvalidArgument), sorted;
  // folders end in '/'. The cost depends on their number, not on what lies in the folders.
  Result<std::vector<std::string>> list(const Reader& reader, std::string_view scope,
                                        std::string_view prefix) const;

  // All names of a scope, whole and sorted.
  Result<std::vector<std::string>> names(const Reader& reader, std::string_view scope) const;

  // How many names lie below a folder (ending in '/', else kInvalidArgument).
  Result<std::int64_t> count(const Reader& reader, std::string_view scope,
                             std::string_view folder) const;

  // The name and value of every record of a scope whose name starts with `prefix`, sorted by name.
  Result<std::vector<std::pair<std::string, Json>>> all(const Reader& reader,
                                                        std::string_view scope,
                                                        std::string_view prefix = "") const;

  // Up to `limit` records of a scope, sorted by name, from the first name after `after` on.
  Result<std::vector<std::pair<std::string, Json>>> page(const Reader& reader,
                                                         std::string_view scope,
                                                         std::string_view after,
                                                         std::size_t limit) const;

 private:
  Result<Json> unseal(std::string_view scope, std::string_view name,
                      const std::string& sealed) const;

  const Barrier& barrier_;
  const std::string namespace_;
};

}  // namespace curfew::store

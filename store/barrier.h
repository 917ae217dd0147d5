#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "base/result.h"

namespace curfew::store {

// Seals and opens what is stored: AES-256-GCM under the current data key of a namespace. `context`
// is bound as associated data (table, key columns, plain index columns), so that a sealed value
// that was edited, or moved to another row, does not open. Thread-safe.
class Barrier {
 public:
  virtual ~Barrier() = default;

  // Whose keys these are: what stands in the column `namespace` of every row that they seal.
  virtual const std::string& name_space() const = 0;

  // kSealed: the keys are not in memory (the others too). kTooLarge: more than 64 MiB.
  virtual Result<std::string> seal(std::string_view context, std::string_view plaintext) const = 0;

  // kCorrupt: the bytes or the context are not what was sealed; the message names no content.
  virtual Result<std::string> open(std::string_view context, std::string_view sealed) const = 0;

  // A keyed hash (HMAC-SHA-256, hex) that only this store's keys can make; `purpose` separates
  // uses. The same for the whole life of the namespace: it finds rows by tokens that are not
  // stored.
  virtual Result<std::string> keyed_hash(std::string_view purpose,
                                         std::string_view value) const = 0;
};

// The context of a row: its table and the columns that its sealed value belongs to, in a form in
// which no two different lists look alike. Numbers are given as decimal text.
std::string row_context(std::string_view table, std::initializer_list<std::string_view> columns);

}  // namespace curfew::store

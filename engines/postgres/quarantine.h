#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "engines/postgres/cleaning.h"
#include "engines/postgres/pool.h"

// What belongs to the quarantine role at one target, in all its databases: looking at it, giving it
// to somebody, dropping it. Everything blocks until the deadline.
namespace curfew::engines::postgres {

// Names one object for as long as it exists: "16401-1259-16430", the oids of its database (0: a
// shared object), its catalog and its own.
struct QuarantineId {
  std::uint32_t database = 0;
  std::uint32_t catalog = 0;
  std::uint32_t oid = 0;

  std::string text() const;
  // kInvalidArgument: it is not one.
  static Result<QuarantineId> parse(std::string_view text);
};

struct QuarantinedObject {
  QuarantineId id;
  std::string database;  // its name; of a shared object the one that it was seen from
  std::string kind;      // "table"
  std::string name;      // whole and quoted: "public.orders"
  std::optional<std::int64_t> rows_estimate;  // of relations that were analyzed
  std::optional<std::int64_t> size_bytes;     // of relations, with indexes
};

struct QuarantineList {
  std::vector<QuarantinedObject> objects;
  std::vector<std::string> warnings;  // databases that could not be looked into
};

Result<QuarantineList> list_quarantine(Pool& pool, SteadyTime deadline);

struct QuarantineDetails {
  QuarantinedObject object;
  Json columns = Json::array();  // of a relation: {"name", "type"}
};
// kNotFound: it is not in quarantine.
Result<QuarantineDetails> show_quarantined(Pool& pool, const QuarantineId& id, SteadyTime deadline);

// Gives it to `owner`. kInvalidArgument: there is no such role, it is a leased one, or the target
// refuses; kNotFound: it is not in quarantine.
Result<QuarantinedObject> release_quarantined(Pool& pool, const QuarantineId& id,
                                              const std::string& owner, SteadyTime deadline);

struct QuarantineDropped {
  QuarantinedObject object;
  std::string with_it;  // what depended on it and went too; empty: nothing
};
// Drops it for good. `confirm` is its name. kInvalidArgument: another name, or objects depend on it
// and `cascade` is not set, or the target refuses; kNotFound: it is not in quarantine.
Result<QuarantineDropped> drop_quarantined(Pool& pool, const QuarantineId& id,
                                           const std::string& confirm, bool cascade,
                                           SteadyTime deadline);

}  // namespace curfew::engines::postgres

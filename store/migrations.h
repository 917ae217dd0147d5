#pragma once

#include <cstdint>

#include "base/result.h"
#include "store/sql.h"

namespace curfew::store {

// The newest schema that this program knows.
std::int64_t newest_schema();

// The schema of the database; 0: it has none yet.
Result<std::int64_t> schema_of(const Reader& reader);

// Brings the schema up to newest_schema(). Changes nothing when it is there already.
// kPreconditionFailed: the database is of a newer program.
Status migrate(Writer& writer);

}  // namespace curfew::store

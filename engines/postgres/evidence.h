#pragma once

#include "base/json.h"

// What a trial of a statement tells, cut to what people read and a store keeps.
namespace curfew::engines::postgres {

inline constexpr std::size_t kEvidenceBytesMax = 16 * 1024;
inline constexpr int kEvidenceTablesMax = 20;
inline constexpr int kEvidenceLocksMax = 50;

// PostgreSQL's plan (FORMAT JSON) without what is only of use to machines; a summary where it is
// long.
Json bounded_plan(const Json& plan);

// Texts are cut at 200 characters. Where it is longer than the bound samples go first, those of the
// last tables before those of the first; "shortened" is true then.
Json bounded_evidence(Json evidence);

}  // namespace curfew::engines::postgres

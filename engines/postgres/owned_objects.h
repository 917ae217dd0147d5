#pragma once

#include <cstdint>
#include <string>

// SQL, one statement each, about what the role with an oid owns in the present database. Names in
// the answers are quoted and whole. Temporary objects went with their sessions, and what belongs to
// a table goes with the table.
namespace curfew::engines::postgres {

// Who objects with data are given to: a role that cannot log in and that nobody is a member of.
inline constexpr const char* kQuarantineRole = "curfew_quarantine";

// Which objects: those of the present database, or shared ones too (databases, tablespaces).
enum class Scope { kDatabase, kDatabaseAndShared };

// How many objects one transaction touches at most, where it touches them one by one. The server
// has room for the locks of some thousands, which all its sessions share.
inline constexpr int kObjectsPerBatch = 500;

// Code that runs without being called, or when others use tables that the role made or may change:
// event triggers, triggers, rules, policies, casts, also those on tables of others that reach what
// it owns; and what ties its tables to those of others: foreign keys, subscriptions. Rows, a batch
// at most: what it is, the statements that remove it.
std::string code_sql(std::uint32_t oid);

// What holds data or is needed by data. Rows, a batch at most: kind, name, the statement that gives
// it to the quarantine role, whether any of all holds data ('t'), oid of its catalog, its own oid.
std::string holders_sql(std::uint32_t oid, Scope scope);

// Rows, a batch at most: a statement that takes away what somebody else was granted on what
// holders_sql() lists, all batches of it. What was run is not listed again.
std::string close_holders_sql(std::uint32_t oid, Scope scope);

// What else it owns. Rows, `limit` at most: what it is, the statement that drops it (empty: DROP
// OWNED alone can), whether dropping it would take data along ('t'; these are never cut off by the
// limit while others are listed), oid of its catalog, its own oid, kind, name.
std::string others_sql(std::uint32_t oid, int limit);

// Rows: a statement that takes what others_sql() lists out of everybody's reach.
std::string close_others_sql(std::uint32_t oid);

}  // namespace curfew::engines::postgres

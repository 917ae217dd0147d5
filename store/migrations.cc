#include "store/migrations.h"

#include <array>
#include <span>
#include <string>
#include <string_view>

namespace curfew::store {
namespace {

// The schema, in BIGINT, TEXT and BLOB alone. For PostgreSQL, BLOB reads BYTEA, and TEXT columns
// are COLLATE "C" so that they sort as bytes. Times are milliseconds since 1970. A table's columns
// are explained in docs/storage.md.
//
// A migration that has been released is never edited: the next change is a new one.
constexpr std::array kVersion1 = std::to_array<std::string_view>({
    "CREATE TABLE meta (name TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL)",

    "CREATE TABLE keyring ("
    " namespace TEXT NOT NULL, version BIGINT NOT NULL, created_at BIGINT NOT NULL,"
    " sealed BLOB NOT NULL, PRIMARY KEY (namespace, version))",

    "CREATE TABLE records ("
    " namespace TEXT NOT NULL, scope TEXT NOT NULL, name TEXT NOT NULL, sealed BLOB NOT NULL,"
    " PRIMARY KEY (namespace, scope, name))",

    "CREATE TABLE tokens ("
    " id TEXT NOT NULL PRIMARY KEY, namespace TEXT NOT NULL, accessor TEXT NOT NULL UNIQUE,"
    " parent TEXT, expires_at BIGINT, sealed BLOB NOT NULL)",
    "CREATE INDEX tokens_parent ON tokens (parent)",
    "CREATE INDEX tokens_expires_at ON tokens (expires_at)",

    "CREATE TABLE leases ("
    " id TEXT NOT NULL PRIMARY KEY, namespace TEXT NOT NULL, mount TEXT NOT NULL,"
    " role TEXT NOT NULL, resource TEXT NOT NULL, token TEXT NOT NULL, entity TEXT NOT NULL,"
    " state BIGINT NOT NULL, issued_at BIGINT NOT NULL, expires_at BIGINT NOT NULL,"
    " next_action_at BIGINT, attempts BIGINT NOT NULL, sealed BLOB NOT NULL)",
    // Ended leases stay for the record and in no index below: what the server does every second
    // costs the same however many there have been. A query uses these only if it says the same
    // "state < 4" in its text.
    "CREATE INDEX leases_due ON leases (next_action_at, id) WHERE next_action_at IS NOT NULL",
    "CREATE INDEX leases_live ON leases (id) WHERE state < 4",
    "CREATE INDEX leases_by_token ON leases (token, id) WHERE state < 4",
    "CREATE INDEX leases_by_resource ON leases (mount, resource, id) WHERE state < 4",
    "CREATE INDEX leases_by_entity ON leases (entity, issued_at) WHERE state < 4",
    "CREATE INDEX leases_by_state ON leases (state, id) WHERE state < 4",
});

// By whom and for what a lease was asked, and what it made, so that an operator finds it by any of
// them. NULL: the row is older than the columns; whoever searches by them fills them in first.
constexpr std::array kVersion2 = std::to_array<std::string_view>({
    "ALTER TABLE leases ADD COLUMN agent TEXT",
    "ALTER TABLE leases ADD COLUMN session TEXT",
    "ALTER TABLE leases ADD COLUMN trace TEXT",
    "ALTER TABLE leases ADD COLUMN name TEXT",
    "DROP INDEX leases_by_entity",
    // What a row does not have costs nothing: a query says the same "<> ''" in its text.
    "CREATE INDEX leases_by_agent ON leases (agent, id) WHERE state < 4 AND agent <> ''",
    "CREATE INDEX leases_by_session ON leases (session, id) WHERE state < 4 AND session <> ''",
    "CREATE INDEX leases_by_trace ON leases (trace, id) WHERE state < 4 AND trace <> ''",
    // Ended leases too: what a name in an old log was is asked afterwards.
    "CREATE INDEX leases_by_name ON leases (name) WHERE name <> ''",
    "CREATE INDEX leases_unlabelled ON leases (id) WHERE state < 4 AND agent IS NULL",
});

// Quotas count live leases by role and by entity, inside the transaction that makes one. A retry
// finds the lease of its first attempt by a keyed hash of what the request was.
constexpr std::array kVersion3 = std::to_array<std::string_view>({
    "CREATE INDEX leases_by_role ON leases (mount, role, id) WHERE state < 4",
    "CREATE INDEX leases_by_entity ON leases (entity, id) WHERE state < 4 AND entity <> ''",
    "ALTER TABLE leases ADD COLUMN request_key TEXT NOT NULL DEFAULT ''",
    "CREATE INDEX leases_by_request ON leases (request_key) WHERE state < 4 AND request_key <> ''",
});

// Ended leases that cannot leave yet must not stand in the way of those that are due.
constexpr std::array kVersion4 = std::to_array<std::string_view>({
    "DROP INDEX leases_due",
    "CREATE INDEX leases_due ON leases (next_action_at, id) WHERE state < 4 AND next_action_at IS "
    "NOT NULL",
    "CREATE INDEX leases_over ON leases (next_action_at, id) WHERE state > 3 AND next_action_at IS "
    "NOT NULL",
});

// Whose a token is and which auth method gave it: both end their tokens when they go.
constexpr std::array kVersion5 = std::to_array<std::string_view>({
    "ALTER TABLE tokens ADD COLUMN mount TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE tokens ADD COLUMN entity TEXT NOT NULL DEFAULT ''",
    "CREATE INDEX tokens_by_mount ON tokens (mount) WHERE mount <> ''",
    "CREATE INDEX tokens_by_entity ON tokens (entity) WHERE entity <> ''",
});

// How many leases an agent got within the last hour, whatever has become of them. The second
// condition holds for every row: it keeps the index, in which ended leases are too, from queries
// about live ones, which do not say it.
constexpr std::array kVersion6 = std::to_array<std::string_view>({
    "CREATE INDEX leases_by_issue ON leases (entity, issued_at) WHERE entity <> '' AND "
    "issued_at > 0",
});

// Namespaces share the tables and no row: every query says whose rows it means, and every index has
// that in it. The planner knows no statistics: the index that is to serve a query must have more of
// the columns that it compares than any other.
constexpr std::array kVersion7 = std::to_array<std::string_view>({
    "DROP INDEX leases_due",
    "DROP INDEX leases_over",
    "DROP INDEX leases_live",
    "DROP INDEX leases_by_token",
    "DROP INDEX leases_by_resource",
    "DROP INDEX leases_by_role",
    "DROP INDEX leases_by_entity",
    "DROP INDEX leases_by_state",
    "DROP INDEX leases_by_agent",
    "DROP INDEX leases_by_session",
    "DROP INDEX leases_by_trace",
    "DROP INDEX leases_by_name",
    "DROP INDEX leases_by_request",
    "DROP INDEX leases_unlabelled",
    "DROP INDEX tokens_expires_at",
    "DROP INDEX tokens_parent",
    "DROP INDEX tokens_by_mount",
    "DROP INDEX tokens_by_entity",
    "CREATE INDEX leases_due ON leases (namespace, next_action_at, id) WHERE state < 4 AND "
    "next_action_at IS NOT NULL",
    "CREATE INDEX leases_over ON leases (namespace, next_action_at, id) WHERE state > 3 AND "
    "next_action_at IS NOT NULL",
    "CREATE INDEX leases_live ON leases (namespace, id) WHERE state < 4",
    "CREATE INDEX leases_by_token ON leases (token, namespace, id) WHERE state < 4",
    "CREATE INDEX leases_by_resource ON leases (namespace, mount, resource, id) WHERE state < 4",
    "CREATE INDEX leases_by_role ON leases (namespace, mount, role, id) WHERE state < 4",
    // A token, and an agent's budget, count in the namespaces below theirs too.
    "CREATE INDEX leases_by_entity ON leases (entity, namespace, id) WHERE state < 4 AND entity <> "
    "''",
    // Every query of live leases has a condition on the state: as the second column it would draw
    // all of them here.
    "CREATE INDEX leases_by_state ON leases (state, namespace, id) WHERE state < 4",
    "CREATE INDEX leases_by_agent ON leases (namespace, agent, id) WHERE state < 4 AND agent <> ''",
    "CREATE INDEX leases_by_session ON leases (namespace, session, id) WHERE state < 4 AND session "
    "<> ''",
    "CREATE INDEX leases_by_trace ON leases (namespace, trace, id) WHERE state < 4 AND trace <> ''",
    "CREATE INDEX leases_by_name ON leases (namespace, name) WHERE name <> ''",
    "CREATE INDEX leases_by_request ON leases (namespace, request_key) WHERE state < 4 AND "
    "request_key <> ''",
    "CREATE INDEX leases_unlabelled ON leases (namespace, id) WHERE state < 4 AND agent IS NULL",
    "CREATE INDEX leases_ended ON leases (namespace, id) WHERE state > 3",
    "CREATE INDEX tokens_expires_at ON tokens (namespace, expires_at, id)",
    "CREATE INDEX tokens_parent ON tokens (namespace, parent)",
    "CREATE INDEX tokens_by_mount ON tokens (mount, namespace) WHERE mount <> ''",
    "CREATE INDEX tokens_by_entity ON tokens (entity, namespace) WHERE entity <> ''",
    "CREATE INDEX tokens_by_accessor ON tokens (namespace, accessor)",
});

// Requests that people have to approve. What is closed is in no index that work is found by.
constexpr std::array kVersion8 = std::to_array<std::string_view>({
    "CREATE TABLE approvals ("
    " id TEXT NOT NULL PRIMARY KEY, namespace TEXT NOT NULL, state BIGINT NOT NULL,"
    " requester TEXT NOT NULL, agent TEXT NOT NULL, role TEXT NOT NULL, target TEXT NOT NULL,"
    " ask TEXT NOT NULL, request_key TEXT NOT NULL, automatic TEXT NOT NULL,"
    " created_at BIGINT NOT NULL, due_at BIGINT, review_due BIGINT, sealed BLOB NOT NULL)",
    "CREATE INDEX approvals_by_time ON approvals (namespace, created_at, id)",
    "CREATE INDEX approvals_by_state ON approvals (namespace, state, created_at, id)",
    "CREATE INDEX approvals_by_requester ON approvals (namespace, requester, state, created_at, "
    "id)",
    "CREATE INDEX approvals_by_ask ON approvals (namespace, ask, created_at, id)",
    "CREATE INDEX approvals_by_key ON approvals (namespace, request_key) WHERE request_key <> ''",
    "CREATE INDEX approvals_automatic ON approvals (namespace, automatic, created_at) WHERE "
    "automatic <> ''",
    "CREATE INDEX approvals_due ON approvals (namespace, due_at) WHERE due_at IS NOT NULL",
    "CREATE INDEX approvals_review ON approvals (namespace, review_due) WHERE review_due IS NOT "
    "NULL",
});

constexpr std::array<std::span<const std::string_view>, 8> kMigrations{
    kVersion1, kVersion2, kVersion3, kVersion4, kVersion5, kVersion6, kVersion7, kVersion8};

}  // namespace

std::int64_t newest_schema() {
  return static_cast<std::int64_t>(kMigrations.size());
}

Result<std::int64_t> schema_of(const Reader& reader) {
  ASSIGN_OR_RETURN(const auto row, reader.query_one("SELECT max(version) FROM schema_version"));
  return row->integer_or_null(0).value_or(0);
}

Status migrate(Writer& writer) {
  RETURN_IF_ERROR(writer.execute(
      "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL PRIMARY KEY)"));
  ASSIGN_OR_RETURN(const std::int64_t current, schema_of(writer));
  if (current > newest_schema())
    return Error{Errc::kPreconditionFailed,
                 "the database was written by a newer Curfew (schema " + std::to_string(current) +
                     "; this one knows " + std::to_string(newest_schema()) +
                     "). Start the newer version, or restore a backup that fits"};
  for (std::int64_t version = current + 1; version <= newest_schema(); ++version) {
    for (const std::string_view statement : kMigrations[static_cast<std::size_t>(version - 1)])
      RETURN_IF_ERROR(writer.execute(statement));
    RETURN_IF_ERROR(
        writer.execute("INSERT INTO schema_version (version) VALUES ($1)", {Value{version}}));
  }
  return ok();
}

}  // namespace curfew::store

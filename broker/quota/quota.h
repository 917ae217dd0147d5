#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"

namespace curfew::broker {

enum class QuotaKind { kRateLimit, kLeaseCount };

// "rate-limit" or "lease-count", as in paths.
const char* quota_kind_name(QuotaKind kind);

// Who shares one limit.
enum class QuotaGroup {
  kNone,     // all callers together
  kAddress,  // each remote address has the limit by itself
  kEntity,   // each entity has; a token that belongs to none counts as one of its own
};

// "none", "ip", "entity_id".
const char* quota_group_name(QuotaGroup group);
std::optional<QuotaGroup> quota_group_of(std::string_view name);

// A limit, and what it is for. Empty members do not restrict.
struct Quota {
  QuotaKind kind = QuotaKind::kRateLimit;
  std::string name;
  // "": everything. "database/": a mount. "team-a/": a namespace with those below it.
  // "database/creds/app": that path and what lies below it. "database/creds/agent-*": what begins
  // so.
  std::string path;
  std::string role;
  std::string entity;
  QuotaGroup group = QuotaGroup::kNone;
  bool inheritable = false;  // where `path` is "": by the namespaces below, too
  double rate = 0;           // requests in each interval
  Millis interval = Seconds{1};
  Millis block_interval{0};  // how long a caller is kept out that went beyond the rate
  std::int64_t max_leases = 0;
  std::uint64_t revision = 0;  // tells the counts of a changed quota from those before; not stored
};

// What a quota is matched with: one request, or one lease that shall be born.
struct QuotaSubject {
  std::string path;        // of the request
  std::string mount_path;  // ends in '/'; empty: none
  std::string mount_accessor;
  std::string role;
  std::string entity_id;
  std::string token_id;  // empty: no token
  std::string remote_address;
};

bool applies(const Quota& quota, const QuotaSubject& subject);

// Whether `a` goes before `b` where both apply: the longer path, a path before a pattern, then the
// one that names an entity, then the one that names a role. Only the first counts.
bool is_more_specific(const Quota& a, const Quota& b);

// Whether the two would always apply to the same.
bool has_same_scope(const Quota& a, const Quota& b);

Json to_stored(const Quota& quota);
Quota quota_from_stored(QuotaKind kind, const std::string& name, const Json& stored);

// The settings of rate limits as a whole.
struct QuotaConfig {
  std::vector<std::string> exempt_paths = default_exempt_paths();
  bool audit_refusals = true;
  bool response_headers = false;

  static std::vector<std::string> default_exempt_paths();
  bool is_exempt(std::string_view path) const;
};

Json to_stored(const QuotaConfig& config);
QuotaConfig quota_config_from_stored(const Json& stored);

}  // namespace curfew::broker

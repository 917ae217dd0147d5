#include "broker/quota/quota.h"

#include <algorithm>
#include <array>
#include <tuple>

namespace curfew::broker {
namespace {

constexpr std::array kGroups = {QuotaGroup::kNone, QuotaGroup::kAddress, QuotaGroup::kEntity};

bool is_pattern(const std::string& path) {
  return path.ends_with('*');
}

// Whether `path` is `prefix` or lies below it.
bool is_at_or_below(std::string_view path, std::string_view prefix) {
  if (!path.starts_with(prefix)) return false;
  return prefix.empty() || prefix.ends_with('/') || path.size() == prefix.size() ||
         path[prefix.size()] == '/';
}

bool path_fits(const std::string& wanted, std::string_view path) {
  if (is_pattern(wanted))
    return path.starts_with(std::string_view(wanted).substr(0, wanted.size() - 1));
  return is_at_or_below(path, wanted);
}

auto rank(const Quota& quota) {
  const bool pattern = is_pattern(quota.path);
  return std::tuple(quota.path.size() - (pattern ? 1 : 0), !pattern, !quota.entity.empty(),
                    !quota.role.empty());
}

}  // namespace

const char* quota_kind_name(QuotaKind kind) {
  return kind == QuotaKind::kRateLimit ? "rate-limit" : "lease-count";
}

const char* quota_group_name(QuotaGroup group) {
  switch (group) {
    case QuotaGroup::kNone: return "none";
    case QuotaGroup::kAddress: return "ip";
    case QuotaGroup::kEntity: return "entity_id";
  }
  return "none";
}

std::optional<QuotaGroup> quota_group_of(std::string_view name) {
  const auto found = std::find_if(kGroups.begin(), kGroups.end(), [&](QuotaGroup group) {
    return name == quota_group_name(group);
  });
  if (found == kGroups.end()) return std::nullopt;
  return *found;
}

bool applies(const Quota& quota, const QuotaSubject& subject) {
  return path_fits(quota.path, subject.path) &&
         (quota.role.empty() || quota.role == subject.role) &&
         (quota.entity.empty() || quota.entity == subject.entity_id);
}

bool is_more_specific(const Quota& a, const Quota& b) {
  return rank(a) > rank(b);
}

bool has_same_scope(const Quota& a, const Quota& b) {
  return a.kind == b.kind && a.path == b.path && a.role == b.role && a.entity == b.entity;
}

Json to_stored(const Quota& quota) {
  return {{"path", quota.path},
          {"role", quota.role},
          {"entity", quota.entity},
          {"group_by", quota_group_name(quota.group)},
          {"inheritable", quota.inheritable},
          {"rate", quota.rate},
          {"interval", quota.interval.count()},
          {"block_interval", quota.block_interval.count()},
          {"max_leases", quota.max_leases}};
}

Quota quota_from_stored(QuotaKind kind, const std::string& name, const Json& stored) {
  Quota quota;
  quota.kind = kind;
  quota.name = name;
  quota.path = stored.value("path", "");
  quota.role = stored.value("role", "");
  quota.entity = stored.value("entity", "");
  quota.group = quota_group_of(stored.value("group_by", "")).value_or(QuotaGroup::kNone);
  quota.inheritable = stored.value("inheritable", false);
  quota.rate = stored.value("rate", 0.0);
  quota.interval = Millis{stored.value("interval", std::int64_t{1000})};
  quota.block_interval = Millis{stored.value("block_interval", std::int64_t{0})};
  quota.max_leases = stored.value("max_leases", std::int64_t{0});
  return quota;
}

std::vector<std::string> QuotaConfig::default_exempt_paths() {
  return {"sys/internal/ui/mounts",    "sys/generate-recovery-token/attempt",
          "sys/generate-root/attempt", "sys/generate-recovery-token/update",
          "sys/generate-root/update",  "sys/health",
          "sys/seal-status",           "sys/unseal"};
}

bool QuotaConfig::is_exempt(std::string_view path) const {
  return std::any_of(exempt_paths.begin(), exempt_paths.end(), [&](const std::string& exempt) {
    return exempt.ends_with('*') ? path_fits(exempt, path) : path == exempt;
  });
}

Json to_stored(const QuotaConfig& config) {
  return {{"exempt_paths", config.exempt_paths},
          {"audit_refusals", config.audit_refusals},
          {"response_headers", config.response_headers}};
}

QuotaConfig quota_config_from_stored(const Json& stored) {
  QuotaConfig config;
  config.exempt_paths = stored.value("exempt_paths", std::vector<std::string>{});
  config.audit_refusals = stored.value("audit_refusals", true);
  config.response_headers = stored.value("response_headers", false);
  return config;
}

}  // namespace curfew::broker

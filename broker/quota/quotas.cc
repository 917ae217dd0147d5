#include "broker/quota/quotas.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace curfew::broker {
namespace {

constexpr std::string_view kConfigScope = "sys/quota";
constexpr std::string_view kConfigName = "config";
constexpr std::array kKinds = {QuotaKind::kRateLimit, QuotaKind::kLeaseCount};

std::string scope_of(QuotaKind kind) {
  return std::string("sys/quota/") + quota_kind_name(kind);
}

// Where the API has it.
std::string api_path(QuotaKind kind, const std::string& name) {
  return fmt::format("sys/quotas/{}/{}", quota_kind_name(kind), name);
}

std::string group_key(const Quota& quota, const QuotaSubject& subject) {
  switch (quota.group) {
    case QuotaGroup::kNone: return {};
    case QuotaGroup::kAddress: return subject.remote_address;
    case QuotaGroup::kEntity:
      if (!subject.entity_id.empty()) return "e:" + subject.entity_id;
      if (!subject.token_id.empty()) return "t:" + subject.token_id;
      return "a:" + subject.remote_address;
  }
  return {};
}

// The first text that is greater than everything that begins with `prefix`. REQUIRES: it is not
// empty and does not end in 0xff (paths are UTF-8).
std::string prefix_end(std::string prefix) {
  ++prefix.back();
  return prefix;
}

// A quota for everything binds the namespaces below only where it is to be inherited.
bool binds(const Quota& quota, const QuotaSubject& subject, bool from_above) {
  return applies(quota, subject) && (!from_above || !quota.path.empty() || quota.inheritable);
}

const Quota* first_that_binds(const std::vector<Quota>& quotas, const QuotaSubject& subject,
                              bool from_above) {
  const auto found = std::find_if(quotas.begin(), quotas.end(), [&](const Quota& quota) {
    return binds(quota, subject, from_above);
  });
  return found == quotas.end() ? nullptr : &*found;
}

}  // namespace

// The leases that count against a quota, as conditions on the table.
struct Quotas::Counted {
  std::string where = "state < 4";  // the literal matches the partial indexes
  std::vector<store::Value> parameters = {};

  void add(std::string_view condition, std::string value) {
    parameters.emplace_back(std::move(value));
    where += fmt::format(" AND {} ${}", condition, parameters.size());
  }
  void add_namespaces(const std::vector<std::string>& ids) {
    std::string list;
    for (const std::string& id : ids) {
      parameters.emplace_back(id);
      list += fmt::format("{}${}", list.empty() ? "" : ", ", parameters.size());
    }
    where += fmt::format(" AND namespace IN ({})", list);
  }
};

Quotas::Counted Quotas::counted(const Quota& quota, const std::string& mount_accessor) const {
  Counted out;
  std::string path = quota.path;
  std::vector<std::string> ids = {records_.name_space()};
  bool elsewhere = false;
  if (namespaces_.ids && path.empty() && quota.inheritable) ids = namespaces_.ids("");
  // The longest part of the path that leads into another namespace.
  for (auto slash = path.rfind('/'); namespaces_.ids && slash != std::string::npos;
       slash = slash == 0 ? std::string::npos : path.rfind('/', slash - 1)) {
    auto found = namespaces_.ids(path.substr(0, slash + 1));
    if (found.empty()) continue;
    ids = std::move(found);
    elsewhere = true;
    path.erase(0, slash + 1);
    if (!path.empty()) ids.resize(1);
    break;
  }
  out.add_namespaces(ids);
  if (!elsewhere && path.ends_with('/')) {
    out.add("mount =", mount_accessor);
  } else if (!path.empty()) {
    // A lease's id begins with the path that it was asked for at.
    const bool whole = !path.ends_with('*') && !path.ends_with('/');
    const std::string prefix = path.ends_with('*') ? path.substr(0, path.size() - 1)
                               : whole             ? path + '/'
                                                   : path;
    if (!prefix.empty()) {
      out.add("id >=", prefix);
      out.add("id <", prefix_end(prefix));
    }
  }
  if (!quota.role.empty()) out.add("role =", quota.role);
  if (!quota.entity.empty()) out.add("entity <> '' AND entity =", quota.entity);
  return out;
}

std::vector<Quota>& Quotas::Known::of(QuotaKind kind) {
  return kind == QuotaKind::kRateLimit ? rate_limits : lease_counts;
}

const std::vector<Quota>& Quotas::Known::of(QuotaKind kind) const {
  return kind == QuotaKind::kRateLimit ? rate_limits : lease_counts;
}

void Quotas::Known::set(Quota quota) {
  erase(quota.kind, quota.name);
  auto& quotas = of(quota.kind);
  const auto behind = std::find_if(quotas.begin(), quotas.end(), [&](const Quota& other) {
    return is_more_specific(quota, other);
  });
  quotas.insert(behind, std::move(quota));
}

void Quotas::Known::erase(QuotaKind kind, const std::string& name) {
  std::erase_if(of(kind), [&](const Quota& other) { return other.name == name; });
  std::erase(damaged, api_path(kind, name));
}

Quotas::Quotas(store::Database& database, const store::Records& records, const Clock& clock,
               Log& log, QuotaNamespaces namespaces)
    : database_(database),
      records_(records),
      log_(log),
      namespaces_(std::move(namespaces)),
      limiter_(clock),
      known_(std::make_shared<const Known>()) {}

std::shared_ptr<const Quotas::Known> Quotas::known() const {
  const std::scoped_lock lock(mutex_);
  return known_;
}

void Quotas::publish(Known known) {
  auto made = std::make_shared<const Known>(std::move(known));
  const std::scoped_lock lock(mutex_);
  known_ = std::move(made);
}

Status Quotas::load_kind(const store::Reader& reader, QuotaKind kind, Known& known) {
  ASSIGN_OR_RETURN(const auto names, records_.names(reader, scope_of(kind)));
  for (const std::string& name : names) {
    const auto stored = records_.get(reader, scope_of(kind), name);
    if (stored && *stored) {
      Quota quota = quota_from_stored(kind, name, **stored);
      quota.revision = ++revision_;
      known.set(std::move(quota));
    } else if (!stored && stored.error().code == Errc::kCorrupt) {
      known.damaged.push_back(api_path(kind, name));
      log_.error(
          "stored quota was altered outside of Curfew: no leases until it is written again "
          "or deleted",
          {{"quota", name}, {"type", quota_kind_name(kind)}});
    } else if (!stored) {
      return stored.error();
    }
  }
  return ok();
}

Status Quotas::load() {
  const std::scoped_lock changing(changing_);
  Known known;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    for (const QuotaKind kind : kKinds) RETURN_IF_ERROR(load_kind(reader, kind, known));
    const auto config = records_.get(reader, kConfigScope, kConfigName);
    if (config && *config) known.config = quota_config_from_stored(**config);
    if (!config && config.error().code == Errc::kCorrupt)
      log_.error("stored settings of quotas were altered outside of Curfew: the defaults count");
    else if (!config)
      return config.error();
    return ok();
  }));
  publish(std::move(known));
  return ok();
}

void Quotas::unload() {
  publish({});
  limiter_.forget();
}

std::vector<std::string> Quotas::names(QuotaKind kind) const {
  const auto now = known();
  std::vector<std::string> names;
  for (const Quota& quota : now->of(kind)) names.push_back(quota.name);
  std::sort(names.begin(), names.end());
  return names;
}

std::optional<Quota> Quotas::find(QuotaKind kind, const std::string& name) const {
  const auto now = known();
  for (const Quota& quota : now->of(kind))
    if (quota.name == name) return quota;
  return std::nullopt;
}

Status Quotas::put(Quota quota) {
  const std::scoped_lock changing(changing_);
  Known next = *known();
  for (const Quota& other : next.of(quota.kind))
    if (other.name != quota.name && has_same_scope(other, quota))
      return Error{Errc::kInvalidArgument,
                   fmt::format("quota rule with similar properties exists under the name \"{}\"",
                               other.name)};
  RETURN_IF_ERROR(database_.write([&](store::Writer& writer) -> Status {
    return records_.put(writer, scope_of(quota.kind), quota.name, to_stored(quota));
  }));
  quota.revision = ++revision_;
  next.set(std::move(quota));
  publish(std::move(next));
  return ok();
}

Status Quotas::remove(QuotaKind kind, const std::string& name) {
  const std::scoped_lock changing(changing_);
  RETURN_IF_ERROR(database_.write([&](store::Writer& writer) -> Status {
    RETURN_IF_ERROR(records_.remove(writer, scope_of(kind), name));
    return ok();
  }));
  Known next = *known();
  next.erase(kind, name);
  publish(std::move(next));
  return ok();
}

Status Quotas::follow_mount(const std::string& from, const std::string& to) {
  const std::scoped_lock changing(changing_);
  std::vector<Quota> moved;
  const auto now = known();
  for (const QuotaKind kind : kKinds)
    for (Quota quota : now->of(kind)) {
      if (!quota.path.starts_with(from)) continue;
      quota.path = to + quota.path.substr(from.size());
      moved.push_back(std::move(quota));
    }
  if (moved.empty()) return ok();
  RETURN_IF_ERROR(database_.write([&](store::Writer& writer) -> Status {
    for (const Quota& quota : moved)
      RETURN_IF_ERROR(records_.put(writer, scope_of(quota.kind), quota.name, to_stored(quota)));
    return ok();
  }));
  Known next = *now;
  for (Quota& quota : moved) next.set(std::move(quota));
  publish(std::move(next));
  return ok();
}

QuotaConfig Quotas::config() const {
  return known()->config;
}

Status Quotas::set_config(const QuotaConfig& config) {
  const std::scoped_lock changing(changing_);
  RETURN_IF_ERROR(database_.write([&](store::Writer& writer) -> Status {
    return records_.put(writer, kConfigScope, kConfigName, to_stored(config));
  }));
  Known next = *known();
  next.config = config;
  publish(std::move(next));
  return ok();
}

QuotaSubject Quotas::seen_from_above(QuotaSubject subject) const {
  subject.path.insert(0, namespaces_.name);
  subject.mount_path.insert(0, namespaces_.name);
  return subject;
}

std::optional<RateVerdict> Quotas::count_request(const QuotaSubject& subject) {
  return count(subject, View::kOwn);
}

std::optional<RateVerdict> Quotas::count(const QuotaSubject& subject, View view) {
  if (namespaces_.above != nullptr) {
    auto above = namespaces_.above->count(seen_from_above(subject), View::kFromAbove);
    if (above && !above->allowed) return above;
  }
  const auto now = known();
  if (now->rate_limits.empty() || now->config.is_exempt(subject.path)) return std::nullopt;
  // A limit that is too strict must not keep out who would change it.
  if (subject.path.starts_with("sys/quotas/")) return std::nullopt;
  const Quota* quota = first_that_binds(now->rate_limits, subject, view == View::kFromAbove);
  if (quota == nullptr) return std::nullopt;
  const RateVerdict verdict =
      limiter_.take(fmt::format("{} {}", quota->revision, group_key(*quota, subject)),
                    {quota->rate, quota->interval, quota->block_interval});
  if (!verdict.allowed) ++refused_requests_;
  return verdict;
}

Status Quotas::check_lease(const store::Reader& reader, const QuotaSubject& subject) const {
  return check(reader, subject, View::kOwn);
}

Status Quotas::check(const store::Reader& reader, const QuotaSubject& subject, View view) const {
  if (namespaces_.above != nullptr)
    RETURN_IF_ERROR(namespaces_.above->check(reader, seen_from_above(subject), View::kFromAbove));
  const auto now = known();
  if (!now->damaged.empty())
    return Error{
        Errc::kCorrupt,
        fmt::format("the stored quota {} was altered outside of Curfew and its limit is not "
                    "known: write it again or delete it",
                    now->damaged.front())};
  const Quota* quota = first_that_binds(now->lease_counts, subject, view == View::kFromAbove);
  if (quota == nullptr) return ok();
  Counted leases = counted(*quota, subject.mount_accessor);
  if (quota->group == QuotaGroup::kEntity) {
    if (subject.entity_id.empty())
      leases.add("token =", subject.token_id);
    else
      leases.add("entity <> '' AND entity =", subject.entity_id);
  }
  leases.parameters.emplace_back(quota->max_leases);
  // Counts no further than it has to.
  ASSIGN_OR_RETURN(const auto row,
                   reader.query_one(fmt::format("SELECT count(*) FROM (SELECT 1 FROM leases WHERE "
                                                "{} LIMIT ${}) AS counted",
                                                leases.where, leases.parameters.size()),
                                    leases.parameters));
  if (row->integer(0) < quota->max_leases) return ok();
  ++refused_leases_;
  return Error{Errc::kQuotaExceeded,
               fmt::format("request path \"{}\": lease count quota exceeded: \"{}\" allows {} live "
                           "leases; revoke one that is not needed, or wait until one ends",
                           subject.path, quota->name, quota->max_leases)};
}

Result<std::int64_t> Quotas::live_leases(const Quota& quota,
                                         const std::string& mount_accessor) const {
  const Counted leases = counted(quota, mount_accessor);
  const bool apart = quota.group == QuotaGroup::kEntity;
  const std::string sql =
      "SELECT count(*) AS leases FROM leases WHERE " + leases.where +
      (apart
           ? " GROUP BY entity, CASE WHEN entity = '' THEN token ELSE '' END ORDER BY leases DESC "
             "LIMIT 1"
           : "");
  std::int64_t count = 0;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto row, reader.query_one(sql, leases.parameters));
    if (row) count = row->integer(0);
    return ok();
  }));
  return count;
}

}  // namespace curfew::broker

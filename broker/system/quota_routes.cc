#include <fmt/format.h>

#include <cmath>

#include "broker/quota/rate_limiter.h"
#include "broker/system/system_parts.h"

namespace curfew::broker {
namespace {

Error invalid(std::string message) {
  return {Errc::kInvalidArgument, std::move(message)};
}

// A rate may be a fraction; clients send numbers also as text.
Result<double> positive_number(const Json& data, const char* name) {
  const auto member = data.find(name);
  if (member == data.end() || member->is_null()) return invalid(fmt::format("missing {}", name));
  double value = 0;
  if (member->is_number()) {
    value = member->get<double>();
  } else if (member->is_string()) {
    const auto parsed = parse_json(member->get<std::string>());
    if (parsed && parsed->is_number()) value = parsed->get<double>();
  }
  if (!std::isfinite(value) || value <= 0)
    return invalid(fmt::format("'{}' is invalid: expected a number greater than 0", name));
  return value;
}

// sys/quotas. A quota's name is a part of the path.
class QuotaRoutes {
 public:
  explicit QuotaRoutes(const SystemParts& parts) : parts_(parts) {}

  template <QuotaKind kind>
  Result<Response> list(const BackendCall&) const {
    return Response{.data = {{"keys", parts_.quotas.names(kind)}}};
  }

  template <QuotaKind kind>
  Result<Response> remove(const BackendCall& call) const {
    RETURN_IF_ERROR(parts_.quotas.remove(kind, call.param("name")));
    return Response{};
  }

  Result<Response> write_rate(const BackendCall& call) const {
    const Fields fields(call.request.data);
    ASSIGN_OR_RETURN(Quota quota, read_common(call, QuotaKind::kRateLimit, QuotaGroup::kAddress));
    ASSIGN_OR_RETURN(quota.rate, positive_number(call.request.data, "rate"));
    if (quota.rate > kRateMax)
      return invalid(
          fmt::format("'rate' is invalid: expected at most {}; to allow any number of "
                      "requests, delete the quota",
                      std::int64_t{kRateMax}));
    ASSIGN_OR_RETURN(quota.interval, fields.duration_or("interval", Seconds{1}));
    if (quota.interval == Millis{0}) quota.interval = Seconds{1};
    ASSIGN_OR_RETURN(quota.block_interval, fields.duration_or("block_interval", Millis{0}));
    RETURN_IF_ERROR(parts_.quotas.put(std::move(quota)));
    return Response{};
  }

  Result<Response> write_count(const BackendCall& call) const {
    ASSIGN_OR_RETURN(Quota quota, read_common(call, QuotaKind::kLeaseCount, QuotaGroup::kNone));
    if (quota.group == QuotaGroup::kAddress)
      return invalid("field \"group_by\": leases are counted by \"entity_id\" or \"none\"");
    ASSIGN_OR_RETURN(const auto max, Fields(call.request.data).integer("max_leases"));
    if (!max || *max <= 0)
      return invalid("'max_leases' is invalid: expected a number greater than 0");
    quota.max_leases = *max;
    RETURN_IF_ERROR(parts_.quotas.put(std::move(quota)));
    return Response{};
  }

  Result<Response> read_rate(const BackendCall& call) const {
    const auto quota = parts_.quotas.find(QuotaKind::kRateLimit, call.param("name"));
    if (!quota) return Error{Errc::kNotFound, ""};
    Json data = common_data(*quota);
    data["rate"] = quota->rate;
    data["interval"] = std::chrono::floor<Seconds>(quota->interval).count();
    data["block_interval"] = std::chrono::floor<Seconds>(quota->block_interval).count();
    return Response{.data = std::move(data)};
  }

  Result<Response> read_count(const BackendCall& call) const {
    const auto quota = parts_.quotas.find(QuotaKind::kLeaseCount, call.param("name"));
    if (!quota) return Error{Errc::kNotFound, ""};
    const auto mount = parts_.mounts.at(quota->path);
    ASSIGN_OR_RETURN(const std::int64_t live,
                     parts_.quotas.live_leases(*quota, mount ? mount->entry.accessor : ""));
    Json data = common_data(*quota);
    data["max_leases"] = quota->max_leases;
    data["counter"] = live;
    return Response{.data = std::move(data)};
  }

  Result<Response> read_config(const BackendCall&) const {
    const QuotaConfig config = parts_.quotas.config();
    return Response{.data = {{"rate_limit_exempt_paths", config.exempt_paths},
                             {"enable_rate_limit_audit_logging", config.audit_refusals},
                             {"enable_rate_limit_response_headers", config.response_headers}}};
  }

  Result<Response> write_config(const BackendCall& call) const {
    const Fields fields(call.request.data);
    QuotaConfig config = parts_.quotas.config();
    ASSIGN_OR_RETURN(auto exempt, fields.comma_list("rate_limit_exempt_paths"));
    if (exempt) config.exempt_paths = *std::move(exempt);
    ASSIGN_OR_RETURN(config.audit_refusals,
                     fields.boolean_or("enable_rate_limit_audit_logging", config.audit_refusals));
    ASSIGN_OR_RETURN(
        config.response_headers,
        fields.boolean_or("enable_rate_limit_response_headers", config.response_headers));
    RETURN_IF_ERROR(parts_.quotas.set_config(config));
    return Response{};
  }

 private:
  // "team-a" is a namespace below, and what follows it is taken as it is written.
  // "database" and "/database/" are the mount "database/", "root" is everything; what lies below a
  // mount stays as it is written, without a slash at its end.
  Result<std::string> quota_path(std::string path) const {
    if (path.starts_with('/')) path.erase(0, 1);
    if (path == "root" || path == "root/") path.clear();
    if (path.empty()) return path;
    const std::string below = parts_.namespaces.leading(parts_.place.path, path + '/');
    if (below == path + '/') return below;
    if (!below.empty()) return path;  // a mount there, with its slash, or a path
    while (path.ends_with('/')) path.pop_back();
    for (const std::string_view own : {"sys", "auth/token"}) {
      if (path == own) return path + '/';
      if (path.starts_with(std::string(own) + '/')) return path;
    }
    const auto routed = parts_.mounts.route(path + '/');
    if (!routed.mount) return invalid(fmt::format("invalid mount path \"{}\"", path));
    return path + '/' == routed.mount->entry.path ? path + '/' : path;
  }

  Result<Quota> read_common(const BackendCall& call, QuotaKind kind, QuotaGroup fallback) const {
    const Fields fields(call.request.data);
    Quota quota;
    quota.kind = kind;
    quota.name = call.param("name");
    ASSIGN_OR_RETURN(std::string path, fields.text_or("path", ""));
    ASSIGN_OR_RETURN(quota.path, quota_path(std::move(path)));
    ASSIGN_OR_RETURN(quota.role, fields.text_or("role", ""));
    if (!quota.role.empty() && quota.path.empty())
      return invalid("field \"role\": roles belong to a mount, so \"path\" must name one");
    ASSIGN_OR_RETURN(quota.entity, fields.text_or("entity", ""));
    ASSIGN_OR_RETURN(quota.inheritable, fields.boolean_or("inheritable", quota.path.empty()));
    ASSIGN_OR_RETURN(const std::string group, fields.text_or("group_by", ""));
    const auto known = group.empty() ? fallback : quota_group_of(group);
    if (!known)
      return invalid(
          fmt::format("field \"group_by\": unknown value \"{}\"; expected \"none\", "
                      "\"ip\" or \"entity_id\"",
                      group));
    quota.group = *known;
    return quota;
  }

  static Json common_data(const Quota& quota) {
    return {{"type", quota_kind_name(quota.kind)},
            {"name", quota.name},
            {"path", quota.path},
            {"role", quota.role},
            {"entity", quota.entity},
            {"group_by", quota_group_name(quota.group)},
            {"inheritable", quota.inheritable}};
  }

  const SystemParts parts_;
};

std::vector<FieldSpec> fields_with(std::vector<FieldSpec> own) {
  using enum FieldType;
  own.push_back(
      {"path", kText,
       "What it limits: a mount (\"database/\"), a path below one, the same with a '*' at "
       "its end for all that begins so; empty: everything."});
  own.push_back({"role", kText, "Only this role of the mount."});
  own.push_back({"entity", kText, "Only the entity with this id."});
  own.push_back({"inheritable", kBoolean, "Kept for clients that set it."});
  return own;
}

}  // namespace

void add_quota_routes(const SystemParts& parts, RouteList& routes) {
  using enum Operation;
  using enum QuotaKind;
  const auto to = binder<QuotaRoutes>(parts);
  add_route(
      routes,
      {.pattern = "quotas/config",
       .summary = "The settings of rate limits as a whole.",
       .fields = {{"rate_limit_exempt_paths", FieldType::kList,
                   "Paths that no rate limit counts; a '*' at the end for all that begins so."},
                  {"enable_rate_limit_audit_logging", FieldType::kBoolean,
                   "Whether refused requests are audited (default true)."},
                  {"enable_rate_limit_response_headers", FieldType::kBoolean,
                   "Whether answers bear X-Ratelimit-Limit, -Remaining and -Reset."}}},
      {{kRead, to(&QuotaRoutes::read_config)}, {kUpdate, to(&QuotaRoutes::write_config)}});
  add_route(routes, {.pattern = "quotas/rate-limit", .summary = "Lists the rate limits."},
            {{kList, to(&QuotaRoutes::list<kRateLimit>)}});
  add_route(routes,
            {.pattern = "quotas/rate-limit/{name}",
             .summary = "How many requests are served in an interval.",
             .fields = fields_with(
                 {{"rate", FieldType::kText, "Requests in each interval; may be a fraction.", true},
                  {"interval", FieldType::kDuration, "Default: one second."},
                  {"block_interval", FieldType::kDuration,
                   "How long a caller is kept out that went beyond."},
                  {"group_by", FieldType::kText,
                   "Who shares the limit: \"ip\" (each address, the default), \"entity_id\", "
                   "\"none\"."}})},
            {{kRead, to(&QuotaRoutes::read_rate)},
             {kUpdate, to(&QuotaRoutes::write_rate)},
             {kDelete, to(&QuotaRoutes::remove<kRateLimit>)}});
  add_route(routes, {.pattern = "quotas/lease-count", .summary = "Lists the lease counts."},
            {{kList, to(&QuotaRoutes::list<kLeaseCount>)}});
  add_route(routes,
            {.pattern = "quotas/lease-count/{name}",
             .summary = "How many leases may be alive at once.",
             .fields = fields_with(
                 {{"max_leases", FieldType::kInteger, "The limit.", true},
                  {"group_by", FieldType::kText,
                   "Who shares the limit: \"none\" (all together, the default), \"entity_id\"."}})},
            {{kRead, to(&QuotaRoutes::read_count)},
             {kUpdate, to(&QuotaRoutes::write_count)},
             {kDelete, to(&QuotaRoutes::remove<kLeaseCount>)}});
}

}  // namespace curfew::broker

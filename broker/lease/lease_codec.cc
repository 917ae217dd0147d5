#include "broker/lease/lease_codec.h"

#include <fmt/format.h>

#include "broker/attribution.h"
#include "broker/stored_attribution.h"

namespace curfew::broker {
namespace {

std::optional<WallTime> time_or_null(const Json& body, const char* name) {
  const auto it = body.find(name);
  if (it == body.end() || it->is_null()) return std::nullopt;
  return from_unix_millis(it->get<std::int64_t>());
}

Json millis_or_null(const std::optional<WallTime>& time) {
  return time ? Json(to_unix_millis(*time)) : Json(nullptr);
}

// The columns by which operators look for leases. Absent in rows that are older than they are.
struct Labels {
  std::string agent, session, trace, name;
};

Labels labels_of(const Lease& lease) {
  return {agent_of(lease.attribution), lease.attribution.session, lease.attribution.trace_id,
          lease.handle.name};
}

std::optional<Labels> labels_of(const store::Row& row) {
  if (row.is_null(13)) return std::nullopt;
  return Labels{row.text(13), row.text(14), row.text(15), row.text(16)};
}

// Every plain column, in a form that no two rows share.
std::string context_of(const std::string& name_space, const Lease& lease,
                       const std::optional<Labels>& labels) {
  Json columns = {"leases",
                  name_space,
                  lease.id,
                  lease.mount,
                  lease.role,
                  lease.handle.resource,
                  lease.token,
                  lease.attribution.entity_id,
                  static_cast<std::int64_t>(lease.state),
                  to_unix_millis(lease.issued_at),
                  to_unix_millis(lease.expires_at),
                  millis_or_null(lease.next_action_at),
                  lease.attempts};
  if (labels) {
    for (const std::string* label :
         {&labels->agent, &labels->session, &labels->trace, &labels->name})
      columns.push_back(*label);
  }
  // Rows that are older than the column have none, as most others.
  if (!lease.key.hash.empty()) columns.push_back(lease.key.hash);
  return dump_json(columns);
}

Json body_of(const Lease& lease) {
  Json phases = Json::object();
  for (const auto& [name, note] : lease.phases) phases[name] = note;
  return {{"handle", lease.handle.fields},
          {"attribution", to_stored(lease.attribution)},
          {"ttl_default", lease.ttl_default.count()},
          {"ttl_max", lease.ttl_max.count()},
          {"renewable", lease.renewable},
          {"last_renewal", millis_or_null(lease.last_renewal)},
          {"apply_deadline", to_unix_millis(lease.apply_deadline)},
          {"apply_ended", lease.apply_ended},
          {"due_at", millis_or_null(lease.due_at)},
          {"phases", phases},
          {"error", lease.error},
          {"receipt", lease.receipt},
          {"audit_pending", lease.audit_pending},
          {"ended_at", millis_or_null(lease.ended_at)},
          {"key_fingerprint", lease.key.fingerprint},
          {"key_until", to_unix_millis(lease.key.until)},
          {"approval", lease.approval}};
}

Lease columns_of(const store::Row& row) {
  Lease lease;
  lease.id = row.text(0);
  lease.mount = row.text(2);
  lease.role = row.text(3);
  lease.handle.resource = row.text(4);
  lease.token = row.text(5);
  lease.attribution.entity_id = row.text(6);
  lease.state = static_cast<LeaseState>(row.integer(7));
  lease.issued_at = from_unix_millis(row.integer(8));
  lease.expires_at = from_unix_millis(row.integer(9));
  if (const auto next = row.integer_or_null(10)) lease.next_action_at = from_unix_millis(*next);
  lease.attempts = row.integer(11);
  lease.key.hash = row.text(17);
  return lease;
}

store::Value next_action_value(const Lease& lease) {
  if (!lease.next_action_at) return std::monostate{};
  return to_unix_millis(*lease.next_action_at);
}

}  // namespace

Result<std::string> seal_lease(const store::Barrier& barrier, const Lease& lease) {
  return barrier.seal(context_of(barrier.name_space(), lease, labels_of(lease)),
                      dump_json(body_of(lease)));
}

Result<Lease> open_lease(const store::Barrier& barrier, const store::Row& row) {
  Lease lease = columns_of(row);
  const std::optional<Labels> labels = labels_of(row);
  auto opened = barrier.open(context_of(barrier.name_space(), lease, labels), row.blob(12));
  if (!opened && opened.error().code == Errc::kCorrupt)
    return Error{Errc::kCorrupt,
                 fmt::format("the stored lease \"{}\" was altered outside of Curfew and is not "
                             "trusted; restore the store from a backup",
                             lease.id)};
  if (!opened) return std::move(opened).error();
  ASSIGN_OR_RETURN(const Json body, parse_json(*opened));
  lease.handle.fields = body.at("handle");
  if (labels) lease.handle.name = labels->name;
  lease.attribution =
      attribution_from_stored(body.at("attribution"), std::move(lease.attribution.entity_id));
  lease.ttl_default = Millis{body.at("ttl_default").get<std::int64_t>()};
  lease.ttl_max = Millis{body.at("ttl_max").get<std::int64_t>()};
  lease.renewable = body.at("renewable").get<bool>();
  lease.last_renewal = time_or_null(body, "last_renewal");
  lease.apply_deadline = from_unix_millis(body.at("apply_deadline").get<std::int64_t>());
  lease.apply_ended = body.at("apply_ended").get<bool>();
  lease.due_at = time_or_null(body, "due_at");
  for (const auto& [name, note] : body.at("phases").items()) lease.phases[name] = note;
  lease.error = body.at("error").get<std::string>();
  lease.receipt = body.at("receipt");
  lease.ended_at = time_or_null(body, "ended_at");
  lease.audit_pending = body.value("audit_pending", false);
  lease.key.fingerprint = body.value("key_fingerprint", "");
  lease.key.until = from_unix_millis(body.value("key_until", std::int64_t{0}));
  lease.approval = body.value("approval", Json());
  return lease;
}

Status insert_lease(store::Writer& writer, const store::Barrier& barrier, const Lease& lease,
                    const std::string& sealed) {
  Labels labels = labels_of(lease);
  ASSIGN_OR_RETURN(
      const std::int64_t inserted,
      writer.execute(
          "INSERT INTO leases (id, namespace, mount, role, resource, token, entity, state, "
          "issued_at, expires_at, next_action_at, attempts, sealed, agent, session, trace, name, "
          "request_key) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, "
          "$16, $17, $18)",
          {lease.id, barrier.name_space(), lease.mount, lease.role, lease.handle.resource,
           lease.token, lease.attribution.entity_id, static_cast<std::int64_t>(lease.state),
           to_unix_millis(lease.issued_at), to_unix_millis(lease.expires_at),
           next_action_value(lease), lease.attempts, store::Blob{sealed}, std::move(labels.agent),
           std::move(labels.session), std::move(labels.trace), std::move(labels.name),
           lease.key.hash}));
  if (inserted != 1) return Error{Errc::kInternal, "the lease was not stored"};
  return ok();
}

Status update_lease(store::Writer& writer, const store::Barrier& barrier, const Lease& lease,
                    const std::string& sealed) {
  Labels labels = labels_of(lease);
  ASSIGN_OR_RETURN(
      const std::int64_t changed,
      writer.execute(
          "UPDATE leases SET resource = $1, state = $2, expires_at = $3, next_action_at = $4, "
          "attempts = $5, sealed = $6, agent = $7, session = $8, trace = $9, name = $10 "
          "WHERE id = $11 AND namespace = $12",
          {lease.handle.resource, static_cast<std::int64_t>(lease.state),
           to_unix_millis(lease.expires_at), next_action_value(lease), lease.attempts,
           store::Blob{sealed}, std::move(labels.agent), std::move(labels.session),
           std::move(labels.trace), std::move(labels.name), lease.id, barrier.name_space()}));
  if (changed != 1) return Error{Errc::kNotFound, "lease not found"};
  return ok();
}

}  // namespace curfew::broker

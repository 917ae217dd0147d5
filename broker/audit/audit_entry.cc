#include "broker/audit/audit_entry.h"

#include "base/digest.h"
#include "base/duration.h"
#include "base/encoding.h"

namespace curfew::broker {
namespace {

// Times are no secrets and are useful in the clear.
bool is_time(const std::string& text) {
  return text.size() >= 20 && text.size() <= 35 && text[4] == '-' && text[10] == 'T' &&
         parse_rfc3339(text).has_value();
}

// The first namespace has no path, as Vault's audit log has it.
Json namespace_json(const AuditNamespace& name_space) {
  Json out = {{"id", name_space.id}};
  if (!name_space.path.empty()) out["path"] = name_space.path;
  return out;
}

Json subject_json(const AuditEntry& entry, const AuditHasher& hasher) {
  Json auth = Json::object();
  const AuditSubject& subject = entry.subject;
  if (subject.token != nullptr) {
    const Token& token = *subject.token;
    auth["client_token"] = hasher.secret(subject.secret->reveal());
    auth["accessor"] = hasher.accessor(token.accessor);
    auth["display_name"] = token.display_name;
    auth["policies"] = token.policies;
    auth["token_policies"] = token.policies;
    if (!token.meta.empty()) auth["metadata"] = token.meta;
    if (!token.entity_id.empty()) auth["entity_id"] = token.entity_id;
    if (!entry.entity_name.empty()) auth["entity_name"] = entry.entity_name;
    if (!entry.human.empty()) auth["human"] = entry.human;
    if (!entry.sub_agent.empty()) auth["sub_agent"] = entry.sub_agent;
    auth["token_type"] = token.type_name();
    auth["token_issue_time"] = format_rfc3339(token.created_at);
    if (token.creation_ttl > Millis{0})
      auth["token_ttl"] = std::chrono::round<Seconds>(token.creation_ttl).count();
    if (token.num_uses != 0) auth["remaining_uses"] = std::max<std::int64_t>(token.num_uses, 0);
  }
  if (subject.decided) {
    Json& results = auth["policy_results"];
    results["allowed"] = subject.allowed;
    if (!subject.granting_policies.empty()) {
      for (const std::string& name : subject.granting_policies)
        results["granting_policies"].push_back(
            {{"name", name}, {"namespace_id", entry.policy_namespace}, {"type", "acl"}});
    }
    if (!subject.reason.empty()) results["reason"] = subject.reason;
  }
  return auth;
}

Json request_json(const AuditEntry& entry, const AuditHasher& hasher) {
  const Request& request = entry.request;
  Json out = {{"id", request.id},
              {"operation", request.help ? "help" : operation_name(request.operation)},
              {"namespace", namespace_json(entry.name_space)},
              {"path", request.path},
              {"remote_address", request.remote_address},
              {"remote_port", request.remote_port}};
  if (request.peer_certificate != nullptr)
    out["client_certificate_serial_number"] = request.peer_certificate->serial_number;
  if (!entry.mount_type.empty()) out["mount_type"] = entry.mount_type;
  if (!entry.mount_path.empty()) out["mount_point"] = entry.mount_path;
  if (!entry.mount_accessor.empty()) out["mount_accessor"] = entry.mount_accessor;
  if (!request.token.empty()) out["client_token"] = hasher.secret(request.token.reveal());
  if (entry.subject.token != nullptr)
    out["client_token_accessor"] = hasher.accessor(entry.subject.token->accessor);
  if (!request.data.empty()) out["data"] = hasher.data(request.data, entry.clear_request_keys);
  if (request.wrap_ttl) out["wrap_ttl"] = std::chrono::round<Seconds>(*request.wrap_ttl).count();
  if (!entry.purpose.empty()) out["purpose"] = entry.purpose;
  if (!entry.session.empty()) out["session"] = entry.session;
  if (!entry.trace_id.empty()) out["trace_id"] = entry.trace_id;
  if (!entry.ticket.empty()) out["ticket"] = entry.ticket;
  return out;
}

void add_wrap_info(const WrapInfo& wrap, const AuditHasher& hasher, Json& out) {
  out["wrap_info"] = {{"token", hasher.secret(wrap.token.reveal())},
                      {"accessor", hasher.accessor(wrap.accessor)},
                      {"ttl", std::chrono::round<Seconds>(wrap.ttl).count()},
                      {"creation_time", format_rfc3339(wrap.created_at)},
                      {"creation_path", wrap.creation_path}};
  if (!wrap.wrapped_accessor.empty())
    out["wrap_info"]["wrapped_accessor"] = hasher.accessor(wrap.wrapped_accessor);
  // Whoever reads the log finds the lease without the recipient's help.
  if (!wrap.lease_id.empty()) out["secret"] = {{"lease_id", wrap.lease_id}};
}

Json response_json(const AuditEntry& entry, const AuditHasher& hasher) {
  const Response& response = *entry.response;
  Json out = Json::object();
  if (!entry.mount_type.empty()) out["mount_type"] = entry.mount_type;
  if (!response.lease_id.empty()) {
    out["secret"] = {{"lease_id", response.lease_id},
                     {"ttl", std::chrono::round<Seconds>(response.lease_duration).count()}};
  }
  if (!response.data.is_null()) out["data"] = hasher.data(response.data, entry.clear_response_keys);
  if (response.auth) {
    const Auth& auth = *response.auth;
    out["auth"] = {{"client_token", hasher.secret(auth.client_token.reveal())},
                   {"accessor", hasher.accessor(auth.accessor)},
                   {"policies", auth.policies},
                   {"token_policies", auth.token_policies},
                   {"token_type", auth.token_type},
                   {"token_ttl", std::chrono::round<Seconds>(auth.lease_duration).count()}};
    if (!auth.metadata.is_null()) out["auth"]["metadata"] = auth.metadata;
    if (!auth.entity_id.empty()) out["auth"]["entity_id"] = auth.entity_id;
    if (!auth.identity_policies.empty()) out["auth"]["identity_policies"] = auth.identity_policies;
  }
  if (response.wrap_info) add_wrap_info(*response.wrap_info, hasher, out);
  if (!response.approval.is_null()) out["approval"] = response.approval;
  if (response.replayed) out["replayed"] = true;  // an earlier attempt's lease, given again
  if (!response.warnings.empty()) out["warnings"] = response.warnings;
  return out;
}

}  // namespace

AuditHasher::AuditHasher(Secret salt, bool raw, bool hash_accessors)
    : salt_(std::move(salt)), raw_(raw), hash_accessors_(hash_accessors) {}

std::string AuditHasher::hash(std::string_view value) const {
  return "hmac-sha256:" + hex_encode(hmac_sha256(salt_.reveal(), value));
}

std::string AuditHasher::secret(std::string_view value) const {
  if (value.empty() || raw_) return std::string(value);
  return hash(value);
}

std::string AuditHasher::accessor(std::string_view value) const {
  return hash_accessors_ ? secret(value) : std::string(value);
}

Json AuditHasher::data(const Json& data, const std::set<std::string>& clear) const {
  if (raw_) return data;
  if (data.is_string()) {
    const auto& text = data.get_ref<const std::string&>();
    return is_time(text) ? data : Json(hash(text));
  }
  if (data.is_array()) {
    Json out = Json::array();
    for (const Json& item : data) out.push_back(this->data(item, {}));
    return out;
  }
  if (data.is_object()) {
    Json out = Json::object();
    for (const auto& [key, item] : data.items())
      out[key] = clear.contains(key) ? item : this->data(item, {});
    return out;
  }
  return data;
}

std::string render_audit_entry(const AuditEntry& entry, const AuditHasher& hasher) {
  Json line = {{"time", format_rfc3339(entry.time)},
               {"type", entry.response != nullptr ? "response" : "request"},
               {"auth", subject_json(entry, hasher)},
               {"request", request_json(entry, hasher)}};
  if (entry.response != nullptr) line["response"] = response_json(entry, hasher);
  if (entry.error != nullptr) {
    line["error"] = entry.error->message;
    if (entry.error->message.empty()) line["error"] = errc_name(entry.error->code);
  }
  return dump_json(line);
}

std::string render_audit_end(WallTime time, const AuditNamespace& name_space, const Json& lease,
                             const AuditHasher& hasher) {
  Json line = {{"time", format_rfc3339(time)},
               {"type", "revocation"},
               {"namespace", namespace_json(name_space)},
               {"lease", lease}};
  Json& accessor = line["lease"]["attribution"]["token_accessor"];
  accessor = hasher.accessor(accessor.is_string() ? accessor.get<std::string>() : "");
  return dump_json(line);
}

}  // namespace curfew::broker

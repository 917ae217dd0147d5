#include "broker/request_course.h"

// What is on record of a request, and what is taken back where that fails.
namespace curfew::broker {
namespace {

// Taking a broken audit device away, or putting a working one beside it, must be possible while it
// refuses everything else.
bool repairs_audit(const Request& request) {
  return request.path.starts_with("sys/audit/") &&
         (request.operation == Operation::kDelete || request.operation == Operation::kUpdate);
}

// What was meant in an incident, and why, is no secret and is what an auditor looks for: it stands
// in the audit log in the clear.
bool is_incident(const Request& request) {
  return request.path.starts_with("sys/leases/end") || request.path.starts_with("sys/lockdown") ||
         request.path.starts_with("sys/whois");
}

const std::set<std::string>& incident_words() {
  static const std::set<std::string> kWords = {"reason",   "agent",        "session", "trace",
                                               "role",     "target",       "mount",   "id",
                                               "lockdown", "database_role"};
  return kWords;
}

}  // namespace

AuditEntry RequestPipeline::entry_of(const Course& course, WallTime time) const {
  return {.time = time,
          .request = course.request,
          .subject = course.subject,
          .mount_type = course.mount_type,
          .mount_path = course.mount_path,
          .mount_accessor = course.mount_accessor,
          .purpose = course.attribution.purpose,
          .session = course.attribution.session,
          .trace_id = course.attribution.trace_id,
          .ticket = course.attribution.ticket,
          .entity_name = course.attribution.entity_name,
          .human = course.attribution.human,
          .sub_agent = course.attribution.sub_agent,
          .clear_request_keys = {},
          .clear_response_keys = {},
          .name_space = {parts_.place.id, parts_.place.path},
          .policy_namespace = course.home != nullptr ? course.home->id : parts_.place.id};
}

// In words, which nobody needs where nothing is audited.
void RequestPipeline::explain_decision(Course& course) {
  if (!course.decision) return;
  course.subject.reason = course.decision->text();
  if (course.decision->allowed && course.decision->rule != nullptr)
    course.subject.granting_policies = course.decision->rule->policies;
}

Status RequestPipeline::audit_request(Course& course, const Error* error) {
  // Health checks and the like come many times a minute and tell nothing.
  if (course.route != nullptr && course.route->works_sealed) return ok();
  if (course.unaudited_refusal) return ok();
  // What was on hold has its line.
  if (!parts_.audit.is_on() || course.request.resumed) {
    course.request_audited = true;
    return ok();
  }
  explain_decision(course);
  AuditEntry entry = entry_of(course, course.now);
  if (const MountEntry* mount = course.mount_entry())
    entry.clear_request_keys = mount->config.audit_non_hmac_request_keys;
  if (is_incident(course.request)) entry.clear_request_keys = incident_words();
  entry.error = error;
  const Status written = parts_.audit.write(entry);
  if (!written && repairs_audit(course.request) && error == nullptr) {
    parts_.log.warn("request to an audit path goes on without audit",
                    {{"path", course.request.path}, {"request", course.request.id}});
    return ok();
  }
  course.request_audited = written.has_value();
  return written;
}

Result<Response> RequestPipeline::audit_response(Course& course, Result<Response> outcome) {
  if (!course.request_audited || !parts_.audit.is_on()) return outcome;
  explain_decision(course);
  static const Response kNothing;
  AuditEntry entry = entry_of(course, parts_.clock.wall());
  if (const MountEntry* mount = course.mount_entry())
    entry.clear_response_keys = mount->config.audit_non_hmac_response_keys;
  if (is_incident(course.request)) entry.clear_response_keys = incident_words();
  entry.response = outcome ? &*outcome : &kNothing;
  entry.error = outcome ? nullptr : &outcome.error();
  const Status written = parts_.audit.write(entry);
  if (written || repairs_audit(course.request)) return outcome;
  // Sealing takes the devices away before it answers; the answer says nothing.
  const bool says_nothing = outcome && !outcome->says_something();
  if (written.error().code == Errc::kSealed && says_nothing) return outcome;
  if (outcome && course.route != nullptr && course.route->irreversible) {
    parts_.log.error("answer given without its audit line, for it cannot be had again",
                     {{"path", course.request.path},
                      {"request", course.request.id},
                      {"error", written.error().message}});
    return outcome;
  }
  // What nobody can account for, nobody may have.
  if (outcome) take_back(*outcome, "not audited");
  return written.error();
}

void RequestPipeline::undelivered(const Response& response) {
  if (response.gives_lease()) parts_.retries.lost(response);
  take_tokens_back(response, "not delivered");
}

// No line, no credential. Who got it from an earlier attempt has its line and keeps it.
void RequestPipeline::take_back(const Response& response, std::string_view why) {
  if (response.replayed) {
    parts_.retries.lost(response);
  } else if (response.gives_lease()) {
    const Status ended = parts_.leases.revoke_later(response.lease_id);
    parts_.log.warn("credential taken back", {{"why", std::string(why)},
                                              {"lease", response.lease_id},
                                              {"error", ended ? "" : ended.error().message}});
  }
  take_tokens_back(response, why);
}

// A wrapping token takes what it would have opened with it.
void RequestPipeline::take_tokens_back(const Response& response, std::string_view why) {
  if (response.auth && response.auth->made_now)
    take_token_back(response.auth->client_token, response.auth->accessor, why);
  if (response.wrap_info)
    take_token_back(response.wrap_info->token, response.wrap_info->accessor, why);
}

void RequestPipeline::take_token_back(const Secret& token, std::string_view accessor,
                                      std::string_view why) {
  const auto made = parts_.tokens.find(token);
  if (!made || !*made) return;
  const Status ended = parts_.tokens.revoke_tree(**made);
  parts_.token_ended();
  parts_.log.warn("token taken back", {{"why", std::string(why)},
                                       {"accessor", std::string(accessor)},
                                       {"error", ended ? "" : ended.error().message}});
}

void RequestPipeline::end_used_up(const Course& course) {
  if (!course.caller || course.caller->token.num_uses >= 0) return;
  const Status ended = course.home->tokens.revoke_tree(course.caller->token);
  if (!ended) parts_.log.error("used-up token not ended", {{"error", ended.error().message}});
  course.home->token_ended();
}

}  // namespace curfew::broker

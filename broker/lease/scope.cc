#include "broker/lease/scope.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "broker/attribution.h"
#include "broker/mount/mount_table.h"
#include "broker/token/token_service.h"

namespace curfew::broker {
namespace {

struct Member {
  const char* name;
  std::string LeaseScope::*member;
  const char* description;
};

constexpr std::array kMembers = {
    Member{"agent", &LeaseScope::agent,
           "Who asked: the entity's id, or the display name of a token without one; tokens "
           "that it made count as it, whatever their names."},
    Member{"session", &LeaseScope::session, "The session that the caller named."},
    Member{"trace", &LeaseScope::trace, "The trace id of the request, 32 hex digits."},
    Member{"token", &LeaseScope::token, "Accessor of a token; with the tokens below it."},
    Member{"role", &LeaseScope::role, "Name of a role."},
    Member{"target", &LeaseScope::target, "What the lease depends on, as a database's name."},
    Member{"mount", &LeaseScope::mount, "Path of a mount."},
};

bool is_empty(const LeaseScope& scope) {
  return std::all_of(kMembers.begin(), kMembers.end(),
                     [&](const Member& part) { return (scope.*part.member).empty(); });
}

Error bad_trace() {
  return {Errc::kInvalidArgument,
          "field \"trace\": expected the 32 hexadecimal digits of a trace id"};
}

Status check_trace(std::string& trace) {
  if (trace.empty()) return ok();
  std::transform(trace.begin(), trace.end(), trace.begin(), [](char c) {
    return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  const bool hex = trace.find_first_not_of("0123456789abcdef") == std::string::npos;
  return hex && trace.size() == 32 ? ok() : Status(bad_trace());
}

}  // namespace

bool LeaseScope::is_token_alone() const {
  LeaseScope rest = *this;
  rest.token.clear();
  return !token.empty() && is_empty(rest);
}

std::vector<FieldSpec> scope_fields() {
  std::vector<FieldSpec> fields;
  for (const Member& part : kMembers)
    fields.push_back({part.name, FieldType::kText, part.description});
  fields.push_back({"namespace", FieldType::kText, "\"root\", the only one: everything."});
  fields.push_back({"all", FieldType::kBoolean, "Everything."});
  return fields;
}

Result<LeaseScope> optional_scope_of_request(const Json& data) {
  const Fields fields(data);
  LeaseScope scope;
  for (const Member& part : kMembers) {
    ASSIGN_OR_RETURN(scope.*part.member, fields.text_or(part.name, ""));
  }
  scope.agent = agent_name(scope.agent);
  RETURN_IF_ERROR(check_trace(scope.trace));
  ASSIGN_OR_RETURN(const std::string name_space, fields.text_or("namespace", ""));
  if (!name_space.empty() && name_space != "root" && name_space != "/")
    return Error{Errc::kInvalidArgument,
                 "field \"namespace\": namespaces are not supported yet; there is only \"root\""};
  ASSIGN_OR_RETURN(const bool all, fields.boolean_or("all", false));
  if (all && !is_empty(scope))
    return Error{Errc::kInvalidArgument,
                 "field \"all\": means everything, so nothing else can be named beside it; leave "
                 "one of them out"};
  scope.all = all || (!name_space.empty() && is_empty(scope));
  return scope;
}

Result<LeaseScope> scope_of_request(const Json& data) {
  ASSIGN_OR_RETURN(LeaseScope scope, optional_scope_of_request(data));
  if (!scope.all && is_empty(scope))
    return Error{Errc::kInvalidArgument,
                 "say which leases: agent, session, trace, token, role, target or mount (several "
                 "narrow it down), or all=true"};
  return scope;
}

Status resolve_scope(LeaseScope& scope, const MountTable& mounts, const TokenService& tokens) {
  if (!scope.mount.empty()) {
    const auto mount = mounts.at(scope.mount);
    if (!mount)
      return Error{Errc::kInvalidArgument,
                   fmt::format("field \"mount\": nothing is mounted at \"{}\"", scope.mount)};
    scope.mount = mount->entry.path;
    scope.mount_id = mount->entry.accessor;
  }
  if (!scope.token.empty()) {
    ASSIGN_OR_RETURN(const auto token, tokens.find_by_accessor(scope.token));
    if (!token)
      return Error{Errc::kInvalidArgument,
                   "field \"token\": no living token has this accessor; what a token held ends "
                   "with it"};
    scope.token_id = token->id;
  }
  return ok();
}

Json to_api(const LeaseScope& scope) {
  Json out = Json::object();
  for (const Member& part : kMembers)
    if (!(scope.*part.member).empty()) out[part.name] = scope.*part.member;
  if (scope.all) out["all"] = true;
  return out;
}

Json to_json(const LeaseScope& scope) {
  Json out = to_api(scope);
  out["mount_id"] = scope.mount_id;
  out["token_id"] = scope.token_id;
  return out;
}

LeaseScope scope_from_json(const Json& json) {
  LeaseScope scope;
  for (const Member& part : kMembers) scope.*part.member = json.value(part.name, "");
  scope.all = json.value("all", false);
  scope.mount_id = json.value("mount_id", "");
  scope.token_id = json.value("token_id", "");
  return scope;
}

std::string describe(const LeaseScope& scope) {
  if (scope.all) return "everything";
  std::string text;
  for (const Member& part : kMembers)
    if (!(scope.*part.member).empty())
      text +=
          fmt::format("{}{} \"{}\"", text.empty() ? "" : " and ", part.name, scope.*part.member);
  return text;
}

LeaseFilter filter_of(const LeaseScope& scope, const std::string& token) {
  return {.mount = scope.mount_id,
          .resource = scope.target,
          .role = scope.role,
          .token = token,
          .agent = scope.agent,
          .session = scope.session,
          .trace = scope.trace};
}

ScopeSubject subject_of(const Lease& lease) {
  return {.agent = agent_of(lease.attribution),
          .session = lease.attribution.session,
          .trace = lease.attribution.trace_id,
          .tokens = {lease.token},
          .mount_id = lease.mount,
          .role = lease.role,
          .target = lease.handle.resource};
}

bool covers(const LeaseScope& scope, const ScopeSubject& subject) {
  const auto fits = [](const std::string& wanted, const std::string& has) {
    return wanted.empty() || wanted == has;
  };
  if (!subject.planned && (!scope.role.empty() || !scope.target.empty())) return false;
  const bool by_token = scope.token_id.empty() ||
                        std::find(subject.tokens.begin(), subject.tokens.end(), scope.token_id) !=
                            subject.tokens.end();
  return by_token && fits(scope.agent, subject.agent) && fits(scope.session, subject.session) &&
         fits(scope.trace, subject.trace) && fits(scope.mount_id, subject.mount_id) &&
         fits(scope.role, subject.role) && fits(scope.target, subject.target);
}

}  // namespace curfew::broker

#include "engines/postgres/roles.h"

#include <fmt/format.h>

#include "base/duration.h"
#include "engines/postgres/statements.h"

namespace curfew::engines::postgres {
namespace {

Error bad(std::string message) {
  return {Errc::kInvalidArgument, std::move(message)};
}

constexpr std::int64_t kConnectionLimitMax = 10'000;

struct StatementList {
  const char* field;
  std::vector<std::string> LeaseRole::*list;
};
constexpr StatementList kLists[] = {
    {"creation_statements", &LeaseRole::creation_statements},
    {"revocation_statements", &LeaseRole::revocation_statements},
    {"renew_statements", &LeaseRole::renew_statements},
    {"rollback_statements", &LeaseRole::rollback_statements},
};

// What a role may require, where it stands, and by which header a caller says it.
struct Context {
  const char* name;
  std::string Attribution::*member;
  const char* header;
};
constexpr Context kContexts[] = {
    {"purpose", &Attribution::purpose, "X-Curfew-Purpose (curfew: -purpose)"},
    {"session", &Attribution::session, "X-Curfew-Session (curfew: -session)"},
    {"ticket", &Attribution::ticket, "X-Curfew-Ticket (curfew: -ticket)"},
    {"trace", &Attribution::trace_id, "traceparent (W3C trace context)"},
};

const Context* find_context(std::string_view name) {
  for (const Context& context : kContexts)
    if (name == context.name) return &context;
  return nullptr;
}

Status merge_context(const Json& data, LeaseRole& role) {
  ASSIGN_OR_RETURN(auto names, Fields(data).comma_list("required_context"));
  if (!names) return ok();
  for (const std::string& name : *names) {
    if (find_context(name) == nullptr)
      return bad(
          fmt::format("required_context: \"{}\" is not known; purpose, session, ticket and "
                      "trace are",
                      name.substr(0, 64)));
  }
  role.required_context = std::move(*names);
  return ok();
}

std::int64_t seconds(Millis time) {
  return std::chrono::floor<Seconds>(time).count();
}

Status merge_credential(const Json& data, LeaseRole& role) {
  const Fields fields(data);
  ASSIGN_OR_RETURN(const auto type, fields.text_or("credential_type", "password"));
  if (!type.empty() && type != "password")
    return bad("credential_type: \"password\" is what this engine makes");
  ASSIGN_OR_RETURN(const auto config, fields.text_map("credential_config"));
  if (config) {
    role.credential_config = Json::object();
    for (const auto& [key, value] : *config) {
      if (key != "password_policy")
        return bad(fmt::format("credential_config: \"{}\" is not known; password_policy is",
                               key.substr(0, 64)));
      role.credential_config[key] = value;
    }
  }
  return ok();
}

Status merge_times(const Json& data, LeaseRole& role) {
  const Fields fields(data);
  ASSIGN_OR_RETURN(role.default_ttl, fields.duration_or("default_ttl", role.default_ttl));
  ASSIGN_OR_RETURN(role.max_ttl, fields.duration_or("max_ttl", role.max_ttl));
  if (role.max_ttl > Millis{0} && role.default_ttl > role.max_ttl)
    return bad(fmt::format("default_ttl ({}) is longer than max_ttl ({})",
                           format_duration_short(role.default_ttl),
                           format_duration_short(role.max_ttl)));
  return ok();
}

}  // namespace

Status LeaseRole::check_context(const Attribution& attribution) const {
  for (const std::string& required : required_context) {
    const Context* context = find_context(required);
    // A name that a later program stored: what cannot be checked is not granted.
    if (context == nullptr || (attribution.*(context->member)).empty())
      return bad(fmt::format("role \"{}\" asks every request for its {}: send the header {}", name,
                             required, context == nullptr ? required : context->header));
  }
  return ok();
}

std::string LeaseRole::password_policy() const {
  return Fields(credential_config).text_or("password_policy", "").value();
}

Json LeaseRole::to_json() const {
  Json out{{"db_name", db_name},
           {"default_ttl_ms", default_ttl.count()},
           {"max_ttl_ms", max_ttl.count()},
           {"credential_config", credential_config}};
  if (allow_dangerous) out["allow_dangerous"] = true;
  if (connection_limit != kConnectionLimitDefault) out["connection_limit"] = connection_limit;
  if (!required_context.empty()) out["required_context"] = required_context;
  for (const auto& [field, list] : kLists) out[field] = this->*list;
  return out;
}

Result<LeaseRole> LeaseRole::from_json(std::string name, const Json& stored) {
  const Fields fields(stored);
  LeaseRole role;
  role.name = std::move(name);
  ASSIGN_OR_RETURN(role.db_name, fields.text_or("db_name", ""));
  ASSIGN_OR_RETURN(const auto default_ttl, fields.integer_or("default_ttl_ms", 0));
  ASSIGN_OR_RETURN(const auto max_ttl, fields.integer_or("max_ttl_ms", 0));
  role.default_ttl = Millis{default_ttl};
  role.max_ttl = Millis{max_ttl};
  ASSIGN_OR_RETURN(auto credential, fields.object("credential_config"));
  role.credential_config = std::move(credential).value_or(Json::object());
  ASSIGN_OR_RETURN(role.allow_dangerous, fields.boolean_or("allow_dangerous", false));
  ASSIGN_OR_RETURN(role.connection_limit,
                   fields.integer_or("connection_limit", kConnectionLimitDefault));
  ASSIGN_OR_RETURN(auto context, fields.string_list("required_context"));
  role.required_context = std::move(context).value_or(std::vector<std::string>{});
  for (const auto& [field, list] : kLists) {
    ASSIGN_OR_RETURN(auto statements, fields.string_list(field));
    role.*list = std::move(statements).value_or(std::vector<std::string>{});
  }
  return role;
}

Json LeaseRole::shown() const {
  Json out{{"db_name", db_name},
           {"default_ttl", seconds(default_ttl)},
           {"max_ttl", seconds(max_ttl)},
           {"credential_type", "password"}};
  if (!credential_config.empty()) out["credential_config"] = credential_config;
  if (allow_dangerous) out["allow_dangerous"] = true;
  if (connection_limit != kConnectionLimitDefault) out["connection_limit"] = connection_limit;
  if (!required_context.empty()) out["required_context"] = required_context;
  for (const auto& [field, list] : kLists) out[field] = this->*list;
  return out;
}

Result<LeaseRole> merge_role(std::string name, const std::optional<LeaseRole>& stored,
                             const Json& data) {
  LeaseRole role = stored.value_or(LeaseRole{});
  role.name = std::move(name);
  const Fields fields(data);
  ASSIGN_OR_RETURN(role.db_name, fields.text_or("db_name", role.db_name));
  if (role.db_name.empty()) return bad("database name is required");
  RETURN_IF_ERROR(merge_times(data, role));
  RETURN_IF_ERROR(merge_credential(data, role));
  RETURN_IF_ERROR(merge_context(data, role));
  for (const auto& [field, list] : kLists) {
    ASSIGN_OR_RETURN(auto statements, fields.string_list(field));
    if (statements) role.*list = std::move(*statements);
    RETURN_IF_ERROR(examine_statements(field, role.*list));
  }
  ASSIGN_OR_RETURN(role.allow_dangerous,
                   fields.boolean_or("allow_dangerous", role.allow_dangerous));
  ASSIGN_OR_RETURN(role.connection_limit,
                   fields.integer_or("connection_limit", role.connection_limit));
  if (role.connection_limit < 0 || role.connection_limit > kConnectionLimitMax)
    return bad(fmt::format("connection_limit: a number from 1 to {}, or 0 for no limit",
                           kConnectionLimitMax));
  return role;
}

std::string role_key(std::string_view name) {
  return "role/" + std::string(name);
}

Result<std::optional<LeaseRole>> load_role(const MountStorage& storage, std::string_view name) {
  ASSIGN_OR_RETURN(const auto stored, storage.get(role_key(name)));
  if (!stored) return std::optional<LeaseRole>{};
  ASSIGN_OR_RETURN(auto role, LeaseRole::from_json(std::string(name), *stored));
  return std::optional{std::move(role)};
}

std::vector<FieldSpec> role_fields() {
  return {
      {"db_name", FieldType::kText, "the target, by the name of its configuration", true},
      {"creation_statements", FieldType::kList,
       "SQL that makes a role; {{name}}, {{password}} and {{expiration}} are filled in"},
      {"revocation_statements", FieldType::kList,
       "SQL that cleans up behind a role; the built-in cleaning if empty"},
      {"renew_statements", FieldType::kList, "SQL that moves the expiry; built in if empty"},
      {"rollback_statements", FieldType::kList,
       "SQL for a role whose creation was in doubt, before the built-in cleaning"},
      {"default_ttl", FieldType::kDuration, "how long a lease lives if nothing else is asked for"},
      {"max_ttl", FieldType::kDuration, "how long it may live with renewals"},
      {"credential_type", FieldType::kText, "password"},
      {"credential_config", FieldType::kMap, "password_policy: a policy for this role alone"},
      {"allow_dangerous", FieldType::kBoolean,
       "take statements that let a leased role escalate or outlive its lease (false)"},
      {"connection_limit", FieldType::kInteger,
       "sessions of one leased role at a time, where its statements set no CONNECTION LIMIT (20); "
       "0: "
       "no limit"},
      {"required_context", FieldType::kList,
       "what every request has to say of itself: purpose, session, ticket, trace"},
      {"rehearse", FieldType::kBoolean,
       "try the statements at the target before this is stored (true); not kept"},
  };
}

}  // namespace curfew::engines::postgres

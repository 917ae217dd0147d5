#include "broker/auth/jwt/jwt_role.h"

#include <set>

#include "base/duration.h"
#include "broker/auth/https_client.h"

namespace curfew::broker::jwt {
namespace {

constexpr std::size_t kListMax = 100;

Error invalid(std::string why) {
  return {Errc::kInvalidArgument, std::move(why)};
}

Error wrong(std::string_view field, const std::string& why) {
  return invalid("field \"" + std::string(field) + "\": " + why);
}

Status take_list(const Fields& fields, const char* name, std::vector<std::string>& into) {
  ASSIGN_OR_RETURN(auto value, fields.comma_list(name));
  if (value) into = std::move(*value);
  if (into.size() > kListMax) return wrong(name, "more than 100 values");
  return ok();
}

// As a duration, but one that may be negative: that turns a leeway off.
Status take_leeway(const Fields& fields, const char* name, Seconds& into) {
  ASSIGN_OR_RETURN(const auto text, fields.text(name));
  if (!text) return ok();
  const auto parsed = parse_duration(*text);
  if (!parsed) return wrong(name, "expected seconds or a duration; less than 0 turns it off");
  into = std::chrono::floor<Seconds>(*parsed);
  return ok();
}

bool is_scalar(const Json& value) {
  return value.is_string() || value.is_boolean() || value.is_number();
}

Status take_bound_claims(const Fields& fields, ClaimRules& rules) {
  ASSIGN_OR_RETURN(const auto object, fields.object("bound_claims"));
  if (!object) return ok();
  if (object->size() > kListMax) return wrong("bound_claims", "more than 100 claims");
  rules.bound_claims.clear();
  for (const auto& [name, value] : object->items()) {
    const Json list = value.is_array() ? value : Json::array({value});
    if (list.empty() || list.size() > kListMax)
      return wrong("bound_claims", "claim \"" + name + "\" needs 1 to 100 values");
    for (const Json& one : list)
      if (!is_scalar(one))
        return wrong("bound_claims",
                     "the values of claim \"" + name + "\" must be strings, numbers or booleans");
    rules.bound_claims[name] = list.get<std::vector<Json>>();
  }
  return ok();
}

Status take_bound_claims_type(const Fields& fields, ClaimRules& rules) {
  ASSIGN_OR_RETURN(const std::string type,
                   fields.text_or("bound_claims_type", rules.globs ? "glob" : "string"));
  if (type != "string" && type != "glob" && !type.empty())
    return wrong("bound_claims_type", "expected \"string\" or \"glob\"");
  rules.globs = type == "glob";
  if (!rules.globs) return ok();
  for (const auto& [name, values] : rules.bound_claims)
    for (const Json& value : values)
      if (!value.is_string())
        return wrong("bound_claims",
                     "claim \"" + name + "\" must have texts as values to be a glob");
  return ok();
}

Status take_mappings(const Fields& fields, ClaimRules& rules) {
  ASSIGN_OR_RETURN(auto mappings, fields.text_map("claim_mappings"));
  if (!mappings) return ok();
  if (mappings->size() > kListMax) return wrong("claim_mappings", "more than 100 claims");
  std::set<std::string> used = {"role"};
  for (const auto& [claim, key] : *mappings)
    if (key.empty() || !used.insert(key).second)
      return wrong("claim_mappings", "the metadata key \"" + key +
                                         "\" is empty, used twice or kept for the role's name");
  rules.claim_mappings = std::move(*mappings);
  return ok();
}

Status take_claims(const Fields& fields, ClaimRules& rules) {
  RETURN_IF_ERROR(take_list(fields, "bound_audiences", rules.bound_audiences));
  ASSIGN_OR_RETURN(rules.bound_subject, fields.text_or("bound_subject", rules.bound_subject));
  RETURN_IF_ERROR(take_bound_claims(fields, rules));
  RETURN_IF_ERROR(take_bound_claims_type(fields, rules));
  ASSIGN_OR_RETURN(rules.user_claim, fields.text_or("user_claim", rules.user_claim));
  if (rules.user_claim.empty()) return invalid("a user claim must be defined on the role");
  ASSIGN_OR_RETURN(rules.user_claim_is_pointer,
                   fields.boolean_or("user_claim_json_pointer", rules.user_claim_is_pointer));
  if (rules.user_claim_is_pointer && !rules.user_claim.starts_with('/'))
    return wrong("user_claim", "a JSON pointer begins with '/'");
  ASSIGN_OR_RETURN(rules.groups_claim, fields.text_or("groups_claim", rules.groups_claim));
  RETURN_IF_ERROR(take_mappings(fields, rules));
  RETURN_IF_ERROR(take_leeway(fields, "expiration_leeway", rules.expiration_leeway));
  RETURN_IF_ERROR(take_leeway(fields, "not_before_leeway", rules.not_before_leeway));
  RETURN_IF_ERROR(take_leeway(fields, "clock_skew_leeway", rules.clock_skew_leeway));
  return take_leeway(fields, "max_age", rules.max_age);
}

bool is_loopback_http(std::string_view uri) {
  for (const std::string_view host : {"http://localhost", "http://127.0.0.1", "http://[::1]"}) {
    if (!uri.starts_with(host)) continue;
    const std::string_view rest = uri.substr(host.size());
    return rest.empty() || rest[0] == ':' || rest[0] == '/';
  }
  return false;
}

Status take_browser(const Fields& fields, JwtRole& role) {
  RETURN_IF_ERROR(take_list(fields, "allowed_redirect_uris", role.allowed_redirect_uris));
  for (const std::string& uri : role.allowed_redirect_uris)
    if (!is_loopback_http(uri) && !check_https_url("allowed_redirect_uris", uri))
      return wrong("allowed_redirect_uris",
                   "\"" + uri + "\" is neither an https:// address nor http:// to this machine");
  RETURN_IF_ERROR(take_list(fields, "oidc_scopes", role.oidc_scopes));
  for (const std::string& scope : role.oidc_scopes)
    if (scope.find_first_of(" \"\\\t\r\n") != std::string::npos)
      return wrong("oidc_scopes", "a scope holds no blanks, quotes or backslashes");
  ASSIGN_OR_RETURN(
      const std::string mode,
      fields.text_or("callback_mode",
                     role.callback == JwtRole::Callback::kDirect ? "direct" : "client"));
  if (mode != "client" && mode != "direct")
    return wrong("callback_mode", "expected \"client\" or \"direct\"");
  role.callback = mode == "direct" ? JwtRole::Callback::kDirect : JwtRole::Callback::kClient;
  RETURN_IF_ERROR(take_leeway(fields, "poll_interval", role.poll_interval));
  if (role.poll_interval < Seconds{1} || role.poll_interval > Seconds{60})
    return wrong("poll_interval", "expected 1 to 60 seconds");
  return ok();
}

Status take_type(const Fields& fields, JwtRole& role) {
  const bool oidc = role.type == JwtRole::Type::kOidc;
  ASSIGN_OR_RETURN(const std::string type, fields.text_or("role_type", oidc ? "oidc" : "jwt"));
  if (type != "jwt" && type != "oidc" && !type.empty())
    return invalid("invalid 'role_type': " + type + "; expected \"jwt\" or \"oidc\"");
  role.type = type == "jwt" ? JwtRole::Type::kJwt : JwtRole::Type::kOidc;
  return ok();
}

Status check(const JwtRole& role) {
  if (role.type == JwtRole::Type::kOidc)
    return role.allowed_redirect_uris.empty()
               ? Status(invalid("'allowed_redirect_uris' must be set if 'role_type' is 'oidc' or "
                                "unspecified."))
               : ok();
  const ClaimRules& claims = role.claims;
  if (claims.bound_audiences.empty() && claims.bound_subject.empty() &&
      claims.bound_claims.empty() && role.tokens.bound_cidrs.empty())
    return invalid("must have at least one bound constraint when creating/updating a role");
  return ok();
}

std::int64_t seconds(Seconds value) {
  return value.count();
}

}  // namespace

Status apply_fields(const Json& data, JwtRole& role) {
  const Fields fields(data);
  RETURN_IF_ERROR(take_type(fields, role));
  RETURN_IF_ERROR(take_claims(fields, role.claims));
  RETURN_IF_ERROR(take_browser(fields, role));
  RETURN_IF_ERROR(apply_fields(data, role.tokens));
  return check(role);
}

Json to_api(const JwtRole& role) {
  const ClaimRules& rules = role.claims;
  Json bound = Json::object();
  for (const auto& [name, values] : rules.bound_claims) bound[name] = values;
  Json out = {{"allowed_redirect_uris", role.allowed_redirect_uris},
              {"bound_audiences", rules.bound_audiences},
              {"bound_claims", std::move(bound)},
              {"bound_claims_type", rules.globs ? "glob" : "string"},
              {"bound_subject", rules.bound_subject},
              {"callback_mode", role.callback == JwtRole::Callback::kDirect ? "direct" : "client"},
              {"claim_mappings", rules.claim_mappings},
              {"clock_skew_leeway", seconds(rules.clock_skew_leeway)},
              {"expiration_leeway", seconds(rules.expiration_leeway)},
              {"groups_claim", rules.groups_claim},
              {"max_age", seconds(rules.max_age)},
              {"not_before_leeway", seconds(rules.not_before_leeway)},
              {"oidc_scopes", role.oidc_scopes},
              {"poll_interval", seconds(role.poll_interval)},
              {"role_type", role.type == JwtRole::Type::kJwt ? "jwt" : "oidc"},
              {"user_claim", rules.user_claim},
              {"user_claim_json_pointer", rules.user_claim_is_pointer},
              {"verbose_oidc_logging", false}};
  add_to_api(role.tokens, out);
  return out;
}

Json to_stored(const JwtRole& role) {
  Json stored = to_api(role);
  stored["tokens"] = to_stored(role.tokens);
  return stored;
}

Result<JwtRole> role_from_stored(const Json& stored) {
  JwtRole role;
  const Fields fields(stored);
  RETURN_IF_ERROR(take_type(fields, role));
  RETURN_IF_ERROR(take_claims(fields, role.claims));
  RETURN_IF_ERROR(take_browser(fields, role));
  role.tokens = token_rules_from_stored(stored.at("tokens"));
  return role;
}

std::vector<FieldSpec> role_fields() {
  using enum FieldType;
  std::vector<FieldSpec> fields = {
      {"role_type", kText,
       "\"jwt\": a token is handed in; \"oidc\" (default): through the browser."},
      {"bound_audiences", kList, "One of these must be in the claim aud."},
      {"bound_subject", kText, "What the claim sub must be."},
      {"bound_claims", kMap, "Claims and the values, or lists of values, that they must have."},
      {"bound_claims_type", kText, "\"string\" (default), or \"glob\" where '*' is for anything."},
      {"user_claim", kText, "The claim that names who logs in.", true},
      {"user_claim_json_pointer", kBoolean, "Whether user_claim is a JSON pointer."},
      {"groups_claim", kText, "The claim that lists groups."},
      {"claim_mappings", kMap, "Claims that become metadata, and the metadata's names."},
      {"expiration_leeway", kDuration, "Added to iat or nbf where exp is missing (150 s)."},
      {"not_before_leeway", kDuration, "Taken from exp where nbf and iat are missing (150 s)."},
      {"clock_skew_leeway", kDuration, "How far the clocks may differ (60 s)."},
      {"max_age", kDuration, "How long ago the person may have authenticated (claim auth_time)."},
      {"allowed_redirect_uris", kList, "Where the provider may send the browser."},
      {"oidc_scopes", kList, "Asked for beside \"openid\"."},
      {"callback_mode", kText, "\"client\" (default) or \"direct\"."},
      {"poll_interval", kDuration, "How often a client of callback mode \"direct\" asks."}};
  for (FieldSpec& field : token_rules_fields()) fields.push_back(std::move(field));
  return fields;
}

}  // namespace curfew::broker::jwt

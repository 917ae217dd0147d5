#include "broker/token/token_backend.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/duration.h"
#include "broker/attribution.h"
#include "broker/token/batch_token.h"
#include "broker/token/cidr.h"
#include "broker/token/token_api.h"
#include "broker/token/token_certificate.h"

namespace curfew::broker {
namespace {

constexpr std::size_t kPoliciesMax = 256;
constexpr std::size_t kMetaMax = 64;

Error invalid(std::string message) {
  return {Errc::kInvalidArgument, std::move(message)};
}

Result<Response> no_content() {
  return Response{};
}

}  // namespace

TokenBackend::TokenBackend(TokenService& tokens, TokenRoles& roles, PolicyStore& policies,
                           const LoginService& logins, Delegation delegation,
                           std::function<TokenMountTtl()> mount_ttl,
                           std::function<void()> token_ended)
    : tokens_(tokens),
      roles_(roles),
      policies_(policies),
      logins_(logins),
      delegation_(std::move(delegation)),
      mount_ttl_(std::move(mount_ttl)),
      token_ended_(std::move(token_ended)),
      routes_(make_routes()) {}

Result<std::optional<bool>> TokenBackend::exists(const BackendCall& call) const {
  if (!call.request.path.starts_with("auth/token/roles/")) return std::optional<bool>{};
  ASSIGN_OR_RETURN(const auto role, roles_.get(call.param("name")));
  return std::optional<bool>{role.has_value()};
}

// ---- create ---------------------------------------------------------------------------------

namespace {

// The type that the role fixes, else what is asked for, else what the role or Vault gives without
// being asked.
Result<TokenType> type_asked(const std::string& asked, const TokenRole* role) {
  const std::string of_role = role != nullptr ? role->token_type : "default-service";
  const bool fixed = of_role == "service" || of_role == "batch";
  const std::string usual = of_role.ends_with("batch") ? "batch" : "service";
  const std::string& type = fixed || asked.empty() ? usual : asked;
  if (type == "service") return TokenType::kService;
  if (type == "batch") return TokenType::kBatch;
  return invalid("invalid 'token_type' value: expected \"service\" or \"batch\"");
}

// What would have to be written down somewhere, a batch token cannot have.
Status check_batch(const TokenSpec& spec) {
  const char* odd = spec.explicit_max_ttl > Millis{0} ? "explicit_max_ttl"
                    : spec.num_uses != 0              ? "num_uses"
                    : spec.period > Millis{0}         ? "period"
                    : !spec.id.empty()                ? "id"
                                                      : nullptr;
  if (odd != nullptr) return invalid(fmt::format("batch tokens cannot have \"{}\" set", odd));
  if (spec.policies == std::vector<std::string>{"root"})
    return invalid("batch tokens cannot be root tokens");
  return ok();
}

// What the role says outweighs what the caller asked for.
void apply_role(const TokenRole& role, TokenSpec& spec) {
  spec.role = role.name;
  spec.renewable = spec.renewable && role.renewable;
  if (!role.bound_cidrs.empty()) spec.bound_cidrs = role.bound_cidrs;
  if (role.period > Millis{0}) spec.period = role.period;
  if (role.explicit_max_ttl > Millis{0})
    spec.explicit_max_ttl = spec.explicit_max_ttl > Millis{0}
                                ? std::min(spec.explicit_max_ttl, role.explicit_max_ttl)
                                : role.explicit_max_ttl;
  if (role.num_uses > 0)
    spec.num_uses = spec.num_uses > 0 ? std::min(spec.num_uses, role.num_uses) : role.num_uses;
  if (!role.path_suffix.empty()) spec.path += "/" + role.path_suffix;
}

Status check_maker(const Caller& caller, bool sudo) {
  if (caller.token.is_batch()) return invalid("batch tokens cannot create more tokens");
  if (caller.token.num_uses != 0)
    return invalid("restricted use token cannot generate child tokens");
  // The first tokens of a namespace are made from above. They live by themselves.
  if (caller.from_above && !sudo)
    return invalid("root or sudo privileges required to create a token in another namespace");
  // There it would be nobody's: without the agent's ceiling and budgets, and without the human.
  const Token& token = caller.token;
  const bool is_bound = (caller.standing != nullptr && caller.standing->agent) ||
                        !token.on_behalf_of.empty() || !token.sub_agent.empty() ||
                        !token.budgets.empty();
  if (caller.from_above && is_bound)
    return Error{Errc::kPermissionDenied,
                 "permission denied: an agent's token makes no token in another namespace, where "
                 "neither its limits nor its human would bind it"};
  return ok();
}

}  // namespace

Result<TokenSpec> TokenBackend::spec_of(const BackendCall& call, const TokenRole* role,
                                        bool orphan) const {
  const Token& parent = call.caller->token;
  const Fields fields(call.request.data);
  const bool sudo = call.caller->rights->has_sudo(call.request.path);
  RETURN_IF_ERROR(check_maker(*call.caller, sudo));
  const bool from_above = call.caller->from_above;

  TokenSpec spec;
  spec.path = call.request.path;
  ASSIGN_OR_RETURN(const std::string type, fields.text_or("type", ""));
  ASSIGN_OR_RETURN(spec.type, type_asked(type, role));
  ASSIGN_OR_RETURN(spec.ttl, fields.duration_or("ttl", Millis{0}));
  ASSIGN_OR_RETURN(const Millis lease, fields.duration_or("lease", Millis{0}));
  if (spec.ttl == Millis{0}) spec.ttl = lease;
  ASSIGN_OR_RETURN(spec.explicit_max_ttl, fields.duration_or("explicit_max_ttl", Millis{0}));
  ASSIGN_OR_RETURN(spec.period, fields.duration_or("period", Millis{0}));
  if (spec.period > Millis{0} && !sudo)
    return Error{Errc::kInvalidArgument,
                 "root or sudo privileges required to create periodic token"};
  ASSIGN_OR_RETURN(spec.num_uses, fields.integer_or("num_uses", 0));
  if (spec.num_uses < 0) return invalid("number of uses cannot be negative");
  ASSIGN_OR_RETURN(spec.renewable, fields.boolean_or("renewable", true));
  ASSIGN_OR_RETURN(const std::string id, fields.text_or("id", ""));
  if (!id.empty() && !sudo) return invalid("root or sudo privileges required to specify token id");
  if (id.size() > 256) return invalid("field \"id\": longer than 256 bytes");
  spec.id = Secret(id);
  if (is_batch_token(spec.id)) return invalid("field \"id\": only batch tokens begin like this");
  ASSIGN_OR_RETURN(const bool no_parent, fields.boolean_or("no_parent", false));
  if (no_parent && !sudo) return invalid("root or sudo privileges required to create orphan token");
  if (!orphan && !no_parent && !from_above) {
    spec.parent = parent.id;
    if (!parent.is_root()) spec.agent = agent_of(call.attribution);
  }

  ASSIGN_OR_RETURN(std::string display_name, fields.text_or("display_name", ""));
  std::replace_if(
      display_name.begin(), display_name.end(),
      [](unsigned char c) { return !(std::isalnum(c) || c == '-' || c == '.' || c == '_'); }, '-');
  display_name = display_name.substr(0, 128);
  spec.display_name = display_name.empty() ? "token" : "token-" + display_name;
  for (const char* name : {"meta", "metadata"}) {
    ASSIGN_OR_RETURN(auto meta, fields.text_map(name));
    if (meta) spec.meta = std::move(*meta);
  }
  if (spec.meta.size() > kMetaMax) return invalid("field \"meta\": more than 64 keys");

  ASSIGN_OR_RETURN(const std::string certificate, fields.text_or("bound_certificate", ""));
  ASSIGN_OR_RETURN(spec.certificate, certificate_of_child(certificate, parent.certificate));
  spec.bound_cidrs = parent.bound_cidrs;
  if (role != nullptr) apply_role(*role, spec);
  if (from_above && !fields.has("policies") && !fields.has("agent") &&
      (role == nullptr || !role->bounds_policies()))
    return invalid("field \"policies\": say which policies of this namespace the token is to have");
  RETURN_IF_ERROR(delegation_.apply(call, role, sudo, spec));
  if (spec.policies.size() > kPoliciesMax) return invalid("more than 256 policies");
  if (spec.type == TokenType::kBatch) RETURN_IF_ERROR(check_batch(spec));
  const bool unlimited =
      spec.ttl == Millis{0} && spec.period == Millis{0} && spec.explicit_max_ttl == Millis{0};
  if (spec.policies == std::vector<std::string>{"root"} && unlimited && parent.expires_at)
    return invalid("expiring root tokens cannot create non-expiring root tokens");
  return spec;
}

Result<Response> TokenBackend::finish_create(TokenSpec spec, std::vector<std::string> warnings) {
  for (const std::string& policy : spec.policies) {
    ASSIGN_OR_RETURN(const bool exists, policies_.exists(policy));
    if (!exists) warnings.push_back(fmt::format("Policy \"{}\" does not exist", policy));
  }
  ASSIGN_OR_RETURN(CreatedToken created, tokens_.create(std::move(spec), mount_ttl_()));
  Response response;
  response.auth = auth_of(created.token, created.secret, created.token.creation_ttl);
  response.auth->made_now = true;
  response.warnings = std::move(created.warnings);
  std::move(warnings.begin(), warnings.end(), std::back_inserter(response.warnings));
  return response;
}

Result<Response> TokenBackend::create(const BackendCall& call, bool orphan) {
  ASSIGN_OR_RETURN(TokenSpec spec, spec_of(call, nullptr, orphan));
  return finish_create(std::move(spec), {});
}

Result<Response> TokenBackend::create_with_role(const BackendCall& call) {
  ASSIGN_OR_RETURN(const auto role, roles_.get(call.param("role")));
  if (!role) return invalid(fmt::format("unknown role {}", call.param("role")));
  ASSIGN_OR_RETURN(TokenSpec spec, spec_of(call, &*role, role->orphan));
  return finish_create(std::move(spec), {});
}

// ---- lookup ---------------------------------------------------------------------------------

namespace {

// A token is looked after in its own namespace.
Status check_own(const BackendCall& call) {
  if (!call.caller->from_above) return ok();
  return Error{Errc::kInvalidArgument,
               "the calling token belongs to a namespace above this one: ask there (set "
               "X-Vault-Namespace accordingly, or leave it out)"};
}

}  // namespace

Result<Response> TokenBackend::lookup(const BackendCall& call) const {
  ASSIGN_OR_RETURN(const std::string text, Fields(call.request.data).text_or("token", ""));
  if (text.empty()) return lookup_self(call);
  const Secret secret(text);
  ASSIGN_OR_RETURN(const auto token, tokens_.find(secret));
  if (!token) return Error{Errc::kUnauthenticated, "bad token"};
  return Response{.data = lookup_data(*token, &secret, call.now)};
}

Result<Response> TokenBackend::lookup_self(const BackendCall& call) const {
  return Response{.data = lookup_data(call.caller->token, &call.caller->secret, call.now)};
}

Result<Response> TokenBackend::lookup_accessor(const BackendCall& call) const {
  ASSIGN_OR_RETURN(const std::string accessor, required_text(call.request.data, "accessor"));
  ASSIGN_OR_RETURN(const auto token, tokens_.find_by_accessor(accessor));
  if (!token) return Error{Errc::kPermissionDenied, "invalid accessor"};
  return Response{.data = lookup_data(*token, nullptr, call.now)};
}

Result<Response> TokenBackend::list_accessors(const BackendCall&) const {
  ASSIGN_OR_RETURN(auto accessors, tokens_.accessors());
  return Response{.data = {{"keys", std::move(accessors)}}};
}

// ---- renew ----------------------------------------------------------------------------------

Result<Response> TokenBackend::renewed(const BackendCall& call, const Token& token,
                                       const Secret& secret) {
  const WallTime now = call.now;
  ASSIGN_OR_RETURN(const Millis increment,
                   Fields(call.request.data).duration_or("increment", Millis{0}));
  ASSIGN_OR_RETURN(const auto terms, logins_.renew_terms(token, call.request));
  ASSIGN_OR_RETURN(auto result, tokens_.renew(token, increment, terms));
  Response response;
  response.auth =
      auth_of(result.token, secret, std::chrono::round<Seconds>(*result.token.expires_at - now));
  response.warnings = std::move(result.warnings);
  return response;
}

Result<Response> TokenBackend::renew(const BackendCall& call) {
  ASSIGN_OR_RETURN(const std::string text, Fields(call.request.data).text_or("token", ""));
  if (text.empty()) return renew_self(call);
  const Secret secret(text);
  ASSIGN_OR_RETURN(const auto token, tokens_.find(secret));
  if (!token) return Error{Errc::kUnauthenticated, "bad token"};
  return renewed(call, *token, secret);
}

Result<Response> TokenBackend::renew_self(const BackendCall& call) {
  RETURN_IF_ERROR(check_own(call));
  return renewed(call, call.caller->token, call.caller->secret);
}

Result<Response> TokenBackend::renew_accessor(const BackendCall& call) {
  ASSIGN_OR_RETURN(const std::string accessor, required_text(call.request.data, "accessor"));
  ASSIGN_OR_RETURN(const auto token, tokens_.find_by_accessor(accessor));
  if (!token) return Error{Errc::kPermissionDenied, "invalid accessor"};
  return renewed(call, *token, Secret());
}

// ---- revoke ---------------------------------------------------------------------------------

Result<Response> TokenBackend::revoke(const BackendCall& call) {
  ASSIGN_OR_RETURN(const std::string text, required_text(call.request.data, "token"));
  ASSIGN_OR_RETURN(const auto token, tokens_.find(Secret(text)));
  if (token) RETURN_IF_ERROR(tokens_.revoke_tree(*token));
  token_ended_();
  return no_content();
}

Result<Response> TokenBackend::revoke_self(const BackendCall& call) {
  RETURN_IF_ERROR(check_own(call));
  RETURN_IF_ERROR(tokens_.revoke_tree(call.caller->token));
  token_ended_();
  return no_content();
}

Result<Response> TokenBackend::revoke_accessor(const BackendCall& call) {
  ASSIGN_OR_RETURN(const std::string accessor, required_text(call.request.data, "accessor"));
  ASSIGN_OR_RETURN(const auto token, tokens_.find_by_accessor(accessor));
  if (!token) return Error{Errc::kPermissionDenied, "invalid accessor"};
  RETURN_IF_ERROR(tokens_.revoke_tree(*token));
  token_ended_();
  return no_content();
}

Result<Response> TokenBackend::revoke_orphan(const BackendCall& call) {
  ASSIGN_OR_RETURN(const std::string text, required_text(call.request.data, "token"));
  ASSIGN_OR_RETURN(const auto token, tokens_.find(Secret(text)));
  if (!token) return invalid("token to revoke not found");
  if (!token->budgets.empty())
    return invalid(
        "a token with a budget, its own or one above it, ends with all below it: use "
        "auth/token/revoke");
  RETURN_IF_ERROR(tokens_.revoke_orphan(*token));
  token_ended_();
  return no_content();
}

Result<Response> TokenBackend::tidy(const BackendCall&) {
  token_ended_();
  return Response{.status = 202,
                  .warnings = {"Tidy operation successfully started. Any information from the "
                               "operation will be printed to the server's log."}};
}

// ---- roles ----------------------------------------------------------------------------------

Result<Response> TokenBackend::read_role(const BackendCall& call) const {
  ASSIGN_OR_RETURN(const auto role, roles_.get(call.param("name")));
  if (!role) return Error{Errc::kNotFound, ""};
  return Response{.data = to_api(*role)};
}

Result<Response> TokenBackend::write_role(const BackendCall& call) {
  ASSIGN_OR_RETURN(auto stored, roles_.get(call.param("name")));
  TokenRole role = stored.value_or(TokenRole{});
  role.name = call.param("name");
  RETURN_IF_ERROR(apply_fields(call.request.data, role));
  RETURN_IF_ERROR(roles_.put(role));
  return no_content();
}

Result<Response> TokenBackend::delete_role(const BackendCall& call) {
  RETURN_IF_ERROR(roles_.remove(call.param("name")));
  return no_content();
}

Result<Response> TokenBackend::list_roles(const BackendCall&) const {
  ASSIGN_OR_RETURN(auto names, roles_.names());
  return Response{.data = {{"keys", std::move(names)}}};
}

}  // namespace curfew::broker

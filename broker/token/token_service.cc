#include "broker/token/token_service.h"

#include <algorithm>
#include <cctype>

#include "broker/lease/ttl.h"
#include "broker/tenant/namespace_entry.h"
#include "broker/token/batch_token.h"
#include "broker/token/cidr.h"
#include "broker/token/token_text.h"

namespace curfew::broker {
namespace {

Error bad_token() {
  return {Errc::kUnauthenticated, "permission denied"};
}

Error batch_is_not_revoked() {
  return {Errc::kInvalidArgument, "batch tokens cannot be revoked"};
}

Result<Ttl> ttl_of(const Token& token, Millis requested, Millis role_ttl,
                   const TokenMountTtl& mount, WallTime now) {
  return calculate_ttl({.requested = requested,
                        .period = token.period,
                        .role_ttl = role_ttl,
                        .mount_ttl = mount.default_ttl,
                        .role_max = token.max_ttl,
                        .mount_max = mount.max_ttl,
                        .explicit_max = token.explicit_max_ttl,
                        .issued_at = token.created_at},
                       now);
}

}  // namespace

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::vector<std::string> normalise_policies(std::vector<std::string> policies, bool add_default) {
  for (std::string& policy : policies) policy = lower_case(std::move(policy));
  // Root needs no company.
  if (std::find(policies.begin(), policies.end(), "root") != policies.end()) return {"root"};
  if (add_default) policies.emplace_back("default");
  std::sort(policies.begin(), policies.end());
  policies.erase(std::unique(policies.begin(), policies.end()), policies.end());
  return policies;
}

Status insert_root_token(store::Writer& writer, const store::Barrier& barrier, const Secret& wanted,
                         WallTime now, Random& random, Secret& made) {
  made = wanted.empty() ? make_service_token(random, barrier.name_space()) : wanted;
  Token token;
  ASSIGN_OR_RETURN(token.id, token_row_id(barrier, made));
  token.accessor = make_accessor(random);
  token.path = "auth/token/root";
  token.display_name = "root";
  token.policies = {"root"};
  token.created_at = now;
  token.renewable = false;
  token.orphan = true;
  return insert_token(writer, barrier, token, now);
}

TokenService::TokenService(TokenStore& store, const Clock& clock, Random& random,
                           const TokenService* above)
    : store_(store), clock_(clock), random_(random), above_(above) {}

Result<CreatedToken> TokenService::create(TokenSpec spec, const TokenMountTtl& mount,
                                          const TokenCheck& check) {
  if (!spec.id.empty() && store_.name_space() != kFirstNamespace)
    return Error{Errc::kInvalidArgument,
                 "token IDs can only be manually specified in the root namespace"};
  CreatedToken out;
  const WallTime now = clock_.wall();
  Token& token = out.token;
  token.type = spec.type;
  token.orphan = spec.parent.empty();
  token.parent = std::move(spec.parent);
  token.path = std::move(spec.path);
  token.display_name = std::move(spec.display_name);
  token.agent = std::move(spec.agent);
  token.role = std::move(spec.role);
  token.entity_id = std::move(spec.entity_id);
  token.mount = std::move(spec.mount);
  token.renewal = std::move(spec.renewal);
  token.certificate = std::move(spec.certificate);
  token.max_ttl = spec.max_ttl;
  token.on_behalf_of = std::move(spec.on_behalf_of);
  token.principal_policies = std::move(spec.principal_policies);
  token.sub_agent = std::move(spec.sub_agent);
  token.delegator_policies = std::move(spec.delegator_policies);
  token.budgets = std::move(spec.budgets);
  token.policies = std::move(spec.policies);
  token.meta = std::move(spec.meta);
  token.bound_cidrs = std::move(spec.bound_cidrs);
  token.created_at = now;
  token.explicit_max_ttl = spec.explicit_max_ttl;
  token.period = spec.period;
  token.num_uses = spec.num_uses;
  token.renewable = spec.renewable;

  const bool unlimited = token.is_root() && spec.ttl == Millis{0} && spec.period == Millis{0} &&
                         spec.explicit_max_ttl == Millis{0};
  if (unlimited) {
    token.renewable = false;
  } else {
    ASSIGN_OR_RETURN(const Ttl ttl, ttl_of(token, spec.ttl, Millis{0}, mount, now));
    token.creation_ttl = ttl.ttl;
    token.expires_at = ttl.expires_at;
    out.warnings = ttl.warnings;
  }
  if (token.is_batch()) {
    token.renewable = false;
    if (!token.parent.empty()) RETURN_IF_ERROR(end_of(token.parent));
    ASSIGN_OR_RETURN(out.secret, store_.seal_batch(token, check));
    ASSIGN_OR_RETURN(token.id, store_.id_of(out.secret));
    return out;
  }
  out.secret =
      spec.id.empty() ? make_service_token(random_, store_.name_space()) : std::move(spec.id);
  ASSIGN_OR_RETURN(token.id, store_.id_of(out.secret));
  for (TokenBudget& budget : token.budgets)
    if (budget.token.empty()) budget.token = token.id;
  token.accessor = make_accessor(random_);
  RETURN_IF_ERROR(store_.insert(token, now, check));
  return out;
}

bool TokenService::is_alive(const Token& token) const {
  return !token.expires_at || *token.expires_at > clock_.wall();
}

// Ended ones too.
Result<std::optional<Token>> TokenService::look_up(const Secret& secret) const {
  if (is_batch_token(secret)) return store_.open_batch(secret);
  ASSIGN_OR_RETURN(const std::string id, store_.id_of(secret));
  return store_.get(id);
}

Result<std::optional<Token>> TokenService::find(const Secret& secret) const {
  ASSIGN_OR_RETURN(auto token, look_up(secret));
  if (token && !is_alive(*token)) token.reset();
  if (token && token->is_batch() && !token->parent.empty()) {
    ASSIGN_OR_RETURN(const auto parent, store_.get(token->parent));
    if (!parent || !is_alive(*parent)) token.reset();
  }
  return token;
}

Result<std::optional<Token>> TokenService::find_by_accessor(const std::string& accessor) const {
  ASSIGN_OR_RETURN(auto token, store_.get_by_accessor(accessor));
  if (token && !is_alive(*token)) token.reset();
  return token;
}

Result<std::optional<WallTime>> TokenService::end_of(const std::string& id) const {
  if (!is_token_row(id)) return std::optional<WallTime>{};
  ASSIGN_OR_RETURN(const auto token, store_.get(id));
  if (!token && above_ != nullptr) return above_->end_of(id);
  if (!token || !is_alive(*token)) return bad_token();
  return token->expires_at;
}

Result<Token> TokenService::authenticate(const Secret& secret, const std::string& remote_address,
                                         const PeerCertificate* certificate) const {
  if (secret.empty()) return bad_token();
  ASSIGN_OR_RETURN(auto token, find(secret));
  if (!token || token->num_uses < 0) return bad_token();
  if (!token->bound_cidrs.empty() && !in_any_cidr(remote_address, token->bound_cidrs))
    return bad_token();
  if (!token->certificate.empty() &&
      (certificate == nullptr || certificate->sha256 != token->certificate))
    return Error{Errc::kUnauthenticated, bad_token().message,
                 "the token is tied to a client certificate that the connection did not show"};
  return std::move(*token);
}

Result<Token> TokenService::use(const Token& token) {
  if (token.num_uses == 0) return token;
  return store_.change(token.id, [](Token& stored) -> Status {
    if (stored.num_uses < 0) return bad_token();
    stored.num_uses = stored.num_uses == 1 ? -1 : stored.num_uses - 1;
    return ok();
  });
}

Result<TokenService::Renewed> TokenService::renew(const Token& token, Millis increment,
                                                  const RenewTerms& terms) {
  if (token.is_batch()) return Error{Errc::kInvalidArgument, "batch tokens cannot be renewed"};
  if (!token.renewable || !token.expires_at)
    return Error{Errc::kInvalidArgument, "lease is not renewable"};
  const WallTime now = clock_.wall();
  Token wanted = token;
  wanted.period = terms.period.value_or(token.period);
  wanted.max_ttl = terms.max_ttl.value_or(token.max_ttl);
  ASSIGN_OR_RETURN(const Ttl ttl, ttl_of(wanted, increment, terms.ttl.value_or(token.creation_ttl),
                                         terms.mount, now));
  ASSIGN_OR_RETURN(Token renewed, store_.change(token.id, [&](Token& stored) -> Status {
    // A revocation that came in between wins.
    if (stored.expires_at && *stored.expires_at <= now) return bad_token();
    stored.period = wanted.period;
    stored.max_ttl = wanted.max_ttl;
    stored.expires_at = ttl.expires_at;
    stored.last_renewal = now;
    return ok();
  }));
  return Renewed{std::move(renewed), ttl.warnings};
}

Status TokenService::revoke_tree(const Token& token) {
  if (token.is_batch()) return batch_is_not_revoked();
  return store_.end_tree(token.id, clock_.wall());
}

Status TokenService::revoke_orphan(const Token& token) {
  if (token.is_batch()) return batch_is_not_revoked();
  return store_.end_alone(token.id, clock_.wall());
}

}  // namespace curfew::broker

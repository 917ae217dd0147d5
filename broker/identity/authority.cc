#include "broker/identity/authority.h"

#include "broker/token/token_service.h"

namespace curfew::broker {
namespace {

std::vector<std::string> with(std::vector<std::string> policies,
                              const std::vector<std::string>& more) {
  policies.insert(policies.end(), more.begin(), more.end());
  return normalise_policies(std::move(policies), false);
}

}  // namespace

Result<std::shared_ptr<const Standing>> Authorities::standing_of(
    const std::string& entity_id) const {
  if (entity_id.empty()) return std::shared_ptr<const Standing>();
  ASSIGN_OR_RETURN(auto standing, identities_.standing(entity_id));
  if (standing == nullptr)
    return Error{Errc::kPermissionDenied,
                 "permission denied: the entity behind the token does not exist any more"};
  if (standing->disabled)
    return Error{Errc::kPermissionDenied,
                 "permission denied: the entity behind the token is disabled"};
  return standing;
}

Result<Authority> Authorities::of(const Token& token, const std::string& below) const {
  Authority out;
  ASSIGN_OR_RETURN(out.standing, standing_of(token.entity_id));
  ASSIGN_OR_RETURN(out.principal, standing_of(token.on_behalf_of));
  static const policy::Identity kNobody;
  const policy::Identity& identity = out.standing ? out.standing->identity : kNobody;
  static const std::vector<std::string> kNone;
  const std::vector<std::string>& of_entity = out.standing ? out.standing->policies : kNone;
  std::vector<std::shared_ptr<const policy::Acl>> acls(1);
  if (token.sub_agent.empty()) {
    ASSIGN_OR_RETURN(
        acls[0], policies_.acl(of_entity.empty() ? token.policies : with(token.policies, of_entity),
                               identity));
  } else {
    ASSIGN_OR_RETURN(acls[0], policies_.acl(token.policies, identity));
    ASSIGN_OR_RETURN(auto agent,
                     policies_.acl(with(token.delegator_policies, of_entity), identity));
    acls.push_back(std::move(agent));
  }
  if (out.standing && out.standing->agent && !out.standing->agent->ceiling_policies.empty()) {
    ASSIGN_OR_RETURN(auto ceiling, policies_.acl(out.standing->agent->ceiling_policies, identity));
    acls.push_back(std::move(ceiling));
  }
  if (out.principal) {
    ASSIGN_OR_RETURN(auto bound,
                     policies_.acl(with(token.principal_policies, out.principal->policies),
                                   out.principal->identity));
    acls.push_back(std::move(bound));
  }
  out.rights = std::make_shared<const policy::Rights>(std::move(acls), below);
  return out;
}

}  // namespace curfew::broker

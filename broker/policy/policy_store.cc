#include "broker/policy/policy_store.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/token/token_service.h"
#include "policy/builtin.h"

namespace curfew::broker {
namespace {

constexpr std::string_view kScope = "sys/policy";
constexpr std::size_t kAclsMax = 1024;
constexpr std::size_t kNameBytesMax = 256;

Error invalid(std::string message) {
  return {Errc::kInvalidArgument, std::move(message)};
}

bool is_fixed(const std::string& name) {
  return name == "root" || name == "response-wrapping" || name == "control-group";
}

// The key of a list of names in the cache: no two lists share one, whatever the names hold.
std::string cache_key(const std::vector<std::string>& names) {
  std::string key;
  for (const std::string& name : names) key += fmt::format("{}:{}", name.size(), name);
  return key;
}

// All that a template can refer to.
std::string identity_key(const policy::Identity& identity) {
  Json aliases = Json::array(), groups = Json::array();
  for (const auto& alias : identity.aliases)
    aliases.push_back(
        {alias.mount_accessor, alias.id, alias.name, alias.metadata, alias.custom_metadata});
  for (const auto& group : identity.groups)
    groups.push_back({group.id, group.name, group.metadata});
  return dump_json({identity.entity_id, identity.entity_name, identity.metadata, std::move(aliases),
                    std::move(groups)});
}

}  // namespace

PolicyStore::PolicyStore(store::Database& database, const store::Records& records,
                         const Clock& clock, Log& log)
    : database_(database), records_(records), clock_(clock), log_(log) {}

Result<std::shared_ptr<const policy::Policy>> PolicyStore::get(const std::string& given) const {
  const std::string name = lower_case(given);
  if (name == "root") return policy::root_policy();
  std::optional<std::string> text;
  if (name == "default") text = std::string(policy::default_policy_text());
  if (name == "response-wrapping") text = std::string(policy::response_wrapping_policy_text());
  if (name == "control-group") text = std::string(policy::control_group_policy_text());
  if (!is_fixed(name)) {
    RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
      ASSIGN_OR_RETURN(const auto stored, records_.get(reader, kScope, name));
      if (stored) text = stored->at("text").get<std::string>();
      return ok();
    }));
  }
  if (!text) return std::shared_ptr<const policy::Policy>();
  auto parsed = policy::parse_policy(name, *text);
  if (!parsed)
    return Error{Errc::kCorrupt, fmt::format("the stored policy \"{}\" cannot be read: {}", name,
                                             parsed.error().message)};
  return std::shared_ptr<const policy::Policy>(
      std::make_shared<policy::Policy>(*std::move(parsed)));
}

Result<bool> PolicyStore::exists(const std::string& given) const {
  const std::string name = lower_case(given);
  if (is_fixed(name) || name == "default") return true;
  bool found = false;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto stored, records_.get(reader, kScope, name));
    found = stored.has_value();
    return ok();
  }));
  return found;
}

Result<std::vector<std::string>> PolicyStore::names() const {
  std::vector<std::string> names;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(names, records_.names(reader, kScope));
    return ok();
  }));
  names.emplace_back("root");
  if (std::find(names.begin(), names.end(), "default") == names.end())
    names.emplace_back("default");
  std::sort(names.begin(), names.end());
  return names;
}

Status PolicyStore::put(const std::string& given, const std::string& text) {
  const std::string name = lower_case(given);
  if (is_fixed(name)) return invalid(fmt::format("cannot update \"{}\" policy", name));
  if (name.empty() || name.size() > kNameBytesMax)
    return invalid("the policy's name must have 1 to 256 bytes");
  if (std::any_of(name.begin(), name.end(), [](unsigned char c) { return c < 0x20 || c == ','; }))
    return invalid("the policy's name may hold neither commas nor control characters");
  if (text.empty()) return invalid("'policy' parameter not supplied or empty");
  auto parsed = policy::parse_policy(name, text);
  if (!parsed) return std::move(parsed).error();
  RETURN_IF_ERROR(database_.write([&](store::Writer& writer) -> Status {
    return records_.put(writer, kScope, name, {{"text", text}});
  }));
  forget();
  return ok();
}

Status PolicyStore::remove(const std::string& given) {
  const std::string name = lower_case(given);
  if (is_fixed(name) || name == "default")
    return invalid(fmt::format("cannot delete \"{}\" policy", name));
  RETURN_IF_ERROR(database_.write([&](store::Writer& writer) -> Status {
    RETURN_IF_ERROR(records_.remove(writer, kScope, name));
    return ok();
  }));
  forget();
  return ok();
}

void PolicyStore::forget() {
  const std::scoped_lock lock(mutex_);
  acls_.clear();
  ++generation_;
}

std::shared_ptr<const policy::Acl> PolicyStore::cached(const std::string& key,
                                                       bool& templated) const {
  const std::scoped_lock lock(mutex_);
  const auto it = acls_.find(key);
  if (it == acls_.end()) return nullptr;
  if (it->second.valid_until && clock_.wall() >= *it->second.valid_until) return nullptr;
  templated = it->second.templated;
  return it->second.acl;
}

// A policy that changed meanwhile may or may not be in it: it serves this request and is not kept.
void PolicyStore::keep(const std::string& key, Cached entry, std::uint64_t generation) const {
  const std::scoped_lock lock(mutex_);
  if (generation != generation_) return;
  if (acls_.size() >= kAclsMax) acls_.clear();
  acls_[key] = std::move(entry);
}

Result<std::shared_ptr<const policy::Acl>> PolicyStore::acl(
    const std::vector<std::string>& names, const policy::Identity& identity) const {
  const std::string plain_key = cache_key(names);
  std::string key = plain_key;
  bool templated = false;
  if (auto known = cached(plain_key, templated)) return known;
  if (templated) {
    key += identity_key(identity);
    if (auto known = cached(key, templated)) return known;
  }
  std::uint64_t generation = 0;
  {
    const std::scoped_lock lock(mutex_);
    generation = generation_;
  }
  std::vector<std::shared_ptr<const policy::Policy>> policies;
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(auto policy, get(name));
    if (policy) policies.push_back(std::move(policy));
  }
  templated = std::any_of(policies.begin(), policies.end(),
                          [](const auto& policy) { return policy->is_templated(); });
  auto acl = std::make_shared<const policy::Acl>(policies, identity, clock_.wall());
  for (const policy::UnusedStanza& unused : acl->unused())
    log_.debug("policy stanza without a value", {{"policy", unused.policy}, {"path", unused.path}});
  if (templated && key == plain_key) {
    keep(plain_key, {nullptr, std::nullopt, true}, generation);
    key += identity_key(identity);
  }
  keep(key, {acl, acl->valid_until(), false}, generation);
  return acl;
}

}  // namespace curfew::broker

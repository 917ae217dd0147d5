#include "policy/rights.h"

#include <algorithm>

namespace curfew::policy {
namespace {

bool holds(const std::vector<std::string>& list, std::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

// `what`, unless `list`, which is sorted, has it.
void add_once(std::vector<std::string>& list, const std::string& what) {
  const auto place = std::lower_bound(list.begin(), list.end(), what);
  if (place == list.end() || *place != what) list.insert(place, what);
}

}  // namespace

Decision Rights::check(const Access& asked) const {
  Access access = asked;
  const std::string whole = prefix_.empty() ? std::string() : prefix_ + std::string(asked.path);
  if (!prefix_.empty()) access.path = whole;
  std::optional<Decision> out;
  bool sudo = true;
  for (const auto& acl : acls_) {
    const Decision decision = acl->check(access);
    sudo = sudo && decision.sudo;
    if (!decision.allowed && !decision.needs_approval) return decision;
    const bool weightier = !out || (decision.needs_approval && !out->needs_approval) ||
                           (out->rule == nullptr && !out->needs_approval);
    if (weightier) out = decision;
  }
  out->sudo = sudo;
  return *out;
}

std::optional<ApprovalDemand> Rights::approval(const Access& asked) const {
  Access access = asked;
  const std::string whole = prefix_ + std::string(asked.path);
  access.path = whole;
  std::optional<ApprovalDemand> out;
  std::vector<std::string> paths;
  for (const auto& acl : acls_) {
    const Decision decision = acl->check(access);
    if (decision.allowed) continue;
    if (!decision.needs_approval) return std::nullopt;
    ApprovalRule rule = *decision.rule->permissions.approval;
    std::erase_if(rule.factors, [needed = capability_for(access.operation)](const auto& factor) {
      return !factor.controls(needed);
    });
    if (out)
      out->rule.merge(rule);
    else
      out = ApprovalDemand{std::move(rule), {}, {}};
    for (const std::string& policy : decision.rule->policies) add_once(out->policies, policy);
    add_once(paths, decision.rule->path);
  }
  for (const std::string& path : paths) out->path += (out->path.empty() ? "" : ", ") + path;
  return out;
}

std::vector<std::string> Rights::capabilities(std::string_view path) const {
  return capabilities_at(prefix_ + std::string(path));
}

std::vector<std::string> Rights::capabilities_at(const std::string& path) const {
  std::vector<std::string> common = acls_.front()->capabilities(path);
  for (std::size_t i = 1; i < acls_.size(); ++i) {
    const std::vector<std::string> next = acls_[i]->capabilities(path);
    if (holds(next, "root")) continue;
    if (holds(common, "root")) {
      common = next;
      continue;
    }
    std::erase_if(common, [&](const std::string& capability) { return !holds(next, capability); });
  }
  if (common.empty()) return {"deny"};
  return common;
}

bool Rights::is_root() const {
  return std::all_of(acls_.begin(), acls_.end(), [](const auto& acl) { return acl->is_root(); });
}

bool Rights::reaches_mount(std::string_view asked) const {
  const std::string mount_path = prefix_ + std::string(asked);
  return std::all_of(acls_.begin(), acls_.end(),
                     [&](const auto& acl) { return acl->reaches_mount(mount_path); });
}

bool Rights::has_sudo(std::string_view path) const {
  const auto granted = capabilities(path);
  return holds(granted, "sudo") || holds(granted, "root");
}

Json Rights::resultant() const {
  Json out = resultant_of_all();
  if (prefix_.empty()) return out;
  for (const char* kind : {"exact_paths", "glob_paths"}) {
    if (!out.contains(kind)) continue;
    Json behind = Json::object();
    for (const auto& [path, entry] : out[kind].items()) {
      if (path.starts_with(prefix_))
        behind[path.substr(prefix_.size())] = entry;
      else if (std::string_view(kind) == "glob_paths" && prefix_.starts_with(path))
        behind[""] = entry;
    }
    out[kind] = std::move(behind);
  }
  return out;
}

Json Rights::resultant_of_all() const {
  Json out = acls_.front()->resultant();
  if (acls_.size() == 1) return out;
  if (out.contains("root") && out["root"] == true) out = acls_[1]->resultant();
  for (const char* kind : {"exact_paths", "glob_paths"}) {
    if (!out.contains(kind)) continue;
    for (auto& [path, entry] : out[kind].items()) entry["capabilities"] = capabilities_at(path);
  }
  return out;
}

}  // namespace curfew::policy

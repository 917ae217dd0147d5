#include "policy/rights.h"

#include <algorithm>

namespace curfew::policy {
namespace {

bool holds(const std::vector<std::string>& list, std::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

}  // namespace

Decision Rights::check(const Access& access) const {
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

std::vector<std::string> Rights::capabilities(std::string_view path) const {
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

bool Rights::reaches_mount(std::string_view mount_path) const {
  return std::all_of(acls_.begin(), acls_.end(),
                     [&](const auto& acl) { return acl->reaches_mount(mount_path); });
}

bool Rights::has_sudo(std::string_view path) const {
  const auto granted = capabilities(path);
  return holds(granted, "sudo") || holds(granted, "root");
}

Json Rights::resultant() const {
  Json out = acls_.front()->resultant();
  if (acls_.size() == 1) return out;
  if (out.contains("root") && out["root"] == true) out = acls_[1]->resultant();
  for (const char* kind : {"exact_paths", "glob_paths"}) {
    if (!out.contains(kind)) continue;
    for (auto& [path, entry] : out[kind].items()) entry["capabilities"] = capabilities(path);
  }
  return out;
}

}  // namespace curfew::policy

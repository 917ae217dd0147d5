#include "cli/lease_scope.h"

#include <array>
#include <utility>

namespace curfew::cli {

namespace {

struct ScopeFlag {
  const char* name;
  const char* description;
};

constexpr std::array kFlags = {
    ScopeFlag{"agent", "Leases of this agent: entity id, or display name of its token."},
    ScopeFlag{"session", "Leases of this session, as the agent named it; -session says it too."},
    ScopeFlag{"trace", "Leases of this trace id."},
    ScopeFlag{"token", "Leases of the token with this accessor."},
    ScopeFlag{"role", "Leases of this role."},
    ScopeFlag{"target", "Leases on this target."},
    ScopeFlag{"mount", "Leases of this mount."},
};

// All commands know -session as the caller's own. With these flags it means the lease's, and the
// caller's comes from the environment alone.
std::string flag_of(const ScopeFlag& flag) {
  return flag.name == std::string_view("session") ? "of-session" : flag.name;
}

}  // namespace

std::vector<Flag> scope_flags() {
  std::vector<Flag> flags;
  for (const ScopeFlag& flag : kFlags) {
    std::vector<std::string> names = {flag_of(flag)};
    if (names.front() != flag.name) names.emplace_back(flag.name);
    flags.push_back({std::move(names), FlagKind::kText, flag.description, "NAME"});
  }
  return flags;
}

Json scope_asked(const Call& call) {
  Json scope = Json::object();
  for (const ScopeFlag& flag : kFlags)
    if (call.arguments.has(flag_of(flag))) scope[flag.name] = call.arguments.text(flag_of(flag));
  return scope;
}

std::string scope_text(const Json& scope) {
  std::string text;
  for (const auto& [name, value] : scope.items())
    text += (text.empty() ? "" : " ") + (name == "all" ? name : name + "=" + value_text(value));
  return text;
}

}  // namespace curfew::cli

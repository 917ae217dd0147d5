#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "policy/acl.h"

namespace curfew::policy {

inline std::shared_ptr<const Policy> policy_of(std::string_view text, std::string_view name = "p") {
  auto parsed = parse_policy(name, text);
  EXPECT_TRUE(parsed) << text << "\n" << (parsed ? "" : parsed.error().message);
  return parsed ? std::make_shared<const Policy>(std::move(*parsed)) : nullptr;
}

// One policy for each text, named p1, p2, …
inline Acl acl_of(const std::vector<std::string>& texts, const Identity& identity = {},
                  WallTime now = {}) {
  std::vector<std::shared_ptr<const Policy>> policies;
  for (const std::string& text : texts)
    policies.push_back(policy_of(text, "p" + std::to_string(policies.size() + 1)));
  return Acl(policies, identity, now);
}

inline std::string parse_error(std::string_view text) {
  const auto parsed = parse_policy("p", text);
  return parsed ? "no error" : parsed.error().message;
}

// The capabilities on a path, joined.
inline std::string granted(const Acl& acl, std::string_view path) {
  std::string out;
  for (const std::string& name : acl.capabilities(path)) out += (out.empty() ? "" : " ") + name;
  return out;
}

inline Decision ask(const Acl& acl, Operation operation, std::string_view path) {
  return acl.check({.operation = operation, .path = path});
}

}  // namespace curfew::policy

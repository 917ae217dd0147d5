#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace curfew::policy {

// A parameter that a rule speaks of.
struct ParameterRule {
  std::string name;               // in lower case; "*": every parameter
  std::vector<Json> values = {};  // empty: whatever the value
  bool operator==(const ParameterRule&) const = default;
};

// The parameters that a rule allows, or those that it denies, by name. Names are compared without
// regard to the case of ASCII letters. Looking things up allocates nothing.
class ParameterRules {
 public:
  bool empty() const { return rules_.empty(); }
  std::size_t size() const { return rules_.size(); }

  // REQUIRES: no rule of that name, in any case, yet. False, without effect, if there is one.
  bool add(std::string_view name, std::vector<Json> values);

  // nullptr: there is none. Not looked at: the rule for every parameter.
  const ParameterRule* find(std::string_view name) const;
  // The rule named "*".
  bool has_all() const { return find("*") != nullptr; }

  // Takes over the rules of another policy for the same path: the values of a parameter that both
  // name are joined, and "whatever the value" in one of them covers the other's values.
  void merge(const ParameterRules& other);

  const std::vector<ParameterRule>& rules() const { return rules_; }
  bool operator==(const ParameterRules&) const = default;

 private:
  std::vector<ParameterRule> rules_;  // sorted by name
};

// Does an object have the parameter? By its name as a policy writes it, or by that in lower case:
// what an engine would not find under its own name must not count as given.
bool has_parameter(const Json& object, const std::string& name);

// Is the value one of `allowed`? Texts may begin or end with '*'; everything else must have the
// same type and be equal (numbers by what they amount to). An empty list takes any value.
bool value_is_listed(const Json& value, const std::vector<Json>& allowed);

// The same for what is denied, where doubt counts against the request: "5", 5 and true, "true" are
// the same, and a list is denied when one of its elements is.
bool value_is_denied(const Json& value, const std::vector<Json>& denied);

}  // namespace curfew::policy

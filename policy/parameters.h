#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace curfew::policy {

// Orders names without regard to the case of ASCII letters.
struct NameLess {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const;
};

// The parameters that a rule allows, or those that it denies, and which of their values: none
// listed is any value. The name "*" is every parameter. Looking things up allocates nothing.
class ParameterRules {
 public:
  using Values = std::vector<Json>;

  bool empty() const { return rules_.empty(); }
  std::size_t size() const { return rules_.size(); }

  // False, without effect, if there is a rule of that name, in any case.
  bool add(std::string_view name, Values values);

  // nullptr: there is none. Not looked at: the rule for every parameter.
  const Values* find(std::string_view name) const;
  // Is there one for every parameter?
  bool has_all() const { return rules_.contains(std::string_view("*")); }

  // Takes over the rules of another policy for the same path: the values of a parameter that both
  // name are joined, and "any value" in one of them covers the other's values.
  void merge(const ParameterRules& other);

  bool operator==(const ParameterRules&) const = default;

 private:
  std::map<std::string, Values, NameLess> rules_;
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

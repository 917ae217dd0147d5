#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "policy/decision.h"
#include "policy/identity.h"
#include "policy/path_index.h"
#include "policy/policy.h"

namespace curfew::policy {

// A stanza that could not be used for an identity: its template has no value there, or one that
// was refused.
struct UnusedStanza {
  std::string policy;
  std::string path;       // as written
  std::string parameter;  // the one in question
  bool refused = false;   // there is a value, but it holds '*', '+' or '/'
  bool guarded = false;   // a guard stands in for it
};

// What the policies of one token allow. Immutable; thread-safe; holds nothing of the arguments.
//
// Of all rules, exactly one decides: the one for exactly this path; else, among the longest prefix
// rule and all rules with '+' segments that fit, the one whose first wildcard comes latest, then
// one that does not end in '*', then the one with the fewest '+', then the longest, then the last
// in the alphabet. A list that finds no exact rule also tries the path without its final '/'. Rules
// of several policies for the same path are merged into one. Without a rule the answer is no.
//
// A stanza whose template cannot be filled in grants nothing. If it denies, or asks for approval or
// for a second factor, leaving it out could open what it was to close: then a guard denies every
// path that the template could stand for, before any other rule is looked at.
class Acl {
 public:
  // Null pointers are passed over. `now` decides which stanzas have expired.
  Acl(const std::vector<std::shared_ptr<const Policy>>& policies, const Identity& identity,
      WallTime now);
  Acl(Acl&&) noexcept = default;
  Acl& operator=(Acl&&) noexcept = default;
  ~Acl() = default;

  // Allocates nothing.
  Decision check(const Access& access) const;

  // Sorted; ["root"] for root, ["deny"] for nothing. A path that ends in '/' without an exact rule
  // stands for the one without it, but only where that has an exact rule, as Vault answers.
  std::vector<std::string> capabilities(std::string_view path) const;

  bool is_root() const { return root_; }

  // Is anything granted on a mount's path ("database/") or below it?
  bool reaches_mount(std::string_view mount_path) const;

  // {"exact_paths": {PATH: {"capabilities": [...]}}, "glob_paths": {…}, "root": false}; the final
  // '*' of a prefix is left out. For root only {"root": true}.
  Json resultant() const;

  // The names of the policies it was made from, sorted.
  const std::vector<std::string>& policies() const { return policies_; }

  // When the first stanza expires. From then on make a new Acl.
  std::optional<WallTime> valid_until() const { return valid_until_; }

  const std::vector<UnusedStanza>& unused() const { return unused_; }

 private:
  struct Guard {
    Rule rule;
    std::string pattern;
  };
  class Builder;

  // Whether a rule for the path without its final '/' may stand in for one that is missing.
  enum class Shorten { kNever, kToExactRule, kToAnyRule };

  const Rule* find(std::string_view path, Shorten shorten) const;
  const Rule* find_exact(std::string_view path) const;
  const Rule* find_wildcard(std::string_view path) const;
  const Rule* find_guard(std::string_view path) const;
  void index();

  bool root_ = false;
  std::vector<std::string> policies_;
  std::optional<WallTime> valid_until_;
  std::vector<UnusedStanza> unused_;
  std::vector<Guard> guards_;
  std::vector<Rule> rules_;  // the indexes refer to the texts in here
  std::unordered_map<std::string_view, RuleIndex> exact_;
  PrefixIndex prefixes_;
  SegmentIndex segments_;
  std::vector<std::uint32_t> ranks_;  // of wildcard rules, by rule; 0: an exact one
};

}  // namespace curfew::policy

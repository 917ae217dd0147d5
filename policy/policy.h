#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/hcl.h"
#include "base/result.h"
#include "policy/approval_rule.h"
#include "policy/capability.h"
#include "policy/parameters.h"
#include "policy/path_template.h"

namespace curfew::policy {

// What one path of a policy grants, and under which conditions.
struct Permissions {
  CapabilitySet capabilities = {};
  ParameterRules allowed = {};  // empty: any parameter
  ParameterRules denied = {};
  std::set<std::string> required = {};        // parameters, as written
  Millis min_wrapping_ttl{0};                 // 0: none
  Millis max_wrapping_ttl{0};                 // 0: none
  std::optional<ApprovalRule> approval = {};  // of control_group and approval together
  std::set<std::string> mfa_methods = {};
  std::int64_t pagination_limit = 0;  // entries of a list; 0: none
  std::string list_filter = {};       // list_scan_response_keys_filter_path

  // Takes over what another stanza for the same path says. A denial on either side is all that
  // remains. Otherwise capabilities, required parameters and factors add up, parameter rules are
  // joined, and of two limits the lesser counts.
  void merge(const Permissions& other);
  bool operator==(const Permissions&) const = default;
};

// One `path "…" {…}` of a policy.
struct Stanza {
  std::string written_path;  // without leading '/'
  PathTemplate path;
  Permissions permissions = {};
  std::optional<WallTime> expiration = {};  // the stanza counts for nothing from then on
  std::string comment = {};
  hcl::Position at = {};
};

// A parsed policy. Immutable once made; thread-safe; held by shared_ptr<const Policy>.
struct Policy {
  std::string name;
  std::string text;  // as given, but decoded when it came as base64
  std::vector<Stanza> stanzas = {};
  bool is_root = false;  // grants everything; only root_policy() sets it

  // Does what it grants depend on who asks?
  bool is_templated() const;
};

inline constexpr std::size_t kPolicyBytesMax = std::size_t{512} << 10;
inline constexpr std::size_t kStanzasMax = 10'000;
inline constexpr std::size_t kPathBytesMax = 1024;

// The policy that a text describes: HCL or JSON, or base64 of one of them. Nothing in it is passed
// over: an unknown key, capability or template parameter, a key set twice and a control group that
// nobody would have to approve are errors.
// kInvalidArgument: "failed to parse policy: " + where, what was expected; kTooLarge.
Result<Policy> parse_policy(std::string_view name, std::string_view text);

}  // namespace curfew::policy

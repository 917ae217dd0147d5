#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engines/postgres/roles.h"

namespace curfew::engines::postgres {

// Something that a role's statements do and that will hurt.
struct Finding {
  std::string key;         // equal where the text and the catalog tell of the same thing
  std::string place;       // "creation_statements[0], line 2"
  std::string message;     // what it is, why it hurts, what to do
  bool dangerous = false;  // lets a leased role escalate or outlive its lease

  std::string text() const { return place + ": " + message; }
};

// What the statements' text tells, in the order of the text. A text is not the last word: what a
// DO block does is for the rehearsal to see. kInvalidArgument: a list cannot be read.
Result<std::vector<Finding>> lint_statements(const LeaseRole& role);

// A predefined role of PostgreSQL ("pg_…") that a leased role is made a member of.
Finding predefined_role(std::string_view group, std::string place);

// An attribute ("CREATEROLE") that a leased role gets, or can take on as a member of `by` (empty:
// its own).
Finding role_attribute(std::string_view attribute, std::string_view by, std::string place);

// Both lists in one: where both have a key the catalog's words stand at the text's place.
// `rehearsed`: the catalog was looked at, so that it decides what a text can only guess.
std::vector<Finding> joined_findings(std::vector<Finding> text, std::vector<Finding> catalog,
                                     bool rehearsed);

// The keys of findings that the catalog knows better.
inline constexpr std::string_view kNoExpiry = "no expiry";
inline constexpr std::string_view kObjectGrants = "object grants";
inline constexpr std::string_view kGrantOption = "grant option";
inline constexpr std::string_view kAdminOption = "admin option";
inline constexpr std::string_view kSecurityDefiner = "security definer";
inline constexpr std::string_view kDefaultPrivileges = "default privileges";
inline constexpr std::string_view kMayCreate = "may create";

// kInvalidArgument when there are dangerous ones and `allowed` is not set: all of them, each with
// its place. Otherwise each finding's text is added to `warnings`.
Status judge_findings(const std::vector<Finding>& findings, bool allowed,
                      std::vector<std::string>& warnings);

}  // namespace curfew::engines::postgres

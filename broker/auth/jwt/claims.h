#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"

namespace curfew::broker::jwt {

// What a role asks of the claims of a verified token, and what it takes from them. A claim is named
// by a member ("sub") or, where the name begins with '/', by a JSON pointer ("/user/email").
// Leeways: 0 is the default, less than 0 none at all.
struct ClaimRules {
  std::vector<std::string> bound_audiences = {};
  std::string bound_subject = {};                              // empty: any
  std::map<std::string, std::vector<Json>> bound_claims = {};  // one of the values of each; scalars
  bool globs = false;  // bound_claims are texts in which '*' stands for anything
  std::string user_claim = {};
  bool user_claim_is_pointer = false;
  std::string groups_claim = {};                           // empty: nothing is said of groups
  std::map<std::string, std::string> claim_mappings = {};  // claim → member of the metadata
  Seconds expiration_leeway{0};
  Seconds not_before_leeway{0};
  Seconds clock_skew_leeway{0};
  Seconds max_age{0};  // since the person typed a password (auth_time); 0: any
};

// Whether `aud` is what a token without bound audiences may have: nothing, or what a second look
// (the OIDC client's id) takes care of.
enum class Audience { kBoundByRole, kBoundElsewhere };

// Each check gives kUnauthenticated, naming the claim and never its value, where the token does not
// meet it.

// exp, nbf and iat as Vault judges them: one of them must be there; a missing exp is the later of
// the others plus the leeway (150 s), a missing nbf is iat, or exp minus the leeway (150 s); the
// clocks may differ by the skew (60 s).
Status check_times(const Json& claims, const ClaimRules& rules, WallTime now);

// iss, where `bound_issuer` is not empty.
Status check_issuer(const Json& claims, const std::string& bound_issuer);

Status check_audience(const Json& claims, const ClaimRules& rules, Audience audience);

// Whether `aud` (a text or a list of texts) has `wanted`.
bool has_audience(const Json& claims, const std::string& wanted);

// sub and bound_claims.
Status check_bound(const Json& claims, const ClaimRules& rules);

// Who a token is about.
struct Subject {
  std::string name;
  std::map<std::string, std::string> metadata;
  std::optional<std::vector<std::string>> groups;
};
// kInvalidArgument: a claim that the role needs is missing, has another type, or is too large.
Result<Subject> subject_of(const Json& claims, const ClaimRules& rules);

// The claim of that name; nullptr: there is none.
const Json* find_claim(const Json& claims, std::string_view name);

}  // namespace curfew::broker::jwt

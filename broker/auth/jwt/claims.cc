#include "broker/auth/jwt/claims.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/glob.h"

namespace curfew::broker::jwt {
namespace {

constexpr Seconds kDefaultLeeway{150};
constexpr Seconds kDefaultSkew{60};
constexpr std::size_t kNameBytesMax = 512;
constexpr std::size_t kMetadataBytesMax = 2'048;
constexpr std::size_t kGroupsMax = 1'000;
constexpr double kNumericDateMax = 1e11;  // the year 5138

Error refused(std::string why) {
  return {Errc::kUnauthenticated, "error validating claims: " + std::move(why)};
}

Error unusable(std::string why) {
  return {Errc::kInvalidArgument, std::move(why)};
}

std::string in_quotes(std::string_view name) {
  return "\"" + std::string(name) + "\"";
}

Seconds leeway_of(Seconds configured, Seconds fallback) {
  if (configured < Seconds{0}) return Seconds{0};
  return configured == Seconds{0} ? fallback : configured;
}

// One step of a JSON pointer (RFC 6901), with its escapes undone; nullopt: a malformed escape.
std::optional<std::string> pointer_step(std::string_view step) {
  std::string out;
  for (std::size_t i = 0; i < step.size(); ++i) {
    if (step[i] != '~') {
      out += step[i];
      continue;
    }
    if (++i == step.size() || (step[i] != '0' && step[i] != '1')) return std::nullopt;
    out += step[i] == '0' ? '~' : '/';
  }
  return out;
}

const Json* member(const Json& value, const std::string& name) {
  if (value.is_object()) {
    const auto it = value.find(name);
    return it == value.end() ? nullptr : &*it;
  }
  if (!value.is_array()) return nullptr;
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
  if (error != std::errc{} || end != name.data() + name.size() || index >= value.size())
    return nullptr;
  return &value[index];
}

const Json* at_pointer(const Json& claims, std::string_view pointer) {
  const Json* value = &claims;
  while (!pointer.empty() && value != nullptr) {
    pointer.remove_prefix(1);
    const std::size_t slash = std::min(pointer.find('/'), pointer.size());
    const auto step = pointer_step(pointer.substr(0, slash));
    value = step ? member(*value, *step) : nullptr;
    pointer.remove_prefix(slash);
  }
  return value;
}

// A NumericDate (RFC 7519 section 2). nullopt: the claim is absent.
Result<std::optional<WallTime>> date_of(const Json& claims, const char* name) {
  const auto it = claims.find(name);
  if (it == claims.end() || it->is_null()) return std::optional<WallTime>{};
  const double seconds = it->is_number() ? it->get<double>() : -1;
  if (!(seconds >= 0 && seconds <= kNumericDateMax))
    return refused(in_quotes(name) + " is not a time in seconds");
  return std::optional{from_unix_millis(static_cast<std::int64_t>(std::floor(seconds * 1000)))};
}

bool is_scalar(const Json& value) {
  return value.is_string() || value.is_boolean() || value.is_number();
}

bool fits_one(const Json& value, const std::vector<Json>& wanted, bool globs) {
  return std::any_of(wanted.begin(), wanted.end(), [&](const Json& want) {
    if (globs && want.is_string() && value.is_string())
      return glob_match(want.get_ref<const std::string&>(), value.get_ref<const std::string&>());
    return is_scalar(value) && value == want;
  });
}

std::optional<std::string> scalar_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (is_scalar(value)) return dump_json(value);
  return std::nullopt;
}

Result<std::string> user_name(const Json& claims, const ClaimRules& rules) {
  const Json* claim = rules.user_claim_is_pointer ? find_claim(claims, rules.user_claim)
                                                  : member(claims, rules.user_claim);
  if (claim == nullptr)
    return unusable("claim " + in_quotes(rules.user_claim) + " not found in token");
  if (!claim->is_string())
    return unusable("claim " + in_quotes(rules.user_claim) + " could not be converted to string");
  const auto& name = claim->get_ref<const std::string&>();
  if (name.empty() || name.size() > kNameBytesMax)
    return unusable("claim " + in_quotes(rules.user_claim) + " must have 1 to 512 bytes");
  return name;
}

Status take_metadata(const Json& claims, const ClaimRules& rules, Subject& subject) {
  for (const auto& [claim_name, key] : rules.claim_mappings) {
    const Json* claim = find_claim(claims, claim_name);
    if (claim == nullptr) continue;
    auto text = scalar_text(*claim);
    if (!text)
      return unusable("claim " + in_quotes(claim_name) + " could not be converted to string");
    if (text->size() > kMetadataBytesMax)
      return unusable("claim " + in_quotes(claim_name) + " is longer than 2048 bytes");
    subject.metadata[key] = std::move(*text);
  }
  return ok();
}

Status take_groups(const Json& claims, const ClaimRules& rules, Subject& subject) {
  if (rules.groups_claim.empty()) return ok();
  const Json* claim = find_claim(claims, rules.groups_claim);
  if (claim == nullptr)
    return unusable(in_quotes(rules.groups_claim) + " claim not found in token");
  const Json list = claim->is_string() ? Json::array({*claim}) : *claim;
  if (!list.is_array())
    return unusable(in_quotes(rules.groups_claim) + " claim could not be converted to string list");
  if (list.size() > kGroupsMax)
    return unusable(in_quotes(rules.groups_claim) + " claim names more than 1000 groups");
  std::vector<std::string> groups;
  for (const Json& group : list) {
    if (!group.is_string())
      return unusable(in_quotes(rules.groups_claim) +
                      " claim could not be converted to string list");
    if (group.get_ref<const std::string&>().size() > kNameBytesMax)
      return unusable(in_quotes(rules.groups_claim) +
                      " claim names a group of more than 512 bytes");
    if (!group.get_ref<const std::string&>().empty()) groups.push_back(group.get<std::string>());
  }
  subject.groups = std::move(groups);
  return ok();
}

}  // namespace

const Json* find_claim(const Json& claims, std::string_view name) {
  if (name.starts_with('/')) return at_pointer(claims, name);
  return member(claims, std::string(name));
}

Status check_times(const Json& claims, const ClaimRules& rules, WallTime now) {
  ASSIGN_OR_RETURN(const auto issued, date_of(claims, "iat"));
  ASSIGN_OR_RETURN(auto not_before, date_of(claims, "nbf"));
  ASSIGN_OR_RETURN(auto expires, date_of(claims, "exp"));
  if (!issued && !not_before && !expires)
    return refused(
        "no issued at (iat), not before (nbf), or expiration time (exp) claims in token");
  if (!expires)
    expires = std::max(issued.value_or(WallTime{}), not_before.value_or(WallTime{})) +
              leeway_of(rules.expiration_leeway, kDefaultLeeway);
  if (!not_before)
    not_before = issued ? *issued : *expires - leeway_of(rules.not_before_leeway, kDefaultLeeway);
  const Seconds skew = leeway_of(rules.clock_skew_leeway, kDefaultSkew);
  if (now + skew < *not_before)
    return refused("invalid not before (nbf) claim: token not yet valid");
  if (now - skew > *expires)
    return refused("invalid expiration time (exp) claim: token is expired");
  if (issued && now + skew < *issued)
    return refused("invalid issued at (iat) claim: token issued in the future");
  if (rules.max_age <= Seconds{0}) return ok();
  ASSIGN_OR_RETURN(const auto authenticated, date_of(claims, "auth_time"));
  if (!authenticated) return refused("auth_time is missing, and the role has a max_age");
  if (now - skew > *authenticated + rules.max_age)
    return refused("auth_time is longer ago than the role's max_age");
  if (now + skew < *authenticated) return refused("auth_time is in the future");
  return ok();
}

Status check_issuer(const Json& claims, const std::string& bound_issuer) {
  if (bound_issuer.empty()) return ok();
  const Json* issuer = member(claims, "iss");
  if (issuer == nullptr || *issuer != Json(bound_issuer))
    return refused("invalid issuer (iss) claim");
  return ok();
}

bool has_audience(const Json& claims, const std::string& wanted) {
  const Json* audience = member(claims, "aud");
  if (audience == nullptr) return false;
  if (!audience->is_array()) return *audience == Json(wanted);
  return std::find(audience->begin(), audience->end(), Json(wanted)) != audience->end();
}

Status check_audience(const Json& claims, const ClaimRules& rules, Audience audience) {
  if (rules.bound_audiences.empty()) {
    if (audience == Audience::kBoundElsewhere) return ok();
    const Json* present = member(claims, "aud");
    if (present == nullptr || present->is_null() || *present == Json::array()) return ok();
    return refused("audience claim found in JWT but no audiences bound to the role");
  }
  for (const std::string& wanted : rules.bound_audiences)
    if (has_audience(claims, wanted)) return ok();
  return refused(
      "invalid audience (aud) claim: audience claim does not match any expected audience");
}

Status check_bound(const Json& claims, const ClaimRules& rules) {
  if (!rules.bound_subject.empty()) {
    const Json* subject = member(claims, "sub");
    if (subject == nullptr || *subject != Json(rules.bound_subject))
      return refused("sub claim does not match bound subject");
  }
  for (const auto& [name, wanted] : rules.bound_claims) {
    const Json* actual = find_claim(claims, name);
    if (actual == nullptr || actual->is_null())
      return refused("claim " + in_quotes(name) + " is missing");
    const bool fits =
        actual->is_array()
            ? std::any_of(actual->begin(), actual->end(),
                          [&](const Json& one) { return fits_one(one, wanted, rules.globs); })
            : fits_one(*actual, wanted, rules.globs);
    if (!fits)
      return refused("claim " + in_quotes(name) +
                     " does not match any associated bound claim values");
  }
  return ok();
}

Result<Subject> subject_of(const Json& claims, const ClaimRules& rules) {
  Subject subject;
  ASSIGN_OR_RETURN(subject.name, user_name(claims, rules));
  RETURN_IF_ERROR(take_metadata(claims, rules, subject));
  RETURN_IF_ERROR(take_groups(claims, rules, subject));
  return subject;
}

}  // namespace curfew::broker::jwt

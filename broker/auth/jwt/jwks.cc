#include "broker/auth/jwt/jwks.h"

#include <algorithm>

namespace curfew::broker::jwt {
namespace {

constexpr std::size_t kTextBytesMax = std::size_t{512} << 10;
constexpr std::size_t kKeysMax = 100;
constexpr JsonLimits kJsonLimits{.depth_max = 8, .values_max = 10'000};

std::string text_of(const Json& jwk, const char* name) {
  const auto it = jwk.find(name);
  return it != jwk.end() && it->is_string() ? it->get<std::string>() : std::string{};
}

// "sig" as RFC 7517 has it, "jwt-svid" as SPIFFE has it.
bool is_for_signatures(const Json& jwk) {
  const std::string use = text_of(jwk, "use");
  if (!use.empty() && use != "sig" && use != "jwt-svid") return false;
  const auto operations = jwk.find("key_ops");
  if (operations == jwk.end() || !operations->is_array()) return true;
  return std::find(operations->begin(), operations->end(), Json("verify")) != operations->end();
}

Result<NamedKey> read_key(const Json& jwk) {
  if (!jwk.is_object()) return Error{Errc::kInvalidArgument, "a key is no JSON object"};
  if (!is_for_signatures(jwk))
    return Error{Errc::kInvalidArgument, "the key is not for verifying signatures"};
  ASSIGN_OR_RETURN(auto key, PublicKey::from_jwk(jwk));
  NamedKey named{.key = std::move(key), .kid = text_of(jwk, "kid")};
  const std::string algorithm = text_of(jwk, "alg");
  if (algorithm.empty()) return named;
  named.only_for = parse_algorithm(algorithm);
  if (!named.only_for || !named.key.fits(*named.only_for))
    return Error{Errc::kInvalidArgument, "the key's \"alg\" is none that it can be used with"};
  return named;
}

}  // namespace

Result<Keys> parse_jwks(std::string_view text) {
  if (text.size() > kTextBytesMax)
    return Error{Errc::kInvalidArgument, "the key set is larger than 512 KiB"};
  ASSIGN_OR_RETURN(const Json set, parse_json(text, kJsonLimits));
  const auto list = set.is_object() ? set.find("keys") : set.end();
  if (list == set.end() || !list->is_array())
    return Error{Errc::kInvalidArgument, "this is no JSON Web Key Set: \"keys\" is missing"};
  if (list->size() > kKeysMax)
    return Error{Errc::kInvalidArgument, "the key set has more than 100 keys"};
  Keys keys;
  std::string first_reason;
  for (const Json& jwk : *list) {
    auto key = read_key(jwk);
    if (key)
      keys.push_back(std::move(*key));
    else if (first_reason.empty())
      first_reason = key.error().message;
  }
  if (keys.empty())
    return Error{Errc::kInvalidArgument,
                 "the key set has no key that could verify a token" +
                     (first_reason.empty() ? std::string{} : ": " + first_reason)};
  return keys;
}

}  // namespace curfew::broker::jwt

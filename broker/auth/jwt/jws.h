#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "broker/auth/jwt/algorithm.h"
#include "broker/auth/jwt/public_key.h"

namespace curfew::broker::jwt {

// What is taken from a caller that nobody knows yet.
struct JwsLimits {
  std::size_t token_bytes_max = 32 * 1024;
  std::size_t header_bytes_max = 4 * 1024;
  JsonLimits header_json{.depth_max = 8, .values_max = 200};
  JsonLimits claims_json{.depth_max = 16, .values_max = 4'000};
};

// A key that may have a name, as a JSON Web Key Set has it.
struct NamedKey {
  PublicKey key;
  std::string kid = {};                    // empty: none
  std::optional<Algorithm> only_for = {};  // the key's "alg"
};
using Keys = std::vector<NamedKey>;

// A JSON Web Token in compact form (RFC 7515, RFC 7519), taken apart and not believed. Its claims
// are got by verify(); what the header says of keys (jku, jwk, x5c …) is never looked at.
class Jws {
 public:
  // kInvalidArgument: not three parts of base64url, no JSON objects in the first two, beyond the
  // limits, an algorithm that is not one of ours, or "crit" (none of the extensions is known here).
  // The message holds nothing of the token.
  static Result<Jws> parse(std::string_view token, const JwsLimits& limits = {});

  Algorithm algorithm() const { return algorithm_; }
  const std::string& kid() const { return kid_; }  // empty: the header has none

  // The claims, where one of `keys` has signed them: a key that fits the algorithm and, where both
  // have one, has the token's kid. kUnauthenticated: none has. kInvalidArgument: the algorithm is
  // not among `allowed`.
  Result<Json> verify(const Keys& keys, const std::vector<Algorithm>& allowed) const;

  // Whether `keys` has one of the token's kid (or the token has none).
  bool names_one_of(const Keys& keys) const;

  // What nobody has vouched for: only for a verifier elsewhere, that gets the whole token.
  const Json& unverified_claims() const { return claims_; }

 private:
  Jws() = default;

  std::string signed_text_;  // header and claims as they came, with the dot
  std::string signature_;
  Algorithm algorithm_ = Algorithm::kRs256;
  std::string kid_;
  Json claims_;
};

}  // namespace curfew::broker::jwt

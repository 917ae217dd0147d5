#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

struct evp_pkey_st;

namespace curfew::test {

// A key pair of an issuer of JSON Web Tokens, as a test needs it: it signs anything, also what no
// honest issuer would. Throws where the test cannot go on.
class TokenSigner {
 public:
  // "RS256" … "EdDSA": the kind of key and what sign() puts into the header. RSA keys have
  // `rsa_bits`.
  explicit TokenSigner(std::string algorithm = "RS256", std::string kid = "key-1",
                       unsigned rsa_bits = 2048);

  // A token of these claims; `header` adds to or replaces {"alg", "kid", "typ"} (null removes).
  std::string sign(const Json& claims, const Json& header = Json::object()) const;
  // The same for a payload that may be no JSON at all.
  std::string sign_text(std::string_view payload, const Json& header = Json::object()) const;

  std::string public_pem() const;
  // A self-signed certificate of the key, PEM.
  std::string certificate_pem() const;
  Json jwk() const;  // public members, "kid", "alg", "use"

  const std::string& kid() const { return kid_; }

 private:
  std::string signature(std::string_view text) const;

  std::string algorithm_;
  std::string kid_;
  std::shared_ptr<evp_pkey_st> key_;
};

// {"keys": […]} as text.
std::string jwks_text(const std::vector<const TokenSigner*>& signers);

// Base64url without padding.
std::string base64url(std::string_view bytes);

// A token with a foreign signature: HS256 by `secret`, or, with an empty one, {"alg":"none"}.
std::string unsigned_or_shared(const Json& claims, std::string_view secret, const Json& header);

}  // namespace curfew::test

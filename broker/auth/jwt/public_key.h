#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "broker/auth/jwt/algorithm.h"

struct evp_pkey_st;

namespace curfew::broker::jwt {

// A public key that verifies signatures: RSA of 2048 to 8192 bits, P-256, P-384, P-521 or Ed25519.
// Cheap to copy; immutable; thread-safe.
class PublicKey {
 public:
  // PEM: "PUBLIC KEY", "RSA PUBLIC KEY" or "CERTIFICATE" (of which only the key counts).
  // kInvalidArgument: no such thing, a private key, or a key that is not of the kinds above.
  static Result<PublicKey> from_pem(std::string_view pem);

  // A JSON Web Key (RFC 7517) of type RSA, EC or OKP. Only its public members are looked at.
  // kInvalidArgument: a member is missing or malformed, or the key is not of the kinds above.
  static Result<PublicKey> from_jwk(const Json& jwk);

  // Whether the algorithm is one for this type of key and, with ES…, for this curve.
  bool fits(Algorithm algorithm) const;

  // Whether `signature`, as a JWS has it, is this key's over `data`. Never when !fits(algorithm).
  bool verify(Algorithm algorithm, std::string_view data, std::string_view signature) const;

 private:
  enum class Kind { kRsa, kP256, kP384, kP521, kEd25519 };
  using Handle = std::shared_ptr<evp_pkey_st>;

  PublicKey(Handle key, Kind kind) : key_(std::move(key)), kind_(kind) {}
  // Refuses what is not of the kinds above. `key` may be null.
  static Result<PublicKey> checked(Handle key);

  Handle key_;
  Kind kind_;
};

}  // namespace curfew::broker::jwt

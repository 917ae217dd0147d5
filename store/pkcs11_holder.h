#pragma once

#include <memory>

#include "base/random.h"
#include "base/result.h"
#include "store/key_holder.h"
#include "store/pkcs11_token.h"

namespace curfew::store {

// The environment variable that holds the PIN where the configuration does not.
inline constexpr const char* kPkcs11PinVariable = "CURFEW_PKCS11_PIN";
// The same for the seal to migrate from, where its PIN is another one.
inline constexpr const char* kPkcs11OldPinVariable = "CURFEW_PKCS11_OLD_PIN";

// A seal's key that only a key in an HSM can decrypt: what is stored is the seal's key, encrypted
// by that one. The token is asked when the seal opens and forgotten afterwards; the PIN stays in
// memory. Takes the PIN out of the environment (REQUIRES: no other thread uses the environment).
// kPreconditionFailed: a setting is missing. The token's errors come with each use.
Result<std::unique_ptr<KeyHolder>> make_pkcs11_holder(const Pkcs11Options& options, Random& random);

}  // namespace curfew::store

#pragma once

#include <memory>
#include <string>

#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "store/seal_options.h"

namespace curfew::store {

// What holds the key of a seal that opens by itself. One thread at a time.
class KeyHolder {
 public:
  virtual ~KeyHolder() = default;

  struct Made {
    Secret key;          // kSealKeyBytes
    std::string stored;  // what get() needs to give it again, for the database; no secret
  };

  // The key for a store that is to be sealed by it from now on.
  virtual Result<Made> make() = 0;

  // The key that make() gave. kUnavailable: the holder cannot be reached now; kPreconditionFailed,
  // kInvalidArgument: the configuration or the holder is not as it must be; kSealed: it was
  // forgotten.
  virtual Result<Secret> get(const std::string& stored) = 0;

  // Zeroes what it keeps in memory. A holder in the environment gives nothing afterwards.
  virtual void forget() {}
};

// The holder of a seal; nullptr for kShamir. For kEnv the key, and for kPkcs11 the PIN, is taken
// out of the environment (REQUIRES then: no other thread uses the environment). `random` outlives
// it. kPreconditionFailed: a setting or the variable is missing.
Result<std::unique_ptr<KeyHolder>> make_key_holder(const SealOptions& options, Random& random);

}  // namespace curfew::store

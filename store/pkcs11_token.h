#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "store/seal_options.h"

namespace curfew::store {

enum class Pkcs11Mechanism : char {
  kAesGcm = '\x01',
  kAesCbcPad = '\x02',
};

// "aes-gcm", "aes-cbc-pad".
std::optional<Pkcs11Mechanism> pkcs11_mechanism_of(std::string_view name);

// One AES key that stays in a token (an HSM), used through a session that lives as long as this
// object. One thread at a time, and one object at a time in a process.
//
// Errors: kUnavailable: the token is not there, or fails; it may be there later.
// kPreconditionFailed: the module cannot be loaded, the PIN is refused, the key is missing, there
// are several, or it could be taken out of the token: somebody has to change something.
class Pkcs11Token {
 public:
  // Loads the module, finds the token and logs in.
  static Result<std::unique_ptr<Pkcs11Token>> open(const Pkcs11Options& options, const Secret& pin);
  ~Pkcs11Token();
  Pkcs11Token(const Pkcs11Token&) = delete;
  Pkcs11Token& operator=(const Pkcs11Token&) = delete;

  // Finds the key; makes it where there is none and the options say so (AES-256, not extractable).
  Status find_key(bool may_generate);

  // REQUIRES: find_key() succeeded. `iv`: 12 bytes for kAesGcm, 16 for kAesCbcPad. kCorrupt: what
  // is decrypted was not encrypted by this key, or was changed (kAesCbcPad does not always notice).
  Result<std::string> encrypt(Pkcs11Mechanism mechanism, const std::string& iv,
                              const Secret& text) const;
  Result<Secret> decrypt(Pkcs11Mechanism mechanism, const std::string& iv,
                         const std::string& sealed) const;

 private:
  struct Parts;
  explicit Pkcs11Token(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts_;
};

// The token said that the PIN is wrong: to try the same one again brings it nearer to locking.
bool is_refused_pin(const Error& error);

}  // namespace curfew::store

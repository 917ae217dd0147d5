#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/secret.h"

namespace curfew::store {

// What holds the key that wraps the root key.
enum class SealKind {
  kShamir,  // people: it is split into shares
  kFile,    // a file that only the server can read
  kEnv,     // an environment variable
  kPkcs11,  // an HSM, which decrypts it
};

// "shamir", "file", "env", "pkcs11".
std::string_view seal_kind_name(SealKind kind);
std::optional<SealKind> seal_kind_of(std::string_view name);

// Which key of which token, and how to get there.
struct Pkcs11Options {
  std::string library = {};                // the module's shared object
  std::optional<std::uint64_t> slot = {};  // this, or the label
  std::string token_label = {};
  Secret pin = {};
  std::string pin_file = {};   // instead of `pin`; neither: the variable CURFEW_PKCS11_PIN
  std::string key_label = {};  // this, the id, or both
  std::string key_id = {};     // raw bytes
  std::string mechanism = "aes-gcm";
  bool generate_key = false;  // where there is no such key, when a store is to be sealed by it
};

struct SealOptions {
  SealKind kind = SealKind::kShamir;
  std::string key_file = {};                    // for kFile
  std::string environment = "CURFEW_SEAL_KEY";  // for kEnv: the variable's name
  Pkcs11Options pkcs11 = {};                    // for kPkcs11
};

// How many people hold shares of a key, and how many of them it takes. Both 0: nobody does.
struct ShareNumbers {
  int shares = 0;
  int threshold = 0;
  bool operator==(const ShareNumbers&) const = default;
};

}  // namespace curfew::store

#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "store/keyring.h"
#include "store/sql.h"

namespace curfew::store {

// What holds the key that wraps the root key.
enum class SealKind {
  kShamir,  // people: it is split into shares
  kFile,    // a file that only the server can read
  kEnv,     // an environment variable
};

// "shamir", "file", "env".
std::string_view seal_kind_name(SealKind kind);
std::optional<SealKind> seal_kind_of(std::string_view name);

struct SealOptions {
  SealKind kind = SealKind::kShamir;
  std::string key_file = {};                    // for kFile
  std::string environment = "CURFEW_SEAL_KEY";  // for kEnv: the variable's name
};

struct SealStatus {
  SealKind kind = SealKind::kShamir;
  bool initialized = false;
  bool sealed = true;
  int shares = 0;     // 0 unless kShamir and initialized
  int threshold = 0;  // 0 unless kShamir and initialized
  int progress = 0;   // shares given so far
  std::string nonce;  // of the attempt under way, or empty
};

// Guards the root key: makes it, wraps it, and gives it to the keyring when the seal's key is
// there. Neither it nor the seal's key stays in memory afterwards.
//
// Thread-safe.
class Seal {
 public:
  // Reads what the database says about its seal; kEnv also takes the key out of the environment
  // (REQUIRES then: no other thread uses the environment). All references outlive the seal.
  // kPreconditionFailed: the database has a seal of another kind, or the variable is missing.
  static Result<std::unique_ptr<Seal>> open(Database& database, Keyring& keyring,
                                            const SealOptions& options, Random& random, Log& log);

  // What the first transaction of a store is to contain beside its keys. The barrier is usable.
  using FirstWrites = std::function<Status(Writer&, const Barrier&)>;

  // Makes the store's identity and keys, in one transaction with `first_writes`. kShamir: gives the
  // shares, 33 raw bytes each, and stays sealed; otherwise gives none (`shares` and `threshold` do
  // not matter) and unseals. kInvalidArgument: initialized already, or
  // parameters out of range (1 <= threshold <= shares <= 255; threshold 1 only with one share).
  // Errors of read_or_create_key_file() too. When it fails nothing was initialized.
  Result<std::vector<Secret>> initialize(int shares, int threshold,
                                         const FirstWrites& first_writes = {});

  // kUnavailable: the database cannot be read.
  Result<SealStatus> status() const;

  // Takes one share, as hexadecimal or base64, and unseals when it is the last that was missing. A
  // share that was given before changes nothing; neither does any while unsealed. When the shares
  // do not fit the attempt starts again from nothing (kInvalidArgument). kNotInitialized.
  Result<SealStatus> unseal(const Secret& share);

  // Forgets the shares given so far.
  void reset();

  // kFile and kEnv: unseals; true when it is unsealed now, false when there is nothing to unseal
  // yet (not initialized) or shares are needed. The errors of reading the key; kCorrupt: it is not
  // the key of this database.
  Result<bool> auto_unseal();

  // Zeroes the keys. A kEnv seal cannot be opened again by this process.
  void seal();

  // A name of the store, made with it; empty before. kUnavailable as status().
  Result<std::string> store_id() const;

 private:
  // What the table `meta` holds about the seal.
  struct Stored {
    std::string store_id;
    SealKind kind = SealKind::kShamir;
    int shares = 0;
    int threshold = 0;
    std::string root_key;  // wrapped
  };

  Seal(Database& database, Keyring& keyring, SealOptions options, Random& random, Log& log);

  // The functions below are called with mutex_ held.
  Status load() const;
  Status check_kind(const Stored& stored) const;
  Result<Secret> seal_key_for_initialize();
  Result<Secret> unwrap_root_key(const Secret& seal_key) const;
  Status unlock(const Secret& root_key);
  Result<SealStatus> take_share(Secret share);
  SealStatus current_status() const;
  void forget_shares();
  static std::string context(const Stored& stored);

  Database& database_;
  Keyring& keyring_;
  const SealOptions options_;
  Random& random_;
  Log& log_;

  mutable std::mutex mutex_;              // protects what follows
  mutable std::optional<Stored> stored_;  // nullopt: not initialized, as far as is known
  Secret environment_key_;                // until it is used
  std::vector<Secret> given_;             // shares of the attempt under way
  std::string nonce_;
};

}  // namespace curfew::store

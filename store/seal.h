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
#include "store/key_holder.h"
#include "store/keyring.h"
#include "store/seal_options.h"
#include "store/seal_record.h"
#include "store/share_attempt.h"
#include "store/sql.h"

namespace curfew::store {

struct SealStatus {
  SealKind kind = SealKind::kShamir;  // what the root key is wrapped by now
  bool initialized = false;
  bool sealed = true;
  bool recovery = false;   // the shares are those of recovery keys: they do not unseal
  bool migration = false;  // the configuration asks for another seal than the store's
  int shares = 0;          // 0 unless people hold shares
  int threshold = 0;       // 0 likewise
  int progress = 0;        // shares given so far
  std::string nonce;       // of the attempt under way, or empty
};

// kInvalidArgument: not 1 <= threshold <= shares <= 255, or several shares with a threshold of 1.
Status check_share_numbers(const ShareNumbers& numbers);

// Guards the root key: makes it, wraps it, and gives it to the keyring when the seal's key is
// there. Neither it nor the seal's key stays in memory afterwards.
//
// Thread-safe. One operation at a time, which may wait for the key's holder (an HSM) as long as
// that takes; status() and store_id() do not wait for it, and say what was so before.
class Seal {
 public:
  // Reads what the database says about its seal; kEnv also takes the key, and kPkcs11 the PINs, out
  // of the environment (REQUIRES then: no other thread uses the environment). `old`: the seal that
  // the store is to be taken over from, with unseal(…, true); a store that has the new seal already
  // is opened as usual. All references outlive the seal. kPreconditionFailed: the database has a
  // seal of another kind, or the variable is missing.
  static Result<std::unique_ptr<Seal>> open(Database& database, Keyring& keyring,
                                            const SealOptions& options, Random& random, Log& log,
                                            const std::optional<SealOptions>& old = std::nullopt);

  // What the first transaction of a store is to contain beside its keys. The barrier is usable.
  using FirstWrites = std::function<Status(Writer&, const Barrier&)>;

  // Makes the store's identity and keys, in one transaction with `first_writes`. kShamir: gives the
  // shares of the seal's key, 33 raw bytes each, and stays sealed. Otherwise gives the shares of a
  // recovery key, or none when `shares` is 0, and unseals. kInvalidArgument: initialized already,
  // or the errors of check_share_numbers(). Errors of the key's holder too. When it fails nothing
  // was initialized.
  Result<std::vector<Secret>> initialize(int shares, int threshold,
                                         const FirstWrites& first_writes = {});

  // kUnavailable: the database cannot be read.
  Result<SealStatus> status() const;

  // Takes one share, as hexadecimal or base64, and unseals when it is the last that was missing. A
  // share that was given before changes nothing; neither does any while unsealed. When the shares
  // do not fit the attempt starts again from nothing (kInvalidArgument). kNotInitialized.
  //
  // `migrate`: takes the store over from the old seal with the last share, in one transaction. From
  // shares to a holder the shares become those of the recovery key, and back. Where nobody holds
  // shares none is needed. It is what a store that waits for it takes, and no other
  // (kInvalidArgument).
  Result<SealStatus> unseal(const Secret& share, bool migrate = false);

  // Forgets the shares given so far.
  void reset();

  // Where the key has a holder: unseals; true when it is unsealed now, false when there is nothing
  // to unseal yet (not initialized), shares are needed, or a migration. The errors of the holder;
  // kUnavailable: also where it cannot be told yet whether to migrate. kCorrupt: it is not the key
  // of this database.
  Result<bool> auto_unseal();

  // Zeroes the keys, at once; answers when the operation under way has ended. A kEnv seal cannot be
  // opened again by this process.
  void seal();

  // A name of the store, made with it; empty before. kUnavailable as status().
  Result<std::string> store_id() const;

  // The shares that people hold. kPreconditionFailed: nobody does, and what to do.
  Result<ShareNumbers> holders() const;

  // Whether it is the key that people hold shares of. kInvalidArgument: it is not.
  Status check_shares_key(const Secret& key) const;

  // New shares of a new key for the same root key; they are nothing before replace_shares().
  struct NewShares {
    std::vector<Secret> shares;
    SealRecord before, after;
  };
  // `key`: what the present shares make. Errors of check_share_numbers() and check_shares_key().
  Result<NewShares> make_shares(const Secret& key, const ShareNumbers& numbers) const;

  // Puts the new shares in the place of the old ones, in one transaction; the old ones are of no
  // use from then on. kConflict: the shares were replaced meanwhile; kUnavailable: look at
  // holders() again.
  Status replace_shares(const SealRecord& before, const SealRecord& after);

  // Makes recovery keys for a store that has none; gives their shares. kPreconditionFailed: it has,
  // or people hold the seal's key; the holder's errors.
  Result<std::vector<Secret>> make_recovery_keys(const ShareNumbers& numbers);

 private:
  Seal(Database& database, Keyring& keyring, SealOptions options, std::optional<SealOptions> old,
       Random& random, Log& log);

  // What can be said without waiting.
  struct Published {
    SealStatus status;
    std::string store_id;
  };
  // Holds mutex_, and publishes what has become so before it lets go.
  class Turn;
  Result<Published> look() const;

  // The functions below are called with mutex_ held.
  Published present() const;
  void publish() const;
  Status load() const;
  Result<std::optional<bool>> migration_by_kind(const SealRecord& stored) const;
  Status settle_migration();
  Result<bool> is_opened_by(KeyHolder& holder) const;
  Status wrap_for_people(const Secret& root_key, const ShareNumbers& numbers, SealRecord& record,
                         std::vector<Secret>& shares) const;
  Status wrap_for_holder(const Secret& root_key, SealRecord& record) const;
  Status write(const SealRecord& before, SealRecord after);
  Status unlock(const Secret& root_key);
  Status unlock_by_holder();
  Result<SealStatus> take_share(const Secret& share);
  Result<SealStatus> use_shares_key(const Secret& key);
  Result<SealStatus> migrate_without_shares();
  Status migrate(const Secret& root_key, const Secret& shares_key);
  Result<ShareNumbers> loaded_holders() const;
  SealStatus current_status() const;
  void forget_keys();

  Database& database_;
  Keyring& keyring_;
  const SealOptions options_;
  const std::optional<SealOptions> old_options_;
  Random& random_;
  Log& log_;

  mutable std::mutex mutex_;                  // protects what follows
  mutable std::optional<SealRecord> stored_;  // nullopt: not initialized, as far as is known
  mutable std::optional<bool> migration_;     // nullopt: the keys have to say, see settle_migration
  std::unique_ptr<KeyHolder> holder_;         // nullptr for kShamir
  std::unique_ptr<KeyHolder> old_holder_;     // of the seal to migrate from, likewise
  bool unlock_pending_ = false;               // migrated to a holder, and not opened since
  ShareAttempt attempt_;

  mutable std::mutex published_mutex_;          // never held for long; protects the next
  mutable std::optional<Published> published_;  // nullopt: the database could not be read
};

}  // namespace curfew::store

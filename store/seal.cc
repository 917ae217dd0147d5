#include "store/seal.h"

#include <utility>

#include "store/pkcs11_holder.h"
#include "store/seal_key.h"
#include "store/shamir.h"

namespace curfew::store {
namespace {

Error not_initialized() {
  return {Errc::kNotInitialized, "the server is not initialized; initialize it first"};
}

Error wrong_shares(const Error& reason) {
  return {Errc::kInvalidArgument,
          "the key shares do not open this database: at least one is wrong or of another server. "
          "Begin again with the first share",
          reason.message};
}

Error wrong_kind(SealKind stored, const SealOptions& wanted) {
  return {Errc::kPreconditionFailed,
          "the database was initialized with a seal of kind " +
              std::string(seal_kind_name(stored)) + ", and the configuration says " +
              std::string(seal_kind_name(wanted.kind)) +
              ". Change the configuration (to migrate, keep the old seal in it with disabled = "
              "true), or check that this is the right database"};
}

// A new key for people and its shares.
Result<Secret> split_new_key(const ShareNumbers& numbers, Random& random,
                             std::vector<Secret>& shares) {
  Secret key(random_bytes(random, kSealKeyBytes));
  ASSIGN_OR_RETURN(shares, shamir_split(key, numbers.shares, numbers.threshold, random));
  return key;
}

// The PINs that the configuration leaves to the environment. Each variable is read once: of two
// seals of tokens the old one has its own or, without that, the same PIN.
void take_pins(SealOptions& now, std::optional<SealOptions>& old) {
  const auto is_token = [](const SealOptions& o) { return o.kind == SealKind::kPkcs11; };
  const auto waits = [&](const SealOptions& o) {
    return is_token(o) && o.pkcs11.pin.empty() && o.pkcs11.pin_file.empty();
  };
  if (!is_token(now) && !(old && is_token(*old))) return;
  const Secret pin = take_environment(kPkcs11PinVariable).value_or(Secret());
  const Secret old_pin = take_environment(kPkcs11OldPinVariable).value_or(Secret());
  if (waits(now)) now.pkcs11.pin = pin;
  if (old && waits(*old)) old->pkcs11.pin = old_pin.empty() ? pin : old_pin;
}

}  // namespace

Status check_share_numbers(const ShareNumbers& numbers) {
  if (numbers.threshold < 1 || numbers.threshold > numbers.shares || numbers.shares > kSharesMax)
    return Error{Errc::kInvalidArgument,
                 "the number of key shares must be 1 to 255, and the threshold 1 to that number"};
  if (numbers.threshold == 1 && numbers.shares > 1)
    return Error{Errc::kInvalidArgument,
                 "a threshold of 1 is only for a single share: each of several would be the whole "
                 "key"};
  return ok();
}

class Seal::Turn {
 public:
  explicit Turn(const Seal& seal) : lock_(seal.mutex_), seal_(seal) {}
  ~Turn() { seal_.publish(); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  const std::scoped_lock<std::mutex> lock_;
  const Seal& seal_;
};

Seal::Seal(Database& database, Keyring& keyring, SealOptions options,
           std::optional<SealOptions> old, Random& random, Log& log)
    : database_(database),
      keyring_(keyring),
      options_(std::move(options)),
      old_options_(std::move(old)),
      random_(random),
      log_(log) {}

Result<std::unique_ptr<Seal>> Seal::open(Database& database, Keyring& keyring,
                                         const SealOptions& options, Random& random, Log& log,
                                         const std::optional<SealOptions>& old) {
  std::unique_ptr<Seal> seal(new Seal(database, keyring, options, old, random, log));
  const Turn turn(*seal);
  SealOptions with_pin = options;
  std::optional<SealOptions> old_with_pin = old;
  take_pins(with_pin, old_with_pin);
  ASSIGN_OR_RETURN(seal->holder_, make_key_holder(with_pin, random));
  if (old_with_pin) {
    ASSIGN_OR_RETURN(seal->old_holder_, make_key_holder(*old_with_pin, random));
  }
  RETURN_IF_ERROR(seal->load());
  // Files and variables are here or not; an HSM may hang, and is asked when it is to unseal.
  if (options.kind != SealKind::kPkcs11) RETURN_IF_ERROR(seal->settle_migration());
  return seal;
}

// Of two seals of one kind only the key itself tells which one the store has (nullopt).
Result<std::optional<bool>> Seal::migration_by_kind(const SealRecord& stored) const {
  const bool is_new = stored.kind == options_.kind;
  const bool is_old = old_options_ && stored.kind == old_options_->kind;
  if (!is_new && !is_old) return wrong_kind(stored.kind, options_);
  if (!is_new || !is_old) return std::optional<bool>(is_old);
  if (holder_ == nullptr)
    return Error{Errc::kPreconditionFailed,
                 "the seal to migrate from and the new one are both of key shares. To replace the "
                 "shares, use: curfew operator rekey"};
  return std::optional<bool>{};
}

Result<bool> Seal::is_opened_by(KeyHolder& holder) const {
  ASSIGN_OR_RETURN(const Secret key, holder.get(stored_->holder));
  return stored_->open_by_seal(key).has_value();
}

// A key file that does not exist yet is one to migrate to, and so is another key of the token. An
// HSM that is away is neither: it may be the one that the store has.
Status Seal::settle_migration() {
  RETURN_IF_ERROR(load());
  if (!stored_ || migration_) return ok();
  const auto by_new = is_opened_by(*holder_);
  if (by_new) {
    migration_ = !*by_new;
    return ok();
  }
  const Errc code = by_new.error().code;
  if (code == Errc::kCorrupt || (code == Errc::kUnavailable && options_.kind == SealKind::kFile)) {
    migration_ = true;
    return ok();
  }
  if (code != Errc::kUnavailable) return by_new.error();
  if (const auto by_old = is_opened_by(*old_holder_); by_old && *by_old) {
    migration_ = true;
    return ok();
  }
  return Error{
      Errc::kUnavailable,
      "the new seal cannot be used now, so that it is not known whether the store is to be "
      "migrated to it or has it already: " +
          by_new.error().message,
      by_new.error().detail};
}

Status Seal::load() const {
  if (stored_) return ok();
  std::optional<SealRecord> found;
  RETURN_IF_ERROR(database_.read([&](const Reader& reader) -> Status {
    ASSIGN_OR_RETURN(found, read_seal_record(reader));
    return ok();
  }));
  if (!found) return ok();
  ASSIGN_OR_RETURN(migration_, migration_by_kind(*found));
  if (migration_.value_or(false) && options_.kind == SealKind::kShamir &&
      found->shares().shares == 0)
    return Error{Errc::kPreconditionFailed,
                 "this store has no recovery keys, whose shares a seal of kind shamir would go on "
                 "with. Start the server with the old seal alone, make them with: curfew operator "
                 "rekey -target=recovery -init, and migrate then"};
  stored_ = std::move(found);
  return ok();
}

Status Seal::wrap_for_people(const Secret& root_key, const ShareNumbers& numbers,
                             SealRecord& record, std::vector<Secret>& shares) const {
  ASSIGN_OR_RETURN(const Secret key, split_new_key(numbers, random_, shares));
  if (record.kind == SealKind::kShamir) {
    record.seal_shares = numbers;
    return record.wrap_by_seal(key, root_key, random_);
  }
  record.recovery_shares = numbers;
  return record.wrap_by_recovery(key, root_key, random_);
}

Status Seal::wrap_for_holder(const Secret& root_key, SealRecord& record) const {
  ASSIGN_OR_RETURN(KeyHolder::Made made, holder_->make());
  record.holder = std::move(made.stored);
  return record.wrap_by_seal(made.key, root_key, random_);
}

Result<std::vector<Secret>> Seal::initialize(int shares, int threshold,
                                             const FirstWrites& first_writes) {
  const Turn turn(*this);
  RETURN_IF_ERROR(load());
  if (stored_) return Error{Errc::kInvalidArgument, "the server is already initialized"};
  const ShareNumbers numbers{shares, threshold};
  const bool split = options_.kind == SealKind::kShamir;
  if (split || shares != 0 || threshold != 0) RETURN_IF_ERROR(check_share_numbers(numbers));

  SealRecord made;
  made.store_id = random_uuid(random_);
  made.kind = options_.kind;
  const Secret root_key = make_root_key(random_);
  if (!split) RETURN_IF_ERROR(wrap_for_holder(root_key, made));
  std::vector<Secret> given_out;
  if (shares > 0) RETURN_IF_ERROR(wrap_for_people(root_key, numbers, made, given_out));
  // Of its own, so that nobody finds the real one unlocked before all this is durable.
  const std::unique_ptr<Keyring> first_keys = keyring_.another();
  Status written = database_.write([&](Writer& writer) -> Status {
    ASSIGN_OR_RETURN(const auto present, read_seal_record(writer));
    if (present) return Error{Errc::kConflict, "the server was initialized meanwhile"};
    RETURN_IF_ERROR(write_seal_record(writer, made));
    RETURN_IF_ERROR(first_keys->create(writer, root_key));
    return first_writes ? first_writes(writer, *first_keys) : ok();
  });
  if (!written) return std::move(written).error();
  stored_ = std::move(made);
  migration_ = false;
  attempt_.end();
  log_.info("initialized", {{"seal", std::string(seal_kind_name(options_.kind))}});
  if (split) return given_out;
  // What was made is durable, and its first token must reach its owner whatever happens now.
  if (Status unlocked = unlock(root_key); !unlocked)
    log_.error("could not unseal after initialization", {{"error", unlocked.error().message}});
  return given_out;
}

Status Seal::unlock(const Secret& root_key) {
  RETURN_IF_ERROR(
      database_.read([&](const Reader& reader) { return keyring_.unlock(reader, root_key); }));
  unlock_pending_ = false;
  forget_keys();
  log_.info("unsealed");
  return ok();
}

Status Seal::unlock_by_holder() {
  ASSIGN_OR_RETURN(const Secret key, holder_->get(stored_->holder));
  ASSIGN_OR_RETURN(const Secret root_key, stored_->open_by_seal(key));
  return unlock(root_key);
}

SealStatus Seal::current_status() const {
  SealStatus status;
  status.kind = stored_ ? stored_->kind : options_.kind;
  status.initialized = stored_.has_value();
  status.sealed = !keyring_.is_unlocked();
  status.recovery = stored_ && stored_->recovery_shares.shares > 0;
  status.migration = stored_ && migration_.value_or(false);
  status.shares = stored_ ? stored_->shares().shares : 0;
  status.threshold = stored_ ? stored_->shares().threshold : 0;
  status.progress = attempt_.progress();
  status.nonce = attempt_.nonce();
  return status;
}

Seal::Published Seal::present() const {
  return {current_status(), stored_ ? stored_->store_id : std::string()};
}

void Seal::publish() const {
  std::optional<Published> now;
  if (load()) now = present();
  const std::scoped_lock lock(published_mutex_);
  published_ = std::move(now);
}

Result<Seal::Published> Seal::look() const {
  std::unique_lock turn(mutex_, std::try_to_lock);
  if (!turn) {
    const std::scoped_lock lock(published_mutex_);
    if (published_) {
      Published last = *published_;
      last.status.sealed = !last.status.initialized || !keyring_.is_unlocked();
      return last;
    }
  }
  if (!turn) turn.lock();
  RETURN_IF_ERROR(load());
  return present();
}

Result<SealStatus> Seal::status() const {
  ASSIGN_OR_RETURN(Published now, look());
  return std::move(now.status);
}

Result<std::string> Seal::store_id() const {
  ASSIGN_OR_RETURN(Published now, look());
  return std::move(now.store_id);
}

Result<SealStatus> Seal::unseal(const Secret& share, bool migrate) {
  const Turn turn(*this);
  RETURN_IF_ERROR(settle_migration());
  if (!stored_) return not_initialized();
  if (keyring_.is_unlocked() && (migrate || stored_->kind == SealKind::kShamir))
    return current_status();
  const bool migrates = migration_.value_or(false);
  // The migration stands, and what failed after it needs nobody's share any more.
  if (unlock_pending_ && !migrates) {
    RETURN_IF_ERROR(unlock_by_holder());
    return current_status();
  }
  if (migrates && !migrate)
    return Error{Errc::kInvalidArgument,
                 "the configuration asks for another seal than the store has. Give the shares with "
                 "migrate set to true (curfew operator unseal -migrate), or take the change back"};
  if (!migrates && migrate)
    return Error{Errc::kInvalidArgument,
                 "there is no seal to migrate from: the configuration has none with disabled = "
                 "true, or the migration is done"};
  if (!migrate && stored_->kind != SealKind::kShamir)
    return Error{Errc::kInvalidArgument,
                 "this server has no key shares: it unseals itself when it starts"};
  if (migrate && stored_->shares().shares == 0) return migrate_without_shares();
  return take_share(share);
}

Result<SealStatus> Seal::take_share(const Secret& share) {
  if (!attempt_.is_under_way()) attempt_.begin(random_);
  auto key = attempt_.add(share, stored_->shares().threshold);
  if (attempt_.progress() == 0) attempt_.end();
  if (!key) return std::move(key).error();
  if (!*key) return current_status();
  return use_shares_key(**key);
}

Result<SealStatus> Seal::use_shares_key(const Secret& key) {
  const auto root_key = stored_->open_by_shares(key);
  if (!root_key) {
    log_.warn("unseal failed: the key shares do not fit");
    return wrong_shares(root_key.error());
  }
  if (migration_.value_or(false)) RETURN_IF_ERROR(migrate(*root_key, key));
  RETURN_IF_ERROR(unlock(*root_key));
  return current_status();
}

Result<SealStatus> Seal::migrate_without_shares() {
  ASSIGN_OR_RETURN(const Secret key, old_holder_->get(stored_->holder));
  ASSIGN_OR_RETURN(const Secret root_key, stored_->open_by_seal(key));
  RETURN_IF_ERROR(migrate(root_key, Secret()));
  RETURN_IF_ERROR(unlock(root_key));
  return current_status();
}

Status Seal::migrate(const Secret& root_key, const Secret& shares_key) {
  SealRecord next;
  next.store_id = stored_->store_id;
  next.kind = options_.kind;
  if (options_.kind == SealKind::kShamir) {
    next.seal_shares = stored_->shares();
    RETURN_IF_ERROR(next.wrap_by_seal(shares_key, root_key, random_));
  } else {
    RETURN_IF_ERROR(wrap_for_holder(root_key, next));
    if (stored_->shares().shares > 0) {
      next.recovery_shares = stored_->shares();
      RETURN_IF_ERROR(next.wrap_by_recovery(shares_key, root_key, random_));
    }
  }
  const std::string from(seal_kind_name(stored_->kind));
  unlock_pending_ = options_.kind != SealKind::kShamir;
  RETURN_IF_ERROR(write(*stored_, std::move(next)));
  migration_ = false;
  log_.warn("seal migrated", {{"from", from}, {"to", std::string(seal_kind_name(options_.kind))}});
  return ok();
}

Status Seal::write(const SealRecord& before, SealRecord after) {
  const Status written = database_.write([&](Writer& writer) -> Status {
    ASSIGN_OR_RETURN(const auto present, read_seal_record(writer));
    if (!present || *present != before)
      return Error{Errc::kConflict, "the seal was changed meanwhile; begin again"};
    return write_seal_record(writer, after);
  });
  if (!written) {
    stored_.reset();  // read again: the answer alone may be what was lost
    return written;
  }
  stored_ = std::move(after);
  // What the old key opens should not lie in the log any more.
  if (Status forgotten = database_.forget_deleted(); !forgotten)
    log_.warn("what the seal's old key opens stands in the database's log for a while",
              {{"error", forgotten.error().message}});
  return ok();
}

void Seal::forget_keys() {
  if (holder_) holder_->forget();
  if (old_holder_) old_holder_->forget();
}

void Seal::reset() {
  const Turn turn(*this);
  attempt_.end();
}

Result<bool> Seal::auto_unseal() {
  const Turn turn(*this);
  RETURN_IF_ERROR(load());
  if (keyring_.is_unlocked()) return true;
  if (!stored_ || holder_ == nullptr) return false;
  RETURN_IF_ERROR(settle_migration());
  if (migration_.value_or(false)) return false;
  RETURN_IF_ERROR(unlock_by_holder());
  return true;
}

void Seal::seal() {
  keyring_.lock();  // whatever the holder is being asked meanwhile
  const Turn turn(*this);
  keyring_.lock();
  unlock_pending_ = false;
  forget_keys();
  attempt_.end();
  log_.warn("sealed");
}

Result<ShareNumbers> Seal::loaded_holders() const {
  RETURN_IF_ERROR(load());
  if (!stored_) return not_initialized();
  if (stored_->shares().shares > 0) return stored_->shares();
  return Error{Errc::kPreconditionFailed,
               "nobody holds key shares: the seal of kind " +
                   std::string(seal_kind_name(stored_->kind)) +
                   " opens by itself and has no recovery keys. Make them with: curfew operator "
                   "rekey -target=recovery -init"};
}

Result<ShareNumbers> Seal::holders() const {
  const Turn turn(*this);
  return loaded_holders();
}

Status Seal::check_shares_key(const Secret& key) const {
  const Turn turn(*this);
  RETURN_IF_ERROR(loaded_holders());
  const auto root_key = stored_->open_by_shares(key);
  return root_key ? ok() : Status(wrong_shares(root_key.error()));
}

Result<Seal::NewShares> Seal::make_shares(const Secret& key, const ShareNumbers& numbers) const {
  RETURN_IF_ERROR(check_share_numbers(numbers));
  const Turn turn(*this);
  RETURN_IF_ERROR(loaded_holders());
  const auto root_key = stored_->open_by_shares(key);
  if (!root_key) return wrong_shares(root_key.error());
  NewShares made{{}, *stored_, *stored_};
  RETURN_IF_ERROR(wrap_for_people(*root_key, numbers, made.after, made.shares));
  return made;
}

Status Seal::replace_shares(const SealRecord& before, const SealRecord& after) {
  const Turn turn(*this);
  RETURN_IF_ERROR(write(before, after));
  attempt_.end();
  log_.warn("key shares replaced", {{"shares", std::to_string(after.shares().shares)},
                                    {"threshold", std::to_string(after.shares().threshold)}});
  return ok();
}

Result<std::vector<Secret>> Seal::make_recovery_keys(const ShareNumbers& numbers) {
  RETURN_IF_ERROR(check_share_numbers(numbers));
  const Turn turn(*this);
  RETURN_IF_ERROR(load());
  if (!stored_) return not_initialized();
  if (stored_->shares().shares > 0)
    return Error{Errc::kPreconditionFailed, "people hold key shares already"};
  if (stored_->kind == SealKind::kEnv)
    return Error{Errc::kPreconditionFailed,
                 "the key from the environment is not in memory any more, and recovery keys need "
                 "it. Migrate the seal to a key file first, and make them then"};
  ASSIGN_OR_RETURN(const Secret key, holder_->get(stored_->holder));
  ASSIGN_OR_RETURN(const Secret root_key, stored_->open_by_seal(key));
  SealRecord next = *stored_;
  std::vector<Secret> shares;
  RETURN_IF_ERROR(wrap_for_people(root_key, numbers, next, shares));
  RETURN_IF_ERROR(write(*stored_, std::move(next)));
  log_.warn("recovery keys made");
  return shares;
}

}  // namespace curfew::store

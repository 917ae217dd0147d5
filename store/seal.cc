#include "store/seal.h"

#include <utility>

#include "base/encoding.h"
#include "base/json.h"
#include "store/aead.h"
#include "store/seal_key.h"
#include "store/shamir.h"

namespace curfew::store {
namespace {

constexpr std::size_t kShareBytes = kSealKeyBytes + 1;
constexpr char kFormat = '\x01';

Result<std::optional<std::string>> read_meta(const Reader& reader, std::string_view name) {
  ASSIGN_OR_RETURN(const auto row, reader.query_one("SELECT value FROM meta WHERE name = $1",
                                                    {Value{std::string(name)}}));
  if (!row) return std::optional<std::string>{};
  return std::optional<std::string>{row->blob(0)};
}

Status insert_meta(Writer& writer, std::string_view name, std::string value) {
  RETURN_IF_ERROR(writer.execute("INSERT INTO meta (name, value) VALUES ($1, $2)",
                                 {Value{std::string(name)}, Value{Blob{std::move(value)}}}));
  return ok();
}

Result<Secret> parse_share(const Secret& text) {
  const std::string& given = text.reveal();
  std::optional<std::string> bytes =
      given.size() == 2 * kShareBytes ? hex_decode(given) : base64_decode(given);
  Secret share(bytes ? std::move(*bytes) : std::string());
  if (share.reveal().size() != kShareBytes || share.reveal().back() == '\0')
    return Error{Errc::kInvalidArgument,
                 "this is not a key share: 66 hexadecimal digits or 44 characters of base64 are "
                 "expected, as they were given out at initialization"};
  return share;
}

Error damaged_meta() {
  return {Errc::kCorrupt,
          "the database's description of its seal is damaged or incomplete; the operator must "
          "restore a backup"};
}

}  // namespace

std::string_view seal_kind_name(SealKind kind) {
  switch (kind) {
    case SealKind::kShamir: return "shamir";
    case SealKind::kFile: return "file";
    case SealKind::kEnv: return "env";
  }
  return "shamir";
}

std::optional<SealKind> seal_kind_of(std::string_view name) {
  for (const SealKind kind : {SealKind::kShamir, SealKind::kFile, SealKind::kEnv}) {
    if (seal_kind_name(kind) == name) return kind;
  }
  return std::nullopt;
}

Seal::Seal(Database& database, Keyring& keyring, SealOptions options, Random& random, Log& log)
    : database_(database),
      keyring_(keyring),
      options_(std::move(options)),
      random_(random),
      log_(log) {}

Result<std::unique_ptr<Seal>> Seal::open(Database& database, Keyring& keyring,
                                         const SealOptions& options, Random& random, Log& log) {
  std::unique_ptr<Seal> seal(new Seal(database, keyring, options, random, log));
  if (options.kind == SealKind::kEnv) {
    ASSIGN_OR_RETURN(seal->environment_key_, take_environment_key(options.environment));
  }
  if (options.kind == SealKind::kFile && options.key_file.empty())
    return Error{Errc::kPreconditionFailed,
                 "a seal of kind file needs the path of its key file. Add it to the configuration"};
  const std::scoped_lock lock(seal->mutex_);
  RETURN_IF_ERROR(seal->load());
  return seal;
}

// Bound to the wrapped key, so that whoever edits the rows gains no other seal.
std::string Seal::context(const Stored& stored) {
  return row_context("root_key", {stored.store_id, seal_kind_name(stored.kind),
                                  std::to_string(stored.shares), std::to_string(stored.threshold)});
}

Status Seal::check_kind(const Stored& stored) const {
  if (stored.kind == options_.kind) return ok();
  return Error{Errc::kPreconditionFailed,
               "the database was initialized with a seal of kind " +
                   std::string(seal_kind_name(stored.kind)) + ", and the configuration says " +
                   std::string(seal_kind_name(options_.kind)) +
                   ". Change the configuration, or check that this is the right database"};
}

Status Seal::load() const {
  if (stored_) return ok();
  std::optional<std::string> id;
  std::optional<std::string> seal;
  std::optional<std::string> root_key;
  RETURN_IF_ERROR(database_.read([&](const Reader& reader) -> Status {
    ASSIGN_OR_RETURN(id, read_meta(reader, "store_id"));
    ASSIGN_OR_RETURN(seal, read_meta(reader, "seal"));
    ASSIGN_OR_RETURN(root_key, read_meta(reader, "root_key"));
    return ok();
  }));
  if (!id && !seal && !root_key) return ok();
  if (!id || !seal || !root_key) return damaged_meta();
  const auto json = parse_json(*seal);
  if (!json || !json->is_object()) return damaged_meta();
  const Fields fields(*json);
  const auto kind_name = fields.text_or("kind", "");
  const auto shares = fields.integer_or("shares", -1);
  const auto threshold = fields.integer_or("threshold", -1);
  if (!kind_name || !shares || !threshold) return damaged_meta();
  const auto kind = seal_kind_of(*kind_name);
  if (!kind || *shares < 0 || *shares > kSharesMax || *threshold < 0 || *threshold > *shares)
    return damaged_meta();
  if (*kind == SealKind::kShamir && *threshold < 1) return damaged_meta();
  Stored found{*id, *kind, static_cast<int>(*shares), static_cast<int>(*threshold), *root_key};
  RETURN_IF_ERROR(check_kind(found));
  stored_ = std::move(found);
  return ok();
}

Result<Secret> Seal::seal_key_for_initialize() {
  switch (options_.kind) {
    case SealKind::kFile: return read_or_create_key_file(options_.key_file, random_);
    case SealKind::kEnv:
      if (environment_key_.empty())
        return Error{Errc::kPreconditionFailed,
                     "the key from the environment was used already; start the server again"};
      return environment_key_;
    case SealKind::kShamir: break;
  }
  return Secret(random_bytes(random_, kSealKeyBytes));
}

Result<std::vector<Secret>> Seal::initialize(int shares, int threshold,
                                             const FirstWrites& first_writes) {
  const std::scoped_lock lock(mutex_);
  RETURN_IF_ERROR(load());
  if (stored_) return Error{Errc::kInvalidArgument, "the server is already initialized"};
  const bool split = options_.kind == SealKind::kShamir;
  if (split && (threshold < 1 || threshold > shares || shares > kSharesMax))
    return Error{Errc::kInvalidArgument,
                 "secret_shares must be 1 to 255, and secret_threshold 1 to that number"};
  if (split && threshold == 1 && shares > 1)
    return Error{Errc::kInvalidArgument,
                 "a threshold of 1 is only for a single share: each of several would be the whole "
                 "key"};

  ASSIGN_OR_RETURN(const Secret seal_key, seal_key_for_initialize());
  std::vector<Secret> given_out;
  if (split) {
    ASSIGN_OR_RETURN(given_out, shamir_split(seal_key, shares, threshold, random_));
  }
  Stored made{random_uuid(random_), options_.kind, split ? shares : 0, split ? threshold : 0, ""};
  const Secret root_key = make_root_key(random_);
  ASSIGN_OR_RETURN(const std::string wrapped,
                   aead_seal(seal_key.reveal(), random_, context(made), root_key.reveal()));
  made.root_key = kFormat + wrapped;
  const Json description{
      {"kind", seal_kind_name(made.kind)}, {"shares", made.shares}, {"threshold", made.threshold}};
  // Of its own, so that nobody finds the real one unlocked before all this is durable.
  const std::unique_ptr<Keyring> first_keys = keyring_.another();
  Status written = database_.write([&](Writer& writer) -> Status {
    RETURN_IF_ERROR(insert_meta(writer, "store_id", made.store_id));
    RETURN_IF_ERROR(insert_meta(writer, "seal", dump_json(description)));
    RETURN_IF_ERROR(insert_meta(writer, "root_key", made.root_key));
    RETURN_IF_ERROR(first_keys->create(writer, root_key));
    return first_writes ? first_writes(writer, *first_keys) : ok();
  });
  if (!written) return std::move(written).error();
  stored_ = std::move(made);
  forget_shares();
  log_.info("initialized", {{"seal", std::string(seal_kind_name(options_.kind))}});
  if (split) return given_out;
  // What was made is durable, and its first token must reach its owner whatever happens now.
  if (Status unlocked = unlock(root_key); !unlocked)
    log_.error("could not unseal after initialization", {{"error", unlocked.error().message}});
  return given_out;
}

Result<Secret> Seal::unwrap_root_key(const Secret& seal_key) const {
  const std::string_view wrapped = stored_->root_key;
  if (wrapped.empty() || wrapped.front() != kFormat) return damaged_meta();
  auto opened = aead_open(seal_key.reveal(), context(*stored_), wrapped.substr(1));
  if (!opened)
    return Error{Errc::kCorrupt,
                 "the seal's key does not open this database: it is the key of another database, "
                 "or the description of the seal was changed. Check key and database path, or "
                 "restore a backup"};
  return Secret(std::move(*opened));
}

Status Seal::unlock(const Secret& root_key) {
  RETURN_IF_ERROR(
      database_.read([&](const Reader& reader) { return keyring_.unlock(reader, root_key); }));
  environment_key_ = Secret();
  log_.info("unsealed");
  return ok();
}

SealStatus Seal::current_status() const {
  SealStatus status;
  status.kind = options_.kind;
  status.initialized = stored_.has_value();
  status.sealed = !keyring_.is_unlocked();
  status.shares = stored_ ? stored_->shares : 0;
  status.threshold = stored_ ? stored_->threshold : 0;
  status.progress = static_cast<int>(given_.size());
  status.nonce = nonce_;
  return status;
}

Result<SealStatus> Seal::status() const {
  const std::scoped_lock lock(mutex_);
  RETURN_IF_ERROR(load());
  return current_status();
}

Result<std::string> Seal::store_id() const {
  const std::scoped_lock lock(mutex_);
  RETURN_IF_ERROR(load());
  return stored_ ? stored_->store_id : std::string();
}

Result<SealStatus> Seal::unseal(const Secret& share) {
  const std::scoped_lock lock(mutex_);
  RETURN_IF_ERROR(load());
  if (!stored_)
    return Error{Errc::kNotInitialized, "the server is not initialized; initialize it first"};
  if (options_.kind != SealKind::kShamir)
    return Error{Errc::kInvalidArgument,
                 "this server has no key shares: it unseals itself when it starts"};
  if (keyring_.is_unlocked()) return current_status();
  ASSIGN_OR_RETURN(Secret bytes, parse_share(share));
  return take_share(std::move(bytes));
}

Result<SealStatus> Seal::take_share(Secret share) {
  for (const Secret& earlier : given_) {
    if (earlier == share) return current_status();
    if (earlier.reveal().back() != share.reveal().back()) continue;
    forget_shares();
    return Error{Errc::kInvalidArgument,
                 "two different key shares with one number were given, so one of them is wrong; "
                 "begin again with the first share"};
  }
  if (given_.empty()) nonce_ = random_uuid(random_);
  given_.push_back(std::move(share));
  if (static_cast<int>(given_.size()) < stored_->threshold) return current_status();

  auto seal_key = shamir_combine(given_);
  forget_shares();
  if (!seal_key) return std::move(seal_key).error();
  const auto root_key = unwrap_root_key(*seal_key);
  if (!root_key) {
    log_.warn("unseal failed: the key shares do not fit");
    return Error{Errc::kInvalidArgument,
                 "the key shares do not open this database: at least one is wrong or of another "
                 "server. Begin again with the first share",
                 root_key.error().message};
  }
  RETURN_IF_ERROR(unlock(*root_key));
  return current_status();
}

void Seal::forget_shares() {
  given_.clear();
  nonce_.clear();
}

void Seal::reset() {
  const std::scoped_lock lock(mutex_);
  forget_shares();
}

Result<bool> Seal::auto_unseal() {
  const std::scoped_lock lock(mutex_);
  RETURN_IF_ERROR(load());
  if (keyring_.is_unlocked()) return true;
  if (!stored_ || options_.kind == SealKind::kShamir) return false;
  if (options_.kind == SealKind::kFile) {
    ASSIGN_OR_RETURN(const Secret key, read_key_file(options_.key_file));
    ASSIGN_OR_RETURN(const Secret root_key, unwrap_root_key(key));
    RETURN_IF_ERROR(unlock(root_key));
    return true;
  }
  if (environment_key_.empty())
    return Error{Errc::kSealed,
                 "the key from the environment was used and forgotten; start the server again "
                 "with " +
                     options_.environment + " set"};
  ASSIGN_OR_RETURN(const Secret root_key, unwrap_root_key(environment_key_));
  RETURN_IF_ERROR(unlock(root_key));
  return true;
}

void Seal::seal() {
  const std::scoped_lock lock(mutex_);
  keyring_.lock();
  environment_key_ = Secret();
  forget_shares();
  log_.warn("sealed");
}

}  // namespace curfew::store

#include "store/keyring.h"

#include <charconv>
#include <thread>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "base/encoding.h"
#include "store/aead.h"

namespace curfew::store {
namespace {

// Every sealed value starts with a byte for its format and the version of its key in four.
constexpr char kFormat = '\x01';
constexpr std::size_t kHeaderBytes = 5;
constexpr std::int64_t kVersionMax = 0xffff'ffff;
constexpr std::int64_t kWrapped = 0;  // the "version" of what is sealed by a key that wraps
constexpr std::uint64_t kRotateAtEncryptions = std::uint64_t{1} << 30;

std::string make_header(std::int64_t version) {
  std::string header(kHeaderBytes, kFormat);
  for (int i = 0; i < 4; ++i)
    header[static_cast<std::size_t>(i) + 1] = static_cast<char>(version >> (24 - 8 * i) & 0xff);
  return header;
}

// -1: not a header of a format that this program knows.
std::int64_t version_in(std::string_view sealed) {
  if (sealed.size() < kHeaderBytes || sealed[0] != kFormat) return -1;
  std::int64_t version = 0;
  for (std::size_t i = 1; i < kHeaderBytes; ++i)
    version = version << 8 | static_cast<unsigned char>(sealed[i]);
  return version;
}

Error is_sealed() {
  return {Errc::kSealed, "the server is sealed; unseal it first"};
}

Error damaged(std::string detail) {
  return {Errc::kCorrupt,
          "stored data could not be verified: the database was changed or damaged. The operator "
          "must restore a backup",
          std::move(detail)};
}

}  // namespace

Secret make_root_key(Random& random) {
  return Secret(random_bytes(random, kAeadKeyBytes));
}

Keyring::Keyring(std::string name_space, Random& random, const Clock& clock)
    : namespace_(std::move(name_space)), random_(random), clock_(clock) {}

Keyring::~Keyring() = default;

std::unique_ptr<Keyring> Keyring::another() const {
  return std::make_unique<Keyring>(namespace_, random_, clock_);
}

std::string Keyring::associated(std::string_view header, std::string_view context) const {
  std::string out = row_context("curfew", {header, namespace_});
  out += '|';
  out += context;
  return out;
}

Result<std::string> Keyring::wrap(std::string_view wrapping_key, std::int64_t version,
                                  std::int64_t created_at, const Secret& key) const {
  const std::string header = make_header(kWrapped);
  const std::string context =
      row_context("keyring", {std::to_string(version), std::to_string(created_at)});
  ASSIGN_OR_RETURN(const std::string body,
                   aead_seal(wrapping_key, random_, associated(header, context), key.reveal()));
  return header + body;
}

Result<Secret> Keyring::unwrap(std::string_view wrapping_key, std::int64_t version,
                               std::int64_t created_at, std::string_view sealed) const {
  if (version_in(sealed) != kWrapped) return damaged("a key is stored in an unknown format");
  const std::string context =
      row_context("keyring", {std::to_string(version), std::to_string(created_at)});
  ASSIGN_OR_RETURN(std::string key,
                   aead_open(wrapping_key, associated(sealed.substr(0, kHeaderBytes), context),
                             sealed.substr(kHeaderBytes)));
  return Secret(std::move(key));
}

Status Keyring::insert(Writer& writer, std::int64_t version, std::int64_t created_at,
                       std::string sealed) const {
  RETURN_IF_ERROR(writer.execute(
      "INSERT INTO keyring (namespace, version, created_at, sealed) VALUES ($1, $2, $3, $4)",
      {Value{namespace_}, Value{version}, Value{created_at}, Value{Blob{std::move(sealed)}}}));
  return ok();
}

// For each child a key of its own, so that what wraps one says nothing about another.
Result<Secret> Keyring::key_for(const Keyring& child) const {
  const auto keys = this->keys();
  if (keys == nullptr) return is_sealed();
  return Secret(hmac_sha256(keys->wrapping.reveal(),
                            row_context("namespace_key", {namespace_, child.namespace_})));
}

Status Keyring::insert_first(Writer& writer, const Secret& outer_key) {
  auto keys = std::make_shared<Keys>();
  keys->wrapping = make_root_key(random_);
  keys->hashing = make_root_key(random_);
  const std::int64_t now = to_unix_millis(clock_.wall());
  keys->data[1] = DataKey{make_root_key(random_), now};

  const Secret pair(keys->wrapping.reveal() + keys->hashing.reveal());
  ASSIGN_OR_RETURN(std::string wrapped_pair, wrap(outer_key.reveal(), 0, now, pair));
  ASSIGN_OR_RETURN(std::string wrapped_data,
                   wrap(keys->wrapping.reveal(), 1, now, keys->data[1].key));
  RETURN_IF_ERROR(insert(writer, 0, now, std::move(wrapped_pair)));
  RETURN_IF_ERROR(insert(writer, 1, now, std::move(wrapped_data)));
  install(std::move(keys), 0);
  return ok();
}

Status Keyring::create(Writer& writer, const Secret& root_key) {
  return insert_first(writer, root_key);
}

Status Keyring::create_under(Writer& writer, const Keyring& parent) {
  ASSIGN_OR_RETURN(const Secret key, parent.key_for(*this));
  return insert_first(writer, key);
}

Result<std::shared_ptr<Keyring::Keys>> Keyring::open_keys(const std::vector<Row>& rows,
                                                          const Secret& outer_key,
                                                          std::string_view wrong_key) const {
  auto keys = std::make_shared<Keys>();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::int64_t version = rows[i].integer(0);
    const std::int64_t created_at = rows[i].integer(1);
    if (version != static_cast<std::int64_t>(i)) return damaged("a row of the keyring is missing");
    if (version == 0) {
      auto pair = unwrap(outer_key.reveal(), version, created_at, rows[i].blob(2));
      if (!pair || pair->reveal().size() != 2 * kAeadKeyBytes)
        return Error{Errc::kCorrupt, std::string(wrong_key)};
      keys->wrapping = Secret(pair->reveal().substr(0, kAeadKeyBytes));
      keys->hashing = Secret(pair->reveal().substr(kAeadKeyBytes));
      continue;
    }
    auto key = unwrap(keys->wrapping.reveal(), version, created_at, rows[i].blob(2));
    if (!key || key->reveal().size() != kAeadKeyBytes)
      return damaged("data key " + std::to_string(version) + " does not open");
    keys->data[version] = DataKey{std::move(*key), created_at};
  }
  if (keys->data.empty()) return damaged("the keyring has no data key");
  return keys;
}

Status Keyring::read_keys(const Reader& reader, const Secret& outer_key, Error none,
                          std::string_view wrong_key) {
  ASSIGN_OR_RETURN(
      const std::vector<Row> rows,
      reader.query("SELECT version, created_at, sealed FROM keyring WHERE namespace = $1 "
                   "ORDER BY version",
                   {Value{namespace_}}));
  if (rows.empty()) return none;
  ASSIGN_OR_RETURN(auto keys, open_keys(rows, outer_key, wrong_key));
  const auto usage = reader.query_one("SELECT value FROM meta WHERE name = $1",
                                      {Value{usage_name(keys->data.rbegin()->first)}});
  if (!usage) return usage.error();
  std::uint64_t recorded = 0;
  if (usage->has_value()) {
    // Not sealed, and only a reason to rotate: an unreadable count counts from 0.
    const std::string& text = (*usage)->blob(0);
    std::from_chars(text.data(), text.data() + text.size(), recorded);
  }
  install(std::move(keys), recorded);
  return ok();
}

Status Keyring::unlock(const Reader& reader, const Secret& root_key) {
  if (root_key.reveal().size() != kAeadKeyBytes)
    return Error{Errc::kInternal, "the root key has the wrong size"};
  return read_keys(
      reader, root_key,
      {Errc::kNotInitialized, "the server is not initialized; initialize it first"},
      "the root key does not open the keyring of this database: it is not the database that the "
      "key belongs to, or its keyring was changed. Check the configured path and seal, or restore "
      "a backup");
}

Status Keyring::unlock_under(const Reader& reader, const Keyring& parent) {
  ASSIGN_OR_RETURN(const Secret key, parent.key_for(*this));
  return read_keys(reader, key, {Errc::kNotFound, "the namespace has no keys"},
                   "the keys of a namespace do not open: the database was changed or damaged. The "
                   "operator must restore a backup");
}

Status Keyring::destroy(Writer& writer) const {
  // Written over first, with as many bytes: they stand in the same place of the same page.
  ASSIGN_OR_RETURN(const auto rows,
                   writer.query("SELECT version, sealed FROM keyring WHERE namespace = $1",
                                {Value{namespace_}}));
  if (rows.empty()) return Error{Errc::kNotFound, "the namespace has no keys"};
  for (const Row& row : rows)
    RETURN_IF_ERROR(
        writer.execute("UPDATE keyring SET sealed = $1 WHERE namespace = $2 AND version = $3",
                       {Value{Blob{std::string(row.blob(1).size(), '\0')}}, Value{namespace_},
                        Value{row.integer(0)}}));
  RETURN_IF_ERROR(writer.execute("DELETE FROM keyring WHERE namespace = $1", {Value{namespace_}}));
  for (const Row& row : rows)
    RETURN_IF_ERROR(
        writer.execute("DELETE FROM meta WHERE name = $1", {Value{usage_name(row.integer(0))}}));
  return ok();
}

void Keyring::install(std::shared_ptr<const Keys> keys, std::uint64_t recorded) {
  const std::scoped_lock lock(mutex_);
  keys_ = std::move(keys);
  recorded_ = recorded;
  unrecorded_ = 0;
}

std::shared_ptr<const Keyring::Keys> Keyring::keys() const {
  const std::scoped_lock lock(mutex_);
  return keys_;
}

// The calls that have these keys take microseconds, and no further ones can get them.
void Keyring::wait_until_unused(std::shared_ptr<const Keys> keys) {
  while (keys.use_count() > 1) std::this_thread::yield();
}

void Keyring::lock() {
  std::shared_ptr<const Keys> keys;
  {
    const std::scoped_lock lock(mutex_);
    keys.swap(keys_);
  }
  wait_until_unused(std::move(keys));  // every Secret in them zeroes itself at its end
}

bool Keyring::is_unlocked() const {
  return keys() != nullptr;
}

Status Keyring::rotate(Database& database) {
  DataKey added{make_root_key(random_), to_unix_millis(clock_.wall())};
  std::int64_t version = 0;
  RETURN_IF_ERROR(database.write([&](Writer& writer) -> Status {
    const auto keys = this->keys();
    if (keys == nullptr) return is_sealed();
    // From the database, so that two rotations at once make two versions.
    ASSIGN_OR_RETURN(const auto row,
                     writer.query_one("SELECT max(version) FROM keyring WHERE namespace = $1",
                                      {Value{namespace_}}));
    if (row->is_null(0)) return Error{Errc::kNotFound, "the namespace has no keys any more"};
    version = row->integer(0) + 1;
    if (version > kVersionMax) return Error{Errc::kTooLarge, "the keyring has no further versions"};
    ASSIGN_OR_RETURN(std::string sealed,
                     wrap(keys->wrapping.reveal(), version, added.created_at, added.key));
    return insert(writer, version, added.created_at, std::move(sealed));
  }));
  const std::scoped_lock lock(mutex_);
  // Locked meanwhile: the next unlock() reads the new key from the database.
  if (keys_ == nullptr) return ok();
  auto extended = std::make_shared<Keys>(*keys_);
  extended->data[version] = std::move(added);
  keys_ = std::move(extended);
  recorded_ = 0;
  unrecorded_ = 0;
  return ok();
}

Result<KeyStatus> Keyring::key_status() const {
  const std::scoped_lock lock(mutex_);
  if (keys_ == nullptr) return is_sealed();
  const auto& [version, key] = *keys_->data.rbegin();
  return KeyStatus{version, from_unix_millis(key.created_at), recorded_ + unrecorded_};
}

std::string Keyring::usage_name(std::int64_t version) const {
  return "key_usage/" + namespace_ + "/" + std::to_string(version);
}

Status Keyring::record_usage(Database& database) {
  std::int64_t version = 0;
  std::uint64_t total = 0;
  std::uint64_t added = 0;
  {
    const std::scoped_lock lock(mutex_);
    if (keys_ == nullptr) return is_sealed();
    version = keys_->data.rbegin()->first;
    added = unrecorded_;
    total = recorded_ + added;
  }
  if (added == 0) return ok();
  RETURN_IF_ERROR(database.write([&](Writer& writer) -> Status {
    RETURN_IF_ERROR(
        writer.execute("INSERT INTO meta (name, value) VALUES ($1, $2) "
                       "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                       {Value{usage_name(version)}, Value{Blob{std::to_string(total)}}}));
    return ok();
  }));
  const std::scoped_lock lock(mutex_);
  if (keys_ == nullptr || keys_->data.rbegin()->first != version || recorded_ + added != total)
    return ok();
  recorded_ = total;
  unrecorded_ -= added;
  return ok();
}

bool Keyring::is_rotation_due() const {
  const std::scoped_lock lock(mutex_);
  return keys_ != nullptr && recorded_ + unrecorded_ >= kRotateAtEncryptions;
}

Result<std::string> Keyring::seal(std::string_view context, std::string_view plaintext) const {
  const auto keys = this->keys();
  if (keys == nullptr) return is_sealed();
  const auto& [version, data] = *keys->data.rbegin();
  std::string sealed = make_header(version);
  ASSIGN_OR_RETURN(const std::string body,
                   aead_seal(data.key.reveal(), random_, associated(sealed, context), plaintext));
  unrecorded_.fetch_add(1, std::memory_order_relaxed);
  sealed += body;
  return sealed;
}

Result<std::string> Keyring::open(std::string_view context, std::string_view sealed) const {
  const auto keys = this->keys();
  if (keys == nullptr) return is_sealed();
  const std::int64_t version = version_in(sealed);
  const auto found = keys->data.find(version);
  if (found == keys->data.end())
    return damaged(version <= 0 ? "a sealed value is of an unknown format"
                                : "a value is sealed with data key " + std::to_string(version) +
                                      ", which the keyring does not have");
  auto text =
      aead_open(found->second.key.reveal(), associated(sealed.substr(0, kHeaderBytes), context),
                sealed.substr(kHeaderBytes));
  if (!text) return damaged("a sealed value does not fit its row");
  return text;
}

Result<std::string> Keyring::keyed_hash(std::string_view purpose, std::string_view value) const {
  const auto keys = this->keys();
  if (keys == nullptr) return is_sealed();
  // A key for each purpose, so that a hash made for one says nothing about another.
  const Secret key(hmac_sha256(keys->hashing.reveal(), row_context("keyed_hash", {purpose})));
  return hex_encode(hmac_sha256(key.reveal(), value));
}

}  // namespace curfew::store

#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "store/barrier.h"
#include "store/sql.h"

namespace curfew::store {

// 32 random bytes.
Secret make_root_key(Random& random);

struct KeyStatus {
  std::int64_t term = 0;          // the version of the data key that seals
  WallTime installed_at{};        // when it was made
  std::uint64_t encryptions = 0;  // what it has sealed, as far as it was recorded
};

// The keys of one namespace, and the barrier that they make. The root key, or for all namespaces
// but the first the keyring of that one, wraps the namespace's keys (one that wraps, one that
// hashes), and these wrap the data keys, of which the newest seals and all open. Formats:
// docs/storage.md.
//
// Thread-safe.
class Keyring final : public Barrier {
 public:
  // Locked. `random` and `clock` outlive this object.
  Keyring(std::string name_space, Random& random, const Clock& clock);
  ~Keyring() override;
  Keyring(const Keyring&) = delete;
  Keyring& operator=(const Keyring&) = delete;

  // A keyring for the same namespace, locked.
  std::unique_ptr<Keyring> another() const;

  // Makes the namespace's first keys, writes them, and leaves this keyring unlocked: use one of
  // its own for this, and throw it away if the write does not commit. kConflict: there are keys.
  Status create(Writer& writer, const Secret& root_key);

  // As create(), with keys that `parent` wraps instead of the root key. kSealed: it is locked.
  Status create_under(Writer& writer, const Keyring& parent);

  // Takes the keys into memory. kNotInitialized: the namespace has none; kCorrupt: this root key
  // does not open them, or rows were changed. When it fails the keyring is as before.
  Status unlock(const Reader& reader, const Secret& root_key);

  // As unlock(), for keys of create_under(). kSealed: `parent` is locked; kNotFound: the namespace
  // has no keys.
  Status unlock_under(const Reader& reader, const Keyring& parent);

  // Overwrites and removes the namespace's keys in the database. What they sealed cannot be opened
  // any more once this is committed and lock() was called; the bytes are gone from the files after
  // Database::forget_deleted(). kNotFound: there are none.
  Status destroy(Writer& writer) const;

  // Zeroes the keys in memory; when this returns nobody uses them any more.
  void lock();
  bool is_unlocked() const;

  // Adds a data key that seals from now on. kSealed: locked; kNotFound: the keys were destroyed.
  // Errors of the database: no change.
  Status rotate(Database& database);

  // kSealed: locked.
  Result<KeyStatus> key_status() const;

  // Adds what was sealed since the last call to the count in the database. Call it now and then,
  // and rotate when is_rotation_due(). kSealed: locked.
  Status record_usage(Database& database);

  // The key has sealed a quarter of the 2^32 texts that random nonces allow.
  bool is_rotation_due() const;

  const std::string& name_space() const override { return namespace_; }
  Result<std::string> seal(std::string_view context, std::string_view plaintext) const override;
  Result<std::string> open(std::string_view context, std::string_view sealed) const override;
  Result<std::string> keyed_hash(std::string_view purpose, std::string_view value) const override;

 private:
  struct DataKey {
    Secret key;
    std::int64_t created_at = 0;
  };
  struct Keys {
    Secret wrapping;                       // wraps data keys
    Secret hashing;                        // never changes
    std::map<std::int64_t, DataKey> data;  // by version, from 1 without gaps
  };

  Result<Secret> key_for(const Keyring& child) const;
  Status insert_first(Writer& writer, const Secret& outer_key);
  Result<std::shared_ptr<Keys>> open_keys(const std::vector<Row>& rows, const Secret& outer_key,
                                          std::string_view wrong_key) const;
  Status read_keys(const Reader& reader, const Secret& outer_key, Error none,
                   std::string_view wrong_key);
  Result<std::string> wrap(std::string_view wrapping_key, std::int64_t version,
                           std::int64_t created_at, const Secret& key) const;
  Result<Secret> unwrap(std::string_view wrapping_key, std::int64_t version,
                        std::int64_t created_at, std::string_view sealed) const;
  std::string associated(std::string_view header, std::string_view context) const;
  Status insert(Writer& writer, std::int64_t version, std::int64_t created_at,
                std::string sealed) const;
  std::string usage_name(std::int64_t version) const;
  void install(std::shared_ptr<const Keys> keys, std::uint64_t recorded);
  std::shared_ptr<const Keys> keys() const;
  static void wait_until_unused(std::shared_ptr<const Keys> keys);

  const std::string namespace_;
  Random& random_;
  const Clock& clock_;

  // Keys are shared with the calls that are using them, rather than used under the lock: a steady
  // stream of calls must not be able to hold up lock().
  mutable std::mutex mutex_;          // protects keys_ and recorded_
  std::shared_ptr<const Keys> keys_;  // nullptr: locked
  std::uint64_t recorded_ = 0;        // encryptions of the newest key that the database knows of
  mutable std::atomic<std::uint64_t> unrecorded_{0};  // and those since
};

}  // namespace curfew::store

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "store/seal_options.h"
#include "store/sql.h"

namespace curfew::store {

// What the table `meta` holds about the seal: the root key, wrapped by the seal's key and, where a
// seal that opens by itself has recovery keys, by the key that people hold shares of as well.
struct SealRecord {
  std::string store_id;
  SealKind kind = SealKind::kShamir;
  ShareNumbers seal_shares;      // of the seal's key; kShamir alone has any
  std::string root_key;          // wrapped
  std::string holder;            // KeyHolder::Made::stored
  ShareNumbers recovery_shares;  // 0: there are no recovery keys
  std::string recovery_key;      // the root key, wrapped by the recovery key; or empty

  // The shares that people hold, whatever they are for.
  const ShareNumbers& shares() const {
    return kind == SealKind::kShamir ? seal_shares : recovery_shares;
  }

  // Set root_key and recovery_key. REQUIRES: everything else that they are bound to is set; keys of
  // kSealKeyBytes.
  Status wrap_by_seal(const Secret& seal_key, const Secret& root, Random& random);
  Status wrap_by_recovery(const Secret& recovery_key, const Secret& root, Random& random);

  // The root key. kCorrupt: not these keys.
  Result<Secret> open_by_seal(const Secret& seal_key) const;
  Result<Secret> open_by_recovery(const Secret& key) const;
  // By the key that people hold shares of.
  Result<Secret> open_by_shares(const Secret& key) const;

  bool operator==(const SealRecord&) const = default;
};

// nullopt: the store is not initialized. kCorrupt: damaged or incomplete.
Result<std::optional<SealRecord>> read_seal_record(const Reader& reader);

// Makes or replaces it.
Status write_seal_record(Writer& writer, const SealRecord& record);

}  // namespace curfew::store

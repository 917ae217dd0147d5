#pragma once

#include <functional>
#include <string>

#include "broker/lease/lease_store.h"
#include "engines/engine.h"
#include "store/records.h"
#include "store/sql.h"

// What the broker hands to an engine: its part of the store and its leases.
namespace curfew::broker {

// Thread-safe.
class SealedMountStorage final : public engines::MountStorage {
 public:
  SealedMountStorage(store::Database& database, const store::Records& records, std::string scope);

  Status read(const std::function<Status(const engines::StorageReader&)>& reader) const override;
  Status write(const std::function<Status(engines::StorageWriter&)>& writer) override;

 private:
  store::Database& database_;
  const store::Records& records_;
  const std::string scope_;
};

// Thread-safe. `mount_path` gives the path that the mount has now; `lease_ended` is called when
// leases were made due.
class StoredMountLeases final : public engines::MountLeases {
 public:
  StoredMountLeases(LeaseStore& leases, const Clock& clock, std::string mount_accessor,
                    std::function<std::string()> mount_path, std::function<void()> lease_ended);

  Result<std::optional<engines::LeaseView>> active(std::string_view id) const override;
  Result<std::int64_t> count(std::string_view resource) const override;
  Result<std::int64_t> end_all(std::string_view resource) override;

 private:
  LeaseStore& leases_;
  const Clock& clock_;
  const std::string mount_;
  const std::function<std::string()> mount_path_;
  const std::function<void()> lease_ended_;
};

}  // namespace curfew::broker

#include "broker/mount/mount_services.h"

namespace curfew::broker {
namespace {

class ReaderView final : public engines::StorageReader {
 public:
  ReaderView(const store::Reader& reader, const store::Records& records, const std::string& scope)
      : reader_(reader), records_(records), scope_(scope) {}

  Result<std::optional<Json>> get(std::string_view key) const override {
    return records_.get(reader_, scope_, key);
  }
  Result<std::vector<std::string>> list(std::string_view prefix) const override {
    return records_.list(reader_, scope_, prefix);
  }

 private:
  const store::Reader& reader_;
  const store::Records& records_;
  const std::string& scope_;
};

class WriterView final : public engines::StorageWriter {
 public:
  WriterView(store::Writer& writer, const store::Records& records, const std::string& scope)
      : writer_(writer), records_(records), scope_(scope) {}

  Result<std::optional<Json>> get(std::string_view key) const override {
    return records_.get(writer_, scope_, key);
  }
  Result<std::vector<std::string>> list(std::string_view prefix) const override {
    return records_.list(writer_, scope_, prefix);
  }
  Status put(std::string_view key, const Json& value) override {
    return records_.put(writer_, scope_, key, value);
  }
  Status remove(std::string_view key) override {
    RETURN_IF_ERROR(records_.remove(writer_, scope_, key));
    return ok();
  }

 private:
  store::Writer& writer_;
  const store::Records& records_;
  const std::string& scope_;
};

}  // namespace

SealedMountStorage::SealedMountStorage(store::Database& database, const store::Records& records,
                                       std::string scope)
    : database_(database), records_(records), scope_(std::move(scope)) {}

Status SealedMountStorage::read(
    const std::function<Status(const engines::StorageReader&)>& reader) const {
  return database_.read(
      [&](const store::Reader& r) { return reader(ReaderView(r, records_, scope_)); });
}

Status SealedMountStorage::write(const std::function<Status(engines::StorageWriter&)>& writer) {
  return database_.write([&](store::Writer& w) {
    WriterView view(w, records_, scope_);
    return writer(view);
  });
}

StoredMountLeases::StoredMountLeases(LeaseStore& leases, const Clock& clock,
                                     std::string mount_accessor,
                                     std::function<std::string()> mount_path,
                                     std::function<void()> lease_ended)
    : leases_(leases),
      clock_(clock),
      mount_(std::move(mount_accessor)),
      mount_path_(std::move(mount_path)),
      lease_ended_(std::move(lease_ended)) {}

Result<std::optional<engines::LeaseView>> StoredMountLeases::active(std::string_view id) const {
  ASSIGN_OR_RETURN(auto lease, leases_.get(id));
  if (!lease) {
    ASSIGN_OR_RETURN(lease, leases_.get(mount_path_() + std::string(id)));
  }
  if (!lease || lease->mount != mount_ || lease->state != LeaseState::kActive ||
      lease->expires_at <= clock_.wall())
    return std::optional<engines::LeaseView>{};
  return std::optional<engines::LeaseView>{
      {std::move(lease->id), std::move(lease->role), std::move(lease->handle), lease->expires_at}};
}

Result<std::int64_t> StoredMountLeases::count(std::string_view resource) const {
  return leases_.count({.mount = mount_, .resource = std::string(resource)});
}

Result<std::int64_t> StoredMountLeases::end_all(std::string_view resource) {
  ASSIGN_OR_RETURN(
      const std::int64_t ended,
      leases_.end_all({.mount = mount_, .resource = std::string(resource)}, clock_.wall()));
  lease_ended_();
  return ended;
}

}  // namespace curfew::broker

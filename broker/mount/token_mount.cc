#include "broker/mount/token_mount.h"

namespace curfew::broker {
namespace {

constexpr std::string_view kScope = "sys/auth";
constexpr std::string_view kName = "token/";

}  // namespace

TokenMount::TokenMount(store::Database& database, const store::Records& records, Random& random)
    : database_(database), records_(records), random_(random) {}

Status TokenMount::load() {
  std::optional<Json> stored;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(stored, records_.get(reader, kScope, kName));
    return ok();
  }));
  const std::scoped_lock lock(mutex_);
  if (stored) {
    entry_ = mount_entry_from_stored(*stored);
    return ok();
  }
  MountEntry fresh;
  fresh.path = kName;
  fresh.uuid = random_uuid(random_);
  fresh.accessor = "auth_token_" + random_uuid(random_).substr(0, 8);
  fresh.type = "token";
  fresh.description = "token based credentials";
  RETURN_IF_ERROR(store(fresh));
  entry_ = std::move(fresh);
  return ok();
}

Status TokenMount::store(const MountEntry& entry) {
  return database_.write([&](store::Writer& writer) -> Status {
    return records_.put(writer, kScope, kName, to_stored(entry));
  });
}

MountEntry TokenMount::entry() const {
  const std::scoped_lock lock(mutex_);
  return entry_;
}

TokenMountTtl TokenMount::ttl() const {
  const std::scoped_lock lock(mutex_);
  return {entry_.config.default_lease_ttl, entry_.config.max_lease_ttl};
}

Status TokenMount::tune(const std::function<Status(MountEntry&)>& change) {
  const std::scoped_lock lock(mutex_);
  MountEntry changed = entry_;
  RETURN_IF_ERROR(change(changed));
  RETURN_IF_ERROR(store(changed));
  entry_ = std::move(changed);
  return ok();
}

}  // namespace curfew::broker

#include "broker/mount/mount_table.h"

#include <fmt/format.h>

#include <mutex>

namespace curfew::broker {
namespace {

constexpr std::string_view kScope = "sys/mounts";

std::string storage_scope(const MountEntry& entry) {
  return "mount/" + entry.uuid;
}

Error no_such_mount(const std::string& path) {
  return {Errc::kInvalidArgument,
          fmt::format("no mount at \"{}\"; see: curfew secrets list", path)};
}

}  // namespace

MountTable::MountTable(Dependencies dependencies) : dependencies_(std::move(dependencies)) {}

Result<std::shared_ptr<const Mount>> MountTable::make_mount(MountEntry entry) const {
  const engines::Factory* factory = dependencies_.registry.find(entry.type);
  if (factory == nullptr)
    return Error{Errc::kInvalidArgument,
                 fmt::format("unknown secrets engine type \"{}\"", entry.type)};
  auto core = std::make_shared<Mount::Core>();
  core->storage = std::make_unique<SealedMountStorage>(dependencies_.database,
                                                       dependencies_.records, storage_scope(entry));
  core->leases = std::make_unique<StoredMountLeases>(
      dependencies_.leases, dependencies_.clock, entry.accessor,
      [this, accessor = entry.accessor] {
        const auto mount = by_accessor(accessor);
        return mount ? mount->entry.path : std::string();
      },
      dependencies_.lease_ended);
  engines::Services services{
      entry.accessor,
      entry.options,
      *core->storage,
      *core->leases,
      dependencies_.passwords,
      dependencies_.clock,
      dependencies_.random,
      dependencies_.log,
      [this, accessor = entry.accessor] { dependencies_.wake_caretaker(accessor); }};
  ASSIGN_OR_RETURN(core->engine, (*factory)(std::move(services)));
  return std::shared_ptr<const Mount>(
      std::make_shared<Mount>(Mount{std::move(entry), std::move(core)}));
}

Status MountTable::load() {
  Mounts loaded;
  std::vector<MountEntry> entries;
  RETURN_IF_ERROR(dependencies_.database.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto names, dependencies_.records.names(reader, kScope));
    for (const std::string& name : names) {
      const auto stored = dependencies_.records.get(reader, kScope, name);
      if (stored && *stored) {
        entries.push_back(mount_entry_from_stored(**stored));
      } else if (!stored && stored.error().code == Errc::kCorrupt) {
        log_left_out(name, stored.error());
      } else if (!stored) {
        return stored.error();
      }
    }
    return ok();
  }));
  for (MountEntry& entry : entries) {
    const std::string path = entry.path;
    auto mount = make_mount(std::move(entry));
    if (mount) {
      loaded[path] = *std::move(mount);
    } else {
      log_left_out(path, mount.error());
    }
  }
  const std::unique_lock lock(mutex_);
  mounts_ = std::move(loaded);
  return ok();
}

// The others are served: their leases have to end on time. What belongs to this one waits, and is
// tried again.
void MountTable::log_left_out(const std::string& path, const Error& error) const {
  dependencies_.log.error("mount left out", {{"path", path}, {"error", error.message}});
}

void MountTable::unload() {
  Mounts gone;
  const std::unique_lock lock(mutex_);
  gone.swap(mounts_);
}

MountTable::Routed MountTable::route(std::string_view path) const {
  const std::shared_lock lock(mutex_);
  // From the end of the path to its start: the first '/' that ends a mount is the longest match.
  for (auto slash = path.rfind('/'); slash != std::string_view::npos;
       slash = slash == 0 ? std::string_view::npos : path.rfind('/', slash - 1)) {
    const auto it = mounts_.find(path.substr(0, slash + 1));
    if (it != mounts_.end()) return {it->second, std::string(path.substr(slash + 1))};
  }
  return {};
}

std::shared_ptr<const Mount> MountTable::by_accessor(std::string_view accessor) const {
  const std::shared_lock lock(mutex_);
  for (const auto& [path, mount] : mounts_) {
    if (mount->entry.accessor == accessor) return mount;
  }
  return nullptr;
}

std::shared_ptr<const Mount> MountTable::at(std::string_view path) const {
  const auto normal = normalise_mount_path(path);
  if (!normal) return nullptr;
  const std::shared_lock lock(mutex_);
  const auto it = mounts_.find(*normal);
  return it == mounts_.end() ? nullptr : it->second;
}

std::vector<MountEntry> MountTable::list() const {
  const std::shared_lock lock(mutex_);
  std::vector<MountEntry> entries;
  for (const auto& [path, mount] : mounts_) entries.push_back(mount->entry);
  return entries;
}

Status MountTable::check_free(const std::string& path, const std::string& except) const {
  for (const auto& [other, mount] : mounts_) {
    if (other == except) continue;
    if (other.starts_with(path) || path.starts_with(other))
      return Error{Errc::kInvalidArgument, fmt::format("path is already in use at {}", other)};
  }
  if (dependencies_.is_elsewhere && dependencies_.is_elsewhere(path))
    return Error{Errc::kInvalidArgument,
                 fmt::format("path is already in use: there is a namespace at or above {}", path)};
  return ok();
}

Status MountTable::store_entry(const MountEntry& entry, const std::string& old_path) {
  return dependencies_.database.write([&](store::Writer& writer) -> Status {
    if (!old_path.empty() && old_path != entry.path)
      RETURN_IF_ERROR(dependencies_.records.remove(writer, kScope, old_path));
    return dependencies_.records.put(writer, kScope, entry.path, to_stored(entry));
  });
}

Status MountTable::create(MountEntry entry) {
  ASSIGN_OR_RETURN(entry.path, normalise_mount_path(entry.path));
  entry.uuid = random_uuid(dependencies_.random);
  entry.accessor = entry.type + "_" + random_uuid(dependencies_.random).substr(0, 8);
  const std::unique_lock lock(mutex_);
  RETURN_IF_ERROR(check_free(entry.path, ""));
  ASSIGN_OR_RETURN(auto mount, make_mount(entry));
  RETURN_IF_ERROR(store_entry(entry, ""));
  mounts_[entry.path] = std::move(mount);
  dependencies_.wake_caretaker(entry.accessor);
  return ok();
}

Status MountTable::change(const std::string& path,
                          const std::function<Status(MountEntry&)>& change) {
  ASSIGN_OR_RETURN(const std::string normal, normalise_mount_path(path));
  const std::unique_lock lock(mutex_);
  const auto it = mounts_.find(normal);
  if (it == mounts_.end()) return no_such_mount(path);
  const std::shared_ptr<const Mount> old = it->second;
  MountEntry entry = old->entry;
  RETURN_IF_ERROR(change(entry));
  std::shared_ptr<const Mount> mount;
  if (entry.options == old->entry.options) {
    mount = std::make_shared<Mount>(Mount{entry, old->core});
  } else {
    ASSIGN_OR_RETURN(mount, make_mount(entry));
  }
  RETURN_IF_ERROR(store_entry(entry, normal));
  it->second = std::move(mount);
  dependencies_.wake_caretaker(entry.accessor);
  return ok();
}

Status MountTable::move(const std::string& from, const std::string& to) {
  ASSIGN_OR_RETURN(const std::string old_path, normalise_mount_path(from));
  ASSIGN_OR_RETURN(const std::string new_path, normalise_mount_path(to));
  const std::unique_lock lock(mutex_);
  const auto it = mounts_.find(old_path);
  if (it == mounts_.end()) return no_such_mount(from);
  if (it->second->entry.state != MountState::kActive)
    return Error{Errc::kInvalidArgument, fmt::format("the mount \"{}\" is being unmounted", from)};
  RETURN_IF_ERROR(check_free(new_path, old_path));
  MountEntry entry = it->second->entry;
  entry.path = new_path;
  auto mount = std::make_shared<Mount>(Mount{entry, it->second->core});
  RETURN_IF_ERROR(store_entry(entry, old_path));
  mounts_.erase(it);
  mounts_[new_path] = std::move(mount);
  return ok();
}

Status MountTable::begin_unmount(const std::string& path) {
  const auto mount = at(path);
  if (!mount) return ok();
  RETURN_IF_ERROR(change(path, [](MountEntry& entry) -> Status {
    entry.state = MountState::kUnmounting;
    return ok();
  }));
  RETURN_IF_ERROR(
      dependencies_.leases.end_all({.mount = mount->entry.accessor}, dependencies_.clock.wall()));
  dependencies_.lease_ended();
  return ok();
}

Status MountTable::check_open(const store::Reader& reader, const MountEntry& entry) const {
  ASSIGN_OR_RETURN(const auto stored, dependencies_.records.get(reader, kScope, entry.path));
  if (stored) {
    const MountEntry now = mount_entry_from_stored(*stored);
    if (now.accessor == entry.accessor && now.state == MountState::kActive) return ok();
  }
  return Error{Errc::kUnsupportedPath,
               fmt::format("the mount \"{}\" is being removed or was moved", entry.path)};
}

Status MountTable::finish_unmount(const MountEntry& entry) {
  const WallTime now = dependencies_.clock.wall();
  // Requests that were under way when the unmount began may have leased something since.
  for (const LeaseState state : {LeaseState::kPending, LeaseState::kActive})
    RETURN_IF_ERROR(dependencies_.leases.end_all({.mount = entry.accessor, .state = state}, now));
  // Held throughout: the path may meanwhile be another mount's, or this one may be tuned.
  const std::unique_lock lock(mutex_);
  const auto it = mounts_.find(entry.path);
  if (it == mounts_.end() || it->second->entry.accessor != entry.accessor ||
      it->second->entry.state != MountState::kUnmounting)
    return ok();
  bool live = false;
  RETURN_IF_ERROR(dependencies_.database.write([&](store::Writer& writer) -> Status {
    ASSIGN_OR_RETURN(
        const auto row,
        writer.query_one("SELECT 1 FROM leases WHERE namespace = $2 AND mount = $1 AND "
                         "state < 4 LIMIT 1",
                         {entry.accessor, dependencies_.records.name_space()}));
    live = row.has_value();
    if (live) return ok();
    RETURN_IF_ERROR(dependencies_.records.remove_scope(writer, storage_scope(entry)));
    RETURN_IF_ERROR(dependencies_.records.remove(writer, kScope, entry.path));
    return ok();
  }));
  if (live) return ok();
  mounts_.erase(it);
  dependencies_.log.info("mount removed", {{"path", entry.path}, {"type", entry.type}});
  return ok();
}

Status MountTable::finish_unmounts() {
  for (const MountEntry& entry : list()) {
    if (entry.state != MountState::kUnmounting) continue;
    const Status finished = finish_unmount(entry);
    if (!finished)
      dependencies_.log.warn("mount not removed yet",
                             {{"path", entry.path}, {"error", finished.error().message}});
  }
  return ok();
}

}  // namespace curfew::broker

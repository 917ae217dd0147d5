#include "broker/auth/auth_mounts.h"

#include <fmt/format.h>

#include <mutex>

namespace curfew::broker {
namespace {

constexpr std::string_view kScope = "sys/auth";
constexpr std::string_view kTokenMount = "token/";
constexpr std::string_view kPrefix = "auth/";
constexpr std::size_t kTokensAtOnce = 500;

std::string storage_scope(const MountEntry& entry) {
  return "auth/" + entry.uuid;
}

Error no_such_mount(const std::string& path) {
  return {Errc::kInvalidArgument,
          fmt::format("no auth method at \"{}\"; see: curfew auth list", path)};
}

}  // namespace

Result<std::shared_ptr<const AuthMount>> AuthMounts::make_mount(MountEntry entry) const {
  const AuthRegistry::Factory* factory = dependencies_.registry.find(entry.type);
  if (factory == nullptr)
    return Error{Errc::kInvalidArgument,
                 fmt::format("unknown auth method type \"{}\"", entry.type)};
  auto core = std::make_shared<AuthMount::Core>();
  core->storage = std::make_unique<SealedMountStorage>(dependencies_.database,
                                                       dependencies_.records, storage_scope(entry));
  auto retire_login = [this, accessor = entry.accessor](const std::string& alias) {
    return dependencies_.retire_login(accessor, alias);
  };
  ASSIGN_OR_RETURN(core->method,
                   (*factory)({entry.accessor, entry.options, *core->storage, dependencies_.barrier,
                               dependencies_.clock, dependencies_.random, dependencies_.log,
                               std::move(retire_login)}));
  return std::shared_ptr<const AuthMount>(
      std::make_shared<AuthMount>(AuthMount{std::move(entry), std::move(core)}));
}

Status AuthMounts::load() {
  std::vector<std::pair<std::string, Result<std::optional<Json>>>> stored;
  RETURN_IF_ERROR(dependencies_.database.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto names, dependencies_.records.names(reader, kScope));
    for (const std::string& name : names) {
      if (name == kTokenMount) continue;
      stored.emplace_back(name, dependencies_.records.get(reader, kScope, name));
    }
    return ok();
  }));
  Mounts loaded;
  // One that was altered in the store is left out: nobody logs in by it, and the others work.
  for (auto& [name, entry] : stored) {
    if (!entry && entry.error().code != Errc::kCorrupt) return std::move(entry).error();
    auto mount = entry ? make_mount(mount_entry_from_stored(**entry))
                       : Result<std::shared_ptr<const AuthMount>>(entry.error());
    if (mount)
      loaded[name] = *std::move(mount);
    else
      dependencies_.log.error("auth method left out",
                              {{"path", name}, {"error", mount.error().message}});
  }
  const std::unique_lock lock(mutex_);
  mounts_ = std::move(loaded);
  return ok();
}

void AuthMounts::unload() {
  Mounts gone;
  const std::unique_lock lock(mutex_);
  gone.swap(mounts_);
}

AuthMounts::Routed AuthMounts::route(std::string_view path) const {
  if (!path.starts_with(kPrefix)) return {};
  path.remove_prefix(kPrefix.size());
  const std::shared_lock lock(mutex_);
  for (auto slash = path.rfind('/'); slash != std::string_view::npos;
       slash = slash == 0 ? std::string_view::npos : path.rfind('/', slash - 1)) {
    const auto it = mounts_.find(path.substr(0, slash + 1));
    if (it != mounts_.end()) return {it->second, std::string(path.substr(slash + 1))};
  }
  return {};
}

std::shared_ptr<const AuthMount> AuthMounts::by_accessor(std::string_view accessor) const {
  const std::shared_lock lock(mutex_);
  for (const auto& [path, mount] : mounts_) {
    if (mount->entry.accessor == accessor) return mount;
  }
  return nullptr;
}

std::shared_ptr<const AuthMount> AuthMounts::at(std::string_view path) const {
  const auto normal = normalise_mount_path(path);
  if (!normal) return nullptr;
  const std::shared_lock lock(mutex_);
  const auto it = mounts_.find(*normal);
  return it == mounts_.end() ? nullptr : it->second;
}

std::vector<MountEntry> AuthMounts::list() const {
  const std::shared_lock lock(mutex_);
  std::vector<MountEntry> entries;
  for (const auto& [path, mount] : mounts_) entries.push_back(mount->entry);
  return entries;
}

Status AuthMounts::store_entry(const MountEntry& entry) {
  return dependencies_.database.write([&](store::Writer& writer) -> Status {
    return dependencies_.records.put(writer, kScope, entry.path, to_stored(entry));
  });
}

Status AuthMounts::create(MountEntry entry) {
  ASSIGN_OR_RETURN(entry.path, normalise_mount_path(entry.path));
  entry.uuid = random_uuid(dependencies_.random);
  entry.accessor = "auth_" + entry.type + "_" + random_uuid(dependencies_.random).substr(0, 8);
  const std::unique_lock lock(mutex_);
  if (entry.path.starts_with(kTokenMount))
    return Error{Errc::kInvalidArgument, "path is already in use at token/"};
  for (const auto& [other, mount] : mounts_) {
    if (other.starts_with(entry.path) || entry.path.starts_with(other))
      return Error{Errc::kInvalidArgument, fmt::format("path is already in use at {}", other)};
  }
  ASSIGN_OR_RETURN(auto mount, make_mount(entry));
  RETURN_IF_ERROR(store_entry(entry));
  mounts_[entry.path] = std::move(mount);
  return ok();
}

Status AuthMounts::change(const std::string& path,
                          const std::function<Status(MountEntry&)>& change) {
  ASSIGN_OR_RETURN(const std::string normal, normalise_mount_path(path));
  const std::unique_lock lock(mutex_);
  const auto it = mounts_.find(normal);
  if (it == mounts_.end()) return no_such_mount(path);
  MountEntry entry = it->second->entry;
  RETURN_IF_ERROR(change(entry));
  std::shared_ptr<const AuthMount> mount;
  if (entry.options == it->second->entry.options) {
    mount = std::make_shared<AuthMount>(AuthMount{entry, it->second->core});
  } else {
    ASSIGN_OR_RETURN(mount, make_mount(entry));
  }
  // A removal that is under way has taken the entry away already, and it must not come back.
  RETURN_IF_ERROR(dependencies_.database.write([&](store::Writer& writer) -> Status {
    if (!check_open(writer, entry)) return no_such_mount(path);
    return dependencies_.records.put(writer, kScope, entry.path, to_stored(entry));
  }));
  it->second = std::move(mount);
  return ok();
}

Status AuthMounts::end_tokens(const std::string& accessor) {
  for (std::int64_t ended = 1; ended > 0;) {
    RETURN_IF_ERROR(dependencies_.database.write([&](store::Writer& writer) -> Status {
      ASSIGN_OR_RETURN(ended, end_tokens_of_mount(writer, dependencies_.barrier, accessor,
                                                  dependencies_.clock.wall(), kTokensAtOnce));
      return ok();
    }));
  }
  dependencies_.token_ended();
  return ok();
}

Status AuthMounts::remove(const std::string& path) {
  const auto mount = at(path);
  if (!mount) return ok();
  const MountEntry entry = mount->entry;
  RETURN_IF_ERROR(end_tokens(entry.accessor));
  RETURN_IF_ERROR(dependencies_.end_leases(entry.accessor));
  // Logins that were under way meanwhile have their tokens by now, and are ended here, or find the
  // mount gone (check_open).
  RETURN_IF_ERROR(dependencies_.database.write([&](store::Writer& writer) -> Status {
    RETURN_IF_ERROR(dependencies_.records.remove_scope(writer, storage_scope(entry)));
    RETURN_IF_ERROR(dependencies_.records.remove(writer, kScope, entry.path));
    ASSIGN_OR_RETURN(const std::int64_t ended,
                     end_tokens_of_mount(writer, dependencies_.barrier, entry.accessor,
                                         dependencies_.clock.wall(), kTokensAtOnce));
    if (ended < static_cast<std::int64_t>(kTokensAtOnce)) return ok();
    return Error{Errc::kOverloaded,
                 "too many logins while the auth method was being removed; "
                 "remove it again"};
  }));
  {
    const std::unique_lock lock(mutex_);
    mounts_.erase(entry.path);
  }
  // Those that were issued meanwhile; from here on none is (check_open).
  RETURN_IF_ERROR(dependencies_.end_leases(entry.accessor));
  dependencies_.token_ended();
  return ok();
}

Status AuthMounts::check_open(const store::Reader& reader, const MountEntry& entry) const {
  ASSIGN_OR_RETURN(const auto stored, dependencies_.records.get(reader, kScope, entry.path));
  if (stored && mount_entry_from_stored(*stored).accessor == entry.accessor) return ok();
  return Error{Errc::kUnsupportedPath,
               fmt::format("the auth method \"{}\" was removed", entry.path)};
}

void AuthMounts::tidy() const {
  std::vector<std::shared_ptr<const AuthMount>> mounts;
  {
    const std::shared_lock lock(mutex_);
    for (const auto& [path, mount] : mounts_) mounts.push_back(mount);
  }
  for (const auto& mount : mounts) {
    const Status done = mount->method().tidy();
    if (!done)
      dependencies_.log.warn("auth method not tidied",
                             {{"path", mount->entry.path}, {"error", done.error().message}});
  }
}

}  // namespace curfew::broker

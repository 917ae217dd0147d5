#include "broker/auth/approle/app_role_store.h"

#include <fmt/format.h>

#include <algorithm>

namespace curfew::broker {
namespace {

// role/<name>                       a role
// id/<hash of a role id>            the role's name
// decoy, id/decoy                   read in place of a role where a role id is unknown
// secret/<role uuid>/<hash>         a secret id
// accessor/<role uuid>/<accessor>   its hash
// end/<hour>/<role uuid>/<hash>     it is over before this hour (since 1970) begins
// gone/<role uuid>                  a removed role, whose secret ids are still to be removed
constexpr std::string_view kRoles = "role/";
constexpr std::string_view kRoleIds = "id/";
constexpr std::string_view kSecrets = "secret/";
constexpr std::string_view kAccessors = "accessor/";
constexpr std::string_view kEnds = "end/";
constexpr std::string_view kGone = "gone/";
constexpr const char* kDecoy = "decoy";
constexpr std::size_t kRemovedAtOnce = 200;

using engines::StorageReader;
using engines::StorageWriter;

Error invalid(std::string message) {
  return {Errc::kInvalidArgument, std::move(message)};
}

std::string key(std::string_view folder, std::string_view name) {
  return std::string(folder) + std::string(name);
}
std::string secret_key(const std::string& role_uuid, std::string_view hash) {
  return fmt::format("{}{}/{}", kSecrets, role_uuid, hash);
}
std::string accessor_key(const std::string& role_uuid, std::string_view accessor) {
  return fmt::format("{}{}/{}", kAccessors, role_uuid, accessor);
}
std::int64_t hour_of(WallTime time) {
  return std::chrono::floor<std::chrono::hours>(time).time_since_epoch().count();
}
// Of one width, so that they sort as numbers do.
std::string end_folder(WallTime end) {
  return fmt::format("{}{:09}/", kEnds, hour_of(end) + 1);
}

Result<std::optional<AppRole>> load_role(const StorageReader& reader, const std::string& at) {
  ASSIGN_OR_RETURN(const auto stored, reader.get(at));
  if (!stored) return std::optional<AppRole>{};
  return std::optional{app_role_from_stored(*stored)};
}

Result<std::optional<SecretId>> load_secret(const StorageReader& reader,
                                            const std::string& role_uuid, const std::string& hash) {
  ASSIGN_OR_RETURN(const auto stored, reader.get(secret_key(role_uuid, hash)));
  if (!stored) return std::optional<SecretId>{};
  SecretId secret = secret_id_from_stored(*stored);
  secret.hash = hash;
  return std::optional{std::move(secret)};
}

Status erase_secret(StorageWriter& writer, const std::string& role_uuid, const SecretId& secret) {
  RETURN_IF_ERROR(writer.remove(secret_key(role_uuid, secret.hash)));
  RETURN_IF_ERROR(writer.remove(accessor_key(role_uuid, secret.accessor)));
  if (!secret.expires_at) return ok();
  return writer.remove(
      fmt::format("{}{}/{}", end_folder(*secret.expires_at), role_uuid, secret.hash));
}

}  // namespace

AppRoleStore::AppRoleStore(engines::MountStorage& storage, const store::Barrier& barrier,
                           Random& random, std::string mount)
    : storage_(storage), barrier_(barrier), random_(random), mount_(std::move(mount)) {}

Result<std::string> AppRoleStore::role_id_hash(const std::string& role_id) const {
  return barrier_.keyed_hash("approle role id", mount_ + "/" + role_id);
}

Result<std::string> AppRoleStore::secret_hash(const std::string& role_uuid,
                                              const std::string& id) const {
  return barrier_.keyed_hash("approle secret id", mount_ + "/" + role_uuid + "/" + id);
}

// ---- roles --------------------------------------------------------------------------------------

Result<std::optional<AppRole>> AppRoleStore::role(const std::string& name) const {
  std::optional<AppRole> found;
  RETURN_IF_ERROR(storage_.read([&](const StorageReader& reader) -> Status {
    ASSIGN_OR_RETURN(found, load_role(reader, key(kRoles, name)));
    return ok();
  }));
  return found;
}

Result<std::vector<std::string>> AppRoleStore::role_names() const {
  return storage_.list(kRoles);
}

Status AppRoleStore::put_decoy(StorageWriter& writer) const {
  ASSIGN_OR_RETURN(const auto there, writer.get(kDecoy));
  if (there) return ok();
  AppRole decoy;
  decoy.uuid = random_uuid(random_);
  decoy.role_id = random_uuid(random_);
  decoy.name = decoy.uuid.substr(0, 8);
  decoy.rules.policies = {"default"};
  RETURN_IF_ERROR(writer.put(key(kRoleIds, kDecoy), {{"name", ""}}));
  return writer.put(kDecoy, to_stored(decoy));
}

Status AppRoleStore::write_role(const std::string& name, bool may_create,
                                const std::function<Status(AppRole&)>& change) {
  return storage_.write([&](StorageWriter& writer) -> Status {
    ASSIGN_OR_RETURN(auto role, load_role(writer, key(kRoles, name)));
    if (!role && !may_create) return invalid(fmt::format("role \"{}\" does not exist", name));
    const std::string old_id = role ? role->role_id : "";
    if (!role)
      role = AppRole{.name = name,
                     .uuid = random_uuid(random_),
                     .role_id = random_uuid(random_),
                     .secret_id_bound_cidrs = {},
                     .rules = {}};
    RETURN_IF_ERROR(change(*role));
    if (role->role_id != old_id) {
      ASSIGN_OR_RETURN(const std::string hash, role_id_hash(role->role_id));
      ASSIGN_OR_RETURN(const auto taken, writer.get(key(kRoleIds, hash)));
      if (taken) return invalid("role_id already in use");
      RETURN_IF_ERROR(writer.put(key(kRoleIds, hash), {{"name", name}}));
      if (!old_id.empty()) {
        ASSIGN_OR_RETURN(const std::string old_hash, role_id_hash(old_id));
        RETURN_IF_ERROR(writer.remove(key(kRoleIds, old_hash)));
      }
    }
    RETURN_IF_ERROR(put_decoy(writer));
    return writer.put(key(kRoles, name), to_stored(*role));
  });
}

Status AppRoleStore::remove_role(const std::string& name) {
  return storage_.write([&](StorageWriter& writer) -> Status {
    ASSIGN_OR_RETURN(const auto role, load_role(writer, key(kRoles, name)));
    if (!role) return ok();
    ASSIGN_OR_RETURN(const std::string hash, role_id_hash(role->role_id));
    RETURN_IF_ERROR(writer.remove(key(kRoleIds, hash)));
    // No role has this uuid any more, so its secret ids are nobody's from here on.
    RETURN_IF_ERROR(writer.put(key(kGone, role->uuid), Json::object()));
    return writer.remove(key(kRoles, name));
  });
}

Result<std::optional<AppRole>> AppRoleStore::role_by_id(const std::string& role_id) const {
  ASSIGN_OR_RETURN(const std::string hash, role_id_hash(role_id));
  std::optional<AppRole> role;
  bool known = false;
  RETURN_IF_ERROR(storage_.read([&](const StorageReader& reader) -> Status {
    ASSIGN_OR_RETURN(auto index, reader.get(key(kRoleIds, hash)));
    known = index.has_value();
    // One record is found and one is not, whichever role id was sent.
    ASSIGN_OR_RETURN(const auto other, reader.get(key(kRoleIds, known ? "none" : kDecoy)));
    const std::string name = known ? index->at("name").get<std::string>() : "";
    ASSIGN_OR_RETURN(role, load_role(reader, known ? key(kRoles, name) : kDecoy));
    return ok();
  }));
  // As for a known role; nobody has a secret id of the decoy.
  if (!known && role) role->role_id.clear();
  return role;
}

// ---- secret ids ---------------------------------------------------------------------------------

Status AppRoleStore::add_secret(const AppRole& role, const std::string& secret_id,
                                SecretId& secret) {
  ASSIGN_OR_RETURN(secret.hash, secret_hash(role.uuid, secret_id));
  secret.accessor = random_uuid(random_);
  return storage_.write([&](StorageWriter& writer) -> Status {
    ASSIGN_OR_RETURN(const auto still, load_role(writer, key(kRoles, role.name)));
    if (!still || still->uuid != role.uuid)
      return invalid(fmt::format("role \"{}\" does not exist", role.name));
    ASSIGN_OR_RETURN(const auto there, load_secret(writer, role.uuid, secret.hash));
    if (there && !there->is_over(secret.created_at))
      return invalid("SecretID is already registered");
    if (there) RETURN_IF_ERROR(erase_secret(writer, role.uuid, *there));
    RETURN_IF_ERROR(writer.put(secret_key(role.uuid, secret.hash), to_stored(secret)));
    if (secret.expires_at)
      RETURN_IF_ERROR(
          writer.put(fmt::format("{}{}/{}", end_folder(*secret.expires_at), role.uuid, secret.hash),
                     Json::object()));
    return writer.put(accessor_key(role.uuid, secret.accessor), {{"secret", secret.hash}});
  });
}

Result<std::optional<SecretId>> AppRoleStore::secret(const std::string& role_uuid,
                                                     const std::string& secret_id,
                                                     WallTime now) const {
  ASSIGN_OR_RETURN(const std::string hash, secret_hash(role_uuid, secret_id));
  std::optional<SecretId> found;
  RETURN_IF_ERROR(storage_.read([&](const StorageReader& reader) -> Status {
    ASSIGN_OR_RETURN(found, load_secret(reader, role_uuid, hash));
    return ok();
  }));
  if (found && found->is_over(now)) found.reset();
  return found;
}

Result<std::optional<SecretId>> AppRoleStore::secret_by_accessor(const std::string& role_uuid,
                                                                 const std::string& accessor,
                                                                 WallTime now) const {
  std::optional<SecretId> found;
  RETURN_IF_ERROR(storage_.read([&](const StorageReader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto index, reader.get(accessor_key(role_uuid, accessor)));
    if (!index) return ok();
    ASSIGN_OR_RETURN(found, load_secret(reader, role_uuid, index->at("secret").get<std::string>()));
    return ok();
  }));
  if (found && found->is_over(now)) found.reset();
  return found;
}

Result<std::vector<std::string>> AppRoleStore::accessors(const std::string& role_uuid) const {
  return storage_.list(fmt::format("{}{}/", kAccessors, role_uuid));
}

Result<std::optional<SecretId>> AppRoleStore::use_secret(
    const AppRole& role, const std::string& secret_id, WallTime now,
    const std::function<Status(const SecretId&)>& check) {
  // Guesses cost no transaction that writes, and neither do secret ids without a limit.
  ASSIGN_OR_RETURN(auto known, secret(role.uuid, secret_id, now));
  if (!known) return known;
  if (known->uses_left == 0) {
    RETURN_IF_ERROR(check(*known));
    return known;
  }
  std::optional<SecretId> used;
  RETURN_IF_ERROR(storage_.write([&](StorageWriter& writer) -> Status {
    used.reset();
    ASSIGN_OR_RETURN(auto secret, load_secret(writer, role.uuid, known->hash));
    if (!secret || secret->is_over(now)) return ok();
    RETURN_IF_ERROR(check(*secret));
    used = secret;
    if (secret->uses_left == 1) return erase_secret(writer, role.uuid, *secret);
    if (secret->uses_left > 1) --secret->uses_left;
    secret->updated_at = now;
    return writer.put(secret_key(role.uuid, secret->hash), to_stored(*secret));
  }));
  return used;
}

Status AppRoleStore::remove_secret(const std::string& role_uuid, const SecretId& secret) {
  return storage_.write(
      [&](StorageWriter& writer) { return erase_secret(writer, role_uuid, secret); });
}

// ---- clearing away ------------------------------------------------------------------------------

// Secret ids of one role that are to go.
struct AppRoleStore::Doomed {
  std::string role_uuid;
  std::vector<std::string> hashes;
  std::string ends = {};                 // the folder of end/ that lists them; empty: none
  std::optional<WallTime> over_at = {};  // only those that are over then
};

// In transactions of a bounded size, between which others write.
Result<std::size_t> AppRoleStore::remove_listed(const Doomed& doomed, std::size_t limit) {
  const std::size_t count = std::min(doomed.hashes.size(), limit);
  for (std::size_t from = 0; from < count; from += kRemovedAtOnce) {
    RETURN_IF_ERROR(storage_.write([&](StorageWriter& writer) -> Status {
      for (std::size_t i = from; i < std::min(from + kRemovedAtOnce, count); ++i) {
        const std::string& hash = doomed.hashes[i];
        if (!doomed.ends.empty()) RETURN_IF_ERROR(writer.remove(key(doomed.ends, hash)));
        ASSIGN_OR_RETURN(const auto secret, load_secret(writer, doomed.role_uuid, hash));
        if (secret && (!doomed.over_at || secret->is_over(*doomed.over_at)))
          RETURN_IF_ERROR(erase_secret(writer, doomed.role_uuid, *secret));
      }
      return ok();
    }));
  }
  return count;
}

Result<std::size_t> AppRoleStore::tidy_ends(WallTime now, std::size_t limit) {
  std::size_t removed = 0;
  const std::string this_hour = fmt::format("{:09}/", hour_of(now));
  ASSIGN_OR_RETURN(const auto hours, storage_.list(kEnds));
  for (const std::string& hour : hours) {
    if (hour > this_hour) break;
    ASSIGN_OR_RETURN(const auto roles, storage_.list(key(kEnds, hour)));
    for (const std::string& role : roles) {
      if (removed >= limit) return removed;
      const std::string folder = key(kEnds, hour + role);
      ASSIGN_OR_RETURN(auto hashes, storage_.list(folder));
      ASSIGN_OR_RETURN(const std::size_t count, remove_listed({role.substr(0, role.size() - 1),
                                                               std::move(hashes), folder, now},
                                                              limit - removed));
      removed += count;
    }
  }
  return removed;
}

Result<std::size_t> AppRoleStore::tidy_gone(std::size_t limit) {
  std::size_t removed = 0;
  ASSIGN_OR_RETURN(const auto roles, storage_.list(kGone));
  for (const std::string& uuid : roles) {
    if (removed >= limit) break;
    ASSIGN_OR_RETURN(auto hashes, storage_.list(fmt::format("{}{}/", kSecrets, uuid)));
    const std::size_t all = hashes.size();
    ASSIGN_OR_RETURN(const std::size_t count,
                     remove_listed({uuid, std::move(hashes)}, limit - removed));
    removed += count;
    if (count == all) RETURN_IF_ERROR(storage_.remove(key(kGone, uuid)));
  }
  return removed;
}

Result<std::size_t> AppRoleStore::tidy(WallTime now, std::size_t limit) {
  ASSIGN_OR_RETURN(const std::size_t over, tidy_ends(now, limit));
  ASSIGN_OR_RETURN(const std::size_t gone, tidy_gone(limit - std::min(limit, over)));
  return over + gone;
}

}  // namespace curfew::broker

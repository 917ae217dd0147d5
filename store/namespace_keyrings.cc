#include "store/namespace_keyrings.h"

#include <utility>

namespace curfew::store {
namespace {

Error is_sealed() {
  return {Errc::kSealed, "the server is sealed; unseal it first"};
}

Error no_such_namespace() {
  return {Errc::kNotFound, "there is no such namespace"};
}

}  // namespace

NamespaceKeyrings::NamespaceKeyrings(Database& database, const Keyring& outer, Random& random,
                                     const Clock& clock, Log& log)
    : database_(database), outer_(outer), random_(random), clock_(clock), log_(log) {}

Result<std::shared_ptr<Keyring>> NamespaceKeyrings::create(const std::string& name,
                                                           const MakingWrites& more) {
  // A slash would let the key's usage count pass for that of another namespace.
  if (name.empty() || name.find('/') != std::string::npos || !is_storable_text(name))
    return Error{Errc::kInvalidArgument, "a namespace needs an id without slashes"};
  auto made = std::make_shared<Keyring>(name, random_, clock_);
  RETURN_IF_ERROR(database_.write([&](Writer& writer) -> Status {
    RETURN_IF_ERROR(made->create_under(writer, outer_));
    return more ? more(writer, *made) : ok();
  }));
  const std::scoped_lock lock(mutex_);
  if (!unlocked_) {
    // Sealed meanwhile: the next unlock_all() finds it.
    made->lock();
    return is_sealed();
  }
  keyrings_.insert_or_assign(name, made);
  return made;
}

Result<std::shared_ptr<Keyring>> NamespaceKeyrings::get(std::string_view name) const {
  const std::scoped_lock lock(mutex_);
  if (!unlocked_) return is_sealed();
  const auto found = keyrings_.find(name);
  if (found == keyrings_.end()) return no_such_namespace();
  if (found->second == nullptr)
    return Error{Errc::kCorrupt,
                 "the keys of this namespace do not open: the database was changed or damaged. The "
                 "operator must restore a backup"};
  return found->second;
}

Result<std::vector<std::string>> NamespaceKeyrings::names() const {
  const std::scoped_lock lock(mutex_);
  if (!unlocked_) return is_sealed();
  std::vector<std::string> names;
  names.reserve(keyrings_.size());
  for (const auto& [name, keyring] : keyrings_) names.push_back(name);
  return names;
}

Status NamespaceKeyrings::unlock_all() {
  std::map<std::string, std::shared_ptr<Keyring>, std::less<>> opened;
  RETURN_IF_ERROR(database_.read([&](const Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto rows,
                     reader.query("SELECT DISTINCT namespace FROM keyring WHERE namespace <> $1",
                                  {Value{outer_.name_space()}}));
    for (const Row& row : rows) {
      auto keyring = std::make_shared<Keyring>(row.text(0), random_, clock_);
      if (Status unlocked = keyring->unlock_under(reader, outer_); !unlocked) {
        if (unlocked.error().code != Errc::kCorrupt) return unlocked;
        log_.error("the keys of a namespace do not open",
                   {{"namespace", row.text(0)}, {"error", unlocked.error().message}});
        keyring = nullptr;
      }
      opened.emplace(row.text(0), std::move(keyring));
    }
    return ok();
  }));
  const std::scoped_lock lock(mutex_);
  keyrings_ = std::move(opened);
  unlocked_ = true;
  return ok();
}

void NamespaceKeyrings::lock_all() {
  decltype(keyrings_) keyrings;
  {
    const std::scoped_lock lock(mutex_);
    keyrings.swap(keyrings_);
    unlocked_ = false;
  }
  for (const auto& [name, keyring] : keyrings) {
    if (keyring != nullptr) keyring->lock();
  }
}

Status NamespaceKeyrings::destroy(const std::string& name, const DestroyingWrites& more) {
  if (name == outer_.name_space()) return no_such_namespace();
  RETURN_IF_ERROR(database_.write([&](Writer& writer) -> Status {
    RETURN_IF_ERROR(Keyring(name, random_, clock_).destroy(writer));
    return more ? more(writer) : ok();
  }));
  std::shared_ptr<Keyring> gone;
  {
    const std::scoped_lock lock(mutex_);
    const auto found = keyrings_.find(name);
    if (found != keyrings_.end()) {
      gone = std::move(found->second);
      keyrings_.erase(found);
    }
  }
  if (gone != nullptr) gone->lock();
  if (Status forgotten = database_.forget_deleted(); !forgotten)
    log_.warn("a destroyed key stands in the database's log for a while",
              {{"namespace", name}, {"error", forgotten.error().message}});
  return ok();
}

}  // namespace curfew::store

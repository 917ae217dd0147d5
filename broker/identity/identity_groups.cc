#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include "broker/identity/identity_checks.h"
#include "broker/identity/identity_service.h"

// Groups: writing, nesting, aliases.
namespace curfew::broker {
namespace {

constexpr int kNestingMax = 32;  // groups in a chain
constexpr std::size_t kDirectGroupsMax = 1'000;
constexpr std::size_t kMembersInOneWriteMax = 100'000;

std::set<std::string> set_of(const std::vector<std::string>& list) {
  return {list.begin(), list.end()};
}

void insert_sorted(std::vector<std::string>& list, const std::string& text) {
  const auto at = std::lower_bound(list.begin(), list.end(), text);
  if (at == list.end() || *at != text) list.insert(at, text);
}

Status apply(GroupChange change, Group& group, bool is_new) {
  if (change.type) {
    if (*change.type != "internal" && *change.type != "external")
      return invalid_identity(fmt::format("invalid group type \"{}\"", *change.type));
    const bool external = *change.type == "external";
    if (!is_new && external != group.external)
      return invalid_identity("group type cannot be changed");
    group.external = external;
  }
  if (group.external && change.member_entity_ids)
    return invalid_identity("member entities can't be set manually for external groups");
  if (group.external && change.member_group_ids)
    return invalid_identity("member groups can't be set for external groups");
  if (change.name) group.name = *change.name;
  if (change.policies) {
    ASSIGN_OR_RETURN(group.policies, checked_policies(std::move(*change.policies)));
  }
  if (change.metadata) group.metadata = std::move(*change.metadata);
  return ok();
}

using Neighbours = std::function<Result<std::vector<std::string>>(const std::string& group_id)>;

// How many groups the longest chain from `id` has, itself counted; more than `bound` is not
// distinguished. `known`: what was found before.
Result<int> chain(const std::string& id, int bound, const Neighbours& next,
                  std::map<std::string, int>& known) {
  if (bound <= 0) return 1;
  const auto found = known.find(id);
  if (found != known.end()) return found->second;
  int longest = 0;
  ASSIGN_OR_RETURN(const auto neighbours, next(id));
  for (const std::string& neighbour : neighbours) {
    ASSIGN_OR_RETURN(const int length, chain(neighbour, bound - 1, next, known));
    longest = std::max(longest, length);
  }
  known[id] = longest + 1;
  return longest + 1;
}

}  // namespace

// ---- nesting ----------------------------------------------------------------------------------

// Whether `child` may become a member of `parent`: no group is in itself, and chains are short.
Status IdentityService::check_nesting(const store::Reader& reader, const Group& parent,
                                      const std::string& child) const {
  const Neighbours up = [&](const std::string& id) -> Result<std::vector<std::string>> {
    ASSIGN_OR_RETURN(Group group, records_.known_group(reader, id));
    return std::move(group.parent_ids);
  };
  const Neighbours down = [&](const std::string& id) { return records_.subgroups(reader, id); };
  std::map<std::string, int> above;
  std::map<std::string, int> below;
  ASSIGN_OR_RETURN(const int up_length, chain(parent.id, kNestingMax, up, above));
  if (above.contains(child))
    return invalid_identity(
        fmt::format("cyclic relationship detected for member group ID \"{}\"", child));
  ASSIGN_OR_RETURN(const int down_length, chain(child, kNestingMax, down, below));
  if (up_length + down_length > kNestingMax)
    return invalid_identity(
        fmt::format("groups may be nested {} deep; with member group ID \"{}\" there would be {}",
                    kNestingMax, child, up_length + down_length));
  return ok();
}

Status IdentityService::set_subgroups(store::Writer& writer, const Group& group,
                                      const std::vector<std::string>& wanted) const {
  ASSIGN_OR_RETURN(const auto present, records_.subgroups(writer, group.id));
  const std::set<std::string> before = set_of(present);
  const std::set<std::string> after = set_of(wanted);
  for (const std::string& id : before) {
    if (after.contains(id)) continue;
    ASSIGN_OR_RETURN(const Group member, records_.known_group(writer, id));
    Group freed = member;
    std::erase(freed.parent_ids, group.id);
    RETURN_IF_ERROR(records_.put(writer, &member, freed));
  }
  for (const std::string& id : after) {
    if (before.contains(id)) continue;
    if (id == group.id)
      return invalid_identity(
          fmt::format("member group ID \"{}\" is same as the ID of the group", id));
    ASSIGN_OR_RETURN(const auto member, records_.group(writer, id));
    if (!member) return invalid_identity(fmt::format("invalid member group ID \"{}\"", id));
    RETURN_IF_ERROR(check_nesting(writer, group, id));
    Group taken = *member;
    insert_sorted(taken.parent_ids, group.id);
    if (taken.parent_ids.size() > kDirectGroupsMax)
      return invalid_identity(fmt::format("the group \"{}\" would be a member of more than {}",
                                          taken.name, kDirectGroupsMax));
    RETURN_IF_ERROR(records_.put(writer, &*member, taken));
  }
  return ok();
}

Status IdentityService::set_members(store::Writer& writer, const Group& group,
                                    const std::vector<std::string>& wanted) const {
  if (wanted.size() > kMembersInOneWriteMax)
    return invalid_identity(
        fmt::format("more than {} member entities in one request", kMembersInOneWriteMax));
  ASSIGN_OR_RETURN(const auto present, records_.members(writer, group.id));
  const std::set<std::string> before = set_of(present);
  const std::set<std::string> after = set_of(wanted);
  for (const std::string& id : before) {
    if (after.contains(id)) continue;
    ASSIGN_OR_RETURN(const auto member, records_.entity(writer, id));
    if (!member) continue;
    Entity freed = *member;
    std::erase(freed.group_ids, group.id);
    RETURN_IF_ERROR(records_.put(writer, &*member, freed));
  }
  for (const std::string& id : after) {
    if (before.contains(id)) continue;
    ASSIGN_OR_RETURN(const auto member, records_.entity(writer, id));
    if (!member) return invalid_identity(fmt::format("invalid entity ID \"{}\"", id));
    Entity taken = *member;
    insert_sorted(taken.group_ids, group.id);
    if (taken.group_ids.size() > kDirectGroupsMax)
      return invalid_identity(
          fmt::format("the entity \"{}\" would be a member of more than {} "
                      "groups",
                      taken.name, kDirectGroupsMax));
    RETURN_IF_ERROR(records_.put(writer, &*member, taken));
  }
  return ok();
}

// ---- groups -----------------------------------------------------------------------------------

Result<Written> IdentityService::put_group(const GroupChange& change) {
  if (change.name) RETURN_IF_ERROR(check_identity_name("group name", *change.name));
  if (change.metadata) RETURN_IF_ERROR(check_identity_metadata(*change.metadata));
  const WallTime now = clock_.wall();
  Written written;
  RETURN_IF_ERROR(changed([&](store::Writer& writer) -> Status {
    std::optional<Group> before;
    if (change.id) {
      ASSIGN_OR_RETURN(before, records_.group(writer, *change.id));
      if (!before) return invalid_identity("invalid group ID");
    } else if (change.name) {
      ASSIGN_OR_RETURN(before, records_.group_by_name(writer, *change.name));
    }
    Group after;
    if (before) {
      after = *before;
    } else {
      after.id = random_uuid(random_);
      after.created_at = now;
      if (!change.name) {
        ASSIGN_OR_RETURN(after.name, free_group_name(writer));
      }
    }
    RETURN_IF_ERROR(apply(change, after, !before));
    after.updated_at = now;
    ++after.modify_index;
    RETURN_IF_ERROR(records_.put(writer, before ? &*before : nullptr, after));
    if (change.member_group_ids)
      RETURN_IF_ERROR(set_subgroups(writer, after, *change.member_group_ids));
    if (change.member_entity_ids)
      RETURN_IF_ERROR(set_members(writer, after, *change.member_entity_ids));
    written = {after.id, after.name, !before};
    return ok();
  }));
  return written;
}

Result<std::optional<GroupView>> IdentityService::find_group(const IdentityKey& key) const {
  std::optional<GroupView> view;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(auto group, find_one_group(reader, key));
    if (!group) return ok();
    view = GroupView{*std::move(group), {}, {}};
    ASSIGN_OR_RETURN(view->member_entity_ids, records_.members(reader, view->group.id));
    ASSIGN_OR_RETURN(view->member_group_ids, records_.subgroups(reader, view->group.id));
    return ok();
  }));
  return view;
}

Status IdentityService::each_group(
    const std::function<void(const Group&, std::int64_t)>& take) const {
  return database_.read([&](const store::Reader& reader) -> Status {
    std::vector<Group> groups;
    RETURN_IF_ERROR(
        records_.each_group(reader, [&](const Group& group) { groups.push_back(group); }));
    for (const Group& group : groups) {
      ASSIGN_OR_RETURN(const std::int64_t count, records_.member_count(reader, group.id));
      take(group, count);
    }
    return ok();
  });
}

Status IdentityService::remove_group(const IdentityKey& key) {
  return changed([&](store::Writer& writer) -> Status {
    ASSIGN_OR_RETURN(const auto group, find_one_group(writer, key));
    if (!group) return ok();
    RETURN_IF_ERROR(set_members(writer, *group, {}));
    RETURN_IF_ERROR(set_subgroups(writer, *group, {}));
    return records_.remove(writer, *group);
  });
}

// ---- aliases ----------------------------------------------------------------------------------

namespace {

Error group_not_yours() {
  return {Errc::kPermissionDenied,
          "the alias decides whom a login method puts into a group: moving it to another group, or "
          "giving it another name or mount, needs the sudo capability at this path"};
}

}  // namespace

Result<std::optional<WrittenAlias>> IdentityService::put_group_alias(const AliasChange& change) {
  if (!change.name) return invalid_identity("missing alias name");
  if (!change.mount_accessor) return invalid_identity("missing mount_accessor");
  RETURN_IF_ERROR(check_identity_name("alias name", *change.name));
  const WallTime now = clock_.wall();
  std::optional<WrittenAlias> written;
  RETURN_IF_ERROR(changed([&](store::Writer& writer) -> Status {
    std::optional<Group> holder;
    GroupAlias alias{.id = random_uuid(random_),
                     .mount_accessor = {},
                     .name = {},
                     .created_at = now,
                     .updated_at = now};
    if (change.id) {
      ASSIGN_OR_RETURN(holder, records_.group_by_alias_id(writer, *change.id));
      if (!holder) return invalid_identity("invalid group alias ID");
      alias = *holder->alias;
    }
    ASSIGN_OR_RETURN(const auto user,
                     records_.group_by_alias(writer, *change.mount_accessor, *change.name));
    if (user && (!holder || user->id != holder->id))
      return invalid_identity("combination of mount and group alias name is already in use");
    const bool moves = holder && change.canonical_id && *change.canonical_id != holder->id;
    const bool renamed =
        alias.name != *change.name || alias.mount_accessor != *change.mount_accessor;
    if (holder && !moves && !renamed) return ok();
    if (holder && !change.may_move) return group_not_yours();
    alias.name = *change.name;
    alias.mount_accessor = *change.mount_accessor;
    alias.updated_at = now;

    std::optional<Group> before = moves ? std::nullopt : holder;
    if (change.canonical_id && !before) {
      ASSIGN_OR_RETURN(before, records_.group(writer, *change.canonical_id));
      if (!before) return invalid_identity("invalid group ID given in 'canonical_id'");
      if (!before->external) return invalid_identity("alias can't be set on an internal group");
      // The alias that it had would be gone, and with it who is a member.
      if (before->alias && !change.may_move) return group_not_yours();
    }
    Group after;
    if (before) {
      after = *before;
    } else {
      after.id = random_uuid(random_);
      ASSIGN_OR_RETURN(after.name, free_group_name(writer));
      after.external = true;
      after.created_at = now;
    }
    if (moves) {
      Group bare = *holder;
      bare.alias.reset();
      RETURN_IF_ERROR(records_.put(writer, &*holder, bare));
    }
    after.alias = alias;
    after.updated_at = now;
    ++after.modify_index;
    written = WrittenAlias{alias.id, after.id, moves};
    return records_.put(writer, before ? &*before : nullptr, after);
  }));
  if (written && written->moved)
    log_.warn("alias moved to another group",
              {{"alias", written->id}, {"group", written->canonical_id}});
  return written;
}

Status IdentityService::remove_group_alias(const std::string& id) {
  return changed([&](store::Writer& writer) -> Status {
    ASSIGN_OR_RETURN(const auto before, records_.group_by_alias_id(writer, id));
    if (!before) return ok();
    Group after = *before;
    after.alias.reset();
    after.updated_at = clock_.wall();
    ++after.modify_index;
    return records_.put(writer, &*before, after);
  });
}

}  // namespace curfew::broker

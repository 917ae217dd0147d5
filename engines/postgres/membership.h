#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

// Memberships of roles in roles. Until version 15 there is one for each pair; since version 16 each
// grantor's grant stands for itself, and says by INHERIT and SET whether the member has the group's
// privileges and may become it.
namespace curfew::engines::postgres {

// `member` is in `group`.
struct Membership {
  std::string group;
  std::string member;
  std::string grantor;  // empty: not known any more
};

// Of a JSON list of [group, member, grantor or null], as the target's catalog is asked for it; an
// empty column is an empty list. nullopt: it is something else.
std::optional<std::vector<Membership>> parse_memberships(const std::optional<std::string>& column);

// SQL, without a semicolon, that lets `member` do what `group` may, whatever the member's default.
std::string grant_membership(std::string_view group, std::string_view member, int server_version);

// SQL, without a semicolon, that takes exactly this membership away.
std::string revoke_membership(const Membership& membership, int server_version);

}  // namespace curfew::engines::postgres

#include "engines/postgres/membership.h"

#include <fmt/format.h>

#include "base/json.h"
#include "engines/postgres/sql_text.h"

namespace curfew::engines::postgres {
namespace {

constexpr int kGrantsByGrantor = 160000;

}  // namespace

std::optional<std::vector<Membership>> parse_memberships(const std::optional<std::string>& column) {
  std::vector<Membership> memberships;
  if (!column) return memberships;
  const auto list = parse_json(*column);
  if (!list || !list->is_array()) return std::nullopt;
  for (const Json& item : *list) {
    if (!item.is_array() || item.size() != 3 || !item[0].is_string() || !item[1].is_string())
      return std::nullopt;
    memberships.push_back({item[0].get<std::string>(), item[1].get<std::string>(),
                           item[2].is_string() ? item[2].get<std::string>() : ""});
  }
  return memberships;
}

std::string grant_membership(std::string_view group, std::string_view member, int server_version) {
  std::string sql =
      fmt::format("GRANT {} TO {}", quote_identifier(group), quote_identifier(member));
  // Who creates a role gets it there with ADMIN alone, which neither owns nor drops anything.
  if (server_version >= kGrantsByGrantor) sql += " WITH INHERIT TRUE, SET TRUE";
  return sql;
}

std::string revoke_membership(const Membership& membership, int server_version) {
  std::string sql = fmt::format("REVOKE {} FROM {}", quote_identifier(membership.group),
                                quote_identifier(membership.member));
  if (server_version >= kGrantsByGrantor && !membership.grantor.empty())
    sql += " GRANTED BY " + quote_identifier(membership.grantor);
  return sql;
}

}  // namespace curfew::engines::postgres

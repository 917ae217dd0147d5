#include "engines/postgres/issued_rights.h"

#include <algorithm>

namespace curfew::engines::postgres {
namespace {

// Clocks differ, and the end is rounded up to a whole second.
constexpr std::int64_t kToleranceSeconds = 60;

}  // namespace

const char* const kRightsColumn = R"sql(pg_catalog.json_build_object(
  'member_of', (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(m.roleid::pg_catalog.int8,
       g.rolname)) FROM pg_catalog.pg_auth_members m
     JOIN pg_catalog.pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid),
  'attributes', pg_catalog.array_to_json(pg_catalog.array_remove(ARRAY[
     CASE WHEN r.rolsuper THEN 'SUPERUSER' END, CASE WHEN r.rolcreaterole THEN 'CREATEROLE' END,
     CASE WHEN r.rolcreatedb THEN 'CREATEDB' END, CASE WHEN r.rolreplication THEN 'REPLICATION' END,
     CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END], NULL)),
  'valid_until', CASE WHEN pg_catalog.isfinite(r.rolvaliduntil)
     THEN pg_catalog.ceil(EXTRACT(epoch FROM r.rolvaliduntil))::pg_catalog.int8 END))sql";

std::optional<IssuedRights> parse_rights(const std::optional<std::string>& column) {
  const auto parsed = parse_json(column.value_or(""));
  if (!parsed || !parsed->is_object() || !parsed->contains("attributes")) return std::nullopt;
  IssuedRights rights;
  if (const auto names = Fields(*parsed).string_list("attributes"); names && *names)
    rights.attributes = {(*names)->begin(), (*names)->end()};
  const Json groups = parsed->value("member_of", Json());
  for (const Json& group : groups.is_array() ? groups : Json::array()) {
    if (!group.is_array() || group.size() != 2 || !group[0].is_number() || !group[1].is_string())
      return std::nullopt;
    rights.member_of[group[0].get<std::uint32_t>()] = group[1].get<std::string>();
  }
  if (const auto end = Fields(*parsed).integer("valid_until"); end) rights.valid_until = *end;
  return rights;
}

Json IssuedRights::to_fact(WallTime expires_at) const {
  Json fact{{"attributes", attributes}, {"member_of", Json::array()}};
  for (const auto& [oid, name] : member_of) fact["member_of"].push_back(oid);
  // How much longer than the lease it was made to be valid.
  if (valid_until)
    fact["valid_beyond"] = std::max<std::int64_t>(*valid_until - to_unix_seconds(expires_at), 0);
  return fact;
}

std::vector<std::string> gained_rights(const Json& fact, const IssuedRights& now) {
  std::vector<std::string> gained;
  if (!fact.is_object() || !fact.contains("attributes")) return gained;
  const Json attributes = fact.value("attributes", Json::array());
  for (const std::string& name : now.attributes) {
    if (std::find(attributes.begin(), attributes.end(), name) == attributes.end())
      gained.push_back(name);
  }
  const Json groups = fact.value("member_of", Json::array());
  for (const auto& [oid, name] : now.member_of) {
    if (std::find(groups.begin(), groups.end(), oid) == groups.end())
      gained.push_back("member of " + name);
  }
  return gained;
}

bool outlives(const Json& fact, const IssuedRights& now, WallTime expires_at) {
  if (!fact.is_object() || !fact.contains("valid_beyond")) return false;
  if (!now.valid_until) return true;
  const auto beyond = Fields(fact).integer_or("valid_beyond", 0);
  return *now.valid_until >
         to_unix_seconds(expires_at) + (beyond ? *beyond : 0) + kToleranceSeconds;
}

}  // namespace curfew::engines::postgres

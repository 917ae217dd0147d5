#include "engines/postgres/role_rights.h"

#include <fmt/format.h>

#include "base/duration.h"
#include "base/json.h"
#include "engines/postgres/cleaning.h"
#include "engines/postgres/sql_text.h"

namespace curfew::engines::postgres {
namespace {

constexpr const char* kPlace = "creation_statements";

// pg_class has no TOAST table, so that a row must fit into a page: 8,160 bytes, of which 176 are
// for the other columns, and 24 for the head of the list's array.
constexpr int kAccessListBytes = 8'160 - 176 - 24;
// What a list was seen to hold on PostgreSQL 15, where it is compressed: 2,396 to 2,444.
constexpr int kAccessListEntriesSeen = 2'400;

std::string text_at(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

bool flag_at(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_boolean() && it->get<bool>();
}

std::int64_t number_at(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_number() ? it->get<std::int64_t>() : 0;
}

const Json& list_at(const Json& object, const char* key) {
  static const Json none = Json::array();
  const auto it = object.find(key);
  return it != object.end() && it->is_array() ? *it : none;
}

std::string joined_texts(const Json& list) {
  std::string out;
  for (const Json& item : list)
    if (item.is_string()) out += (out.empty() ? "" : ", ") + item.get<std::string>();
  return out;
}

struct Attribute {
  const char* column;
  const char* name;
};
constexpr Attribute kAttributes[] = {{"rolsuper", "SUPERUSER"},
                                     {"rolcreaterole", "CREATEROLE"},
                                     {"rolcreatedb", "CREATEDB"},
                                     {"rolreplication", "REPLICATION"},
                                     {"rolbypassrls", "BYPASSRLS"}};

// One group that the role is a member of, by however many steps.
void judge_group(const Json& group, const std::string& login, std::vector<Finding>& findings) {
  const std::string name = text_at(group, "name");
  const std::string key = "member of " + name;
  if (name.starts_with("pg_")) {
    findings.push_back(predefined_role(name, kPlace));
  } else if (name == login) {
    findings.push_back({key, kPlace,
                        fmt::format("it is a member of \"{}\", the broker's own login, and can do "
                                    "whatever the broker can",
                                    name),
                        true});
  } else if (name == kQuarantineRole) {
    findings.push_back({key, kPlace,
                        fmt::format("it is a member of {}, which owns what other leases left "
                                    "behind; nobody is to be in it",
                                    name),
                        true});
  } else {
    for (const auto& [column, attribute] : kAttributes)
      if (flag_at(group, column)) findings.push_back(role_attribute(attribute, name, kPlace));
    if (const auto owned = number_at(group, "owns"); owned > 0)
      findings.push_back(
          {key, kPlace,
           fmt::format("it is a member of \"{}\", which owns {} objects: it can change and drop "
                       "them and grant rights on them that outlive the lease; give it a group "
                       "role that owns nothing",
                       name, owned)});
  }
  if (flag_at(group, "admin"))
    findings.push_back({std::string(kAdminOption), kPlace,
                        fmt::format("it can put others into \"{}\" (ADMIN OPTION), and they stay "
                                    "in it when the lease is over",
                                    name),
                        true});
}

void judge_login(const Json& role, std::vector<Finding>& findings) {
  for (const auto& [column, attribute] : kAttributes)
    if (flag_at(role, column)) findings.push_back(role_attribute(attribute, "", kPlace));
  if (!flag_at(role, "rolcanlogin"))
    findings.push_back({"no login", kPlace, "the role cannot log in: CREATE ROLE … LOGIN"});
  const std::string expiry = text_at(role, "expiry");
  if (expiry == "none")
    findings.push_back(
        {std::string(kNoExpiry), kPlace,
         "without VALID UNTIL '{{expiration}}' the database itself goes on "
         "accepting the password if the broker cannot reach it when the lease ends"});
  if (expiry == "late")
    findings.push_back({std::string(kNoExpiry), kPlace,
                        "VALID UNTIL is later than the lease's end: use '{{expiration}}', so that "
                        "the database itself stops accepting the password in time"});
}

void judge_rights(const Json& role, int server_version, std::vector<Finding>& findings) {
  if (const Json& grantable = list_at(role, "grantable"); !grantable.empty())
    findings.push_back({std::string(kGrantOption), kPlace,
                        fmt::format("it can hand rights on to others (GRANT OPTION on {})",
                                    joined_texts(grantable)),
                        true});
  if (const Json& definers = list_at(role, "definers"); !definers.empty())
    findings.push_back({std::string(kSecurityDefiner), kPlace,
                        fmt::format("they make {} SECURITY DEFINER, with every lease: it lends its "
                                    "owner's rights to whoever may call it",
                                    joined_texts(definers)),
                        true});
  if (flag_at(role, "default_privileges"))
    findings.push_back({std::string(kDefaultPrivileges), kPlace,
                        "default privileges name the leased role, so that objects that are made "
                        "later do too; set them once, for a group role"});
  if (const std::string where = joined_texts(list_at(role, "may_create")); !where.empty())
    findings.push_back({std::string(kMayCreate), kPlace,
                        fmt::format("it can create objects in {}, and what it makes outlives it: "
                                    "tables are kept in quarantine when the lease ends. REVOKE "
                                    "CREATE … FROM PUBLIC (or from its group) prevents that",
                                    where)});
  if (const std::int64_t tables = number_at(role, "tables"); tables > 0)
    findings.push_back(
        {std::string(kObjectGrants), kPlace,
         fmt::format("each live lease adds an entry to the access lists of {} tables or views. The "
                     "list of one holds {} for certain and was seen to hold about {}; then "
                     "PostgreSQL refuses every further grant on it (\"row is too big\"), and no "
                     "credential is issued any more. {} has {} now. Grant to a group role once, "
                     "and here the group role to \"{{{{name}}}}\"",
                     tables, access_list_entries_sure(server_version), kAccessListEntriesSeen,
                     text_at(role, "fullest"), number_at(role, "entries"))});
}

// The access list of what a row `d` of pg_shdepend is about.
std::string access_list_of_dependency(int server_version) {
  return fmt::format(
      R"sql(CASE d.classid
        WHEN 'pg_catalog.pg_class'::regclass THEN CASE d.objsubid
          WHEN 0 THEN (SELECT relacl FROM pg_catalog.pg_class WHERE oid = d.objid)
          ELSE (SELECT attacl FROM pg_catalog.pg_attribute
            WHERE attrelid = d.objid AND attnum = d.objsubid) END
        WHEN 'pg_catalog.pg_proc'::regclass THEN
          (SELECT proacl FROM pg_catalog.pg_proc WHERE oid = d.objid)
        WHEN 'pg_catalog.pg_namespace'::regclass THEN
          (SELECT nspacl FROM pg_catalog.pg_namespace WHERE oid = d.objid)
        WHEN 'pg_catalog.pg_database'::regclass THEN
          (SELECT datacl FROM pg_catalog.pg_database WHERE oid = d.objid)
        WHEN 'pg_catalog.pg_type'::regclass THEN
          (SELECT typacl FROM pg_catalog.pg_type WHERE oid = d.objid)
        WHEN 'pg_catalog.pg_language'::regclass THEN
          (SELECT lanacl FROM pg_catalog.pg_language WHERE oid = d.objid)
        WHEN 'pg_catalog.pg_foreign_data_wrapper'::regclass THEN
          (SELECT fdwacl FROM pg_catalog.pg_foreign_data_wrapper WHERE oid = d.objid)
        WHEN 'pg_catalog.pg_foreign_server'::regclass THEN
          (SELECT srvacl FROM pg_catalog.pg_foreign_server WHERE oid = d.objid)
        WHEN 'pg_catalog.pg_largeobject'::regclass THEN
          (SELECT lomacl FROM pg_catalog.pg_largeobject_metadata WHERE oid = d.objid)
        WHEN 'pg_catalog.pg_tablespace'::regclass THEN
          (SELECT spcacl FROM pg_catalog.pg_tablespace WHERE oid = d.objid){}
        WHEN 'pg_catalog.pg_default_acl'::regclass THEN
          (SELECT defaclacl FROM pg_catalog.pg_default_acl WHERE oid = d.objid) END)sql",
      server_version >= 150000 ? R"sql(
        WHEN 'pg_catalog.pg_parameter_acl'::regclass THEN
          (SELECT paracl FROM pg_catalog.pg_parameter_acl WHERE oid = d.objid))sql"
                               : "");
}

}  // namespace

int access_list_entries_sure(int server_version) {
  return kAccessListBytes / (server_version >= 160000 ? 16 : 12);
}

std::string definer_functions_sql() {
  return "SELECT coalesce(pg_catalog.array_agg(p.oid), '{}')::text FROM pg_catalog.pg_proc p "
         "WHERE p.prosecdef;\n";
}

std::string role_rights_sql(std::uint32_t oid, WallTime expires_at,
                            const std::string& definers_before, int server_version) {
  return fmt::format(
      R"sql(WITH RECURSIVE here(oid, name) AS (
  SELECT oid, datname FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()),
closure(oid, admin) AS (
  SELECT m.roleid, m.admin_option FROM pg_catalog.pg_auth_members m WHERE m.member = {0}
  UNION
  SELECT m.roleid, m.admin_option FROM closure c
    JOIN pg_catalog.pg_auth_members m ON m.member = c.oid
    -- What a predefined role is a member of says nothing that its own name does not.
    WHERE NOT (c.oid < 16384 AND m.roleid < 16384 AND m.roleid <> 10)),
depends AS (
  SELECT d.* FROM pg_catalog.pg_shdepend d, here
  WHERE d.refclassid = 'pg_catalog.pg_authid'::regclass AND d.dbid IN (0, here.oid)
    AND d.refobjid IN (SELECT {0} UNION SELECT oid FROM closure)),
direct AS (
  SELECT DISTINCT c.oid, coalesce(pg_catalog.array_length(c.relacl, 1), 0) AS entries
  FROM depends d JOIN pg_catalog.pg_class c ON c.oid = d.objid
  WHERE d.refobjid = {0} AND d.deptype = 'a' AND d.objsubid = 0
    AND d.classid = 'pg_catalog.pg_class'::regclass)
SELECT pg_catalog.json_build_object(
  'rolcanlogin', r.rolcanlogin, 'rolsuper', r.rolsuper, 'rolcreaterole', r.rolcreaterole,
  'rolcreatedb', r.rolcreatedb, 'rolreplication', r.rolreplication, 'rolbypassrls', r.rolbypassrls,
  'expiry', CASE WHEN r.rolvaliduntil IS NULL OR r.rolvaliduntil = 'infinity' THEN 'none'
    WHEN r.rolvaliduntil > {1}::timestamptz + interval '1 second' THEN 'late' ELSE 'set' END,
  'groups', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', g.rolname,
      'admin', c.admin, 'rolsuper', g.rolsuper, 'rolcreaterole', g.rolcreaterole,
      'rolcreatedb', g.rolcreatedb, 'rolreplication', g.rolreplication,
      'rolbypassrls', g.rolbypassrls, 'owns', (SELECT pg_catalog.count(*) FROM depends d
        WHERE d.refobjid = g.oid AND d.deptype = 'o')) ORDER BY g.rolname)
    FROM (SELECT oid, pg_catalog.bool_or(admin) AS admin FROM closure GROUP BY oid) c
    JOIN pg_catalog.pg_roles g ON g.oid = c.oid),
  'grantable', (SELECT pg_catalog.json_agg(what) FROM (
    SELECT DISTINCT pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) AS what
    FROM depends d WHERE d.deptype = 'a' AND EXISTS (
      SELECT FROM pg_catalog.aclexplode({3}) a WHERE a.grantee = d.refobjid AND a.is_grantable)
    ORDER BY 1 LIMIT 5) w),
  'definers', (SELECT pg_catalog.json_agg(p.oid::regprocedure::text) FROM pg_catalog.pg_proc p
    WHERE p.prosecdef AND p.oid <> ALL ({2}::oid[])),
  'default_privileges', EXISTS (SELECT FROM depends d
    WHERE d.refobjid = {0} AND d.classid = 'pg_catalog.pg_default_acl'::regclass),
  'may_create', (SELECT pg_catalog.json_agg(place) FROM (
    SELECT 'database ' || here.name AS place FROM here
      WHERE pg_catalog.has_database_privilege({0}, here.oid, 'CREATE')
    UNION ALL
    SELECT 'schema ' || n.nspname FROM pg_catalog.pg_namespace n
      WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        AND pg_catalog.has_schema_privilege({0}, n.oid, 'CREATE') LIMIT 5) p),
  'tables', (SELECT pg_catalog.count(*) FROM direct),
  'fullest', (SELECT d.oid::regclass::text FROM direct d ORDER BY d.entries DESC LIMIT 1),
  'entries', (SELECT pg_catalog.max(d.entries) FROM direct d))
FROM pg_catalog.pg_roles r WHERE r.oid = {0};
)sql",
      oid, quote_literal(format_rfc3339(expires_at)), quote_literal(definers_before),
      access_list_of_dependency(server_version));
}

Result<std::vector<Finding>> read_role_rights(const Rows& rows, const std::string& login,
                                              int server_version) {
  const Error corrupt{Errc::kCorrupt, "the target's catalog does not answer as PostgreSQL's does"};
  if (rows.size() != 1 || rows.front().size() != 1) return corrupt;
  const auto role = parse_json(rows.front().front().value_or(""));
  if (!role || !role->is_object()) return corrupt;
  std::vector<Finding> findings;
  judge_login(*role, findings);
  for (const Json& group : list_at(*role, "groups")) judge_group(group, login, findings);
  // A superuser has every right, and is refused for being one.
  if (!flag_at(*role, "rolsuper")) judge_rights(*role, server_version, findings);
  return findings;
}

}  // namespace curfew::engines::postgres

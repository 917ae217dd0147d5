#include "cli/target_setup_sql.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace curfew::cli {

namespace {

constexpr std::size_t kNameBytesMax = 63;
constexpr std::string_view kQuarantine = "curfew_quarantine";

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    const std::size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

Error bad_group(std::string_view text, std::string_view why) {
  return {Errc::kInvalidArgument,
          fmt::format("-group={}: {}; it is NAME:PRIVILEGES:SCHEMA, as in readers:select:public",
                      text.substr(0, 200), why)};
}

Result<std::string> parse_privilege(std::string text) {
  constexpr std::array<std::string_view, 7> known{"SELECT",   "INSERT",     "UPDATE", "DELETE",
                                                  "TRUNCATE", "REFERENCES", "TRIGGER"};
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  if (std::find(known.begin(), known.end(), text) == known.end())
    return Error{Errc::kInvalidArgument, fmt::format("\"{}\" is no right on tables", text)};
  return text;
}

// `body` in a block, with the role's row in `r` where it is there already.
std::string about_role(std::string_view role, std::string_view body) {
  return fmt::format(
      "DO $setup$\n"
      "DECLARE r record;\n"
      "BEGIN\n"
      "  SELECT * INTO r FROM pg_catalog.pg_roles WHERE rolname = '{}';\n"
      "{}"
      "END $setup$;\n",
      role, body);
}

std::string login_sql(const TargetSetup& setup, std::string_view verifier) {
  std::string sql = fmt::format("-- The broker's login: it makes and drops roles, and no more.\n");
  sql += about_role(
      setup.login,
      fmt::format("  IF r.rolname IS NULL THEN\n"
                  "    CREATE ROLE \"{0}\" LOGIN CREATEROLE;\n"
                  "  ELSIF r.rolsuper OR r.rolreplication OR r.rolbypassrls THEN\n"
                  "    RAISE EXCEPTION 'role \"{0}\" is there already, with SUPERUSER, REPLICATION "
                  "or BYPASSRLS: choose another -login';\n"
                  "  ELSE\n"
                  "    ALTER ROLE \"{0}\" LOGIN CREATEROLE;\n"
                  "  END IF;\n",
                  setup.login));
  if (!verifier.empty())
    sql += fmt::format("ALTER ROLE \"{}\" PASSWORD '{}';\n", setup.login, verifier);
  return sql + fmt::format(
                   "-- To end sessions whose role is gone already.\n"
                   "GRANT pg_signal_backend TO \"{0}\";\n"
                   "-- To clean up wherever a leased role may have been.\n"
                   "DO $setup$\n"
                   "DECLARE d record;\n"
                   "BEGIN\n"
                   "  FOR d IN SELECT datname FROM pg_catalog.pg_database WHERE datallowconn AND\n"
                   "      NOT pg_catalog.has_database_privilege('{0}', oid, 'CONNECT') LOOP\n"
                   "    EXECUTE pg_catalog.format('GRANT CONNECT ON DATABASE %I TO %I', d.datname, "
                   "'{0}');\n"
                   "  END LOOP;\n"
                   "END $setup$;\n",
                   setup.login);
}

// A role without login that the broker may grant. Until PostgreSQL 15 CREATEROLE is enough for
// that; since 16 ADMIN OPTION is needed, and gives no rights by itself. `set`: whether the broker
// may act as the role, which giving it tables takes.
std::string nologin_sql(const TargetSetup& setup, std::string_view role, bool set) {
  return about_role(
      role,
      fmt::format("  IF r.rolname IS NULL THEN\n"
                  "    CREATE ROLE \"{0}\" NOLOGIN;\n"
                  "  ELSIF r.rolcanlogin OR r.rolsuper THEN\n"
                  "    RAISE EXCEPTION 'role \"{0}\" is there already and can log in, or is "
                  "a superuser: choose another name';\n"
                  "  END IF;\n"
                  "  IF pg_catalog.current_setting('server_version_num')::int >= 160000 THEN\n"
                  "    EXECUTE 'GRANT \"{0}\" TO \"{1}\" WITH ADMIN OPTION, INHERIT FALSE, "
                  "SET {2}';\n"
                  "  END IF;\n",
                  role, setup.login, set ? "TRUE" : "FALSE"));
}

std::string group_sql(const TargetSetup& setup, const GroupRole& group) {
  const std::string privileges = fmt::format("{}", fmt::join(group.privileges, ", "));
  const bool writes =
      std::any_of(group.privileges.begin(), group.privileges.end(),
                  [](const std::string& p) { return p == "INSERT" || p == "UPDATE"; });
  std::string sql = fmt::format("-- A group role: leased roles become members of it.\n");
  sql += nologin_sql(setup, group.name, false);
  sql += fmt::format(
      "GRANT CONNECT ON DATABASE \"{0}\" TO \"{1}\";\n"
      "GRANT USAGE ON SCHEMA \"{2}\" TO \"{1}\";\n"
      "GRANT {3} ON ALL TABLES IN SCHEMA \"{2}\" TO \"{1}\";\n",
      setup.database, group.name, group.schema, privileges);
  if (writes)
    sql += fmt::format("GRANT USAGE ON ALL SEQUENCES IN SCHEMA \"{}\" TO \"{}\";\n", group.schema,
                       group.name);
  for (const std::string& owner : setup.owners) {
    const std::string defaults = fmt::format(
        "ALTER DEFAULT PRIVILEGES FOR ROLE \"{}\" IN SCHEMA \"{}\" GRANT ", owner, group.schema);
    sql += fmt::format("{}{} ON TABLES TO \"{}\";\n", defaults, privileges, group.name);
    if (writes) sql += fmt::format("{}USAGE ON SEQUENCES TO \"{}\";\n", defaults, group.name);
  }
  return sql;
}

std::string quarantine_sql(const TargetSetup& setup) {
  std::string sql =
      "-- Keeps tables of ended leases. Nobody is to be a member of it, or to log in as it.\n" +
      nologin_sql(setup, kQuarantine, true);
  for (const std::string& schema : setup.quarantine_schemas)
    sql += fmt::format("GRANT USAGE, CREATE ON SCHEMA \"{}\" TO {};\n", schema, kQuarantine);
  return sql;
}

}  // namespace

Status check_name(std::string_view name, std::string_view what) {
  const bool fits = !name.empty() && name.size() <= kNameBytesMax &&
                    std::all_of(name.begin(), name.end(), [](char c) {
                      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                             (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
                    });
  if (fits) return ok();
  return Error{Errc::kInvalidArgument,
               fmt::format("{}: \"{}\" is no name that is taken here: letters, digits, '_', '-' "
                           "and '.', {} at most",
                           what, name.substr(0, 200), kNameBytesMax)};
}

Result<GroupRole> parse_group_role(std::string_view text) {
  const std::vector<std::string> parts = split(text, ':');
  if (parts.size() != 3) return bad_group(text, "it has not three parts");
  GroupRole group{parts[0], {}, parts[2]};
  RETURN_IF_ERROR(check_name(group.name, "-group"));
  RETURN_IF_ERROR(check_name(group.schema, "-group"));
  for (const std::string& privilege : split(parts[1], ',')) {
    auto known = parse_privilege(privilege);
    if (!known) return bad_group(text, known.error().message);
    group.privileges.push_back(std::move(*known));
  }
  return group;
}

std::string setup_sql(const TargetSetup& setup, std::string_view verifier) {
  // A superuser runs this where others may have planted functions: of names, the catalog's are
  // meant.
  std::string sql =
      "BEGIN;\nSET LOCAL search_path = pg_catalog, pg_temp;\n" + login_sql(setup, verifier);
  for (const GroupRole& group : setup.groups) sql += group_sql(setup, group);
  return sql + quarantine_sql(setup) + "COMMIT;\n";
}

std::string setup_script(const TargetSetup& setup) {
  return fmt::format(
             "-- For psql, as a superuser. Can be run again.\n"
             "\\set ON_ERROR_STOP on\n"
             "\\connect \"{}\"\n",
             setup.database) +
         setup_sql(setup, "") +
         fmt::format(
             "-- Asks for the login's password; give the same to Curfew.\n"
             "\\password {}\n",
             setup.login);
}

}  // namespace curfew::cli

#include "engines/postgres/login_rights.h"

#include <fmt/format.h>

#include <algorithm>

#include "engines/postgres/cleaning.h"
#include "engines/postgres/sql_text.h"
#include "engines/postgres/statements.h"

namespace curfew::engines::postgres {
namespace {

constexpr int kAdminOptionRules = 160000;

bool flag_at(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_boolean() && it->get<bool>();
}

std::string text_at(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

const Json& list_at(const Json& object, const char* key) {
  static const Json none = Json::array();
  const auto it = object.find(key);
  return it != object.end() && it->is_array() ? *it : none;
}

// A login that is no superuser.
class Lacks {
 public:
  Lacks(const Json& facts, int server_version)
      : facts_(facts),
        login_(quote_identifier(text_at(facts, "login"))),
        admin_rules_(server_version >= kAdminOptionRules) {}

  std::vector<std::string> list() {
    const bool creates = flag_at(facts_, "createrole");
    if (!creates)
      add(fmt::format("login {0} may not create or drop roles; ALTER ROLE {0} CREATEROLE", login_));
    if (!flag_at(facts_, "signals"))
      add(
          fmt::format("login {0} ends sessions only of roles that it is a member of, so sessions "
                      "whose role was "
                      "dropped by somebody else stay; GRANT pg_signal_backend TO {0}",
                      login_));
    for (const Json& group : list_at(facts_, "groups")) look_at_group(group, creates);
    look_at_quarantine();
    for (const Json& database : list_at(facts_, "closed"))
      if (database.is_string())
        add(
            fmt::format("login {0} may not connect to database {1}, so what a leased role gets or "
                        "makes there cannot be cleaned up; GRANT CONNECT ON DATABASE {1} TO {0}",
                        login_, quote_identifier(database.get<std::string>())));
    return std::move(lacks_);
  }

 private:
  void add(std::string what) { lacks_.push_back(std::move(what)); }

  void look_at_group(const Json& group, bool creates) {
    const std::string name = quote_identifier(text_at(group, "name"));
    if (!flag_at(group, "exists")) {
      add(
          fmt::format("role {0}, which creation_statements grant, does not exist; CREATE ROLE {0} "
                      "NOLOGIN",
                      name));
    } else if (flag_at(group, "superuser")) {
      add(fmt::format("role {} is a superuser, so that only a superuser can grant it", name));
    } else if (!flag_at(group, "admin") && (admin_rules_ || !creates)) {
      add(fmt::format("login {1} may not grant {0}; GRANT {0} TO {1} WITH ADMIN OPTION", name,
                      login_));
    }
  }

  void look_at_quarantine() {
    const auto it = facts_.find("quarantine");
    if (it == facts_.end() || !it->is_object()) return;  // it is made when it is first needed
    if (flag_at(*it, "open"))
      add(
          fmt::format("role {0} can log in or is a superuser, so that nothing can be kept safely "
                      "with it; ALTER ROLE {0} NOLOGIN NOSUPERUSER",
                      kQuarantineRole));
    if (admin_rules_ && !flag_at(*it, "admin"))
      add(
          fmt::format("login {1} may not give tables to {0}, which keeps them when a lease ends; "
                      "GRANT {0} TO {1} WITH ADMIN OPTION",
                      kQuarantineRole, login_));
  }

  const Json& facts_;
  const std::string login_;
  const bool admin_rules_;
  std::vector<std::string> lacks_;
};

}  // namespace

std::vector<std::string> granted_groups(const LeaseRole& role) {
  std::vector<std::string> groups;
  const auto statements = place_statements("creation_statements", role.creation_statements);
  if (!statements) return groups;
  for (const PlacedStatement& statement : *statements) {
    if (!statement.word_at(0, "grant") || statement.has_word("on")) continue;
    std::vector<std::string> names;
    for (std::size_t i = 1; i < statement.tokens.size() && !statement.word_at(i, "to"); ++i) {
      const Token& token = statement.tokens[i];
      if (token.kind != TokenKind::kPunctuation) names.push_back(token.text);
      // A name that is filled in is the leased role itself.
      if (token.text.find('{') != std::string::npos) {
        names.clear();
        break;
      }
    }
    groups.insert(groups.end(), names.begin(), names.end());
  }
  std::sort(groups.begin(), groups.end());
  groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
  return groups;
}

std::string login_rights_sql(const std::vector<std::string>& groups) {
  std::string names;
  for (const std::string& group : groups)
    names += (names.empty() ? "" : ", ") + quote_literal(group);
  return fmt::format(
      R"sql(SELECT pg_catalog.json_build_object('login', r.rolname, 'superuser', r.rolsuper,
  'createrole', r.rolcreaterole,
  'signals', pg_catalog.pg_has_role(r.oid, 'pg_signal_backend', 'USAGE'),
  'groups', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', n.name,
      'exists', g.oid IS NOT NULL, 'superuser', g.rolsuper,
      'admin', pg_catalog.pg_has_role(r.oid, g.oid, 'MEMBER WITH ADMIN OPTION')) ORDER BY n.name)
    FROM pg_catalog.unnest(ARRAY[{0}]::text[]) AS n(name)
    LEFT JOIN pg_catalog.pg_roles g ON g.rolname = n.name),
  'quarantine', (SELECT pg_catalog.json_build_object('open', q.rolcanlogin OR q.rolsuper,
      'admin', pg_catalog.pg_has_role(r.oid, q.oid, 'MEMBER WITH ADMIN OPTION'))
    FROM pg_catalog.pg_roles q WHERE q.rolname = '{1}'),
  'closed', (SELECT pg_catalog.json_agg(d.datname ORDER BY d.datname) FROM pg_catalog.pg_database d
    WHERE d.datallowconn AND NOT pg_catalog.has_database_privilege(r.oid, d.oid, 'CONNECT')))
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user;
)sql",
      names, kQuarantineRole);
}

Result<std::vector<std::string>> read_login_rights(const Rows& rows, int server_version) {
  const Error corrupt{Errc::kCorrupt, "the target's catalog does not answer as PostgreSQL's does"};
  if (rows.size() != 1 || rows.front().size() != 1) return corrupt;
  const auto facts = parse_json(rows.front().front().value_or(""));
  if (!facts || !facts->is_object()) return corrupt;
  if (flag_at(*facts, "superuser")) return std::vector<std::string>{};
  return Lacks(*facts, server_version).list();
}

}  // namespace curfew::engines::postgres

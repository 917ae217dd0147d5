#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

// The SQL that makes a PostgreSQL database ready for Curfew. Text only.
namespace curfew::cli {

// A role without login that leased roles become members of.
struct GroupRole {
  std::string name;
  std::vector<std::string> privileges;  // on all tables of the schema: "SELECT", …
  std::string schema;
};

struct TargetSetup {
  std::string database;
  std::string login;
  std::vector<GroupRole> groups;
  std::vector<std::string> owners;              // whose later tables the groups get rights on, too
  std::vector<std::string> quarantine_schemas;  // in which leased roles may make tables
};

// "readers:select,update:public" as a group role. kInvalidArgument says what is wrong with it.
Result<GroupRole> parse_group_role(std::string_view text);

// Whether PostgreSQL takes the name as it stands between double quotes, and nothing can end them:
// letters, digits, '_', '-' and '.', 63 bytes at most. kInvalidArgument names `what`.
Status check_name(std::string_view name, std::string_view what);

// One transaction, as a superuser or whoever may do all of it; can be run again. `verifier`: the
// login's password as PostgreSQL stores it; empty: the password is left as it is.
// REQUIRES: the names and privileges are checked.
std::string setup_sql(const TargetSetup& setup, std::string_view verifier);

// The same for psql, with a question for the password at the end.
std::string setup_script(const TargetSetup& setup);

}  // namespace curfew::cli

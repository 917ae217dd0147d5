#pragma once

#include <string>
#include <string_view>

#include "base/random.h"
#include "base/result.h"
#include "engines/postgres/username_template.h"

namespace curfew::engines::postgres {

// PostgreSQL cuts longer names in silence.
inline constexpr std::size_t kRoleNameBytesMax = 63;

// "cf-<role>-<last part of the lease id>", 63 bytes at most: marked as the broker's, unique because
// the lease id is, and readable back to role and lease. The role is cut where it is too long.
std::string default_username(std::string_view role, std::string_view lease_id);

// "<database role>.run", 63 bytes at most: of a lease for one statement, the role that runs it, and
// its schema. Unique because the database role is.
std::string executor_name(std::string_view database_role);

// By the configuration's own template. Characters other than letters, digits and "_.@:-" become
// '_', and runs of '-' one '-', so that the name is safe in quotes of every kind and cannot begin a
// comment. kInvalidArgument: the template fails, or the name is empty or longer than 63 bytes.
Result<std::string> templated_username(std::string_view username_template,
                                       const TemplateInput& input, Random& random);

// Whether the broker could have given the name: nothing else may stand for {{name}}, least of all
// what somebody renamed a role to.
bool is_issued_name(std::string_view name);

// Tries the template with long names for role and token. kInvalidArgument: it is malformed, makes
// names that are too long, or makes the same name twice.
Status check_username_template(std::string_view username_template, WallTime now, Random& random);

}  // namespace curfew::engines::postgres

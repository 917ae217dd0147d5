#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "engines/postgres/connection.h"
#include "engines/postgres/verifier_stock.h"

namespace curfew::engines::postgres {

// What ALTER ROLE would say of a database user.
struct Account {
  bool exists = false;
  bool can_login = false;
  bool expired = false;       // VALID UNTIL is over
  bool is_leased = false;     // its comment is the mark of a lease
  bool is_own_login = false;  // the connection's
};

// Looks the user up. Any login may.
Result<Account> find_account(Connection& connection, const std::string& user, SteadyTime deadline);

// kRefused: there is no such user, or it belongs to a lease or is the broker's own login.
Status check_account(const Account& account, const std::string& user);

// Why a user that an account describes cannot log in whatever its password is; empty: nothing is
// known against it. Ends with what to do.
std::string why_no_login(const Account& account, const std::string& user);

struct PasswordChange {
  std::string user;
  std::vector<std::string> statements;  // empty: ALTER ROLE … PASSWORD
  const PasswordPair& pair;
  bool of_own_login = false;  // the user is the connection's own; else it must not be
};

// Gives a user a new password in one transaction: as its verifier, and only if it could log in with
// it. Whoever changes passwords of the same user takes turns; nothing commits after `deadline`.
// kRefused, kUnavailable: certainly nothing has changed. kInDoubt: it may have, or may yet; no more
// once the deadline has passed and wait_for_changes() has succeeded after that.
Status change_password(Connection& connection, const PasswordChange& change, SteadyTime deadline);

// Waits until no change of this user's password is under way in the server. A COMMIT may take as
// long as it likes there: for a standby, or for deferred triggers.
Status wait_for_changes(Connection& connection, const std::string& user, SteadyTime deadline);

// Whether a name may stand for {{username}}: not empty, 63 bytes at most, and without quotes,
// backslashes, '$', braces and control characters. kInvalidArgument says so.
Status check_user_name(std::string_view user);

}  // namespace curfew::engines::postgres

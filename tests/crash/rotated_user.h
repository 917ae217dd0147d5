#pragma once

#include <string>
#include <vector>

#include "tests/e2e/agent_world.h"

namespace curfew::crash {

// A database user of long standing whose password is changed again and again, as the static role
// "billing". Thread-safe.
class RotatedUser {
 public:
  // Makes the user and the static role. Both outlive this.
  RotatedUser(e2e::ServerProcess& server, test::TestDatabase& target);

  // Changes the password; the status of the answer, 0: none came.
  int rotate();

  // What is violated: a password that is served does not log in. Nothing may be served while a
  // change is undecided.
  std::vector<std::string> check() const;
  // The same when everything works again: a password is served soon.
  std::vector<std::string> check_served() const;

 private:
  e2e::ServerProcess& server_;
  const test::TestDatabase& target_;
  const test::TestDatabase::Login user_;
};

}  // namespace curfew::crash

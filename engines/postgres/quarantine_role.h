#pragma once

#include <string>

#include "base/result.h"
#include "engines/postgres/owned_objects.h"
#include "engines/postgres/transaction.h"

namespace curfew::engines::postgres {

// Lets the broker's login act for the quarantine role inside one open transaction. Used by one
// thread; the transaction outlives it.
class QuarantineRole {
 public:
  explicit QuarantineRole(Transaction& transaction) : transaction_(transaction) {}

  // Makes the role where it is missing, and sees that nobody can use it. The login becomes a member
  // until leave(), unless it is a superuser. May be called again.
  // kRefused: the role can be used by somebody, or the login may not be made a member; the message
  // says what to do.
  Status enter();
  // REQUIRES: before the commit.
  Status leave();

 private:
  Status make_safe();

  Transaction& transaction_;
  bool entered_ = false;
  bool joined_ = false;
};

}  // namespace curfew::engines::postgres

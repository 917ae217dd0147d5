#pragma once

#include <memory>

#include "broker/auth/auth_method.h"

namespace curfew::broker {

// Machines log in with the id of a role and a secret id: role/<name>, role/<name>/secret-id, login.
Result<std::unique_ptr<AuthMethod>> make_approle(AuthServices services);

}  // namespace curfew::broker

#pragma once

#include <memory>

#include "broker/auth/auth_method.h"
#include "broker/auth/password_hasher.h"

namespace curfew::broker {

// Users with passwords: users/<name>, login/<name>. Names are kept in lower case.
Result<std::unique_ptr<AuthMethod>> make_userpass(AuthServices services,
                                                  std::shared_ptr<const PasswordHasher> hasher);

}  // namespace curfew::broker

#pragma once

#include "broker/auth/auth_method.h"
#include "broker/auth/password_hasher.h"

namespace curfew::broker {

// approle and userpass, which need nothing outside of this program.
void add_builtin_auth_methods(AuthRegistry& registry, HasherOptions passwords = {});

}  // namespace curfew::broker

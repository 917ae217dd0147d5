#include "broker/auth/builtin_methods.h"

#include "broker/auth/approle/approle_method.h"
#include "broker/auth/userpass/userpass_method.h"

namespace curfew::broker {

void add_builtin_auth_methods(AuthRegistry& registry, HasherOptions passwords) {
  registry.add("approle", make_approle);
  // One for all mounts: what it bounds is the machine's.
  registry.add("userpass",
               [hasher = std::make_shared<const PasswordHasher>(passwords)](AuthServices services) {
                 return make_userpass(std::move(services), hasher);
               });
}

}  // namespace curfew::broker

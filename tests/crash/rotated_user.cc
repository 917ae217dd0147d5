#include "tests/crash/rotated_user.h"

#include <stdexcept>

namespace curfew::crash {

RotatedUser::RotatedUser(e2e::ServerProcess& server, test::TestDatabase& target)
    : server_(server), target_(target), user_(target.login("")) {
  server_.must("POST", "database/config/app", {{"allowed_roles", "*"}});
  server_.must("POST", "database/static-roles/billing",
               {{"db_name", "app"}, {"username", user_.user}, {"rotation_period", 0}});
}

int RotatedUser::rotate() {
  return server_.call("POST", "database/rotate-role/billing", Json::object()).status;
}

std::vector<std::string> RotatedUser::check() const {
  const e2e::Answer served = server_.call("GET", "database/static-creds/billing");
  if (served.status != 200) return {};
  const std::string password = served.body.at("data").at("password");
  if (test::can_log_in(target_.url(user_.user, password))) return {};
  return {"the password that is served for a static role does not log in"};
}

std::vector<std::string> RotatedUser::check_served() const {
  const bool is_served = e2e::eventually(
      [&] { return server_.call("GET", "database/static-creds/billing").status == 200; });
  if (!is_served) return {"no password is served any more for a static role"};
  return check();
}

}  // namespace curfew::crash

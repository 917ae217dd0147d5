#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command.h"

namespace curfew::cli {

// A way to log in that `curfew login -method` knows.
struct LoginMethod {
  std::string name;
  std::string usage;  // how it is called, and what it takes; lines indented by two
  // Makes the call out of the KEY=VALUE words; `mount` is "auth/<path>". kInvalidArgument: what is
  // missing or does not belong on a command line.
  std::function<Result<ApiRequest>(Call& call, const std::string& mount)> request;
};

// All but "token". Those that are not here log in at <mount>/login with the words as they are.
const std::vector<LoginMethod>& login_methods();
const LoginMethod* find_login_method(std::string_view name);  // nullptr: none

// The call of a method that is not in the list.
Result<ApiRequest> plain_login(Call& call, const std::string& mount);

}  // namespace curfew::cli

#pragma once

#include <initializer_list>
#include <string_view>
#include <utility>

#include "base/json.h"

namespace curfew::broker {

// `data` with members that have another name today under it too, unless that is there: clients of
// Vault before 1.2 send "policies" where "token_policies" is meant.
inline Json with_names_of_today(
    Json data, std::initializer_list<std::pair<std::string_view, std::string_view>> old_to_new) {
  for (const auto& [old_name, new_name] : old_to_new) {
    const auto old = data.find(old_name);
    if (old != data.end() && !data.contains(new_name)) data[std::string(new_name)] = *old;
  }
  return data;
}

}  // namespace curfew::broker

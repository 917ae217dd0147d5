#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "broker/auth/token_rules.h"

namespace curfew::broker {

// Who has proven to be whom, as an auth method found. The broker makes a token of it.
struct Login {
  // The name of who logged in, by which the same one is known again: unique in its mount, and never
  // another one's. 1 to 512 bytes.
  std::string alias;
  std::map<std::string, std::string> alias_metadata = {};
  std::string display_name;                          // the mount's path is put before it
  std::map<std::string, std::string> metadata = {};  // of the token
  TokenRules rules = {};
  // The groups that the method says they are in, by the method's names; nullopt: it says nothing
  // and what was said before stays.
  std::optional<std::vector<std::string>> groups = {};
  // What AuthMethod::renew() needs to decide again: an object without secrets.
  Json renewal = Json::object();
};

}  // namespace curfew::broker

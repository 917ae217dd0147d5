#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "policy/acl.h"

namespace curfew::policy {

// Collects what the stanzas of several policies say about each path.
class Acl::Builder {
 public:
  Builder(const Identity& identity, WallTime now, Acl& acl)
      : identity_(identity), now_(now), acl_(acl) {}

  void add(const Policy& policy);
  // Gives the rules to the Acl, in order of their paths.
  void finish();

 private:
  void add_rule(const Policy& policy, const Permissions& permissions, std::string path);
  void add_unused(const Policy& policy, const Stanza& stanza, Unfilled unfilled);

  const Identity& identity_;
  const WallTime now_;
  Acl& acl_;
  std::map<std::string, Rule> rules_;  // by path, with its final '*'
};

}  // namespace curfew::policy

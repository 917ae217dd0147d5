#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "policy/acl.h"
#include "policy/decision.h"

namespace curfew::policy {

// What a caller may do when several sets of rules bound him at once: his token's, the ceiling of
// the agent that he is, those of the human he acts for. Only what every one of them allows is
// allowed. Immutable; thread-safe.
class Rights {
 public:
  // The first one is the caller's own. REQUIRES: not empty, no null pointers.
  explicit Rights(std::vector<std::shared_ptr<const Acl>> acls) : acls_(std::move(acls)) {}

  // The decision of the first set that does not allow it, else the one that names a rule. Where
  // one asks for approval and another denies, the denial counts. Allocates nothing.
  Decision check(const Access& access) const;

  // See Acl. Of several sets what all of them grant.
  std::vector<std::string> capabilities(std::string_view path) const;
  bool is_root() const;
  bool reaches_mount(std::string_view mount_path) const;
  bool has_sudo(std::string_view path) const;

  // See Acl; of several sets the paths of the first, with what all of them grant there.
  Json resultant() const;

 private:
  std::vector<std::shared_ptr<const Acl>> acls_;
};

}  // namespace curfew::policy

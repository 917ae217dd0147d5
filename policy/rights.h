#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "policy/acl.h"
#include "policy/decision.h"

namespace curfew::policy {

// Who must approve an access before it goes through, and under which terms.
struct ApprovalDemand {
  ApprovalRule rule;  // of all sets that ask; only with the factors that control the access
  std::vector<std::string> policies;  // those that ask, sorted, each once
  std::string path;                   // of their rules, with the prefix; several joined by ", "
};

// What a caller may do when several sets of rules bound him at once: his token's, the ceiling of
// the agent that he is, those of the human he acts for. Only what every one of them allows is
// allowed. Immutable; thread-safe.
class Rights {
 public:
  // The first one is the caller's own. REQUIRES: not empty, no null pointers. `prefix` stands
  // before every path that is asked about: that of a namespace below the one whose policies these
  // are.
  explicit Rights(std::vector<std::shared_ptr<const Acl>> acls, std::string prefix = {})
      : acls_(std::move(acls)), prefix_(std::move(prefix)) {}

  // The decision of the first set that does not allow it, else the one that names a rule. Where
  // one asks for approval and another denies, the denial counts. Allocates nothing without a
  // prefix.
  Decision check(const Access& access) const;

  // What is asked for by all sets together where approvals are all that is missing; else nullopt:
  // check() allows it, or denies it.
  std::optional<ApprovalDemand> approval(const Access& access) const;

  // See Acl. Of several sets what all of them grant.
  std::vector<std::string> capabilities(std::string_view path) const;
  bool is_root() const;
  bool reaches_mount(std::string_view mount_path) const;
  bool has_sudo(std::string_view path) const;

  // See Acl; of several sets the paths of the first, with what all of them grant there. With a
  // prefix those behind it.
  Json resultant() const;

 private:
  Json resultant_of_all() const;
  std::vector<std::string> capabilities_at(const std::string& path) const;  // with the prefix

  std::vector<std::shared_ptr<const Acl>> acls_;
  std::string prefix_;
};

}  // namespace curfew::policy

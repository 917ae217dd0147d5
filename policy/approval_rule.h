#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "policy/capability.h"

namespace curfew::policy {

// People of whom some must approve before a request goes through.
struct ApprovalFactor {
  std::string name;
  CapabilitySet controlled = {};              // what needs their approval; empty: every capability
  std::vector<std::string> group_names = {};  // sorted
  std::vector<std::string> group_ids = {};    // sorted; together with the names: at least one group
  int approvals = 0;                          // at least 1

  bool controls(Capability capability) const {
    return controlled.empty() || controlled.contains(capability);
  }
  bool operator==(const ApprovalFactor&) const = default;
};

// Lets a small request through without a person.
struct AutoApproval {
  std::string name;
  Millis max_ttl{0};          // of the lease; always set
  std::int64_t per_hour = 0;  // decisions of this rule within an hour; at least 1
  bool shadow = false;        // decides nothing: what it would have decided is recorded
  bool operator==(const AutoApproval&) const = default;
};

// Groups, by name and by id; both sorted.
struct ApprovalGroups {
  std::vector<std::string> group_names = {};
  std::vector<std::string> group_ids = {};
  bool operator==(const ApprovalGroups&) const = default;
};

// The largest task that one approval may cover.
struct TaskTerms {
  std::int64_t leases_max = 0;      // in all; at least 1
  std::int64_t statements_max = 0;  // leases for one statement, of those; 0: as many as leases
  Millis duration_max{0};           // always set
  bool operator==(const TaskTerms&) const = default;
};

// Under which conditions a request goes through only once people have approved it: what the stanzas
// `control_group` and `approval` of a path say together.
struct ApprovalRule {
  Millis ttl{0};  // how long a request waits for its approvals; 0: the broker's default
  std::vector<ApprovalFactor> factors = {};  // at least one; all that control the capability count

  Millis claim_window{0};    // how long an approved request waits for its claim; 0: the default
  Millis default_ttl{0};     // of the lease where the request names none; 0: the role's
  Millis max_ttl{0};         // of the lease; 0: the role's
  Millis escalate_after{0};  // 0, or not before the request ends: half of the time that it waits
  ApprovalGroups escalate_to = {};  // who is told then, beside those who are told at once
  bool reason_required = false;
  bool ticket_required = false;
  bool statement_required = false;       // only requests that carry their statement
  std::vector<std::string> notify = {};  // targets of notifications, sorted; empty: all
  std::vector<AutoApproval> automatic = {};
  std::optional<ApprovalGroups> break_glass = {};  // who may; nullopt: nobody
  std::optional<TaskTerms> task = {};              // nullopt: no approval covers a task

  bool controls(Capability capability) const;

  // Takes over what another rule for the same request says, so that what remains allows nothing
  // that either alone would not: demands and those to be told add up, of two limits the lesser
  // counts, and an exception (automatic, break_glass, task) stays only where both make it:
  // automatic rules of the same name with the lesser limits, the groups that both name, of a task
  // the lesser of each. The order of merging makes no difference; factors and automatic rules are
  // sorted after it.
  void merge(const ApprovalRule& other);
  bool operator==(const ApprovalRule&) const = default;
};

}  // namespace curfew::policy

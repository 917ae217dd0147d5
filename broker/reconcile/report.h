#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"

// What a reconciliation found: where the targets and the leases differ.
namespace curfew::broker {

enum class FindingKind {
  // A role outside that no live lease stands for.
  kUnknownRole,       // it bears this mount's mark, and no lease is known
  kLeftoverRole,      // its lease has ended
  kRehearsalRole,     // made to try a role's statements, and not removed
  kLeftoverSessions,  // sessions of a lease that has ended, or of a role that is locked out
  // A live lease whose role is not as it was made.
  kAbsentRole,
  kUnusableRole,  // it cannot log in, or has expired
  kChangedMark,   // the mark was removed or names another lease
  kRenamedRole,
  kGainedRights,
  kExtendedExpiry,  // it is valid beyond the lease's end
  kLoginRestored,   // it can log in again although it was locked out
  // What only people can put right.
  kDamagedLease,   // the stored lease of the role was altered and is not trusted
  kRemovedTarget,  // the mark names a target of this mount that has no configuration any more
  kRemovedMount,   // the mark names a mount that this broker had
  kForeignRole,    // another broker's
};

// "unknown_role", …
const char* finding_name(FindingKind kind);
// One line for people: what it means.
const char* finding_meaning(FindingKind kind);
const std::vector<FindingKind>& all_finding_kinds();

struct Finding {
  FindingKind kind;
  std::string target = {};
  std::string mount = {};  // the accessor that the mark or the lease names
  std::string name = {};   // of the database role
  std::string lease_id = {};
  std::string lease_state = {};  // empty: no lease
  std::string detail = {};
  std::string action = "reported";  // what was done about it
};

// One target of one mount.
struct TargetReport {
  std::string mount;  // path
  std::string accessor;
  std::string target;
  std::string error = {};     // why it could not be compared; what was found until then counts
  std::string observed = {};  // why nothing is done there
  std::int64_t marked = 0;    // roles that bear a mark
  std::int64_t leases = 0;    // live leases that were compared
};

struct ReconcileReport {
  static constexpr std::size_t kFindingsMax = 1000;

  std::string trigger;   // "start", "schedule" or "request"
  std::string repair;    // "none", "ended" or "all"
  bool is_whole = true;  // all targets of all mounts
  WallTime started_at;
  std::optional<WallTime> ended_at = {};
  std::vector<TargetReport> targets = {};
  std::map<FindingKind, std::int64_t> counts = {};
  std::vector<Finding> findings = {};  // the first kFindingsMax

  void add(Finding finding);
  std::int64_t total() const;
  Json to_json() const;
};

}  // namespace curfew::broker

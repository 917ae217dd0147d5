#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "broker/lease/lease_claims.h"
#include "broker/lease/lease_store.h"
#include "broker/mount/mount_table.h"
#include "broker/reconcile/report.h"
#include "engines/inventory.h"

namespace curfew::broker {

// Something that was found, with what a repair needs.
struct Difference {
  Finding finding;
  engines::MarkedEffect effect = {};  // of a role that was found by its mark
  WallTime expires_at = {};           // of the lease when it was looked at
};

// Compares the roles in one target with the leases on it, both ways, in pages. What is found is
// looked at a second time, lease and role, before it counts: both change while this runs. Touches
// nothing. For one thread.
class Comparison {
 public:
  struct Parts {
    LeaseStore& leases;
    const LeaseClaims& claims;
    MountTable& mounts;
    const Clock& clock;
    std::function<bool()> stopping;
  };
  // `mount` has an inventory. `found` gets each difference as it is found.
  Comparison(const Parts& parts, std::shared_ptr<const Mount> mount, std::string target,
             bool with_foreign, std::function<void(const Difference&)> found);

  // Fills in the counts of `report`. kUnavailable and the like: the target could not be looked at
  // to the end.
  Status run(TargetReport& report);

 private:
  using States = std::vector<engines::EffectState>;

  Status compare_roles(TargetReport& report);
  Result<std::optional<Difference>> judge_role(const engines::MarkedEffect& effect) const;
  Result<std::optional<Difference>> judge_other_mount(const engines::MarkedEffect& effect) const;
  Status confirm_roles(std::vector<Difference> suspects);

  Status compare_leases(const LeaseFilter& filter, std::int64_t* compared);
  Status compare_page(const std::vector<Lease>& page);
  std::vector<Finding> judge_lease(const Lease& lease, const engines::EffectState& seen) const;
  Status confirm_leases(const std::vector<Lease>& suspects, const States& before);

  bool is_settled(const Lease& lease) const;
  Result<States> inspect(const std::vector<Lease>& leases) const;
  engines::CallContext in_time() const;

  const Parts parts_;
  const std::shared_ptr<const Mount> mount_;
  engines::Inventory& inventory_;
  const std::string target_;
  const bool with_foreign_;
  const std::function<void(const Difference&)> found_;
  std::vector<std::string> configured_;  // targets of this mount
};

}  // namespace curfew::broker

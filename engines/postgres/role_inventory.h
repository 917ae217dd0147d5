#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engines/inventory.h"
#include "engines/postgres/lease_role.h"
#include "engines/postgres/marker.h"
#include "engines/postgres/pool.h"

namespace curfew::engines::postgres {

// The database roles in the targets of one mount. Thread-safe.
class RoleInventory final : public Inventory {
 public:
  using PoolOf = std::function<Result<std::shared_ptr<Pool>>(const std::string& target)>;

  // `storage` and `markers` outlive this.
  RoleInventory(const MountStorage& storage, Markers& markers, PoolOf pool_of)
      : storage_(storage), markers_(markers), pool_of_(std::move(pool_of)) {}

  Result<std::vector<std::string>> resources() const override;
  Result<MarkedPage> marked(const std::string& resource, std::string_view after, std::size_t limit,
                            const CallContext& context) override;
  Result<std::vector<EffectState>> inspect(const std::string& resource,
                                           std::span<const ExpectedEffect> effects,
                                           const CallContext& context) override;
  Result<bool> has_ownerless_sessions(const std::string& resource,
                                      const CallContext& context) override;
  std::optional<Observing> observing(const std::string& resource) const override;
  Result<Connections> connections(const std::string& resource) const override;
  Status take_charge(const std::string& resource, const CallContext& context) override;

 private:
  Result<Rows> ask(const std::string& target, const std::string& sql, const CallContext& context);
  Result<bool> has_marked_role(const std::string& target, const RoleMark& mark,
                               const CallContext& context);
  Status look_for_executors(const std::string& resource, std::span<const ExpectedEffect> effects,
                            const std::vector<LeaseHandle>& leases, std::vector<EffectState>& seen,
                            const CallContext& context);

  const MountStorage& storage_;
  Markers& markers_;
  const PoolOf pool_of_;
};

}  // namespace curfew::engines::postgres

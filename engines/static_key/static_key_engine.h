#pragma once

#include "engines/engine.h"
#include "engines/static_key/key_record.h"

namespace curfew::engines::static_key {

// Fixed secrets on lease. A lease is a grant to read one version of a key through Curfew; when it
// ends the grant is gone. The key itself is only dead when it is changed at its issuer: receipts
// say so.
class StaticKeyEngine final : public SecretEngine {
 public:
  explicit StaticKeyEngine(Services services);

  std::string_view type() const override { return "static_key"; }
  const CallRoutes& routes() const override { return routes_; }
  Result<std::optional<bool>> exists(const Call& call) const override;

  Result<IssuePlan> plan(const IssueRequest& request, Random& random) const override;
  Result<Foreseen> foresee(const IssueRequest& request) const override;
  Result<Issued> apply(const DurableIntent& intent, const CallContext& context) override;
  Result<Receipt> revoke(const std::string& lease_id, const Handle& handle, PhaseRecord& phases,
                         const CallContext& context) override;
  Status renew(const std::string& lease_id, const Handle& handle, WallTime expires_at,
               const CallContext& context) override;
  Result<Presence> probe(const std::string& lease_id, const Handle& handle,
                         const CallContext& context) override;
  Result<std::vector<Handle>> list_owned(const CallContext& context) override;

 private:
  // The key that a request names, and how long a lease of it may live.
  struct Wanted {
    std::string name;
    KeyRecord record;
    Terms terms;
  };
  Result<Wanted> wanted(const IssueRequest& request) const;
  // static_key_paths.cc
  std::vector<CallRoutes::Route> make_routes();
  Result<Reply> read_key(const Call& call) const;
  Result<Reply> write_key(const Call& call);
  Result<Reply> delete_key(const Call& call);
  Result<Reply> list_keys(const Call& call) const;
  Result<Reply> rotate_key(const Call& call);
  Result<Reply> read_lease(const Call& call) const;

  const Services services_;
  const CallRoutes routes_;
};

}  // namespace curfew::engines::static_key

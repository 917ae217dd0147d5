#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include "broker/notify/postman.h"
#include "broker/tenant/namespaces.h"
#include "broker/tenant/tenant.h"
#include "store/namespace_keyrings.h"

namespace curfew::broker {

// The tree of the namespaces: which there are, and which one a request is for. Makes them, and
// removes them once nothing of them is alive. Thread-safe.
class Tenants final : public Namespaces {
 public:
  // All references outlive this object.
  Tenants(const Tenant::Shared& shared, store::NamespaceKeyrings& keyrings,
          std::shared_ptr<store::Keyring> first_keyring);
  ~Tenants() override;

  Tenant& first() const { return *first_; }
  Postman& postman() { return postman_; }  // of all namespaces

  // The namespace that a request is for, by header and path together, and the path within it.
  struct Routed {
    std::shared_ptr<Tenant> tenant;
    std::string path;
    bool found = true;  // false: there is no such namespace; `tenant` is the last on the way
  };
  Routed route(const std::string& header, const std::string& path) const;

  // nullptr: there is none of this id.
  std::shared_ptr<Tenant> by_id(const std::string& id) const;
  std::vector<std::shared_ptr<Tenant>> all() const;  // those above before those below
  // Those below a path, at any depth.
  std::vector<std::shared_ptr<Tenant>> below(const std::string& path) const;
  // The ids of the namespace at a path and of all below it; empty: there is none.
  std::vector<std::string> ids_at(const std::string& path) const;
  // With the keys in memory: brings up the first namespace, then all others. One that cannot be
  // brought up is logged and left out.
  Status bring_up();
  void stop_work();
  void take_down();

  // Removes those that are closed and clear. Called by a thread of its own, and by tests.
  void finish_removals();

  // Namespaces.
  std::vector<NamespaceEntry> list(const std::string& above) const override;
  std::optional<NamespaceEntry> find(const std::string& above,
                                     const std::string& name) const override;
  Result<NamespaceEntry> put(const std::string& above, const std::string& name,
                             const std::map<std::string, Json>& metadata) override;
  Result<NamespaceEntry> patch(const std::string& above, const std::string& name,
                               const std::map<std::string, Json>& metadata) override;
  Result<Deletion> remove(const std::string& above, const std::string& name) override;
  std::string leading(const std::string& above, const std::string& path) const override;
  std::vector<Metric> metrics_below(const std::string& path, WallTime now) const override;
  Result<std::int64_t> leases_left(const std::string& path) const override;

 private:
  struct Known {
    NamespaceEntry entry;
    std::shared_ptr<Tenant> tenant;
    bool shut = false;  // down for good: only its rows are left to remove
  };
  std::shared_ptr<Tenant> at(const std::string& path) const;
  std::optional<Known> known_at(const std::string& path) const;
  Result<NamespaceEntry> make(Tenant& above, NamespaceEntry entry);
  Result<NamespaceEntry> store_metadata(Tenant& above, NamespaceEntry entry);
  Status bring_up_below(Tenant& above);
  void learn(Known known);
  Status finish_removal(const std::string& path);
  void work();
  void wake();

  const Tenant::Shared shared_;
  store::NamespaceKeyrings& keyrings_;
  Postman postman_;  // before the namespaces, which use it
  const std::shared_ptr<Tenant> first_;

  std::mutex changing_;  // one namespace is made, changed or removed at a time
  mutable std::shared_mutex mutex_;
  std::map<std::string, Known, std::less<>>
      known_;  // by path, without the first; guarded by mutex_

  std::mutex thread_mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;  // guarded by thread_mutex_
  bool woken_ = false;     // guarded by thread_mutex_
  std::thread thread_;
};

}  // namespace curfew::broker

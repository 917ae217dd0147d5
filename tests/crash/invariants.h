#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/crash/client_fleet.h"
#include "tests/e2e/agent_world.h"

namespace curfew::crash {

// Compares what the clients hold, what the server says and what is in the target. Clients are
// paused meanwhile; the server works on, so what looks wrong is looked at twice. Each function
// gives what is violated, one line each.
class Invariants {
 public:
  // All outlive this.
  Invariants(e2e::ServerProcess& server, const e2e::AgentWorld& world,
             const test::TestDatabase& target)
      : server_(server), world_(world), target_(target) {}

  // While leases live: each role of the mount belongs to one live lease; each active lease has its
  // role, and its credential logs in; nothing is left of roles that are gone; each of `delivered`
  // is on record.
  std::vector<std::string> while_leases_live(const std::vector<Delivered>& delivered);

  // After all leases were ended: each of `delivered` is revoked with a receipt that proves it, and
  // has a line in the audit file; there is no role and no live lease. `all_over`: false where the
  // leases of interrupted calls, which nobody was given, may still wait for their end.
  std::vector<std::string> after_the_end(const std::vector<Delivered>& delivered,
                                         const std::string& audit_file, bool all_over);

  // What was found over all calls.
  std::size_t orphaned() const { return orphaned_.size(); }  // roles without a live lease
  std::size_t lost() const { return lost_.size(); }          // delivered and not on record

 private:
  struct Role {
    std::string name;
    std::string lease;
    bool can_log_in = false;
  };
  std::vector<Role> roles();
  std::map<std::string, Json> live_leases() const;
  bool role_exists(const std::string& name);
  void check_roles(const std::vector<Role>& roles, const std::map<std::string, Json>& live);
  void check_active(const std::vector<Role>& roles, const std::map<std::string, Json>& live,
                    const std::vector<Delivered>& delivered);
  void check_leftovers();
  void check_on_record(const std::vector<Delivered>& delivered);
  void violated(std::string what) { violations_.push_back(std::move(what)); }

  e2e::ServerProcess& server_;
  const e2e::AgentWorld& world_;
  const test::TestDatabase& target_;
  std::vector<std::string> violations_;
  std::set<std::string> orphaned_;
  std::set<std::string> lost_;
};

}  // namespace curfew::crash

#include "tests/crash/invariants.h"

#include "tests/crash/leftovers.h"

namespace curfew::crash {
namespace {

bool is_active(const Json& lease) {
  return lease.value("state", "") == "active" && lease.value("ttl", 0) > 1;
}

}  // namespace

std::vector<Invariants::Role> Invariants::roles() {
  std::vector<Role> found;
  for (const auto& row : world_.superuser().run(
           "SELECT rolname, coalesce(shobj_description(oid, 'pg_authid'), ''), rolcanlogin "
           "FROM pg_roles WHERE rolname LIKE 'cf-%'")) {
    Role role{*row[0], "", row[2] == "t"};
    const Json mark = Json::parse(*row[1], nullptr, false);
    if (mark.is_object()) role.lease = mark.value("lease", "");
    found.push_back(std::move(role));
  }
  return found;
}

std::map<std::string, Json> Invariants::live_leases() const {
  std::map<std::string, Json> live;
  const Json listed = server_.must("GET", "sys/leases?limit=none").at("data").at("leases");
  for (const Json& lease : listed) live[lease.at("lease_id")] = lease;
  return live;
}

bool Invariants::role_exists(const std::string& name) {
  return world_.superuser().value("SELECT 1 FROM pg_roles WHERE rolname = '" + name + "'") == "1";
}

void Invariants::check_roles(const std::vector<Role>& roles,
                             const std::map<std::string, Json>& live) {
  std::set<std::string> taken;
  for (const Role& role : roles) {
    if (!role.lease.empty() && !taken.insert(role.lease).second)
      violated("role " + role.name + ": a second one of lease " + role.lease);
    if (live.contains(role.lease)) continue;
    // The lease may have ended since the roles were looked at; then the role was gone before.
    if (!role_exists(role.name)) continue;
    orphaned_.insert(role.name);
    violated("role " + role.name + " is orphaned: its lease \"" + role.lease + "\" is " +
             (role.lease.empty() ? "not named" : "\"" + world_.state_of(role.lease) + "\""));
  }
}

void Invariants::check_active(const std::vector<Role>& roles,
                              const std::map<std::string, Json>& live,
                              const std::vector<Delivered>& delivered) {
  std::set<std::string> present;
  for (const Role& role : roles)
    if (role.can_log_in) present.insert(role.lease);
  std::map<std::string, const Delivered*> known;
  for (const Delivered& one : delivered) known[one.lease] = &one;
  for (const auto& [id, lease] : live) {
    if (!is_active(lease)) continue;
    const auto held = known.find(id);
    const bool works =
        held == known.end()
            ? present.contains(id)
            : test::can_log_in(target_.url(held->second->user, held->second->password));
    if (!works && is_active(world_.lease(id)))
      violated("lease " + id + " is active and " +
               (held == known.end() ? "has no role that can log in" : "does not log in"));
  }
}

void Invariants::check_leftovers() {
  test::PgSession superuser = world_.superuser();
  std::string found;
  // A session that was logging in while its role was dropped ends before the lease does.
  const auto clean = [&] { return (found = leftovers(superuser)).empty(); };
  if (!e2e::eventually(clean)) violated("of roles that are gone there is left: " + found);
}

void Invariants::check_on_record(const std::vector<Delivered>& delivered) {
  for (const Delivered& one : delivered) {
    if (!world_.state_of(one.lease).empty()) continue;
    lost_.insert(one.lease);
    violated("lease " + one.lease + " was delivered and is not on record");
  }
}

std::vector<std::string> Invariants::while_leases_live(const std::vector<Delivered>& delivered) {
  violations_.clear();
  // The roles first: a lease is on record before its role exists, and until it is gone.
  const std::vector<Role> there = roles();
  const std::map<std::string, Json> live = live_leases();
  check_roles(there, live);
  check_active(there, live, delivered);
  check_leftovers();
  check_on_record(delivered);
  return violations_;
}

std::vector<std::string> Invariants::after_the_end(const std::vector<Delivered>& delivered,
                                                   const std::string& audit_file, bool all_over) {
  violations_.clear();
  const std::vector<Role> there = roles();
  const std::map<std::string, Json> live = live_leases();
  check_roles(there, live);
  for (const auto& [id, lease] : live)
    if (all_over || is_active(lease)) violated("has not ended: " + lease.dump());
  check_leftovers();
  check_on_record(delivered);
  const std::string audited = e2e::read_file(audit_file);
  std::set<std::string> names;
  for (std::size_t at = 0; (at = audited.find("database/creds/", at)) != std::string::npos; ++at)
    names.insert(audited.substr(at, audited.find('"', at) - at));
  for (const Delivered& one : delivered) {
    const Json lease = world_.lease(one.lease);
    if (lease.value("state", "") != "revoked" || lease.at("receipt").at("proven") != true)
      violated("lease " + one.lease + " is \"" + lease.value("state", "") + "\" without a proof");
    if (!names.contains(one.lease)) violated("lease " + one.lease + " is not in the audit file");
  }
  return violations_;
}

}  // namespace curfew::crash

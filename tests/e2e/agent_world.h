#pragma once

#include <string>

#include "tests/e2e/server_process.h"
#include "tests/support/postgres.h"

namespace curfew::e2e {

// A credential as it was answered.
struct Credential {
  int status = 0;
  std::string error, lease, user, password;
  Json answer;
};

// What a call for a credential gave: its members if the status is 200, else the error.
Credential credential_of(const Answer& answer);

// What an agent needs, set up over HTTP as an operator does it: a database with the table
// `customers`, a login of Curfew's there that may create roles and no more, a mount, its
// configuration "app", and the role "agent-readonly" with the statements of the demonstration.
class AgentWorld {
 public:
  // `server` is initialized. Both outlive this.
  AgentWorld(ServerProcess& server, test::TestDatabase& database);

  // Reads database/creds/agent-readonly.
  Credential issue(const std::string& ttl = "1h", const std::string& token = "root") const;
  // A token with the policy "agent": creds, kv, renewal of itself.
  std::string agent_token() const;

  // Describes a lease, also an ended one.
  Json lease(const std::string& id) const;
  std::string state_of(const std::string& id) const;
  bool can_log_in(const Credential& credential) const;
  // Roles in the cluster that bear this mount's mark.
  int marked_roles() const;
  // Connections that Curfew's login has open.
  int broker_connections() const;
  // Live leases of all kinds.
  int live_leases() const;

  const test::TestDatabase::Login& broker_login() const { return broker_; }
  test::PgSession superuser() const { return database_.superuser(); }

 private:
  ServerProcess& server_;
  test::TestDatabase& database_;
  const test::TestDatabase::Login broker_;
  std::string accessor_;
};

}  // namespace curfew::e2e

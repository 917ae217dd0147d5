#pragma once

#include <memory>
#include <optional>
#include <string>

#include "tests/broker/broker_world.h"
#include "tests/fakes/target_proxy.h"
#include "tests/support/postgres.h"

namespace curfew::crash {

// A broker in this process with a real PostgreSQL behind a proxy, a clock that is moved, and a
// store and a target that fail where the test says. The mount "database" has a target "app" and a
// role "ro", whose roles may read a table and create others.
class TargetWorld : public broker::BrokerWorld {
 protected:
  struct Credential {
    std::string lease;
    std::string user;
    std::string password;
  };

  TargetWorld();

  // A credential, as the answer to database/creds/ro gives it.
  Result<broker::Response> ask(const std::string& ttl, const std::string& token = "root");
  static Credential credential_of(const broker::Response& response);
  // As ask(); throws when there is none.
  Credential must_issue(const std::string& ttl, const std::string& token = "root");

  bool can_log_in(const Credential& credential) const;
  test::PgSession log_in(const Credential& credential) const;

  // The process ends here: nothing that it does from now on has any effect outside.
  void die();
  // As a new process on the same store, with all faults gone.
  void begin_again();
  // No faults any more.
  void heal();

  Json lease(const std::string& id);  // also an ended one; an empty object: unknown
  std::string state_of(const std::string& id) { return lease(id).value("state", ""); }
  // By id, all that have not ended.
  std::map<std::string, Json> live_leases();

  struct Role {
    std::string name;
    std::string lease;
    bool can_log_in = false;
    std::int64_t valid_until = 0;  // seconds since 1970
  };
  // Those in the target with this mount's mark.
  std::vector<Role> roles();
  std::string leftovers();

  test::TestDatabase target_;
  const test::TestDatabase::Login login_;  // the broker's
  test::PgSession superuser_;
  fakes::TargetProxy proxy_;

 private:
  std::string accessor_;
};

}  // namespace curfew::crash

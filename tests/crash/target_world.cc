#include "tests/crash/target_world.h"

#include "base/system_clock.h"
#include "engines/postgres/postgres_engine.h"
#include "tests/crash/leftovers.h"

namespace curfew::crash {

// The target's own clock ends logins: both have to agree.
TargetWorld::TargetWorld()
    : BrokerWorld(std::chrono::round<Millis>(SystemClock().wall())),
      login_(target_.login("CREATEROLE")),
      superuser_(target_.superuser()),
      proxy_(target_.server().host, target_.server().port) {
  registry_.add("database", [](engines::Services services) {
    return engines::postgres::make_postgres_engine(std::move(services), {.verifiers_ready = 1});
  });
  superuser_.run("GRANT pg_signal_backend TO " + login_.user + "; ALTER DATABASE " +
                 target_.name() + " OWNER TO " + login_.user + "; ALTER SCHEMA public OWNER TO " +
                 login_.user);
  // What a role leaves behind in tables goes there; another test may have made it.
  superuser_.try_run("CREATE ROLE curfew_quarantine NOLOGIN");
  superuser_.run("GRANT CREATE ON SCHEMA public TO curfew_quarantine");
  test::PgSession(target_.url(login_.user, login_.password))
      .run("CREATE TABLE customers (id int PRIMARY KEY, name text)");
  must_write("sys/mounts/database", {{"type", "database"}});
  accessor_ = must_read("sys/mounts").at("database/").at("accessor");
  must_write("database/config/app",
             {{"plugin_name", "postgresql-database-plugin"},
              {"connection_url", "postgresql://{{username}}:{{password}}@127.0.0.1:" +
                                     proxy_.port() + "/" + target_.name() + "?sslmode=disable"},
              {"username", login_.user},
              {"password", login_.password},
              {"scram_iterations", 1},  // a walk logs in a thousand times
              {"allowed_roles", "*"}});
  must_write("database/roles/ro",
             {{"db_name", "app"},
              {"creation_statements",
               {R"(CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' )"
                R"(VALID UNTIL '{{expiration}}';)",
                R"(GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{{name}}";)",
                R"(GRANT CREATE ON SCHEMA public TO "{{name}}";)"}},
              {"default_ttl", "1h"},
              {"max_ttl", "24h"}});
}

Result<broker::Response> TargetWorld::ask(const std::string& ttl, const std::string& token) {
  return call(Operation::kRead, "database/creds/ro", {{"ttl", ttl}}, token);
}

TargetWorld::Credential TargetWorld::credential_of(const broker::Response& response) {
  return {response.lease_id, response.data.at("username"), response.data.at("password")};
}

TargetWorld::Credential TargetWorld::must_issue(const std::string& ttl, const std::string& token) {
  const auto response = ask(ttl, token);
  if (!response) throw std::runtime_error("nothing issued: " + response.error().message);
  return credential_of(*response);
}

bool TargetWorld::can_log_in(const Credential& credential) const {
  return test::can_log_in(target_.url(credential.user, credential.password));
}

test::PgSession TargetWorld::log_in(const Credential& credential) const {
  return test::PgSession(target_.url(credential.user, credential.password));
}

void TargetWorld::die() {
  database_->set_down(true);
  proxy_.cut_off();
}

void TargetWorld::begin_again() {
  proxy_.heal();
  restart();
}

void TargetWorld::heal() {
  proxy_.heal();
  database_->fail_write(0);
  database_->fail_read(0);
  database_->on_fault({});
  database_->set_down(false);
}

Json TargetWorld::lease(const std::string& id) {
  const auto found = write("sys/leases/receipt", {{"lease_id", id}});
  return found ? found->data : Json::object();
}

std::map<std::string, Json> TargetWorld::live_leases() {
  std::map<std::string, Json> live;
  const auto listed = call(Operation::kRead, "sys/leases", {{"limit", "none"}});
  if (!listed) throw std::runtime_error("leases not listed: " + listed.error().message);
  for (const Json& one : listed->data.at("leases")) live[one.at("lease_id")] = one;
  return live;
}

std::vector<TargetWorld::Role> TargetWorld::roles() {
  std::vector<Role> found;
  const auto rows = superuser_.run(
      "SELECT rolname, shobj_description(oid, 'pg_authid'), rolcanlogin, "
      "extract(epoch FROM rolvaliduntil)::bigint FROM pg_roles WHERE "
      "shobj_description(oid, 'pg_authid') LIKE '{\"curfew\":\"" +
      accessor_ + "\"%'");
  for (const auto& row : rows)
    found.push_back({*row[0], Json::parse(*row[1]).at("lease"), row[2] == "t",
                     std::stoll(row[3].value_or("0"))});
  return found;
}

std::string TargetWorld::leftovers() {
  return crash::leftovers(superuser_);
}

}  // namespace curfew::crash

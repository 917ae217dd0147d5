#include "tests/e2e/agent_world.h"

namespace curfew::e2e {

AgentWorld::AgentWorld(ServerProcess& server, test::TestDatabase& database)
    : server_(server), database_(database), broker_(database.login("CREATEROLE")) {
  test::PgSession superuser = database.superuser();
  superuser.run("GRANT pg_signal_backend TO " + broker_.user);
  superuser.run("ALTER DATABASE " + database.name() + " OWNER TO " + broker_.user);
  test::PgSession(database.url(broker_.user, broker_.password))
      .run(
          "CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL);"
          "INSERT INTO customers VALUES (1, 'Ada Quist'), (2, 'Bo Tamm')");
  server.must("POST", "sys/mounts/database", {{"type", "database"}});
  accessor_ = server.must("GET", "sys/mounts").at("data").at("database/").at("accessor");
  const test::PgAddress& where = database.server();
  server.must("POST", "database/config/app",
              {{"plugin_name", "postgresql-database-plugin"},
               {"connection_url", "postgresql://{{username}}:{{password}}@" + where.host + ":" +
                                      where.port + "/" + database.name()},
               {"username", broker_.user},
               {"password", broker_.password},
               {"allowed_roles", "agent-readonly"}});
  server.must("POST", "database/roles/agent-readonly",
              {{"db_name", "app"},
               {"creation_statements",
                {R"(CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' )"
                 R"(VALID UNTIL '{{expiration}}';)",
                 R"(GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{{name}}";)"}},
               {"revocation_statements", {R"(DROP ROLE IF EXISTS "{{name}}";)"}},
               {"default_ttl", "15m"},
               {"max_ttl", "2h"}});
}

Credential credential_of(const Answer& answer) {
  Credential made{answer.status, answer.error(), "", "", "", answer.body};
  if (answer.status != 200) return made;
  made.lease = answer.body.at("lease_id");
  made.user = answer.data().at("username");
  made.password = answer.data().at("password");
  return made;
}

Credential AgentWorld::issue(const std::string& ttl, const std::string& token) const {
  const Answer answer =
      server_.call("GET", "database/creds/agent-readonly?ttl=" + ttl, nullptr, token);
  return credential_of(answer);
}

std::string AgentWorld::agent_token() const {
  server_.must("PUT", "sys/policies/acl/agent", {{"policy", R"(
    path "database/creds/agent-readonly" { capabilities = ["read"] }
    path "secret/data/agents/config/*"   { capabilities = ["read"] }
    path "auth/token/renew-self"         { capabilities = ["update"] }
    path "*"                             { capabilities = ["deny"] })"}});
  return server_
      .must("POST", "auth/token/create",
            {{"policies", {"agent"}}, {"display_name", "report-bot"}, {"ttl", "2h"}})
      .at("auth")
      .at("client_token");
}

Json AgentWorld::lease(const std::string& id) const {
  return server_.call("PUT", "sys/leases/receipt", {{"lease_id", id}}).data();
}

std::string AgentWorld::state_of(const std::string& id) const {
  return lease(id).value("state", "");
}

bool AgentWorld::can_log_in(const Credential& credential) const {
  return test::can_log_in(database_.url(credential.user, credential.password));
}

int AgentWorld::marked_roles() const {
  return std::stoi(
      superuser().value("SELECT count(*) FROM pg_roles WHERE shobj_description(oid, 'pg_authid') "
                        "LIKE '{\"curfew\":\"" +
                        accessor_ + "\"%'"));
}

int AgentWorld::broker_connections() const {
  return std::stoi(superuser().value("SELECT count(*) FROM pg_stat_activity WHERE usename = '" +
                                     broker_.user + "'"));
}

int AgentWorld::live_leases() const {
  return server_.must("GET", "sys/leases/count").at("data").at("lease_count");
}

}  // namespace curfew::e2e

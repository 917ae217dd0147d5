#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "base/system_clock.h"
#include "engines/postgres/postgres_engine.h"
#include "tests/engines/engine_fixture.h"
#include "tests/fakes/intent_maker.h"
#include "tests/fakes/memory_phases.h"
#include "tests/support/postgres.h"

namespace curfew::engines::postgres {

inline constexpr const char* kCreate =
    "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';";

// A lease as the broker would remember it, and what its holder was given.
struct Leased {
  std::string lease_id;
  Handle handle;
  std::string username;
  std::string password;
};

// An engine in front of a real server, with a database of its own and one target, "pg", that all
// roles may use.
class PostgresWorld {
 public:
  // `real_time`: for tests of deadlines; otherwise the engine's clock stands still.
  explicit PostgresWorld(bool real_time = false, test::PgAddress server = test::test_server())
      : database(std::move(server)), target_(database.name() + "_pg") {
    clock_ = real_time ? static_cast<const Clock*>(&system_clock_) : &memory.clock;
    start({});
  }

  // Throws the engine away, if there is one, and makes another on the same storage, as after a
  // crash.
  void start(RotationOptions rotation) {
    engine.reset();
    const Services services = memory.services();
    Services chosen{services.mount_accessor, services.options, services.storage, services.leases,
                    services.passwords,      *clock_,          services.random,  services.log};
    engine = std::move(*make_postgres_engine(
        chosen, {.verify_time = Millis{5'000}, .rotation = std::move(rotation)}));
  }

  const std::string& target() const { return target_; }
  const Clock& clock() const { return *clock_; }
  CallContext in(Millis time = Millis{20'000}) const { return {clock().steady() + time}; }

  Result<Reply> call(Operation operation, const std::string& path, Json data = Json::object()) {
    return EngineWorld::call(*engine, operation, path, std::move(data));
  }

  // As the superuser unless told otherwise; `more` is merged into the body.
  Json config_body(Json more = Json::object()) const {
    Json body{
        {"plugin_name", "postgresql-database-plugin"},
        {"allowed_roles", "*"},
        {"connection_url", "postgresql://{{username}}:{{password}}@" + database.server().host +
                               ":" + database.server().port + "/" + database.name()},
        {"username", database.server().user},
        {"password", database.server().password},
        // Roles are visible in the whole cluster: other tests have theirs.
        {"username_template", database.role_prefix() + "-{{.RoleName}}-{{random 12}}"}};
    body.update(more);
    return body;
  }
  void configure(Json more = Json::object()) {
    const auto reply = call(Operation::kUpdate, "config/" + target_, config_body(std::move(more)));
    ASSERT_TRUE(reply.has_value()) << reply.error().message;
  }
  void configure_as(const test::TestDatabase::Login& login) {
    configure({{"username", login.user}, {"password", login.password}});
  }

  // Defines roles/<name>; `grants` follows the CREATE ROLE. The statements are taken as they are,
  // so that a test can see what becomes of bad ones.
  void role(const std::string& name, const std::string& grants = "", Json more = Json::object()) {
    Json body{{"db_name", target_},  {"creation_statements", {kCreate + grants}},
              {"default_ttl", "1h"}, {"max_ttl", "24h"},
              {"rehearse", false},   {"allow_dangerous", true}};
    body.update(more);
    const auto reply = call(Operation::kUpdate, "roles/" + name, body);
    ASSERT_TRUE(reply.has_value()) << reply.error().message;
  }

  // Who asks.
  Attribution who = [] {
    Attribution asks;
    asks.entity_id = "entity-7";
    asks.trace_id = "0af7651916cd43dd";
    return asks;
  }();

  Result<IssuePlan> plan(const std::string& role, const std::string& lease_id,
                         Json data = Json::object()) {
    return engine->plan({"creds/" + role, {{"name", role}}, lease_id, std::move(data), who},
                        random);
  }

  std::string next_lease(const std::string& role) {
    return "database/creds/" + role + "/" + random_base62(random, 24);
  }

  Result<Leased> try_issue(const std::string& role, Millis time = Millis{20'000}) {
    Leased out{next_lease(role), {}, "", ""};
    ASSIGN_OR_RETURN(IssuePlan made, plan(role, out.lease_id));
    out.handle = made.handle;
    ASSIGN_OR_RETURN(const Issued issued, engine->apply(intent(out.lease_id, made), in(time)));
    out.handle.fields.update(issued.facts);
    out.username = issued.data.value("username", "");
    out.password = issued.data.value("password", "");
    return out;
  }
  Leased issue(const std::string& role) {
    auto leased = try_issue(role);
    if (!leased) throw std::runtime_error("issuing failed: " + leased.error().message);
    return std::move(*leased);
  }

  DurableIntent intent(const std::string& lease_id, const IssuePlan& plan) {
    return DurableIntentMaker::make(lease_id, plan, clock().wall() + Seconds{3600});
  }

  Result<Receipt> try_revoke(const Leased& leased, Millis time = Millis{20'000}) {
    fakes::MemoryPhases phases;
    return engine->revoke(leased.lease_id, leased.handle, phases, in(time));
  }
  Receipt revoke(const Leased& leased) {
    auto receipt = try_revoke(leased);
    if (!receipt) throw std::runtime_error("revoking failed: " + receipt.error().message);
    return std::move(*receipt);
  }

  std::string url_of(const Leased& leased) const {
    return database.url(leased.username, leased.password);
  }
  test::PgSession log_in(const Leased& leased) const { return test::PgSession(url_of(leased)); }
  bool role_exists(const std::string& name) const {
    return database.superuser().value("SELECT 1 FROM pg_roles WHERE rolname = '" + name + "'") ==
           "1";
  }

  EngineWorld memory;
  test::TestDatabase database;
  SystemRandom random;
  std::unique_ptr<SecretEngine> engine;

 private:
  SystemClock system_clock_;
  const Clock* clock_ = nullptr;
  const std::string target_;
};

}  // namespace curfew::engines::postgres

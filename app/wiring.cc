#include "app/wiring.h"

#include "engines/kv/kv.h"
#include "engines/postgres/postgres_engine.h"
#include "engines/static_key/static_key.h"

namespace curfew::app {
namespace {

void add_engines(engines::Registry& registry) {
  registry.add("kv", engines::make_kv);
  registry.add("static_key", engines::make_static_key);
  registry.add("database", [](engines::Services services) {
    return engines::postgres::make_postgres_engine(std::move(services));
  });
}

}  // namespace

Result<std::unique_ptr<Program>> make_program(const ServerConfig& config,
                                              const std::string& version) {
  auto program = std::make_unique<Program>();
  program->log = make_stderr_log(config.log_level, config.log_json);
  add_engines(program->registry);
  ASSIGN_OR_RETURN(program->database, store::open_sqlite(config.storage_path, {}, *program->log));
  program->keyring = std::make_unique<store::Keyring>("root", program->random, program->clock);
  ASSIGN_OR_RETURN(program->seal, store::Seal::open(*program->database, *program->keyring,
                                                    config.seal, program->random, *program->log));
  program->broker = std::make_unique<broker::Broker>(
      broker::Broker::Dependencies{*program->database, *program->keyring, *program->seal,
                                   program->registry, program->clock, program->random,
                                   *program->log},
      broker::BrokerOptions{.version = version});
  RETURN_IF_ERROR(program->broker->lifecycle().start());
  program->edge = std::make_unique<api::Edge>(*program->broker, program->random, *program->log);
  return program;
}

Status listen(Program& program, const ServerConfig& config) {
  api::HttpServerOptions options;
  options.listeners = config.listeners;
  ASSIGN_OR_RETURN(program.server, api::HttpServer::start(
                                       options,
                                       [edge = program.edge.get()](api::HttpRequest request) {
                                         return edge->serve(std::move(request));
                                       },
                                       program.clock, *program.log));
  return ok();
}

}  // namespace curfew::app

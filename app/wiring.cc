#include "app/wiring.h"

#include "base/duration.h"
#include "broker/auth/builtin_methods.h"
#include "broker/auth/cert/cert_method.h"
#include "broker/auth/jwt/jwt_method.h"
#include "broker/auth/kubernetes/kubernetes_method.h"
#include "engines/kv/kv.h"
#include "engines/postgres/postgres_engine.h"
#include "engines/static_key/static_key.h"

namespace curfew::app {
namespace {

void add_engines(engines::Registry& registry, const ServerConfig& config) {
  registry.add("kv", engines::make_kv);
  registry.add("static_key", engines::make_static_key);
  registry.add("database", [interval = config.marker_interval](engines::Services services) {
    if (!services.options.is_object()) services.options = Json::object();
    services.options.emplace("marker_interval", format_duration(interval));
    return engines::postgres::make_postgres_engine(std::move(services));
  });
}

void add_auth_methods(broker::AuthRegistry& registry) {
  broker::add_builtin_auth_methods(registry);
  broker::cert::add_methods(registry);
  broker::jwt::add_methods(registry);
  broker::kubernetes::add_methods(registry);
}

// What the HTTP server counts. Nothing before it listens.
std::vector<broker::Metric> edge_metrics(const Program& program) {
  if (!program.server) return {};
  const api::HttpServerStats stats = program.server->stats();
  const auto figure = [](std::size_t number) { return static_cast<double>(number); };
  return {{"curfew_http_connections", "Connections open now.", figure(stats.connections)},
          {"curfew_http_requests_running", "Requests being handled now.", figure(stats.running)},
          {"curfew_http_requests_waiting", "Requests waiting for a thread.", figure(stats.waiting)},
          {"curfew_http_holds", "Requests on hold now.", figure(stats.holds)},
          {"curfew_http_streams", "Streams of events open now.", figure(stats.streams)},
          {"curfew_http_requests_total", "Requests since the start.", figure(stats.requests)},
          {"curfew_http_overloads_total", "Requests and connections turned away by a bound.",
           figure(stats.overloads)}};
}

// How long an HSM may take before the server goes on without it, sealed.
constexpr Millis kHsmPatience{5'000};

// A file or a variable is there or not; an HSM may be away for a while, or hang.
Status unseal(Program& program, const ServerConfig& config) {
  broker::Lifecycle& lifecycle = program.broker->lifecycle();
  if (config.seal.kind != store::SealKind::kPkcs11) return lifecycle.start();
  program.unseal_retry = std::make_unique<UnsealRetry>(lifecycle, *program.log);
  const auto first = program.unseal_retry->first_outcome(kHsmPatience);
  if (!first) {
    program.log->error("the HSM has not answered yet; the server goes on, sealed");
    return ok();
  }
  if (!*first && first->error().code == Errc::kUnavailable) return ok();
  program.unseal_retry.reset();
  return *first;
}

}  // namespace

Result<std::unique_ptr<Program>> make_program(const ServerConfig& config,
                                              const std::string& version) {
  auto program = std::make_unique<Program>();
  program->log = make_stderr_log(config.log_level, config.log_json);
  add_engines(program->registry, config);
  add_auth_methods(program->auth_methods);
  ASSIGN_OR_RETURN(program->database, store::open_sqlite(config.storage_path, {}, *program->log));
  program->keyring = std::make_unique<store::Keyring>("root", program->random, program->clock);
  ASSIGN_OR_RETURN(program->seal,
                   store::Seal::open(*program->database, *program->keyring, config.seal,
                                     program->random, *program->log, config.old_seal));
  program->broker = std::make_unique<broker::Broker>(
      broker::Broker::Dependencies{*program->database, *program->keyring, *program->seal,
                                   program->registry, program->auth_methods, program->clock,
                                   program->random, *program->log},
      broker::BrokerOptions{.version = version,
                            .revoker = {.max_attempts = config.max_attempts},
                            .retry = config.retry,
                            .lease_ends = config.lease_ends,
                            .clock = {.jump_max = config.clock_jump_max},
                            .reconciler = config.reconcile,
                            .edge_metrics = [made = program.get()] { return edge_metrics(*made); },
                            .open_metrics = config.open_metrics});
  RETURN_IF_ERROR(unseal(*program, config));
  program->edge = std::make_unique<api::Edge>(*program->broker, program->random, *program->log,
                                              api::built_page());
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

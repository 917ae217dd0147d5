#include "app/server.h"

#include <fmt/format.h>

#include <csignal>
#include <iostream>

#include "app/wiring.h"
#include "base/encoding.h"

namespace curfew::app {
namespace {

constexpr Millis kStopGrace = Seconds{10};

// Blocks the signals that wait_for_stop() takes, in this thread and in all that it starts.
sigset_t block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

// Reads certificates and opens audit files again at each SIGHUP; returns at SIGINT or SIGTERM.
void wait_for_stop(Program& program, const sigset_t& signals) {
  for (;;) {
    int signal = 0;
    if (sigwait(&signals, &signal) != 0) continue;
    if (signal != SIGHUP) return;
    const Status reloaded = program.server->reload_certificates();
    program.broker->reopen_audit();
    program.log->info("reloaded", {{"certificates", reloaded ? "read again" : "kept"}});
  }
}

void stop(Program& program) {
  program.log->info("stopping");
  program.server->stop(kStopGrace);
}

std::string url_of(const api::ListenerOptions& listener, std::uint16_t port) {
  const bool v6 = listener.address.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}", listener.tls ? "https" : "http", v6 ? "[" : "",
                     listener.address, v6 ? "]" : "", port);
}

void print_listeners(const Program& program, const ServerConfig& config) {
  for (std::size_t i = 0; i < config.listeners.size(); ++i)
    std::cout << "  listening on " << url_of(config.listeners[i], program.server->port(i)) << "\n";
}

// Sends one request through the front door as the owner of `token`.
Result<Json> send_as(Program& program, const Secret& token, Operation operation, std::string path,
                     Json data) {
  broker::Request request;
  request.id = random_uuid(program.random);
  request.operation = operation;
  request.path = std::move(path);
  request.data = std::move(data);
  request.token = token;
  request.remote_address = "127.0.0.1";
  auto done = program.broker->handle(std::move(request));
  if (!done) return std::move(done).error();
  return std::move(done->data);
}

// The store of a development server goes with it, so that nobody could end its leases later.
void end_leases(Program& program, const Secret& token) {
  const auto mounts = send_as(program, token, Operation::kRead, "sys/mounts", Json::object());
  if (!mounts) return;
  for (const auto& [path, mount] : mounts->items()) {
    const auto ended = send_as(program, token, Operation::kUpdate,
                               "sys/leases/revoke-prefix/" + path, Json::object());
    if (!ended)
      program.log->error("leases left behind", {{"mount", path}, {"error", ended.error().message}});
  }
}

}  // namespace

Status run_server(const ServerConfig& config, const std::string& version) {
  const sigset_t signals = block_signals();
  ASSIGN_OR_RETURN(const auto program, make_program(config, version));
  RETURN_IF_ERROR(listen(*program, config));
  std::cout << "Curfew " << version << "\n";
  print_listeners(*program, config);
  std::cout << "  storage in " << config.storage_path << "\n";
  ASSIGN_OR_RETURN(const auto status, program->broker->lifecycle().status());
  if (!status.initialized)
    std::cout << "The store has no keys yet. Next: curfew operator init\n";
  else if (status.migration)
    std::cout << "Sealed, and to be taken over by another seal. Next: curfew operator unseal "
                 "-migrate\n";
  else if (status.sealed && program->unseal_retry)
    std::cout << "Sealed: its key cannot be reached now. It is tried again; see the log.\n";
  else if (status.sealed)
    std::cout << "Sealed. Next: curfew operator unseal\n";
  std::cout << std::flush;
  wait_for_stop(*program, signals);
  stop(*program);
  return ok();
}

Status run_dev_server(const DevOptions& options, const std::string& version) {
  ServerConfig config;
  config.log_level = options.log_level;
  ASSIGN_OR_RETURN(auto listener, parse_address(options.listen_address));
  config.listeners.push_back(std::move(listener));

  const sigset_t signals = block_signals();
  ASSIGN_OR_RETURN(const auto program, make_program(config, version));
  broker::Lifecycle& lifecycle = program->broker->lifecycle();
  ASSIGN_OR_RETURN(const auto made, lifecycle.initialize(1, 1, Secret(options.root_token)));
  const std::string share = base64_encode(made.shares.front().reveal());
  RETURN_IF_ERROR(lifecycle.unseal(Secret(share)));
  RETURN_IF_ERROR(send_as(*program, made.root_token, Operation::kUpdate, "sys/mounts/secret",
                          {{"type", "kv"},
                           {"description", "key/value secret storage"},
                           {"options", {{"version", "2"}}}}));
  RETURN_IF_ERROR(listen(*program, config));

  std::cout << "Curfew " << version << ", development server\n";
  print_listeners(*program, config);
  std::cout << "Nothing is kept: storage goes away with this process. Not for production.\n\n"
            << "  export CURFEW_ADDR=" << url_of(config.listeners.front(), program->server->port())
            << "\n\n"
            << "Unseal Key: " << share << "\n"
            << "Root Token: " << made.root_token.reveal() << "\n\n"
            << std::flush;
  wait_for_stop(*program, signals);
  program->server->stop(kStopGrace);
  end_leases(*program, made.root_token);
  return ok();
}

}  // namespace curfew::app

#include <ostream>

#include "app/hardening.h"
#include "app/server.h"
#include "cli/run.h"
#include "version.h"

namespace {

using curfew::cli::Call;
using curfew::cli::Flag;
using curfew::cli::FlagKind;

curfew::Result<int> run_server_command(Call& call) {
  const auto& arguments = call.arguments;
  const bool dev = arguments.on("dev");
  const std::string config_path = arguments.text("config");
  if (dev == !config_path.empty())
    return curfew::cli::local_error(
        "expected -config=FILE, or -dev for a server to try things out");
  curfew::Status ended = curfew::ok();
  if (dev) {
    curfew::app::DevOptions options;
    options.root_token = arguments.text("dev-root-token-id");
    options.listen_address = arguments.text("dev-listen-address", options.listen_address);
    ASSIGN_OR_RETURN(options.log_level,
                     curfew::app::parse_log_level(arguments.text("log-level", "info")));
    ended = curfew::app::run_dev_server(options, CURFEW_VERSION);
  } else {
    ASSIGN_OR_RETURN(auto config, curfew::app::read_config(config_path));
    if (arguments.has("log-level")) {
      ASSIGN_OR_RETURN(config.log_level, curfew::app::parse_log_level(arguments.text("log-level")));
    }
    ended = curfew::app::run_server(config, CURFEW_VERSION);
  }
  if (ended) return curfew::cli::kExitOk;
  call.around.err << "Error: " << ended.error().message << "\n";
  return curfew::cli::kExitLocal;
}

curfew::cli::Command server_command() {
  return {.path = "server",
          .summary = "Runs the server",
          .synopsis = "-config=FILE | -dev",
          .words = {0, 0},
          .flags = {{{"config"}, FlagKind::kText, "The configuration, in HCL or JSON", "FILE"},
                    {{"dev"}, FlagKind::kSwitch, "Runs a server to try things out; keeps nothing"},
                    {{"dev-root-token-id"}, FlagKind::kText, "Its root token", "TOKEN"},
                    {{"dev-listen-address"}, FlagKind::kText, "Where it listens", "HOST:PORT"},
                    {{"log-level"},
                     FlagKind::kText,
                     "What is logged",
                     "LEVEL",
                     {"trace", "debug", "info", "warn", "error"}}},
          .local = true,
          .run = run_server_command};
}

}  // namespace

int main(int argc, char** argv) {
  curfew::app::harden_process();
  return curfew::cli::run_cli(argc, argv,
                              {.version = CURFEW_VERSION, .more_commands = {server_command()}});
}

#pragma once

#include <string>

#include "app/config.h"
#include "base/result.h"

namespace curfew::app {

// A server for trying things out: storage in a temporary file that goes with it, unsealed, with a
// root token that is shown, and a key-value store at secret/.
struct DevOptions {
  std::string root_token;  // empty: a random one
  std::string listen_address = "127.0.0.1:8200";
  LogLevel log_level = LogLevel::kInfo;
};

// Serve until SIGINT or SIGTERM; SIGHUP reads certificates again and reopens audit files. Write
// what to do next to standard output. REQUIRES: no other thread runs yet. The errors are those of
// start-up.
Status run_server(const ServerConfig& config, const std::string& version);
Status run_dev_server(const DevOptions& options, const std::string& version);

}  // namespace curfew::app

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/http_server.h"
#include "base/log.h"
#include "base/result.h"
#include "broker/lease/lease_ends.h"
#include "broker/lease/retries.h"
#include "broker/reconcile/reconciler.h"
#include "store/seal.h"

namespace curfew::app {

// What a server is told by its configuration file. docs/configuration.md describes every setting.
struct ServerConfig {
  std::vector<api::ListenerOptions> listeners;
  std::string storage_path;
  store::SealOptions seal;
  std::optional<store::SealOptions> old_seal;  // to migrate from
  LogLevel log_level = LogLevel::kInfo;
  bool log_json = false;
  broker::RetryOptions retry;
  bool open_metrics = false;  // sys/metrics needs no token
  broker::LeaseEndOptions lease_ends;
  std::int64_t max_attempts = 0;  // see RevokerOptions
  Millis clock_jump_max = std::chrono::minutes{10};
  broker::ReconcilerOptions reconcile;
  Millis marker_interval = std::chrono::minutes{1};
};

// Reads a configuration in HCL or JSON. kInvalidArgument: with line and column, what was found and
// what was expected; unknown settings are errors.
Result<ServerConfig> parse_config(std::string_view text);

// Reads the file. kInvalidArgument names it.
Result<ServerConfig> read_config(const std::string& path);

// "trace", "debug", "info", "warn" or "error".
Result<LogLevel> parse_log_level(std::string_view name);

// "127.0.0.1:8200", "[::1]:8200", ":8200" (all addresses), "0.0.0.0" (port 8200).
Result<api::ListenerOptions> parse_address(std::string_view text);

}  // namespace curfew::app

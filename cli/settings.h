#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"
#include "cli/arguments.h"
#include "cli/http_client.h"
#include "cli/surroundings.h"

namespace curfew::cli {

// How a command reaches the server and as whom. A flag wins over CURFEW_…, that over VAULT_….
struct Settings {
  std::string address;  // normalised
  HttpSettings http;
  Secret token;
  std::string token_source;  // for messages: "CURFEW_TOKEN", the token file's path, "" for none
  std::string name_space;
  std::string purpose;
  std::string ticket;
  std::string session;
  std::string traceparent;
  std::vector<HttpHeader> headers;
  std::optional<Millis> wrap_ttl;
  bool output_curl = false;
  int retries_max = 0;
};

// The flags that every command which calls the server takes.
const std::vector<Flag>& connection_flags();

// kInvalidArgument, naming the flag or the variable, if one cannot be used.
Result<Settings> load_settings(const Arguments& arguments, const Surroundings& around);

// CURFEW_TOKEN, VAULT_TOKEN, or the token file; `source`, if not null, is set to which.
Result<Secret> find_token(const Surroundings& around, std::string* source);

}  // namespace curfew::cli

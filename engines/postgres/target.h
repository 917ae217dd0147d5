#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "base/secret.h"

namespace curfew::engines::postgres {

// How a target is reached and how many connections it gets.
struct TargetSettings {
  std::string name;                               // of its configuration
  std::string address;                            // host:port, for messages
  std::map<std::string, std::string> parameters;  // libpq's keywords, without the password
  Secret password;
  Millis connect_timeout{10'000};
  int connections_max = 4;
  int idle_max = 4;
  Millis lifetime_max{0};  // of one connection; 0: no end

  // "target \"pg\" (db.example:5432)", the beginning of messages.
  std::string label() const;
  // The database that connections go to unless another is asked for.
  std::string database() const;
  // Equal exactly when everything above is; tells nothing of the password.
  std::string fingerprint() const;
};

// From a configuration's connection_details: connection_url with {{username}} and {{password}} in
// it, username, password, disable_escaping, max_open_connections, max_idle_connections,
// max_connection_lifetime. kInvalidArgument names the field; the URL is not repeated, because it
// may hold a password.
Result<TargetSettings> parse_target(std::string name, const Json& details);

// A connection URL without the passwords in it, for showing: "postgresql://u:xxxxx@h/db".
std::string masked_url(const std::string& url);

// Whether the URL itself holds a password (in place of {{password}}).
bool url_has_password(const std::string& url);

}  // namespace curfew::engines::postgres

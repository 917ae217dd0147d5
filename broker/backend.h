#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "base/result.h"
#include "base/route.h"
#include "base/secret.h"
#include "broker/identity/identities.h"
#include "broker/request.h"
#include "broker/token/token.h"
#include "engines/engine.h"
#include "policy/rights.h"

namespace curfew::broker {

// Who is asking, once the token has been believed.
struct Caller {
  Token token;
  Secret secret;  // the token itself, as it was sent
  std::shared_ptr<const policy::Rights> rights;
  std::shared_ptr<const Standing> standing;  // nullptr: no entity is behind the token
  std::string name_space = "root";           // id of the namespace that the token belongs to
  bool from_above = false;                   // not the one that the request is for
};

// One request to a path of the broker's own (sys/, auth/token/).
struct BackendCall {
  const Request& request;
  const RouteParams& params;
  const Caller* caller;  // nullptr on unauthenticated paths
  WallTime now;          // when the request came in
  engines::Attribution attribution;

  // The named part of the path. REQUIRES: the route's pattern has it.
  const std::string& param(std::string_view name) const { return params.find(name)->second; }
};

using BackendHandler = std::function<Result<Response>(const BackendCall&)>;
using BackendRoutes = RouteTable<BackendHandler>;

// A set of paths that the broker serves itself. Thread-safe.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual const BackendRoutes& routes() const = 0;
  // See SecretEngine::exists.
  virtual Result<std::optional<bool>> exists(const BackendCall&) const {
    return std::optional<bool>{};
  }
};

// The text of a member that must be there. kInvalidArgument: "missing <name>".
Result<std::string> required_text(const Json& data, std::string_view name);

}  // namespace curfew::broker

#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/secret.h"
#include "broker/auth/auth_mounts.h"
#include "broker/identity/authority.h"
#include "broker/token/token_budgets.h"
#include "broker/token/token_service.h"

namespace curfew::broker {

// Where a token belongs, as a namespace sees it: there, or in one above it.
struct Home {
  std::string id;     // of the namespace that the token belongs to
  std::string below;  // the path from there to the one that sees it: "", or "team-a/"
  TokenService& tokens;
  const TokenBudgets& budgets;
  const AuthMounts& auth_mounts;
  const Authorities& authorities;
  std::function<void()> token_ended;

  bool is_here() const { return below.empty(); }
};

// A namespace and all above it: whose tokens may act in it. Thread-safe.
class Homes {
 public:
  // From the namespace itself up to the first one. REQUIRES: not empty.
  explicit Homes(std::vector<Home> homes) : homes_(std::move(homes)) {}

  // Where to look for a token. A token says by its end where it belongs; one that says nothing, or
  // names none of these, is looked for in the first namespace. Thus every token that is not known
  // costs one look, whoever's it is.
  const Home& of(const Secret& token) const;

  const std::vector<Home>& all() const { return homes_; }

 private:
  const std::vector<Home> homes_;
};

}  // namespace curfew::broker

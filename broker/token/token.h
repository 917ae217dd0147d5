#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"

namespace curfew::broker {

enum class TokenType {
  kService,   // has a row in the store
  kBatch,     // has none: it carries what it is, sealed (see batch_token.h)
  kWrapping,  // opens one wrapped response and is spent by that; has a row
};

// What a token and all below it may have of leases, beside what an agent may. Set when the token is
// made, and never changed.
struct TokenBudget {
  std::string token;                 // row id of the token that it was given to
  std::string holder;                // for messages: the sub-agent's name, or the token's
  std::int64_t live_leases_max = 0;  // 0: without limit
  std::int64_t leases_per_hour = 0;  // 0: without limit
  Millis ttl_max{0};                 // of a lease; 0: without limit
};

// A token. The token itself is not stored: `id` is a keyed hash of it, and of a service token the
// id of its row.
struct Token {
  TokenType type = TokenType::kService;
  std::string id;
  std::string accessor;  // empty: a batch token
  std::string parent;    // id of the token that made it; empty for orphans
  std::string path;      // where it was made: "auth/token/create"
  std::string display_name;
  // The agent that it stands for: inherited from the token that made it, so that nobody leaves its
  // own name behind by making a token of another one. Empty: its display name says it (what an
  // operator's root token made, orphans, and tokens that are older than this field).
  std::string agent;
  std::string role;  // token role that it was made with; may be empty
  std::string entity_id;
  std::string mount;  // accessor of the auth method that logged it in; empty: made by a token
  Json renewal;       // what that method needs to renew it; see Login
  // Of an agent: the human that it acts for, by entity id, and the policies of her own token that
  // this one was made with. The agent may do no more than that human.
  std::string on_behalf_of;
  std::vector<std::string> principal_policies;
  // The child task of the agent that it was made for: names joined by '/', the innermost last.
  // Empty: none. Such a token has the policies that it names and not its entity's, within what the
  // agent may whose token was the first above it: `delegator_policies` are that token's own.
  std::string sub_agent;
  std::vector<std::string> delegator_policies;
  // Its own and those of the tokens above it, the outermost first.
  std::vector<TokenBudget> budgets;
  std::vector<std::string> policies;  // sorted, without repeats
  std::map<std::string, std::string> meta;
  std::vector<std::string> bound_cidrs;  // empty: usable from anywhere
  std::string certificate;  // hex SHA-256 of the client's that it is tied to; empty: none
  WallTime created_at;
  Millis creation_ttl{0};  // 0: does not expire
  std::optional<WallTime> expires_at;
  std::optional<WallTime> last_renewal;
  Millis max_ttl{0};           // counted from created_at; 0: the mount's
  Millis explicit_max_ttl{0};  // the same, whatever changes afterwards; 0: none
  Millis period{0};            // > 0: each renewal gives this much again
  // 0: any number of uses. > 0: so many are left. -1: this was the last one.
  std::int64_t num_uses = 0;
  bool renewable = true;
  bool orphan = false;

  bool is_root() const { return policies.size() == 1 && policies[0] == "root"; }
  bool is_batch() const { return type == TokenType::kBatch; }
  // As clients know it: "service" or "batch".
  const char* type_name() const { return is_batch() ? "batch" : "service"; }
  // Row id of the token that a lease ends with: of its own row, or of the one above a token that
  // has none. Empty: of no other.
  const std::string& holder() const { return is_batch() ? parent : id; }
  // What a lease stands under in the store: its holder, or the login's method.
  std::string lease_group() const;
};

// Under which the leases stand that tokens without a row of logins at this mount have asked for.
inline std::string lease_group_of(const std::string& auth_accessor) {
  return "auth:" + auth_accessor;
}

inline bool is_token_row(const std::string& lease_group) {
  return !lease_group.empty() && !lease_group.starts_with("auth:");
}

inline std::string Token::lease_group() const {
  if (is_batch() && parent.empty() && !mount.empty()) return lease_group_of(mount);
  return holder();
}

}  // namespace curfew::broker

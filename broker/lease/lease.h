#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/json.h"
#include "engines/engine.h"

namespace curfew::broker {

// A lease from birth to death; the numbers are stored. Those below kRevoked are live: something may
// still exist outside.
enum class LeaseState : std::int64_t {
  kPending = 0,      // the intent is durable, the credential may or may not exist, nobody has it
  kActive = 1,       // the credential exists and was handed out
  kRevoking = 2,     // it is being taken away, or waits for the next attempt
  kQuarantined = 3,  // it gives no access any more; work is left
  kRevoked = 4,      // gone, and proven so by the receipt
  kAbandoned = 5,  // given up by an operator's revoke-force; the receipt says what was left behind
};

const char* lease_state_name(LeaseState state);
std::optional<LeaseState> lease_state_of(std::string_view name);
inline bool is_live(LeaseState state) {
  return state < LeaseState::kRevoked;
}

// Whether a lease may move from one state to another (staying is a move as well). The only place
// that says so.
bool may_move(LeaseState from, LeaseState to);

// Which request a lease was made for, where a retry of it may ask again.
struct RequestKey {
  std::string hash;         // keyed; empty: none
  std::string fingerprint;  // of the request's parameters, keyed as well
  WallTime until;           // from then on the key means nothing any more
};

// One row. Everything that a revocation needs is in here; the credential itself never is.
struct Lease {
  std::string id;     // "<path of the request>/<24 base62>"
  std::string mount;  // accessor of the mount
  std::string role;   // for grouping
  std::string token;  // row id of the token that it ends with (see Token::holder); empty: none
  LeaseState state = LeaseState::kPending;
  WallTime issued_at;
  WallTime expires_at;
  std::optional<WallTime> next_action_at;  // expiry, next attempt, or the end of retention
  std::int64_t attempts = 0;               // of revocation
  engines::Handle handle;
  engines::Attribution attribution;
  Millis ttl_default{0};  // of the role at the issue; 0: the mount's
  Millis ttl_max{0};
  bool renewable = true;
  std::optional<WallTime> last_renewal;
  // Until then an apply() of this lease may still be on its way to the target.
  WallTime apply_deadline;
  bool apply_ended = false;            // it is not: apply() has returned
  std::optional<WallTime> due_at;      // when it had to end, once its revocation has begun
  std::map<std::string, Json> phases;  // revocation phases that are done, with their notes
  std::string error;                   // of the last attempt to revoke
  Json receipt = nullptr;              // once ended
  std::optional<WallTime> ended_at;
  bool audit_pending = false;  // it has ended, and no audit device has its receipt yet
  RequestKey key;
  // The approval that it was issued by: its id and digest, who decided and why. Null: none.
  Json approval = nullptr;
};

}  // namespace curfew::broker

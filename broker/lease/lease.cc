#include "broker/lease/lease.h"

#include <array>

namespace curfew::broker {
namespace {

constexpr std::array<const char*, 6> kNames = {"pending",     "active",  "revoking",
                                               "quarantined", "revoked", "abandoned"};

// Row: from. Column: to. In the order of LeaseState, written left to right.
constexpr std::array<std::string_view, 6> kMoves = {
    // pending active revoking quarantined revoked abandoned
    "-xx-x-",  // pending: becomes active; is taken back; or certainly never existed
    "-xx--x",  // active: is renewed; ends; is given up by force
    "--xxxx",  // revoking: fails and is tried again; is locked out; is gone; is given up
    "--xxxx",  // quarantined: can be used again; work goes on; is gone; is given up
    "--x-x-",  // revoked: reconciliation found something of it; its receipt is audited later
    "--x--x",  // abandoned: likewise
};

}  // namespace

const char* lease_state_name(LeaseState state) {
  return kNames.at(static_cast<std::size_t>(state));
}

std::optional<LeaseState> lease_state_of(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (name == kNames[i]) return static_cast<LeaseState>(i);
  }
  return std::nullopt;
}

bool may_move(LeaseState from, LeaseState to) {
  return kMoves.at(static_cast<std::size_t>(from)).at(static_cast<std::size_t>(to)) == 'x';
}

}  // namespace curfew::broker

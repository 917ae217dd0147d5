#pragma once

#include <chrono>
#include <cstdint>
#include <iosfwd>
#include <set>
#include <string>

#include "tests/crash/client_fleet.h"

namespace curfew::crash {

struct KillPlan {
  int kills_each = 100;  // of the server, of the target, of both at once
  std::uint64_t seed = 1;
  int clients = 16;
  std::chrono::milliseconds work_max{400};  // between a recovery and the next kill
  // At the end, for the leases of calls that a kill interrupted: half a minute, until nothing of
  // them can be on its way to the target any more.
  bool wait_for_interrupted = true;
};

struct KillFigures {
  int server_kills = 0;
  int target_kills = 0;
  int both_kills = 0;  // counted in neither of the above
  ClientCounts clients;
  std::size_t orphaned = 0;
  std::size_t lost = 0;
  std::chrono::milliseconds slowest_recovery{0};  // from the restart to a credential that works
  std::chrono::milliseconds duration{0};
  std::set<std::string> violations;
};

// Kills a real server, a real PostgreSQL and both at random moments while clients work, and looks
// at the invariants after each kill and at the end. Throws where the run cannot go on.
KillFigures run_kills(const KillPlan& plan, std::ostream& progress);

void print(const KillPlan& plan, const KillFigures& figures, std::ostream& out);

}  // namespace curfew::crash

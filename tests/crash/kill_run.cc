#include "tests/crash/kill_run.h"

#include <ostream>
#include <random>
#include <stdexcept>
#include <thread>

#include "tests/crash/invariants.h"
#include "tests/crash/rotated_user.h"

namespace curfew::crash {
namespace {

using std::chrono::milliseconds;
using Steady = std::chrono::steady_clock;

// Beside the ports that the system gives to clients: one that finds nobody listening must not be
// given this very port and meet itself.
int port_for(std::uint64_t seed) {
  return 12'000 + static_cast<int>(seed % 7'000);
}

// The intents of calls that a kill interrupted end when their creation can no longer be under way.
constexpr int kInterruptedSeconds = 60;

class KillRun {
 public:
  KillRun(const KillPlan& plan, std::ostream& progress)
      : plan_(plan), progress_(progress), dice_(plan.seed), target_(postgres_.address()) {
    server_.set_address("127.0.0.1:" + std::to_string(port_for(plan.seed)));
    server_.start_initialized();
    world_.emplace(server_, target_);
    server_.must("PUT", "sys/audit/file",
                 {{"type", "file"}, {"options", {{"file_path", server_.path("audit.log")}}}});
    invariants_.emplace(server_, *world_, target_);
    rotated_.emplace(server_, target_);
  }

  KillFigures run() {
    const auto began = Steady::now();
    ClientFleet fleet(server_, *world_, target_, *rotated_, plan_.clients, plan_.seed * 1000);
    fleet_ = &fleet;
    rounds("server", figures_.server_kills, [this] { kill_server(); });
    rounds("target", figures_.target_kills, [this] { kill_target(); });
    rounds("both", figures_.both_kills, [this] { kill_both(); });
    // A busy machine may have killed each change of the password so far.
    const auto patience = Steady::now() + std::chrono::seconds(30);
    while (fleet.counts().rotated == 0 && Steady::now() < patience)
      std::this_thread::sleep_for(milliseconds(50));
    fleet.stop();
    note(rotated_->check_served());
    end_all();
    note(invariants_->after_the_end(fleet.delivered(), server_.path("audit.log"),
                                    plan_.wait_for_interrupted));
    note(fleet.violations());
    figures_.clients = fleet.counts();
    figures_.orphaned = invariants_->orphaned();
    figures_.lost = invariants_->lost();
    figures_.duration = std::chrono::duration_cast<milliseconds>(Steady::now() - began);
    return figures_;
  }

 private:
  void rounds(const std::string& what, int& kills, const std::function<void()>& kill) {
    for (kills = 0; kills < plan_.kills_each;) {
      sleep_up_to(plan_.work_max);
      kill();
      ++kills;
      const auto restarted = Steady::now();
      fleet_->pause();
      recover(restarted);
      const auto all = fleet_->delivered();
      note(invariants_->while_leases_live(
          {all.begin() + static_cast<std::ptrdiff_t>(checked_), all.end()}));
      checked_ = all.size();
      note(rotated_->check());
      fleet_->resume();
      if (kills % 10 == 0 || kills == plan_.kills_each)
        progress_ << what << ": " << kills << " kills, " << all.size() << " credentials delivered, "
                  << figures_.violations.size() << " violations" << std::endl;
    }
  }

  void kill_server() {
    server_.kill();
    server_.start();
    // One in four starts is killed as well.
    if (roll(4) != 0) return;
    sleep_up_to(milliseconds{60});
    server_.kill();
    server_.start();
  }

  void kill_target() {
    postgres_.stop_immediately();
    sleep_up_to(milliseconds{300});
    postgres_.start();
  }

  void kill_both() {
    const bool server_first = roll(2) == 0;
    if (server_first) server_.kill();
    postgres_.stop_immediately();
    if (!server_first) server_.kill();
    const bool target_first = roll(2) == 0;
    if (target_first) postgres_.start();
    server_.start();
    if (!target_first) postgres_.start();
  }

  // Until a credential is issued, works, and is taken away again.
  void recover(Steady::time_point restarted) {
    const bool works = e2e::eventually([&] {
      const e2e::Credential made = world_->issue("10m");
      return made.status == 200 && world_->can_log_in(made) &&
             server_.call("PUT", "sys/leases/revoke", {{"lease_id", made.lease}}).status == 204;
    });
    if (!works) throw std::runtime_error("no credential is issued after a kill: " + server_.log());
    const auto took = std::chrono::duration_cast<milliseconds>(Steady::now() - restarted);
    figures_.slowest_recovery = std::max(figures_.slowest_recovery, took);
  }

  void end_all() {
    for (const std::string& lease : fleet_->doomed()) {
      if (!e2e::eventually([&] { return world_->state_of(lease) == "revoked"; }))
        note({"lease " + lease + " outlives its token: " + world_->lease(lease).dump()});
    }
    server_.call("PUT", "sys/leases/revoke-prefix/database/creds", {{"sync", false}});
    for (const Delivered& one : fleet_->delivered()) {
      if (!e2e::eventually([&] { return world_->state_of(one.lease) == "revoked"; }))
        note({"lease " + one.lease + " does not end: " + world_->lease(one.lease).dump()});
    }
    if (plan_.wait_for_interrupted)
      e2e::eventually([&] { return world_->live_leases() == 0; }, kInterruptedSeconds);
  }

  void note(const std::vector<std::string>& violations) {
    for (const std::string& violation : violations) {
      if (figures_.violations.insert(violation).second)
        progress_ << "VIOLATION " << violation << std::endl;
    }
  }

  int roll(int sides) { return std::uniform_int_distribution<int>(0, sides - 1)(dice_); }
  void sleep_up_to(milliseconds time) {
    std::this_thread::sleep_for(milliseconds{roll(static_cast<int>(time.count()))});
  }

  const KillPlan plan_;
  std::ostream& progress_;
  std::mt19937_64 dice_;
  e2e::ServerProcess server_;
  test::OwnServer postgres_;
  test::TestDatabase target_;
  std::optional<e2e::AgentWorld> world_;
  std::optional<Invariants> invariants_;
  std::optional<RotatedUser> rotated_;
  ClientFleet* fleet_ = nullptr;
  std::size_t checked_ = 0;  // of the delivered ones
  KillFigures figures_;
};

}  // namespace

KillFigures run_kills(const KillPlan& plan, std::ostream& progress) {
  return KillRun(plan, progress).run();
}

void print(const KillPlan& plan, const KillFigures& figures, std::ostream& out) {
  const auto row = [&](const char* name, auto value) { out << name << value << '\n'; };
  row("seed                        ", plan.seed);
  row("clients                     ", plan.clients);
  row("kills of the server         ", figures.server_kills);
  row("kills of PostgreSQL         ", figures.target_kills);
  row("kills of both at once       ", figures.both_kills);
  row("credentials delivered       ", figures.clients.issued);
  row("  logins with them          ", figures.clients.logins);
  row("  renewals                  ", figures.clients.renewed);
  row("  revocations confirmed     ", figures.clients.revoked);
  row("  tokens ended              ", figures.clients.tokens_ended);
  row("passwords rotated           ", figures.clients.rotated);
  for (const auto& [status, calls] : figures.clients.failed)
    row(status == 0 ? "calls without an answer      "
                    : ("calls answered with " + std::to_string(status) + "      ").c_str(),
        calls);
  row("slowest recovery, ms        ", figures.slowest_recovery.count());
  row("duration, s                 ", figures.duration.count() / 1000);
  row("orphaned                    ", figures.orphaned);
  row("lost                        ", figures.lost);
  row("violations                  ", figures.violations.size());
}

}  // namespace curfew::crash

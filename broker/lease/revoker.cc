#include "broker/lease/revoker.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/contained.h"
#include "base/duration.h"
#include "broker/lease/receipt.h"

namespace curfew::broker {
namespace {

// How long after its deadline an attempt counts as lost: the store failed in the middle of it.
constexpr Millis kClaimMargin = Seconds{10};
constexpr std::size_t kErrorBytesMax = 1000;

// Writes the phases of a revocation to the lease as they are done.
class StoredPhases final : public engines::PhaseRecord {
 public:
  StoredPhases(LeaseStore& leases, LeaseMeters& meters, const Clock& clock, Lease& lease)
      : leases_(leases), meters_(meters), clock_(clock), lease_(lease) {}

  bool is_done(engines::Phase phase) const override {
    return lease_.phases.contains(engines::phase_name(phase));
  }

  Status done(engines::Phase phase, Json note) override {
    auto changed = leases_.change(lease_.id, [&](Lease& stored) -> Status {
      record_phase(stored, phase, note, clock_.wall());
      return ok();
    });
    store_failed_ = !changed;
    if (!changed) return std::move(changed).error();
    lease_ = *std::move(changed);
    if (phase == engines::Phase::kLockOut)
      meters_.locked_out.add(Millis{clock_.wall() - lease_.due_at.value_or(clock_.wall())});
    return ok();
  }

  // The error that ended the attempt is the store's and not the target's.
  bool store_failed() const { return store_failed_; }

 private:
  LeaseStore& leases_;
  LeaseMeters& meters_;
  const Clock& clock_;
  Lease& lease_;
  bool store_failed_ = false;
};

bool is_locked_out(const Lease& lease) {
  return lease.phases.contains(engines::phase_name(engines::Phase::kLockOut)) &&
         lease.phases.contains(engines::phase_name(engines::Phase::kTerminate));
}

}  // namespace

Revoker::Revoker(LeaseStore& leases, LeaseClaims& claims, TargetBreakers& breakers, LeaseEnds& ends,
                 LeaseMeters& meters, MountTable& mounts, const Clock& clock, Random& random,
                 Log& log, RevokerOptions options)
    : leases_(leases),
      claims_(claims),
      breakers_(breakers),
      ends_(ends),
      meters_(meters),
      mounts_(mounts),
      clock_(clock),
      random_(random),
      log_(log),
      options_(options) {}

Millis Revoker::retry_delay(std::int64_t attempts) {
  const std::int64_t doublings = std::clamp<std::int64_t>(attempts - 1, 0, 20);
  const Millis full =
      std::min(options_.retry_first * (std::int64_t{1} << doublings), options_.retry_max);
  // Between half and the whole of it, so that leases that failed together do not come back
  // together.
  const auto half = static_cast<std::uint32_t>(std::max<std::int64_t>(full.count() / 2, 1));
  return full - Millis{random_below(random_, half)};
}

Result<Lease> Revoker::take_over(const std::string& id) {
  const WallTime now = clock_.wall();
  return leases_.change(id, [&](Lease& lease) -> Status {
    if (!is_live(lease.state)) return Error{Errc::kConflict, "the lease has ended already"};
    begin_attempt(lease, now);
    lease.next_action_at = now + options_.attempt_timeout + kClaimMargin;
    return ok();
  });
}

Result<Lease> Revoker::attempt(const std::string& id) {
  const LeaseClaims::Claim claim(claims_, id);
  auto taken = take_over(id);
  if (!taken && taken.error().code == Errc::kConflict) {
    ASSIGN_OR_RETURN(auto ended, leases_.get(id));
    if (ended) return std::move(*ended);
  }
  if (!taken) return std::move(taken).error();
  Lease lease = *std::move(taken);
  const auto mount = mounts_.by_accessor(lease.mount);
  if (!mount)
    return postpone(lease, {Errc::kUnavailable,
                            fmt::format("the mount {} of this lease is not there", lease.mount)});
  StoredPhases phases(leases_, meters_, clock_, lease);
  auto receipt = contained(log_, "revoking a lease", [&] {
    return mount->engine().revoke(lease.id, lease.handle, phases,
                                  {.deadline = clock_.steady() + options_.attempt_timeout});
  });
  if (!receipt) {
    if (!phases.store_failed()) learn(lease, receipt.error());
    return postpone(lease, receipt.error());
  }
  return finish(lease, *std::move(receipt));
}

Result<Lease> Revoker::finish(const Lease& lease, engines::Receipt receipt) {
  const WallTime now = clock_.wall();
  Lease over = lease;
  over.error.clear();
  const bool being_made = claims_.is_being_made(lease.id);
  if (being_made || (!lease.apply_ended && now < lease.apply_deadline)) {
    // A creation may still be on its way: look again when it cannot be any more.
    const WallTime again =
        being_made ? std::max(lease.apply_deadline, now + Seconds{1}) : lease.apply_deadline;
    return leases_.change(lease.id, [&](Lease& stored) -> Status {
      stored.error.clear();
      stored.phases.clear();
      stored.next_action_at = again;
      return ok();
    });
  }
  ends_.end(over, LeaseState::kRevoked, std::move(receipt.checked), std::move(receipt.warnings));
  ASSIGN_OR_RETURN(Lease done, leases_.change(lease.id, [&](Lease& stored) -> Status {
    LeaseEnds::copy(over, stored);
    return ok();
  }));
  target_answered(done);
  log_.info("lease revoked", {{"lease", done.id}, {"attempts", std::to_string(done.attempts)}});
  return done;
}

// What the error of an attempt says of the target. Others wait for the same connections, which
// says nothing (kOverloaded).
void Revoker::learn(const Lease& lease, const Error& error) {
  if (error.code == Errc::kUnavailable || error.code == Errc::kInDoubt) {
    breakers_.failed(target_group(lease), lease.id, error.message);
  } else if (error.code != Errc::kOverloaded) {
    target_answered(lease);
  }
}

// What waited for the target need not wait any longer.
void Revoker::target_answered(const Lease& lease) {
  const std::string group = target_group(lease);
  if (!breakers_.answered(group)) return;
  log_.info("target answers again", {{"target", group}});
  for (const LeaseState state : {LeaseState::kRevoking, LeaseState::kQuarantined}) {
    const auto resumed = leases_.end_all(
        {.mount = lease.mount, .resource = lease.handle.resource, .state = state}, clock_.wall());
    if (!resumed)
      log_.warn("leases wait longer than needed",
                {{"target", group}, {"error", resumed.error().message}});
  }
}

std::vector<std::string> Revoker::put_off(std::vector<std::string> ids,
                                          const TargetBreakers::Open& target) {
  const WallTime now = clock_.wall();
  meters_.put_off += static_cast<std::int64_t>(ids.size());
  const Millis wait = std::max(Millis{target.next_probe - clock_.steady()}, Millis{1});
  const std::string error =
      fmt::format("not tried: the target has not answered since {}, and is asked at intervals; {}",
                  format_rfc3339(target.since), target.error);
  const auto changed = leases_.change_all(ids, [&](Lease& lease) -> Status {
    if (!is_live(lease.state)) return Error{Errc::kConflict, "the lease has ended already"};
    if (!lease.due_at) lease.due_at = std::min(lease.next_action_at.value_or(now), now);
    if (lease.state != LeaseState::kQuarantined) lease.state = LeaseState::kRevoking;
    lease.error = error.substr(0, kErrorBytesMax);
    lease.next_action_at = now + wait;
    return ok();
  });
  if (!changed) {
    log_.error("leases of a target that does not answer stay due",
               {{"error", changed.error().message}});
    return ids;
  }
  for (const Lease& lease : *changed) std::erase(ids, lease.id);
  return ids;
}

Result<Lease> Revoker::postpone(const Lease& lease, const Error& error) {
  ++meters_.failed;
  const bool over = options_.max_attempts > 0 && lease.attempts >= options_.max_attempts;
  const Millis delay = over ? options_.retry_max : retry_delay(lease.attempts);
  log_.write(over ? LogLevel::kError : LogLevel::kWarn,
             over ? "revocation keeps failing" : "revocation failed",
             {{"lease", lease.id},
              {"attempt", std::to_string(lease.attempts)},
              {"retry_in", format_duration_short(delay)},
              {"error", error.message},
              {"detail", error.detail}});
  return leases_.change(lease.id, [&](Lease& stored) -> Status {
    if (stored.state == LeaseState::kRevoking && is_locked_out(stored))
      stored.state = LeaseState::kQuarantined;
    stored.error = error.message.substr(0, kErrorBytesMax);
    stored.next_action_at = clock_.wall() + delay;
    return ok();
  });
}

Result<Lease> Revoker::abandon(const std::string& id) {
  const LeaseClaims::Claim claim(claims_, id);
  ASSIGN_OR_RETURN(const auto found, leases_.get(id));
  if (!found) return Error{Errc::kNotFound, "lease not found"};
  if (!is_live(found->state)) return Error{Errc::kConflict, "the lease has ended already"};
  if (claims_.is_being_made(id))
    return Error{Errc::kConflict, "its credential is being made, and is taken back after that"};
  Lease over = *found;
  const Json left = {{"left_behind", over.handle.fields}, {"last_error", over.error}};
  ends_.end(over, LeaseState::kAbandoned, left,
            Json::array({"given up by revoke-force: nothing proves that the access is gone"}));
  ASSIGN_OR_RETURN(Lease lease, leases_.change(id, [&](Lease& stored) -> Status {
    LeaseEnds::copy(over, stored);
    return ok();
  }));
  log_.warn("lease abandoned", {{"lease", id}});
  return lease;
}

}  // namespace curfew::broker

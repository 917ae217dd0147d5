#include "broker/lease/revoker.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/duration.h"

namespace curfew::broker {
namespace {

// How long after its deadline an attempt counts as lost: the store failed in the middle of it.
constexpr Millis kClaimMargin = Seconds{10};
constexpr std::size_t kErrorBytesMax = 1000;

// Writes the phases of a revocation to the lease as they are done.
class StoredPhases final : public engines::PhaseRecord {
 public:
  StoredPhases(LeaseStore& leases, const Clock& clock, Lease& lease)
      : leases_(leases), clock_(clock), lease_(lease) {}

  bool is_done(engines::Phase phase) const override {
    return lease_.phases.contains(engines::phase_name(phase));
  }

  Status done(engines::Phase phase, Json note) override {
    if (!note.is_object()) note = Json::object();
    note["at"] = format_rfc3339(clock_.wall());
    ASSIGN_OR_RETURN(lease_, leases_.change(lease_.id, [&](Lease& stored) -> Status {
      stored.phases[engines::phase_name(phase)] = note;
      return ok();
    }));
    return ok();
  }

 private:
  LeaseStore& leases_;
  const Clock& clock_;
  Lease& lease_;
};

bool is_locked_out(const Lease& lease) {
  return lease.phases.contains(engines::phase_name(engines::Phase::kLockOut)) &&
         lease.phases.contains(engines::phase_name(engines::Phase::kTerminate));
}

Json receipt_json(const Lease& lease, bool proven, Json checked, Json warnings, WallTime now) {
  Json phases = Json::object();
  for (const auto& [name, note] : lease.phases) phases[name] = note;
  return {{"lease_id", lease.id},
          {"proven", proven},
          {"ended_at", format_rfc3339(now)},
          {"attempts", lease.attempts},
          {"subject", lease.handle.fields.value("receipt_subject", Json::object())},
          {"phases", std::move(phases)},
          {"checked", std::move(checked)},
          {"warnings", std::move(warnings)}};
}

}  // namespace

// Keeps other threads off a lease while it lives.
class Revoker::Claim {
 public:
  Claim(Revoker& revoker, std::string id) : revoker_(revoker), id_(std::move(id)) {
    std::unique_lock lock(revoker_.mutex_);
    revoker_.released_.wait(lock, [&] { return !revoker_.in_flight_.contains(id_); });
    revoker_.in_flight_.insert(id_);
  }
  ~Claim() {
    {
      const std::scoped_lock lock(revoker_.mutex_);
      revoker_.in_flight_.erase(id_);
    }
    revoker_.released_.notify_all();
  }
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;

 private:
  Revoker& revoker_;
  const std::string id_;
};

Revoker::Revoker(LeaseStore& leases, MountTable& mounts, const Clock& clock, Random& random,
                 Log& log, RevokerOptions options)
    : leases_(leases),
      mounts_(mounts),
      clock_(clock),
      random_(random),
      log_(log),
      options_(options) {}

bool Revoker::is_in_flight(const std::string& id) const {
  const std::scoped_lock lock(mutex_);
  return in_flight_.contains(id);
}

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
    if (lease.state != LeaseState::kQuarantined) lease.state = LeaseState::kRevoking;
    ++lease.attempts;
    lease.next_action_at = now + options_.attempt_timeout + kClaimMargin;
    return ok();
  });
}

Result<Lease> Revoker::attempt(const std::string& id) {
  const Claim claim(*this, id);
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
  StoredPhases phases(leases_, clock_, lease);
  auto receipt = mount->engine().revoke(lease.id, lease.handle, phases,
                                        {.deadline = clock_.steady() + options_.attempt_timeout});
  if (!receipt) return postpone(lease, receipt.error());
  return finish(lease, *std::move(receipt));
}

Result<Lease> Revoker::finish(const Lease& lease, engines::Receipt receipt) {
  const WallTime now = clock_.wall();
  ASSIGN_OR_RETURN(Lease done, leases_.change(lease.id, [&](Lease& stored) -> Status {
    stored.error.clear();
    if (!stored.apply_ended && now < stored.apply_deadline) {
      // A creation may still be on its way: look again when it cannot be any more.
      stored.phases.clear();
      stored.next_action_at = stored.apply_deadline;
      return ok();
    }
    stored.state = LeaseState::kRevoked;
    stored.receipt =
        receipt_json(stored, true, std::move(receipt.checked), std::move(receipt.warnings), now);
    stored.ended_at = now;
    stored.next_action_at = now + options_.retention;
    return ok();
  }));
  if (done.state == LeaseState::kRevoked)
    log_.info("lease revoked", {{"lease", done.id}, {"attempts", std::to_string(done.attempts)}});
  return done;
}

Result<Lease> Revoker::postpone(const Lease& lease, const Error& error) {
  const Millis delay = retry_delay(lease.attempts);
  log_.warn("revocation failed", {{"lease", lease.id},
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
  const Claim claim(*this, id);
  const WallTime now = clock_.wall();
  ASSIGN_OR_RETURN(Lease lease, leases_.change(id, [&](Lease& stored) -> Status {
    if (!is_live(stored.state)) return Error{Errc::kConflict, "the lease has ended already"};
    if (stored.state == LeaseState::kPending) stored.state = LeaseState::kRevoking;
    const Json left = {{"left_behind", stored.handle.fields}, {"last_error", stored.error}};
    stored.state = LeaseState::kAbandoned;
    stored.receipt = receipt_json(
        stored, false, left,
        Json::array({"given up by revoke-force: nothing proves that the access is gone"}), now);
    stored.ended_at = now;
    stored.next_action_at = now + options_.retention;
    return ok();
  }));
  log_.warn("lease abandoned", {{"lease", id}});
  return lease;
}

}  // namespace curfew::broker

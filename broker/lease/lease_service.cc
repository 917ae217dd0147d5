#include "broker/lease/lease_service.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/contained.h"
#include "base/duration.h"
#include "broker/lease/ttl.h"

namespace curfew::broker {
namespace {

constexpr std::size_t kLeaseIdCharacters = 24;  // 142 bits
constexpr Millis kApplyTimeout = Seconds{20};
// Beyond the time-out of apply(): clocks differ, and a statement may sit in a socket's buffer.
constexpr Millis kApplyMargin = Seconds{10};
constexpr Millis kWaitMax = Seconds{60};
constexpr std::size_t kPage = 200;

Error not_ended_yet(const Lease& lease) {
  return {Errc::kInvalidArgument,
          fmt::format("failed to revoke \"{}\": {} ({}; Curfew goes on trying, next at {})",
                      lease.id, lease.error.empty() ? "still under way" : lease.error,
                      lease.state == LeaseState::kQuarantined ? "it gives no access any more"
                                                              : "it may still give access",
                      lease.next_action_at ? format_rfc3339(*lease.next_action_at) : "once")};
}

// Of two limits where 0 means none.
Millis lesser_limit(Millis a, Millis b) {
  if (a == Millis{0} || b == Millis{0}) return std::max(a, b);
  return std::min(a, b);
}

// The token, or the one above it that has a row. An orphan without a row has its time alone.
Status check_lives(const store::Reader& reader, const Token& token, WallTime now) {
  const Error ended{Errc::kUnauthenticated, "permission denied"};
  if (token.is_batch() && *token.expires_at <= now) return ended;
  if (token.holder().empty()) return ok();
  ASSIGN_OR_RETURN(const auto row, reader.query_one("SELECT 1 FROM tokens WHERE id = $1 AND "
                                                    "(expires_at IS NULL OR expires_at > $2)",
                                                    {token.holder(), to_unix_millis(now)}));
  return row ? ok() : Status(ended);
}

// Whether apply() promises that nothing exists.
bool nothing_happened(Errc code) {
  return code != Errc::kInDoubt && code != Errc::kInternal && code != Errc::kCorrupt;
}

}  // namespace

LeaseService::LeaseService(LeaseStore& leases, LeaseClaims& claims, Revoker& revoker,
                           MountTable& mounts, const Clock& clock, Random& random, Log& log,
                           std::function<void()> lease_ended)
    : leases_(leases),
      claims_(claims),
      revoker_(revoker),
      mounts_(mounts),
      clock_(clock),
      random_(random),
      log_(log),
      lease_ended_(std::move(lease_ended)) {}

Result<engines::DurableIntent> LeaseService::write_ahead(const IssueCall& call, Lease& lease,
                                                         engines::IssuePlan plan,
                                                         std::vector<std::string>& warnings) {
  const WallTime now = clock_.wall();
  const MountEntry& mount = call.mount->entry;
  const Millis ttl_max = lesser_limit(plan.terms.max_ttl, call.ttl_max);
  ASSIGN_OR_RETURN(Ttl ttl, calculate_ttl({.requested = plan.terms.requested_ttl,
                                           .role_ttl = plan.terms.ttl,
                                           .mount_ttl = mount.config.default_lease_ttl,
                                           .role_max = ttl_max,
                                           .mount_max = mount.config.max_lease_ttl,
                                           .issued_at = now,
                                           .token_end = call.token.expires_at},
                                          now));
  warnings = std::move(ttl.warnings);
  lease.mount = mount.accessor;
  lease.role = plan.role;
  lease.token = call.token.lease_group();
  lease.issued_at = now;
  lease.expires_at = ttl.expires_at;
  lease.apply_deadline = now + kApplyTimeout + kApplyMargin;
  lease.next_action_at = lease.apply_deadline;
  lease.handle = plan.handle;
  lease.attribution = call.attribution;
  lease.key = call.key;
  lease.ttl_default = plan.terms.ttl;
  lease.ttl_max = ttl_max;  // for renewals too
  if (call.token.is_batch()) {
    // Nothing is left to look at when it is over: no renewal goes beyond it.
    const Millis left = *call.token.expires_at - now;
    lease.ttl_max = lease.ttl_max > Millis{0} ? std::min(lease.ttl_max, left) : left;
  }
  lease.approval = call.approval;
  lease.renewable = plan.terms.renewable && call.approval.is_null();
  return leases_.open(lease, std::move(plan), [&](store::Writer& writer) -> Status {
    // A token that is being revoked looks for its leases after this commit, or ended before it: so
    // the clock is read here and not before the transaction.
    RETURN_IF_ERROR(check_lives(writer, call.token, clock_.wall()));
    RETURN_IF_ERROR(mounts_.check_open(writer, mount));
    return call.admit ? call.admit(writer, lease) : ok();
  });
}

Result<Response> LeaseService::issue(const IssueCall& call) {
  engines::SecretEngine& engine = call.mount->engine();
  Lease lease;
  lease.id = call.request.path + "/" + random_base62(random_, kLeaseIdCharacters);
  ASSIGN_OR_RETURN(auto plan, engine.plan({.path = call.path,
                                           .params = call.params,
                                           .lease_id = lease.id,
                                           .data = call.request.data,
                                           .attribution = call.attribution},
                                          random_));
  Response response;
  // Whether it is still being made is known here alone, whatever the wall clock says.
  const LeaseClaims::Making making(claims_, lease.id);
  ASSIGN_OR_RETURN(const auto intent, write_ahead(call, lease, std::move(plan), response.warnings));
  auto issued = contained(log_, "making the credential", [&] {
    return engine.apply(intent, {.deadline = clock_.steady() + kApplyTimeout});
  });
  if (!issued) return take_back(lease, issued.error(), nothing_happened(issued.error().code));
  auto activated = leases_.change(lease.id, [&](Lease& stored) -> Status {
    if (stored.state != LeaseState::kPending)
      return Error{Errc::kConflict, "the lease was revoked while the credential was made"};
    stored.state = LeaseState::kActive;
    stored.apply_ended = true;
    if (issued->facts.is_object()) stored.handle.fields.update(issued->facts);
    stored.next_action_at = stored.expires_at;
    return ok();
  });
  if (!activated)
    return take_back(lease, {Errc::kInDoubt, activated.error().message, activated.error().detail},
                     true);
  lease_ended_();  // the reaper learns of the new expiry

  response.lease_id = lease.id;
  response.renewable = lease.renewable;
  response.lease_duration = std::chrono::round<Seconds>(lease.expires_at - lease.issued_at);
  response.data = std::move(issued->data);
  std::move(issued->warnings.begin(), issued->warnings.end(),
            std::back_inserter(response.warnings));
  return response;
}

Error LeaseService::take_back(const Lease& lease, const Error& error, bool apply_ended) {
  const WallTime now = clock_.wall();
  const bool nothing = nothing_happened(error.code);
  const auto changed = leases_.change(lease.id, [&](Lease& stored) -> Status {
    if (!is_live(stored.state)) return Error{Errc::kConflict, "the lease has ended already"};
    stored.apply_ended = apply_ended;
    if (nothing && stored.state == LeaseState::kPending) {
      stored.state = LeaseState::kRevoked;
      return ok();
    }
    if (stored.state == LeaseState::kPending) stored.state = LeaseState::kRevoking;
    stored.next_action_at = now;
    return ok();
  });
  // If the store fails here the row stays pending and falls due at its deadline: nothing is lost.
  if (!changed) {
    log_.warn("lease left to the reaper",
              {{"lease", lease.id}, {"error", changed.error().message}});
  } else if (changed->state == LeaseState::kRevoked) {
    const Status removed = leases_.remove(lease.id);
    if (!removed) log_.warn("lease row not removed", {{"lease", lease.id}});
  }
  lease_ended_();
  return error;
}

Result<Response> LeaseService::renew(const std::string& id, Millis increment,
                                     const std::optional<WallTime>& token_end) {
  // Nobody takes it back meanwhile: what is locked out must not become active again.
  const LeaseClaims::Claim claim(claims_, id);
  const WallTime now = clock_.wall();
  ASSIGN_OR_RETURN(const auto lease, leases_.get(id));
  if (!lease || !is_live(lease->state)) return Error{Errc::kInvalidArgument, "lease not found"};
  if (lease->state != LeaseState::kActive && !lease->error.empty())
    return Error{Errc::kInvalidArgument,
                 "lease is expired and has failed previous revocation attempts"};
  if (lease->state != LeaseState::kActive || lease->expires_at <= now)
    return Error{Errc::kInvalidArgument, "lease expired"};
  if (!lease->renewable) return Error{Errc::kInvalidArgument, "lease is not renewable"};
  const auto mount = mounts_.by_accessor(lease->mount);
  if (!mount) return Error{Errc::kInvalidArgument, "lease not found"};
  ASSIGN_OR_RETURN(const Ttl ttl, calculate_ttl({.requested = increment,
                                                 .role_ttl = lease->ttl_default,
                                                 .mount_ttl = mount->entry.config.default_lease_ttl,
                                                 .role_max = lease->ttl_max,
                                                 .mount_max = mount->entry.config.max_lease_ttl,
                                                 .issued_at = lease->issued_at,
                                                 .token_end = token_end},
                                                now));
  // First outside, then here: a crash in between leaves a credential that ends with the older,
  // earlier date.
  RETURN_IF_ERROR(mount->engine().renew(id, lease->handle, ttl.expires_at,
                                        {.deadline = clock_.steady() + kApplyTimeout}));
  RETURN_IF_ERROR(leases_.change(id, [&](Lease& stored) -> Status {
    if (stored.state != LeaseState::kActive) return Error{Errc::kInvalidArgument, "lease expired"};
    stored.expires_at = ttl.expires_at;
    stored.next_action_at = ttl.expires_at;
    stored.last_renewal = now;
    return ok();
  }));
  lease_ended_();
  Response response;
  response.lease_id = id;
  response.renewable = true;
  response.lease_duration = ttl.ttl;
  response.warnings = ttl.warnings;
  return response;
}

Status LeaseService::revoke_later(const std::string& id) {
  const WallTime now = clock_.wall();
  const auto changed = leases_.change(id, [&](Lease& lease) -> Status {
    if (!is_live(lease.state)) return Error{Errc::kNotFound, "ended"};
    if (lease.state == LeaseState::kPending || lease.state == LeaseState::kActive)
      lease.state = LeaseState::kRevoking;
    lease.next_action_at = now;
    return ok();
  });
  if (!changed && changed.error().code != Errc::kNotFound) return changed.error();
  lease_ended_();
  return ok();
}

Status LeaseService::revoke(const std::string& id) {
  ASSIGN_OR_RETURN(const auto found, leases_.get(id));
  if (!found || !is_live(found->state)) return ok();
  ASSIGN_OR_RETURN(const Lease lease, revoker_.attempt(id));
  attempt_finished();
  if (is_live(lease.state)) return not_ended_yet(lease);
  return ok();
}

void LeaseService::attempt_finished() {
  finished_.notify_all();
}

Status LeaseService::wait_ended(LeaseFilter filter) {
  return wait_ended_since(clock_.wall(), std::move(filter));
}

Status LeaseService::wait_ended_since(WallTime began, LeaseFilter filter) {
  filter.issued_until = began;  // others may be issued meanwhile; they were not asked for
  const SteadyTime give_up = clock_.steady() + kWaitMax;
  // Tried since, and put off: an earlier error, or a lease that still waits for its turn, does not
  // count.
  const auto has_failed = [&](const Lease& lease) {
    return !lease.error.empty() && lease.next_action_at && *lease.next_action_at > began &&
           !claims_.contains(lease.id);
  };
  for (;;) {
    ASSIGN_OR_RETURN(const auto left, leases_.find(filter, "", kPage));
    if (left.empty()) return ok();
    const auto failed = std::find_if(left.begin(), left.end(), has_failed);
    const bool all_failed = std::all_of(left.begin(), left.end(), has_failed);
    if (all_failed || clock_.steady() >= give_up) {
      ASSIGN_OR_RETURN(const std::int64_t count, leases_.count(filter));
      Error error = not_ended_yet(failed == left.end() ? left.front() : *failed);
      error.message = fmt::format("{} of the leases are not ended yet. {}", count, error.message);
      return error;
    }
    std::unique_lock lock(mutex_);
    finished_.wait_for(lock, Millis{200});
  }
}

Status LeaseService::revoke_prefix(const std::string& prefix, bool wait) {
  const LeaseFilter filter{.id_prefix = prefix};
  // One time for both: what is issued while these are being ended is not waited for.
  const WallTime began = clock_.wall();
  RETURN_IF_ERROR(leases_.end_all(filter, began));
  lease_ended_();
  return wait ? wait_ended_since(began, filter) : ok();
}

Status LeaseService::revoke_force(const std::string& prefix) {
  const LeaseFilter filter{.id_prefix = prefix, .issued_until = clock_.wall()};
  const SteadyTime give_up = clock_.steady() + kWaitMax;
  std::string after;
  for (;;) {
    ASSIGN_OR_RETURN(const auto page, leases_.find(filter, after, kPage));
    if (page.empty()) break;
    after = page.back().id;
    for (const Lease& lease : page) {
      if (clock_.steady() < give_up) {
        const auto tried = revoker_.attempt(lease.id);
        // One without an error waits for the end of its creation, and is tried again then.
        if (tried && (!is_live(tried->state) || tried->error.empty())) continue;
      }
      const auto given_up = revoker_.abandon(lease.id);
      const bool settled = given_up || given_up.error().code == Errc::kConflict ||
                           given_up.error().code == Errc::kNotFound;
      if (!settled) return given_up.error();
    }
  }
  attempt_finished();
  return ok();
}

}  // namespace curfew::broker

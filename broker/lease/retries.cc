#include "broker/lease/retries.h"

#include <fmt/format.h>

#include <algorithm>

namespace curfew::broker {
namespace {

// As long as a creation may take, and some more.
constexpr Millis kWaitMax = Seconds{25};
constexpr Millis kLookAgain{200};
constexpr std::size_t kLeasesOfOneKeyMax = 50;

Error used_differently() {
  return {Errc::kInvalidArgument,
          "this Idempotency-Key was used with other parameters: choose a new key for a new "
          "request"};
}

Error still_running() {
  return {Errc::kOverloaded,
          "an earlier attempt with this Idempotency-Key has not come to its end yet: retry later "
          "with the same key"};
}

// Whether a lease that is being ended can be relied on to give no access: it is locked out, or its
// target says that there is nothing, and only a creation that was never answered may be on its way.
bool gives_no_access(const Lease& lease) {
  return !is_live(lease.state) || lease.state == LeaseState::kQuarantined ||
         (lease.state == LeaseState::kRevoking && lease.attempts > 0 && lease.error.empty());
}

}  // namespace

Retries::Retries(LeaseStore& store, LeaseService& leases, const Lockdowns& lockdowns,
                 const store::Barrier& barrier, const Clock& clock, Log& log,
                 std::function<void()> lease_due, RetryOptions options)
    : store_(store),
      leases_(leases),
      lockdowns_(lockdowns),
      barrier_(barrier),
      clock_(clock),
      log_(log),
      lease_due_(std::move(lease_due)),
      options_(options) {}

Result<Retries::Identity> Retries::identify(const IssueCall& call) const {
  const Request& request = call.request;
  const std::string data = dump_json(request.data);
  Identity identity;
  identity.chosen = !request.idempotency_key.empty();
  if (identity.chosen) {
    const Json what = {call.token.id, request.path, request.idempotency_key};
    ASSIGN_OR_RETURN(identity.key, barrier_.keyed_hash("idempotency key", dump_json(what)));
    // What was asked for wrapped is not given unwrapped, nor the other way round.
    const std::string wrapped = request.wrap_ttl ? " wrapped" : "";
    ASSIGN_OR_RETURN(identity.fingerprint,
                     barrier_.keyed_hash("request parameters", data + wrapped));
  } else {
    const Json what = {call.token.id, request.path, data, call.attribution.purpose,
                       call.attribution.session};
    ASSIGN_OR_RETURN(identity.key, barrier_.keyed_hash("identical request", dump_json(what)));
  }
  return identity;
}

Result<Response> Retries::issue(IssueCall call) {
  ASSIGN_OR_RETURN(const Identity identity, identify(call));
  // A wrapped answer is for one wrapping token alone, and is kept nowhere else.
  const bool kept = options_.window > Millis{0} && !call.request.wrap_ttl;
  if (!identity.chosen && !kept) return leases_.issue(call);
  const SteadyTime give_up = clock_.steady() + kWaitMax;
  for (;;) {
    std::unique_lock lock(mutex_);
    const auto found = attempts_.find(identity.key);
    const AttemptPointer earlier = found == attempts_.end() ? nullptr : found->second;
    if (earlier && earlier->identity.fingerprint != identity.fingerprint) return used_differently();
    if (!earlier) {
      auto attempt = std::make_shared<Attempt>();
      attempt->identity = identity;
      attempt->is_abandoned = call.request.is_abandoned;
      attempts_[identity.key] = attempt;
      lock.unlock();
      return run(call, attempt);
    }
    if (earlier->running) {
      // Two clients that are both there want a credential each.
      const bool retried = identity.chosen || (earlier->is_abandoned && earlier->is_abandoned());
      if (!retried) {
        lock.unlock();
        return leases_.issue(call);
      }
      RETURN_IF_ERROR(wait_for(lock, *earlier, give_up));
      if (!earlier->answer) continue;  // it failed, and this is the next attempt
    } else if (!identity.chosen || earlier->replay_until <= clock_.wall()) {
      drop(identity.key);  // a credential that was left lying is picked up once
      if (earlier->replay_until <= clock_.wall()) continue;
    }
    const Answer answer = *earlier->answer;
    lock.unlock();
    ASSIGN_OR_RETURN(auto replayed, replay(identity, answer));
    lock.lock();
    // Without a key it is nobody else's from now on; with one the lease has ended.
    if (!identity.chosen || !replayed) drop_answer(identity.key, answer.lease_id);
    if (replayed) return *std::move(replayed);
  }
}

Status Retries::wait_for(std::unique_lock<std::mutex>& lock, const Attempt& attempt,
                         SteadyTime give_up) {
  if (waiters_ >= options_.waiters_max) return still_running();
  ++waiters_;
  while (attempt.running && clock_.steady() < give_up) finished_.wait_for(lock, kLookAgain);
  --waiters_;
  return attempt.running ? Status(still_running()) : ok();
}

Result<Response> Retries::run(IssueCall& call, const AttemptPointer& attempt) {
  const Identity& identity = attempt->identity;
  if (identity.chosen)
    call.key = {identity.key, identity.fingerprint, clock_.wall() + options_.key_window};
  const Status free = identity.chosen ? end_earlier(identity) : ok();
  Result<Response> issued = free ? leases_.issue(call) : Result<Response>(free.error());
  std::optional<Answer> answer;
  if (issued && !call.request.wrap_ttl) {
    issued->request_key = identity.key;
    issued->request_fingerprint = identity.fingerprint;
    issued->deliveries = std::make_shared<Deliveries>();
    answer = Answer{issued->lease_id, Secret(dump_json(issued->data)), issued->warnings,
                    issued->deliveries};
  }
  const std::scoped_lock lock(mutex_);
  attempt->running = false;
  attempt->is_abandoned = nullptr;
  attempt->answer = std::move(answer);
  const auto mine = attempts_.find(identity.key);
  if (mine != attempts_.end() && mine->second == attempt) {
    attempts_.erase(mine);
    if (attempt->answer && identity.chosen) keep(attempt, call.key.until);
  }
  finished_.notify_all();
  return issued;
}

// Never two leases for one key: what an attempt before a restart made, or one that failed on its
// way, goes first.
Status Retries::end_earlier(const Identity& identity) {
  ASSIGN_OR_RETURN(const auto earlier,
                   store_.find({.request_key = identity.key}, "", kLeasesOfOneKeyMax));
  for (const Lease& lease : earlier) {
    if (lease.key.until <= clock_.wall()) continue;
    if (lease.key.fingerprint != identity.fingerprint) return used_differently();
    const Status ended = leases_.revoke(lease.id);
    log_.info("lease of an earlier attempt ended for its retry", {{"lease", lease.id}});
    if (ended) continue;
    ASSIGN_OR_RETURN(const auto left, store_.get(lease.id));
    if (left && !gives_no_access(*left)) return still_running();
  }
  return ok();
}

// nullopt: the lease has ended.
Result<std::optional<Response>> Retries::replay(const Identity& identity, const Answer& answer) {
  // Handing a credential out is no less than making one.
  ASSIGN_OR_RETURN(const auto found, store_.get(answer.lease_id));
  if (found) RETURN_IF_ERROR(lockdowns_.check_stored(subject_of(*found)));
  // Counted before the lease is looked at: lost() of another answer either sees this one, or has
  // said so before, and is undone here.
  ++answer.deliveries->out;
  auto lease = store_.get(answer.lease_id);
  if (lease && *lease && answer.deliveries->lost) {
    auto kept = store_.change(answer.lease_id, [&](Lease& stored) -> Status {
      // What is due may be locked out already.
      if (stored.state != LeaseState::kActive || stored.next_action_at <= clock_.wall())
        return Error{Errc::kNotFound, "ended"};
      stored.next_action_at = stored.expires_at;
      return ok();
    });
    if (kept)
      lease = std::optional<Lease>(*std::move(kept));
    else if (kept.error().code == Errc::kNotFound)
      lease = std::optional<Lease>();
    else
      lease = kept.error();
  }
  const WallTime now = clock_.wall();
  const bool usable =
      lease && *lease && (*lease)->state == LeaseState::kActive && (*lease)->expires_at > now;
  auto data = parse_json(answer.data.reveal());
  if (!usable || !data) {
    --answer.deliveries->out;
    if (!lease) return lease.error();
    return std::optional<Response>();
  }
  Response response;
  response.lease_id = answer.lease_id;
  response.renewable = (*lease)->renewable;
  response.lease_duration = (*lease)->expires_at - now;
  response.data = *std::move(data);
  response.warnings = answer.warnings;
  response.request_key = identity.key;
  response.request_fingerprint = identity.fingerprint;
  response.deliveries = answer.deliveries;
  response.replayed = true;
  return std::optional<Response>(std::move(response));
}

void Retries::lost(const Response& response) {
  const auto give_up = [&] {
    const Status ended = leases_.revoke_later(response.lease_id);
    log_.warn("credential taken back: not delivered",
              {{"lease", response.lease_id}, {"error", ended ? "" : ended.error().message}});
  };
  if (!response.deliveries || options_.window == Millis{0}) return give_up();
  Deliveries& deliveries = *response.deliveries;
  deliveries.lost = true;
  if (--deliveries.out > 0) return;  // somebody else has it, or is getting it
  const WallTime until = clock_.wall() + options_.window;
  auto kept = std::make_shared<Attempt>();
  kept->identity = {response.request_key, response.request_fingerprint,
                    !response.request_fingerprint.empty()};
  kept->running = false;
  kept->answer = Answer{response.lease_id, Secret(dump_json(response.data)), response.warnings,
                        response.deliveries};
  bool kept_here = false;
  {
    // Where the caller chose the key the answer is here already.
    const std::scoped_lock lock(mutex_);
    kept_here = !attempts_.contains(response.request_key);
    if (kept_here) keep(kept, until);
  }
  const auto parked = store_.change(response.lease_id, [&](Lease& lease) -> Status {
    if (deliveries.out > 0) return Error{Errc::kConflict, "a retry got it"};
    if (lease.state != LeaseState::kActive) return Error{Errc::kNotFound, "ended"};
    lease.next_action_at = std::min(lease.expires_at, until);
    return ok();
  });
  if (parked) {
    log_.warn("answer not delivered: the lease ends unless it is asked for again",
              {{"lease", response.lease_id}});
    lease_due_();
    return;
  }
  if (parked.error().code != Errc::kConflict && parked.error().code != Errc::kNotFound) give_up();
  if (!kept_here) return;
  const std::scoped_lock lock(mutex_);
  drop_answer(response.request_key, response.lease_id);
}

// REQUIRES: mutex_ is held, and nothing has the key.
void Retries::keep(const AttemptPointer& attempt, WallTime until) {
  const std::string& key = attempt->identity.key;
  attempt->replay_until = until;
  attempt->bytes = attempt->answer->data.reveal().size() + key.size();
  attempt->place = order_.insert(order_.end(), key);
  attempts_[key] = attempt;
  bytes_ += attempt->bytes;
  while (order_.size() > options_.answers_max || bytes_ > options_.answer_bytes_max)
    drop(order_.front());
}

// REQUIRES: mutex_ is held.
void Retries::drop(const std::string& key) {
  const auto found = attempts_.find(key);
  if (found == attempts_.end() || found->second->running) return;
  bytes_ -= found->second->bytes;
  const auto place = found->second->place;
  attempts_.erase(found);
  order_.erase(place);
}

// As drop(), unless the key stands for another lease by now. REQUIRES: mutex_ is held.
void Retries::drop_answer(const std::string& key, const std::string& lease_id) {
  const auto found = attempts_.find(key);
  if (found != attempts_.end() && found->second->answer &&
      found->second->answer->lease_id == lease_id)
    drop(key);
}

void Retries::forget() {
  const std::scoped_lock lock(mutex_);
  attempts_.clear();
  order_.clear();
  bytes_ = 0;
}

}  // namespace curfew::broker

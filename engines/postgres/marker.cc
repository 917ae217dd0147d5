#include "engines/postgres/marker.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/digest.h"
#include "base/duration.h"
#include "base/encoding.h"
#include "engines/postgres/advisory_locks.h"
#include "engines/postgres/lease_role.h"
#include "engines/postgres/sql_text.h"

namespace curfew::engines::postgres {
namespace {

// How long one caller waits for another that looks at the same target.
constexpr Millis kTurnWait{5'000};
constexpr std::size_t kNonceCharacters = 22;
// For a look that a revocation can do without.
constexpr Millis kLookTime{5'000};

std::string storage_key(const std::string& target) {
  return "marker/" + target;
}

Json value_to_json(const std::optional<MarkerValue>& value) {
  if (!value) return nullptr;
  return {{"curfew_marker", value->epoch}, {"nonce", value->nonce}};
}

std::optional<MarkerValue> value_from_json(const Json& json) {
  if (!json.is_object()) return std::nullopt;
  const auto epoch = Fields(json).integer("curfew_marker");
  const auto nonce = Fields(json).text("nonce");
  if (!epoch || !*epoch || !nonce || !*nonce) return std::nullopt;
  return MarkerValue{**epoch, **nonce};
}

// A comment that is no marker is as good as one that nobody wrote.
std::optional<MarkerValue> value_from_comment(const std::optional<std::string>& comment) {
  const auto parsed = parse_json(comment.value_or(""));
  return parsed ? value_from_json(*parsed) : std::nullopt;
}

std::string find_marker_sql(const std::string& role) {
  return fmt::format(
      "SELECT pg_catalog.shobj_description(r.oid, 'pg_authid') FROM "
      "pg_catalog.pg_roles r WHERE r.rolname = {}",
      quote_literal(role));
}

bool has_marker(const Rows& rows) {
  return !rows.empty() && rows.front().size() == 1;
}

std::optional<MarkerValue> marker_in(const Rows& rows) {
  return has_marker(rows) ? value_from_comment(rows.front().front()) : std::nullopt;
}

std::int64_t newest(const StoredMarker& stored, const std::optional<MarkerValue>& found) {
  std::int64_t epoch = 0;
  for (const auto& value : {stored.current, stored.pending, found})
    if (value) epoch = std::max(epoch, value->epoch);
  return epoch;
}

}  // namespace

Json StoredMarker::to_json() const {
  Json out{{"current", value_to_json(current)}, {"pending", value_to_json(pending)}};
  if (observing)
    out["observing"] = {{"since", to_unix_millis(observing->since)}, {"reason", observing->reason}};
  return out;
}

StoredMarker StoredMarker::from_json(const Json& stored) {
  StoredMarker out;
  if (!stored.is_object()) return out;
  out.current = value_from_json(stored.value("current", Json()));
  out.pending = value_from_json(stored.value("pending", Json()));
  const Json observing = stored.value("observing", Json());
  if (observing.is_object()) {
    const auto since = Fields(observing).integer_or("since", 0);
    const auto reason = Fields(observing).text_or("reason", "");
    out.observing =
        Inventory::Observing{from_unix_millis(since ? *since : 0), reason ? *reason : ""};
  }
  return out;
}

std::optional<std::string> not_in_charge(const StoredMarker& stored,
                                         const std::optional<MarkerValue>& found) {
  if (!found || found == stored.current || found == stored.pending) return std::nullopt;
  if (!stored.current && !stored.pending)
    return fmt::format(
        "the target has a marker (number {}) of this mount and the store knows none: the store was "
        "restored from a copy that is older than the marker",
        found->epoch);
  const std::int64_t known = newest(stored, std::nullopt);
  // Whoever takes charge goes beyond every number that was there.
  if (found->epoch < (stored.current ? stored.current->epoch : known)) return std::nullopt;
  return fmt::format(
      "the target's marker (number {}) is not the one that this store wrote (number {}): the store "
      "was restored from an older copy, or another server with a copy of it is in charge",
      found->epoch, known);
}

std::string marker_role(std::string_view mount_accessor, std::string_view target) {
  const std::string digest = sha256(std::string(mount_accessor) + '\n' + std::string(target));
  return "curfew_marker_" + hex_encode(digest.substr(0, 8));
}

// Only one looks at a target at a time, and nobody waits for long: a target that hangs must not
// take all threads.
class Markers::Turn {
 public:
  Turn(Markers& markers, const std::string& target) : markers_(markers), target_(target) {
    std::unique_lock lock(markers_.mutex_);
    taken_ =
        markers_.turned_.wait_for(lock, kTurnWait, [&] { return !markers_.known_[target_].busy; });
    if (taken_) markers_.known_[target_].busy = true;
  }
  ~Turn() {
    if (!taken_) return;
    {
      const std::scoped_lock lock(markers_.mutex_);
      markers_.known_[target_].busy = false;
    }
    markers_.turned_.notify_all();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  bool taken() const { return taken_; }

 private:
  Markers& markers_;
  const std::string target_;
  bool taken_ = false;
};

Result<StoredMarker> Markers::load(const std::string& target) const {
  ASSIGN_OR_RETURN(const auto stored, parts_.storage.get(storage_key(target)));
  return stored ? StoredMarker::from_json(*stored) : StoredMarker{};
}

std::optional<Inventory::Observing> Markers::observing(const std::string& target) const {
  {
    const std::scoped_lock lock(mutex_);
    const auto it = known_.find(target);
    if (it != known_.end() && it->second.judged) return it->second.observing;
  }
  const auto stored = load(target);
  return stored ? stored->observing : std::nullopt;
}

Status Markers::refusal(const std::string& target) const {
  const auto observed = observing(target);
  if (!observed) return ok();
  return Error{Errc::kUnavailable,
               fmt::format("target \"{}\" is only observed since {}, and nothing is made, renewed "
                           "or revoked there: {}. See: curfew observe status. If this server is to "
                           "be in charge: curfew observe accept",
                           target, format_rfc3339(observed->since), observed->reason)};
}

bool Markers::is_fresh(const std::string& target) const {
  const std::scoped_lock lock(mutex_);
  const auto it = known_.find(target);
  return it != known_.end() && it->second.checked_at &&
         parts_.clock.steady() < *it->second.checked_at + 2 * parts_.interval;
}

bool Markers::is_judged(const std::string& target) const {
  const std::scoped_lock lock(mutex_);
  const auto it = known_.find(target);
  return it != known_.end() && it->second.judged;
}

bool Markers::has_failed_lately(const std::string& target) const {
  const std::scoped_lock lock(mutex_);
  const auto it = known_.find(target);
  return it != known_.end() && it->second.failed_at &&
         parts_.clock.steady() < *it->second.failed_at + parts_.interval;
}

Status Markers::check(const std::string& target, SteadyTime deadline) {
  if (!is_fresh(target)) {
    const Turn turn(*this, target);
    if (!turn.taken())
      return Error{Errc::kOverloaded,
                   fmt::format("target \"{}\" does not answer, and whether this server is in "
                               "charge of it is not known",
                               target)};
    if (!is_fresh(target)) RETURN_IF_ERROR(look(target, Mode::kRenew, deadline));
  }
  return refusal(target);
}

Status Markers::check_to_revoke(const std::string& target, SteadyTime deadline) {
  if (!is_judged(target)) {
    const Status checked = check(target, deadline);
    return is_judged(target) ? refusal(target) : checked;
  }
  // One revocation in each interval looks; the others must not wait for what fails again.
  if (is_fresh(target) || has_failed_lately(target)) return refusal(target);
  const Turn turn(*this, target);
  if (turn.taken() && !is_fresh(target) && !has_failed_lately(target)) {
    const SteadyTime until = std::min(deadline, parts_.clock.steady() + kLookTime);
    const Status looked = look(target, Mode::kRenew, until);
    if (!looked) {
      parts_.log.warn("marker not looked at; revocation goes on with what it said before",
                      {{"target", target}, {"error", looked.error().message}});
      const std::scoped_lock lock(mutex_);
      known_[target].failed_at = parts_.clock.steady();
    }
  }
  return refusal(target);
}

Status Markers::renew(const std::string& target, SteadyTime deadline) {
  const Turn turn(*this, target);
  return turn.taken() ? look(target, Mode::kRenew, deadline) : ok();
}

Status Markers::take_charge(const std::string& target, SteadyTime deadline) {
  const Turn turn(*this, target);
  if (!turn.taken())
    return Error{Errc::kOverloaded, fmt::format("target \"{}\" does not answer", target)};
  return look(target, Mode::kTakeCharge, deadline);
}

Status Markers::look(const std::string& target, Mode mode, SteadyTime deadline) {
  const std::string role = marker_role(parts_.mount_accessor, target);
  ASSIGN_OR_RETURN(auto pool, parts_.pool_of(target));
  ASSIGN_OR_RETURN(auto connection, pool->acquire(Use::kRevoke, deadline));
  // No lease is named so: the lock is the marker's own.
  auto rows = run_locked(*connection, lease_lock_key(role), find_marker_sql(role), deadline);
  if (!rows) {
    if (mode == Mode::kRenew) RETURN_IF_ERROR(judge_unlocked(*connection, target, deadline));
    return std::move(rows).error();
  }
  // The lock is held from here to the end, and the store is read below it.
  const bool exists = has_marker(*rows);
  const auto found = marker_in(*rows);
  auto stored = load(target);
  Status done = stored ? ok() : Status(stored.error());
  const auto reason = stored && mode == Mode::kRenew ? not_in_charge(*stored, found) : std::nullopt;
  if (done && reason) {
    done = observe(target, *stored, *reason);
  } else if (done) {
    // Revocation may go on by it even if the next one cannot be written.
    if (mode == Mode::kRenew) remember(target, *stored);
    const MarkerValue next{newest(*stored, found) + 1,
                           random_base62(parts_.random, kNonceCharacters)};
    // What is in the target now stays valid until the next one is there.
    if (found) stored->current = found;
    stored->pending = next;
    done = write(*connection, target, exists, *stored, next, deadline);
    if (done && stored->observing) done = stop_observing(target, *stored);
  }
  connection->roll_back();
  if (!done) return done;
  remember(target, *stored);
  const std::scoped_lock lock(mutex_);
  known_[target].checked_at = parts_.clock.steady();
  return ok();
}

// Without the lock nothing can be written, so that a copy could find the same; but what stands
// there says as well as ever whether somebody else took charge, and revocation needs no more.
Status Markers::judge_unlocked(Connection& connection, const std::string& target,
                               SteadyTime deadline) {
  ASSIGN_OR_RETURN(
      const Rows rows,
      connection.run(find_marker_sql(marker_role(parts_.mount_accessor, target)), deadline));
  ASSIGN_OR_RETURN(StoredMarker stored, load(target));
  if (const auto reason = not_in_charge(stored, marker_in(rows)))
    return observe(target, stored, *reason);
  remember(target, stored);
  return ok();
}

void Markers::remember(const std::string& target, const StoredMarker& stored) {
  const std::scoped_lock lock(mutex_);
  known_[target].judged = true;
  known_[target].observing = stored.observing;
}

Status Markers::write(Connection& connection, const std::string& target, bool exists,
                      const StoredMarker& stored, const MarkerValue& next, SteadyTime deadline) {
  RETURN_IF_ERROR(parts_.storage.put(storage_key(target), stored.to_json()));
  const std::string role = quote_identifier(marker_role(parts_.mount_accessor, target));
  std::string sql = exists ? "" : fmt::format("CREATE ROLE {} NOLOGIN;\n", role);
  sql += fmt::format("COMMENT ON ROLE {} IS {};\nCOMMIT", role,
                     quote_literal(dump_json(value_to_json(next))));
  auto written = connection.run(sql, deadline);
  if (written) return ok();
  // Whoever may not make roles may still have others make them; what was read still counts.
  if (connection.sqlstate() != "42501") return std::move(written).error();
  warn_unprotected(target, written.error());
  return ok();
}

Status Markers::observe(const std::string& target, StoredMarker& stored,
                        const std::string& reason) {
  const bool is_new = !stored.observing;
  if (is_new) stored.observing = Inventory::Observing{parts_.clock.wall(), reason};
  remember(target, stored);  // it holds even if it cannot be written down
  if (!is_new) return ok();
  RETURN_IF_ERROR(parts_.storage.put(storage_key(target), stored.to_json()));
  parts_.log.error("target is only observed from now on", {{"target", target}, {"reason", reason}});
  return ok();
}

// Only once the marker is written: until then nothing may be done there.
Status Markers::stop_observing(const std::string& target, StoredMarker& stored) {
  stored.observing.reset();
  RETURN_IF_ERROR(parts_.storage.put(storage_key(target), stored.to_json()));
  parts_.log.warn("target is in this server's charge again", {{"target", target}});
  return ok();
}

void Markers::warn_unprotected(const std::string& target, const Error& error) {
  {
    const std::scoped_lock lock(mutex_);
    if (std::exchange(known_[target].warned, true)) return;
  }
  parts_.log.warn("marker not written: a copy of this store could not be told from it",
                  {{"target", target},
                   {"role", marker_role(parts_.mount_accessor, target)},
                   {"error", error.message}});
}

}  // namespace curfew::engines::postgres

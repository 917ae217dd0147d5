#include "broker/auth/login_guard.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/digest.h"
#include "broker/token/cidr.h"

namespace curfew::broker {
namespace {

constexpr std::string_view kScope = "sys/config";
constexpr std::string_view kRecord = "login-limits";
constexpr Millis kAttemptsIn = Seconds{10};
constexpr Millis kFailuresIn = Seconds{60};
constexpr std::int64_t kLimitMax = 1'000'000'000;

struct Member {
  const char* name;
  std::int64_t LoginLimits::*value;
};
constexpr Member kMembers[] = {
    {"attempts_per_address", &LoginLimits::per_address},
    {"attempts_per_name", &LoginLimits::per_name},
    {"failures_per_address", &LoginLimits::failures_per_address},
    {"failures_per_name", &LoginLimits::failures_per_name},
};

// Of a bounded length, whatever somebody sends as a name.
std::string key_of(char kind, const LoginGuard::Attempt& attempt) {
  std::string key(1, kind);
  if (kind != 'A' && kind != 'a') key += sha256(attempt.mount + '\n' + attempt.name);
  if (kind != 'N') key += address_group(attempt.address);
  return key;
}

}  // namespace

Status apply_fields(const Json& data, LoginLimits& limits) {
  const Fields fields(data);
  for (const Member& member : kMembers) {
    ASSIGN_OR_RETURN(const auto value, fields.integer(member.name));
    if (!value) continue;
    if (*value < 0 || *value > kLimitMax)
      return Error{Errc::kInvalidArgument,
                   fmt::format("field \"{}\": expected a number from 0 (no limit) to {}",
                               member.name, kLimitMax)};
    limits.*member.value = *value;
  }
  return ok();
}

Json to_api(const LoginLimits& limits) {
  Json data = Json::object();
  for (const Member& member : kMembers) data[member.name] = limits.*member.value;
  return data;
}

LoginGuard::LoginGuard(store::Database& database, const store::Records& records, const Clock& clock,
                       Log& log)
    : database_(database), records_(records), clock_(clock), log_(log), limiter_(clock) {}

Status LoginGuard::load() {
  LoginLimits limits;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    const auto stored = records_.get(reader, kScope, kRecord);
    if (stored && *stored) return apply_fields(**stored, limits);
    if (stored) return ok();
    if (stored.error().code != Errc::kCorrupt) return stored.error();
    log_.error("login limits cannot be read, the defaults hold",
               {{"error", stored.error().message}});
    return ok();
  }));
  const std::scoped_lock lock(mutex_);
  limits_ = limits;
  return ok();
}

void LoginGuard::unload() {
  limiter_.forget();
  const std::scoped_lock lock(mutex_);
  limits_ = LoginLimits{};
  failures_by_name_.clear();
  order_.clear();
}

LoginLimits LoginGuard::limits() const {
  const std::scoped_lock lock(mutex_);
  return limits_;
}

Status LoginGuard::set_limits(const LoginLimits& limits) {
  RETURN_IF_ERROR(database_.write([&](store::Writer& writer) {
    return records_.put(writer, kScope, kRecord, to_api(limits));
  }));
  // A bucket is always used with one limit.
  limiter_.forget();
  const std::scoped_lock lock(mutex_);
  limits_ = limits;
  return ok();
}

// ---- one attempt --------------------------------------------------------------------------------

bool LoginGuard::take(const std::string& key, std::int64_t count, Millis interval, Seconds& wait) {
  if (count == 0) return true;
  const RateVerdict verdict =
      limiter_.take(key, {.rate = static_cast<double>(count), .interval = interval});
  if (!verdict.allowed) wait = verdict.reset;
  return verdict.allowed;
}

void LoginGuard::give_back(const std::string& key, std::int64_t count, Millis interval) {
  if (count == 0) return;
  limiter_.give_back(key, {.rate = static_cast<double>(count), .interval = interval});
}

void LoginGuard::give_failure_back(const Attempt& attempt) {
  const LoginLimits limits = this->limits();
  give_back(key_of('a', attempt), limits.failures_per_address, kFailuresIn);
  if (!attempt.name.empty()) give_back(key_of('n', attempt), limits.failures_per_name, kFailuresIn);
}

std::optional<Seconds> LoginGuard::lock_left(const Attempt& attempt) {
  if (attempt.name.empty() || attempt.lockout.threshold == 0) return std::nullopt;
  const SteadyTime now = clock_.steady();
  const std::scoped_lock lock(mutex_);
  const auto found = failures_by_name_.find({attempt.mount, attempt.name});
  if (found == failures_by_name_.end() || found->second.locked_until <= now) return std::nullopt;
  return std::max(std::chrono::ceil<Seconds>(found->second.locked_until - now), Seconds{1});
}

// A failure is counted before it happens and given back where it does not: however many try at
// once, no more than the limit come through.
std::optional<LoginGuard::Refusal> LoginGuard::admit(const Attempt& attempt) {
  const LoginLimits limits = this->limits();
  const bool named = !attempt.name.empty();
  Refusal refusal;
  bool admitted = take(key_of('A', attempt), limits.per_address, kAttemptsIn, refusal.wait);
  if (admitted) {
    if (const auto left = lock_left(attempt)) {
      refusal = {true, *left};
      admitted = false;
    }
  }
  if (admitted)
    admitted = take(key_of('a', attempt), limits.failures_per_address, kFailuresIn, refusal.wait);
  if (admitted && named &&
      !take(key_of('n', attempt), limits.failures_per_name, kFailuresIn, refusal.wait)) {
    give_back(key_of('a', attempt), limits.failures_per_address, kFailuresIn);
    admitted = false;
  }
  // What all addresses share comes last: who is refused for what he did himself takes none of it.
  if (admitted && named &&
      !take(key_of('N', attempt), limits.per_name, kAttemptsIn, refusal.wait)) {
    give_failure_back(attempt);
    admitted = false;
  }
  if (admitted) return std::nullopt;
  ++refusals_;
  return refusal;
}

void LoginGuard::succeeded(const Attempt& attempt) {
  ++successes_;
  give_failure_back(attempt);
  if (!attempt.name.empty()) unlock(attempt.mount, attempt.name);
}

void LoginGuard::undecided(const Attempt& attempt) {
  give_failure_back(attempt);
}

void LoginGuard::failed(const Attempt& attempt) {
  ++failures_;
  const Lockout& lockout = attempt.lockout;
  if (attempt.name.empty() || attempt.name.size() > kNameBytesMax || lockout.threshold == 0) return;
  const SteadyTime now = clock_.steady();
  const std::scoped_lock lock(mutex_);
  const auto [at, made] = failures_by_name_.try_emplace({attempt.mount, attempt.name});
  Failures& failures = at->second;
  if (made)
    failures.place = order_.insert(order_.end(), at->first);
  else
    order_.splice(order_.end(), order_, failures.place);
  if (now - failures.last >= lockout.counter_reset) failures.count = 0;
  failures.last = now;
  if (++failures.count >= lockout.threshold) {
    failures.count = 0;
    failures.locked_until = now + lockout.duration;
    log_.warn("name locked after failed logins",
              {{"mount", attempt.mount}, {"name", attempt.name}, {"address", attempt.address}});
  }
  // Whoever pushes another name out this way has failed very often for a few guesses more.
  if (failures_by_name_.size() > kNamesMax) {
    failures_by_name_.erase(order_.front());
    order_.pop_front();
  }
}

std::vector<LoginGuard::Locked> LoginGuard::locked() const {
  const SteadyTime now = clock_.steady();
  std::vector<Locked> out;
  const std::scoped_lock lock(mutex_);
  for (const auto& [key, failures] : failures_by_name_) {
    if (failures.locked_until > now)
      out.push_back(
          {key.first, key.second, std::chrono::ceil<Seconds>(failures.locked_until - now)});
  }
  return out;
}

void LoginGuard::unlock(const std::string& mount, const std::string& name) {
  const std::scoped_lock lock(mutex_);
  const auto found = failures_by_name_.find({mount, name});
  if (found == failures_by_name_.end()) return;
  order_.erase(found->second.place);
  failures_by_name_.erase(found);
}

}  // namespace curfew::broker

#include "engines/postgres/static_rotation.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/duration.h"
#include "engines/postgres/fence.h"
#include "engines/postgres/password_change.h"

namespace curfew::engines::postgres {
namespace {

// A change that the target may still take is waited for this much longer than its deadline.
constexpr Millis kMargin{1'000};
// What the wall clock may be wrong by before its dates are mended.
constexpr Millis kStepMin = std::chrono::minutes{1};
constexpr int kAttemptsMax = 2;
constexpr std::size_t kErrorBytesMax = 1000;

constexpr const char* kUnproven =
    "the server lets this user in from the broker's host without asking for the password, so a "
    "login proves nothing";

bool target_is_down(const Error& error) {
  return error.code == Errc::kUnavailable || error.code == Errc::kOverloaded;
}

}  // namespace

StaticRotation::StaticRotation(const Services& services, TargetPools& pools, VerifierStock& stock,
                               Markers& markers, RotationOptions options)
    : services_(services),
      pools_(pools),
      stock_(stock),
      markers_(markers),
      options_(std::move(options)) {}

Result<Turns::Turn> StaticRotation::turn(const std::string& name) {
  return turns_.take(name, options_.turn_time);
}

// Nothing that was sent before is accepted by the target after that, and what is under way there
// holds its lock.
Millis StaticRotation::undecided_time() const {
  return options_.attempt_time + kMargin;
}

void StaticRotation::step(std::string_view name) const {
  if (options_.at_step) options_.at_step(name);
}

Result<StaticRotation::Work> StaticRotation::load(const std::string& name) {
  ASSIGN_OR_RETURN(auto role, load_static_role(services_.storage, name));
  if (!role)
    return Error{Errc::kInvalidArgument, fmt::format("no static role found for role name: {}; see "
                                                     "static-roles",
                                                     name)};
  ASSIGN_OR_RETURN(auto password, load_static_password(services_.storage, name));
  ASSIGN_OR_RETURN(auto config, load_config(services_.storage, role->db_name));
  if (!config)
    return Error{Errc::kRefused, fmt::format("failed to find entry for connection with name: "
                                             "\"{}\"",
                                             role->db_name)};
  if (!config->allows(name))
    return Error{Errc::kRefused, fmt::format("\"{}\" is not an allowed role", name)};
  ASSIGN_OR_RETURN(auto pool, pools_.of(*config));
  return Work{*std::move(role), std::move(password), *std::move(config), std::move(pool)};
}

Status StaticRotation::save(const Work& work) {
  return services_.storage.put(static_password_key(work.role.name), work.password.to_json());
}

Result<Login> StaticRotation::log_in(const Work& work, const Secret& password) const {
  ASSIGN_OR_RETURN(auto settings, parse_target(work.config.name, work.config.details));
  settings.parameters["user"] = work.role.username;
  settings.password = password;
  return Connection::try_login(settings, services_.clock,
                               services_.clock.steady() + options_.login_time);
}

std::string StaticRotation::why_rejected(Work& work) const {
  const SteadyTime deadline = services_.clock.steady() + options_.login_time;
  const std::string& user = work.role.username;
  if (auto connection = work.pool->acquire(Use::kIssue, deadline)) {
    const auto account = find_account(**connection, user, deadline);
    if (account && !why_no_login(*account, user).empty()) return why_no_login(*account, user);
  }
  return fmt::format(
      "database user \"{0}\" is refused with the password that the broker knows: somebody else "
      "changed it (rotate-role/{1} sets a new one), or pg_hba.conf does not let the user in from "
      "the broker's host",
      user, work.role.name);
}

// ---- changing ---------------------------------------------------------------------------------

Status StaticRotation::rotate(const std::string& name) {
  ASSIGN_OR_RETURN(const auto held, turn(name));
  return rotate_in_turn(name);
}

Status StaticRotation::rotate_in_turn(const std::string& name) {
  ASSIGN_OR_RETURN(Work work, load(name));
  if (work.password.next) RETURN_IF_ERROR(settle(work));
  return change_and_record(work);
}

// A restored or copied store must not take a password from the server that is in charge.
Status StaticRotation::in_charge(const Work& work) const {
  return markers_.check(work.config.name, services_.clock.steady() + options_.attempt_time);
}

Status StaticRotation::change_and_record(Work& work) {
  const Status changed = change(work);
  if (changed) return ok();
  StaticPassword& password = work.password;
  Millis delay = options_.retry_first;
  for (std::int64_t i = 0; i < password.failures && delay < options_.retry_max; ++i) delay *= 2;
  ++password.failures;
  password.retry_at = services_.clock.wall() + std::min(delay, options_.retry_max);
  password.error = changed.error().message.substr(0, kErrorBytesMax);
  // What the target refused may mean that the present password is of no use either.
  const bool look = changed.error().code == Errc::kRefused && !password.next &&
                    !password.password.empty() && !password.importing;
  const Status recorded = look && look_at_current(work) ? ok() : save(work);
  services_.log.warn("static role not rotated",
                     {{"role", work.role.name},
                      {"target", work.config.name},
                      {"error", changed.error().message},
                      {"detail", changed.error().detail},
                      {"failures", std::to_string(password.failures)},
                      {"again_at", format_rfc3339(*password.retry_at)},
                      {"recorded", recorded ? "yes" : recorded.error().message}});
  return changed;
}

Status StaticRotation::change(Work& work) {
  RETURN_IF_ERROR(in_charge(work));
  const std::string policy = work.role.password_policy().empty() ? work.config.password_policy
                                                                 : work.role.password_policy();
  ASSIGN_OR_RETURN(const PasswordPair pair, stock_.take(policy, work.config.scram_iterations()));
  step("write ahead");
  work.password.next = NextPassword{pair.password, services_.clock.wall() + undecided_time()};
  const Status written = save(work);
  if (!written) {
    work.password.next.reset();
    return written;
  }
  step("change");
  const Status changed = change_at_target(work, pair);
  step("log in");
  if (!changed && changed.error().code != Errc::kInDoubt) {
    work.password.next.reset();
    return changed;
  }
  const auto login = log_in(work, pair.password);
  step("record");
  // What was in doubt has happened where the login proves it, and else is found out later.
  if (!changed && (!login || *login != Login::kAccepted)) return changed;
  if (!login)
    return Error{Errc::kUnavailable,
                 fmt::format("the password was changed, and could not be tried: {}; that is done "
                             "again soon",
                             login.error().message)};
  return judge(work, *login);
}

Status StaticRotation::change_at_target(Work& work, const PasswordPair& pair) {
  const SteadyTime deadline = services_.clock.steady() + options_.attempt_time;
  const PasswordChange change{work.role.username, work.role.rotation_statements, pair};
  for (int attempt = 1;; ++attempt) {
    ASSIGN_OR_RETURN(auto connection, work.pool->acquire(Use::kIssue, deadline));
    const Status changed = change_password(*connection, change, deadline);
    if (changed || !failed_at_fence(changed.error()) || attempt == kAttemptsMax) return changed;
  }
}

// What a login with the new password says after the target has taken it.
Status StaticRotation::judge(Work& work, Login login) {
  if (login != Login::kRejected) return promote(work, login);
  if (!work.password.password.empty()) {
    const auto before = log_in(work, work.password.password);
    if (before && *before == Login::kAccepted) {
      work.password.next.reset();
      return Error{Errc::kRefused,
                   "the rotation_statements ran and did not set the password; the one before goes "
                   "on working"};
    }
    if (!before) return before.error();
  }
  work.password.problem = why_rejected(work);
  work.password.problem_since = services_.clock.wall();
  return Error{Errc::kRefused, "the password was changed, but " + work.password.problem};
}

Status StaticRotation::promote(Work& work, Login login) {
  StaticPassword& password = work.password;
  const WallTime now = services_.clock.wall();
  const StaticPassword before = password;
  password = StaticPassword{};
  password.password = before.next->password;
  password.since = now;
  password.rotated_at = now;
  password.tried_at = now;
  if (login == Login::kUnproven) password.note = kUnproven;
  const Status saved = save(work);
  if (saved) {
    services_.log.info("static role rotated",
                       {{"role", work.role.name}, {"target", work.config.name}});
    return ok();
  }
  password = before;
  return Error{Errc::kUnavailable,
               fmt::format("the password was changed and works, and that could not be recorded "
                           "({}); the record is mended soon",
                           saved.error().message)};
}

// ---- finding out ------------------------------------------------------------------------------

// Which of two passwords is valid after a change that was interrupted. Success: `next` is decided.
Status StaticRotation::settle(Work& work) {
  StaticPassword& password = work.password;
  const WallTime now = services_.clock.wall();
  // A date that is further away was written before the clock was set back.
  const WallTime until = std::min(password.next->until, now + undecided_time());
  if (now >= until) {
    const SteadyTime deadline = services_.clock.steady() + options_.login_time;
    ASSIGN_OR_RETURN(auto connection, work.pool->acquire(Use::kIssue, deadline));
    RETURN_IF_ERROR(wait_for_changes(*connection, work.role.username, deadline));
  }
  ASSIGN_OR_RETURN(const Login login, log_in(work, password.next->password));
  if (login == Login::kAccepted) return promote(work, login);
  if (now < until) {
    if (password.next->until != until) {
      password.next->until = until;
      RETURN_IF_ERROR(save(work));
    }
    return Error{Errc::kUnavailable,
                 fmt::format("static role \"{}\": a change of the password was interrupted, and "
                             "the target may still take it until {}; try again then",
                             work.role.name, format_rfc3339(until))};
  }
  // The target did not take it and will not: it is never used again.
  if (login == Login::kUnproven) {
    password.problem =
        std::string("a rotation was interrupted, and ") + kUnproven + "; the next rotation decides";
  } else if (!password.password.empty()) {
    ASSIGN_OR_RETURN(const Login before, log_in(work, password.password));
    password.problem = before == Login::kRejected ? why_rejected(work) : "";
  } else {
    password.problem = "the first rotation was interrupted before the target took the password";
  }
  password.next.reset();
  if (!password.problem.empty()) {
    password.problem_since = now;
    password.failures = std::max<std::int64_t>(password.failures, 1);
    password.error = password.problem;
  } else {
    password.tried_at = now;
    password.problem_since.reset();
  }
  return save(work);
}

Result<StaticPassword> StaticRotation::settled(const std::string& name) {
  ASSIGN_OR_RETURN(auto password, load_static_password(services_.storage, name));
  if (!password.next) return password;
  ASSIGN_OR_RETURN(const auto held, turn(name));
  ASSIGN_OR_RETURN(Work work, load(name));
  if (work.password.next) RETURN_IF_ERROR(settle(work));
  return std::move(work.password);
}

Status StaticRotation::try_password(const StaticRole& role, StaticPassword& password) {
  ASSIGN_OR_RETURN(const auto config, load_config(services_.storage, role.db_name));
  if (!config)
    return Error{
        Errc::kInvalidArgument,
        fmt::format("failed to find entry for connection with name: \"{}\"", role.db_name)};
  ASSIGN_OR_RETURN(auto pool, pools_.of(*config));
  Work work{role, password, *config, std::move(pool)};
  ASSIGN_OR_RETURN(const Login login, log_in(work, password.password));
  if (login == Login::kRejected)
    return Error{
        Errc::kInvalidArgument,
        fmt::format("password: database user \"{}\" cannot log in with it", role.username)};
  password.tried_at = services_.clock.wall();
  if (login == Login::kUnproven) password.note = kUnproven;
  return ok();
}

Status StaticRotation::check_user(const StaticRole& role) {
  ASSIGN_OR_RETURN(const auto config, load_config(services_.storage, role.db_name));
  if (!config)
    return Error{
        Errc::kInvalidArgument,
        fmt::format("failed to find entry for connection with name: \"{}\"", role.db_name)};
  ASSIGN_OR_RETURN(auto pool, pools_.of(*config));
  const SteadyTime deadline = services_.clock.steady() + options_.login_time;
  ASSIGN_OR_RETURN(auto connection, pool->acquire(Use::kIssue, deadline));
  ASSIGN_OR_RETURN(const Account account, find_account(*connection, role.username, deadline));
  return check_account(account, role.username);
}

Status StaticRotation::look_at_current(Work& work) {
  StaticPassword& password = work.password;
  ASSIGN_OR_RETURN(const Login login, log_in(work, password.password));
  const bool worked = password.problem.empty();
  password.tried_at = services_.clock.wall();
  password.note = login == Login::kUnproven ? kUnproven : "";
  password.problem = login == Login::kRejected ? why_rejected(work) : "";
  if (login != Login::kRejected) {
    password.problem_since.reset();
  } else if (worked) {
    password.problem_since = password.tried_at;
  }
  if (worked != password.problem.empty())
    services_.log.warn(
        worked ? "static role's password does not work any more"
               : "static role's password works again",
        {{"role", work.role.name}, {"target", work.config.name}, {"problem", password.problem}});
  return save(work);
}

// ---- by the clock -----------------------------------------------------------------------------

std::optional<WallTime> StaticRotation::next_rotation(const StaticRole& role,
                                                      const StaticPassword& password) const {
  const WallTime now = services_.clock.wall();
  if (password.importing) return password.retry_at.value_or(now);
  std::optional<WallTime> due = role.rotation.due(password.since, now);
  // One that began and left no password that works is gone on with whatever the plan says.
  if (password.failures > 0 && !password.problem.empty()) due = now;
  if (due && password.retry_at) due = std::max(*due, *password.retry_at);
  return due;
}

bool StaticRotation::is_due(const StaticRole& role, const StaticPassword& password) const {
  const auto due = next_rotation(role, password);
  return due && *due <= services_.clock.wall();
}

WallTime StaticRotation::next_login(const StaticPassword& password) const {
  const Millis pause = password.problem.empty() ? options_.try_every : options_.retry_login;
  return password.tried_at.value_or(WallTime{}) + pause;
}

bool StaticRotation::is_login_due(const StaticPassword& password) const {
  return !password.password.empty() && next_login(password) <= services_.clock.wall();
}

std::optional<WallTime> StaticRotation::next_work(const StaticRole& role,
                                                  const StaticPassword& password) const {
  if (password.next) return services_.clock.wall() + options_.retry_first;
  std::optional<WallTime> next = next_rotation(role, password);
  if (!password.password.empty()) {
    const WallTime login = next_login(password);
    next = next ? std::min(*next, login) : login;
  }
  return next;
}

// Dates in the future were written before the clock was set back: the plan counts from now on, so
// that it neither waits for the old time to come again nor does anything twice.
Status StaticRotation::mend_dates(const std::string& name) {
  const WallTime now = services_.clock.wall();
  ASSIGN_OR_RETURN(StaticPassword password, load_static_password(services_.storage, name));
  if (password.since <= now + kStepMin && password.tried_at.value_or(now) <= now + kStepMin &&
      password.retry_at.value_or(now) <= now + options_.retry_max + kStepMin)
    return ok();
  ASSIGN_OR_RETURN(const auto held, turn(name));
  ASSIGN_OR_RETURN(password, load_static_password(services_.storage, name));
  password.since = std::min(password.since, now);
  if (password.tried_at) password.tried_at = std::min(*password.tried_at, now);
  if (password.retry_at) password.retry_at = std::min(*password.retry_at, now + options_.retry_max);
  services_.log.warn("the clock was set back; a static role's dates count from now on",
                     {{"role", name}});
  return services_.storage.put(static_password_key(name), password.to_json());
}

Result<StaticRotation::Outcome> StaticRotation::tend_role(const std::string& name) {
  RETURN_IF_ERROR(mend_dates(name));
  ASSIGN_OR_RETURN(Work work, load(name));
  if (const auto next = next_work(work.role, work.password);
      !work.password.next && (!next || *next > services_.clock.wall()))
    return Outcome{next, work.password.failures > 0 || !work.password.problem.empty(), false};
  ASSIGN_OR_RETURN(const auto held, turn(name));
  ASSIGN_OR_RETURN(work, load(name));
  Status done = ok();
  if (work.password.next) done = settle(work);
  if (done && is_due(work.role, work.password)) {
    done = change_and_record(work);
  } else if (done && is_login_due(work.password)) {
    done = look_at_current(work);
  }
  Outcome outcome;
  outcome.target_down = !done && target_is_down(done.error());
  ASSIGN_OR_RETURN(const auto password, load_static_password(services_.storage, name));
  outcome.failing = !done || password.failures > 0 || !password.problem.empty();
  outcome.next = next_work(work.role, password);
  if (!done && outcome.next)
    outcome.next = std::max(*outcome.next, services_.clock.wall() + options_.retry_first);
  return outcome;
}

Result<Tended> StaticRotation::tend(const std::string& target, const CallContext& context) {
  std::vector<std::string> names;
  RETURN_IF_ERROR(services_.storage.read([&](const StorageReader& reader) -> Status {
    const std::string prefix = static_users_prefix(target);
    ASSIGN_OR_RETURN(const auto users, reader.list(prefix));
    for (const std::string& user : users) {
      ASSIGN_OR_RETURN(const auto name, reader.get(prefix + user));
      if (name && name->is_string()) names.push_back(name->get<std::string>());
    }
    return ok();
  }));
  Tended tended;
  const auto again_at = [&](WallTime time) {
    tended.next = tended.next ? std::min(*tended.next, time) : time;
  };
  for (const std::string& name : names) {
    if (services_.clock.steady() >= context.deadline) {
      again_at(services_.clock.wall());
      break;
    }
    const auto outcome = tend_role(name);
    if (!outcome) {
      services_.log.warn("static role not looked after",
                         {{"role", name}, {"target", target}, {"error", outcome.error().message}});
      tended.failing = true;
      again_at(services_.clock.wall() + options_.retry_max);
      continue;
    }
    if (outcome->next) again_at(*outcome->next);
    tended.failing = tended.failing || outcome->failing;
    if (outcome->target_down) {  // the others would wait for it in vain
      again_at(services_.clock.wall() + options_.retry_first);
      break;
    }
  }
  return tended;
}

}  // namespace curfew::engines::postgres

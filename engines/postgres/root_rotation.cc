#include "engines/postgres/root_rotation.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/duration.h"
#include "base/encoding.h"
#include "engines/postgres/fence.h"
#include "engines/postgres/password_change.h"
#include "engines/postgres/scram.h"

namespace curfew::engines::postgres {
namespace {

constexpr Millis kMargin{1'000};
constexpr int kAttemptsMax = 2;
constexpr std::size_t kErrorBytesMax = 1000;

TargetConfig with_password(TargetConfig config, const Secret& password) {
  config.details["password"] = password.reveal();
  return config;
}

}  // namespace

RootRotation::RootRotation(const Services& services, TargetPools& pools, VerifierStock& stock,
                           Markers& markers, RotationOptions options)
    : services_(services),
      pools_(pools),
      stock_(stock),
      markers_(markers),
      options_(std::move(options)) {}

Result<Turns::Turn> RootRotation::turn(const std::string& target) {
  return turns_.take(target, options_.turn_time);
}

void RootRotation::step(std::string_view name) const {
  if (options_.at_step) options_.at_step(name);
}

Result<RootRotation::Work> RootRotation::load(const std::string& target) const {
  ASSIGN_OR_RETURN(auto config, load_config(services_.storage, target));
  if (!config)
    return Error{Errc::kInvalidArgument,
                 fmt::format("failed to find entry for connection with name: \"{}\"", target)};
  ASSIGN_OR_RETURN(auto settings, parse_target(config->name, config->details));
  ASSIGN_OR_RETURN(auto login, load_root_login(services_.storage, target));
  if (!login) {
    login = RootLogin{};
    login->since = services_.clock.wall();
    login->hash_key = hex_encode(random_bytes(services_.random, 32));
  }
  return Work{*std::move(config), *std::move(login), std::move(settings)};
}

Status RootRotation::save(const Work& work) {
  return services_.storage.put(root_login_key(work.config.name), work.login.to_json());
}

Result<Login> RootRotation::log_in(const Work& work, const Secret& password) const {
  TargetSettings settings = work.settings;
  settings.password = password;
  return Connection::try_login(settings, services_.clock,
                               services_.clock.steady() + options_.login_time);
}

// What would make the new password useless, or take it from somebody else.
Status RootRotation::check_rotatable(const Work& work) const {
  const std::string& target = work.config.name;
  if (work.user().empty() || work.settings.password.empty())
    return Error{Errc::kInvalidArgument,
                 fmt::format("unable to rotate root credentials: config/{} has no username and "
                             "password",
                             target)};
  const Secret other("another-password");
  ASSIGN_OR_RETURN(const auto settings,
                   parse_target(target, with_password(work.config, other).details));
  if (!(settings.password == other))
    return Error{Errc::kInvalidArgument,
                 fmt::format("unable to rotate root credentials: the connection_url of config/{} "
                             "holds the password itself; write {{{{password}}}} there",
                             target)};
  ASSIGN_OR_RETURN(const auto names, services_.storage.list("config/"));
  for (const std::string& name : names) {
    if (name == target) continue;
    ASSIGN_OR_RETURN(const auto config, load_config(services_.storage, name));
    if (!config) continue;
    const auto their = parse_target(name, config->details);
    if (their && their->address == work.settings.address &&
        their->parameters.at("user") == work.user())
      return Error{Errc::kInvalidArgument,
                   fmt::format("unable to rotate root credentials: config/{} uses the same login "
                               "and would be locked out; give each configuration its own",
                               name)};
  }
  return ok();
}

// ---- changing ---------------------------------------------------------------------------------

Status RootRotation::rotate(const std::string& target) {
  ASSIGN_OR_RETURN(const auto held, turn(target));
  ASSIGN_OR_RETURN(Work work, load(target));
  RETURN_IF_ERROR(check_rotatable(work));
  if (work.login.next) {
    RETURN_IF_ERROR(settle(work));
    ASSIGN_OR_RETURN(work, load(target));
  }
  return change_and_record(work);
}

// A restored or copied store must not take a password from the server that is in charge.
Status RootRotation::in_charge(const Work& work) const {
  return markers_.check(work.config.name, services_.clock.steady() + options_.attempt_time);
}

Status RootRotation::change_and_record(Work& work) {
  const Status changed = change(work);
  if (changed) return ok();
  RootLogin& login = work.login;
  Millis delay = options_.retry_first;
  for (std::int64_t i = 0; i < login.failures && delay < options_.retry_max; ++i) delay *= 2;
  ++login.failures;
  login.retry_at = services_.clock.wall() + std::min(delay, options_.retry_max);
  login.error = changed.error().message.substr(0, kErrorBytesMax);
  const Status recorded = save(work);
  services_.log.warn("root password not rotated",
                     {{"target", work.config.name},
                      {"error", changed.error().message},
                      {"detail", changed.error().detail},
                      {"failures", std::to_string(login.failures)},
                      {"recorded", recorded ? "yes" : recorded.error().message}});
  return changed;
}

Status RootRotation::change(Work& work) {
  RETURN_IF_ERROR(in_charge(work));
  ASSIGN_OR_RETURN(const PasswordPair pair,
                   stock_.take(work.config.password_policy, work.config.scram_iterations()));
  step("write ahead");
  work.login.next =
      NextPassword{pair.password, services_.clock.wall() + options_.attempt_time + kMargin};
  const Status written = save(work);
  if (!written) {
    work.login.next.reset();
    return written;
  }
  step("change");
  const Status changed = change_at_target(work, pair);
  step("log in");
  if (!changed && changed.error().code != Errc::kInDoubt) {
    work.login.next.reset();
    return changed;
  }
  const auto login = log_in(work, pair.password);
  step("record");
  if (login && (*login == Login::kAccepted || (changed && *login == Login::kUnproven)))
    return take_over(work);
  if (!changed) return changed;
  if (!login)
    return Error{Errc::kUnavailable,
                 fmt::format("the password was changed, and could not be tried: {}; that is done "
                             "again soon",
                             login.error().message)};
  const auto before = log_in(work, work.settings.password);
  if (before && *before == Login::kAccepted) {
    work.login.next.reset();
    return Error{Errc::kRefused,
                 "the root_rotation_statements ran and did not set the password; the one before "
                 "goes on working"};
  }
  return Error{Errc::kRefused,
               fmt::format("the target took a new password for its login \"{}\" and refuses it; "
                           "both are kept and tried again",
                           work.user())};
}

Status RootRotation::change_at_target(Work& work, const PasswordPair& pair) {
  const SteadyTime deadline = services_.clock.steady() + options_.attempt_time;
  const PasswordChange change{work.user(), work.config.root_rotation_statements, pair, true};
  ASSIGN_OR_RETURN(auto pool, pools_.of(work.config));
  for (int attempt = 1;; ++attempt) {
    ASSIGN_OR_RETURN(auto connection, pool->acquire(Use::kIssue, deadline));
    const Status changed = change_password(*connection, change, deadline);
    if (changed || !failed_at_fence(changed.error()) || attempt == kAttemptsMax) return changed;
  }
}

// The next password becomes the configuration's, and the one before is only recognised from now on.
Status RootRotation::take_over(Work& work) {
  RootLogin after = work.login;
  after.add_former(work.user(), work.settings.password);
  after.username = work.user();
  after.address = work.settings.address;
  after.since = services_.clock.wall();
  after.rotated_at = after.since;
  after.next.reset();
  after.error.clear();
  after.failures = 0;
  after.retry_at.reset();
  after.kept = Secret();
  const TargetConfig config = with_password(work.config, work.login.next->password);
  const Status stored = services_.storage.write([&](StorageWriter& writer) -> Status {
    RETURN_IF_ERROR(writer.put(config_key(config.name), config.to_json()));
    return writer.put(root_login_key(config.name), after.to_json());
  });
  if (!stored)
    return Error{Errc::kUnavailable,
                 fmt::format("the password was changed and works, and that could not be recorded "
                             "({}); the record is mended soon",
                             stored.error().message)};
  work.login = std::move(after);
  RETURN_IF_ERROR(pools_.of(config));  // connections with the old password close as they come back
  services_.log.info("root password rotated", {{"target", config.name}});
  return ok();
}

// ---- finding out ------------------------------------------------------------------------------

Status RootRotation::settle(const std::string& target) {
  ASSIGN_OR_RETURN(const auto login, load_root_login(services_.storage, target));
  if (!login || !login->next) return ok();
  ASSIGN_OR_RETURN(Work work, load(target));
  return settle(work);
}

Status RootRotation::settle(Work& work) {
  ASSIGN_OR_RETURN(const Login login, log_in(work, work.login.next->password));
  if (login == Login::kAccepted) return take_over(work);
  const WallTime now = services_.clock.wall();
  // A date that is further away was written before the clock was set back.
  const WallTime until = std::min(work.login.next->until, now + options_.attempt_time + kMargin);
  if (now >= until) return settle_after_all(work);
  if (work.login.next->until != until) {
    work.login.next->until = until;
    RETURN_IF_ERROR(save(work));
  }
  return Error{Errc::kUnavailable,
               fmt::format("target \"{}\": a change of its login's password was interrupted, and "
                           "the target may still take it until {}; try again then",
                           work.config.name, format_rfc3339(until))};
}

// The target accepts the change no more; what is under way in it still counts.
Status RootRotation::settle_after_all(Work& work) {
  ASSIGN_OR_RETURN(Login before, log_in(work, work.settings.password));
  if (before != Login::kRejected) {
    const SteadyTime deadline = services_.clock.steady() + options_.login_time;
    ASSIGN_OR_RETURN(auto pool, pools_.of(work.config));
    ASSIGN_OR_RETURN(auto connection, pool->acquire(Use::kIssue, deadline));
    RETURN_IF_ERROR(wait_for_changes(*connection, work.user(), deadline));
    ASSIGN_OR_RETURN(before, log_in(work, work.settings.password));
  }
  ASSIGN_OR_RETURN(const Login next, log_in(work, work.login.next->password));
  if (next == Login::kAccepted) return take_over(work);
  if (next == Login::kUnproven) return redo(work);
  if (before == Login::kRejected)
    return Error{Errc::kRefused,
                 fmt::format("target \"{0}\": its login is refused with the password before and "
                             "after a change; write config/{0} with one that is accepted",
                             work.config.name)};
  // The target never took it: it is never used again.
  work.login.next.reset();
  return save(work);
}

// The server asks for no password, so logins prove nothing: the same change once more does.
Status RootRotation::redo(Work& work) {
  RETURN_IF_ERROR(in_charge(work));
  const Secret& password = work.login.next->password;
  const PasswordPair pair{
      password, scram_verifier(password.reveal(), random_bytes(services_.random, kScramSaltBytes),
                               work.config.scram_iterations())};
  RETURN_IF_ERROR(change_at_target(work, pair));
  return take_over(work);
}

// ---- the configuration ------------------------------------------------------------------------

Result<std::optional<Secret>> RootRotation::rotated_password(
    const std::optional<TargetConfig>& stored, const TargetConfig& written) const {
  const std::optional<Secret> none;
  ASSIGN_OR_RETURN(const auto login, load_root_login(services_.storage, written.name));
  if (!login || login->username.empty()) return none;
  ASSIGN_OR_RETURN(const auto settings, parse_target(written.name, written.details));
  if (settings.parameters.at("user") != login->username ||
      !login->was_former(login->username, settings.password))
    return none;
  Secret present = login->kept;
  if (stored) {
    ASSIGN_OR_RETURN(const auto before, parse_target(stored->name, stored->details));
    if (before.parameters.at("user") != login->username) return none;
    present = before.password;
  } else if (settings.address != login->address) {
    return none;
  }
  if (present.empty() || present == settings.password) return none;
  ASSIGN_OR_RETURN(const auto kept,
                   parse_target(written.name, with_password(written, present).details));
  if (!(kept.password == present)) return none;  // the URL holds a password itself
  return std::optional(std::move(present));
}

Result<bool> RootRotation::is_undecided(const std::string& target) const {
  ASSIGN_OR_RETURN(const auto login, load_root_login(services_.storage, target));
  return login && login->next && services_.clock.wall() < login->next->until;
}

Status RootRotation::written(StorageWriter& writer, const TargetConfig& config) const {
  ASSIGN_OR_RETURN(const auto stored, writer.get(root_login_key(config.name)));
  if (!stored) return ok();
  ASSIGN_OR_RETURN(RootLogin login, RootLogin::from_json(*stored));
  login.next.reset();
  login.kept = Secret();
  login.error.clear();
  login.failures = 0;
  login.retry_at.reset();
  return writer.put(root_login_key(config.name), login.to_json());
}

Status RootRotation::deleted(StorageWriter& writer, const TargetConfig& config) const {
  ASSIGN_OR_RETURN(const auto stored, writer.get(root_login_key(config.name)));
  if (!stored) return ok();
  ASSIGN_OR_RETURN(RootLogin login, RootLogin::from_json(*stored));
  const auto settings = parse_target(config.name, config.details);
  const bool is_the_rotated_one = settings && login.rotated_at &&
                                  settings->parameters.at("user") == login.username &&
                                  settings->address == login.address;
  if (!is_the_rotated_one) return writer.remove(root_login_key(config.name));
  login.kept = settings->password;
  return writer.put(root_login_key(config.name), login.to_json());
}

Status RootRotation::show(const TargetConfig& config, Reply& reply) const {
  const auto shown = [](const std::optional<WallTime>& time) {
    return time ? Json(format_rfc3339(*time)) : Json(nullptr);
  };
  ASSIGN_OR_RETURN(const auto login, load_root_login(services_.storage, config.name));
  if (!config.rotation.is_on_demand()) config.rotation.show(reply.data);
  if (!login) return ok();
  const WallTime now = services_.clock.wall();
  reply.data["last_root_rotation"] = shown(login->rotated_at);
  reply.data["next_root_rotation"] = shown(config.rotation.due(login->since, now));
  reply.data["root_rotation_error"] = login->error;
  if (!login->error.empty())
    reply.warnings.push_back("the last rotation of the root password failed: " + login->error);
  if (login->next)
    reply.warnings.push_back(
        "a rotation of the root password is under way, or was interrupted and is being decided");
  return ok();
}

// ---- by the clock -----------------------------------------------------------------------------

std::optional<WallTime> RootRotation::due(const Work& work) const {
  const WallTime now = services_.clock.wall();
  std::optional<WallTime> due = work.config.rotation.due(work.login.since, now);
  if (due && work.login.retry_at) due = std::max(*due, *work.login.retry_at);
  return due;
}

// A plan counts from when it is first seen. Dates in the future are from before the clock was set
// back, and count from now on.
Status RootRotation::mend_dates(Work& work) {
  const WallTime now = services_.clock.wall();
  ASSIGN_OR_RETURN(const auto stored, load_root_login(services_.storage, work.config.name));
  const WallTime retry_max = now + options_.retry_max;
  if (stored && stored->since <= now && stored->retry_at.value_or(now) <= retry_max) return ok();
  work.login.since = std::min(work.login.since, now);
  if (work.login.retry_at) work.login.retry_at = std::min(*work.login.retry_at, retry_max);
  return save(work);
}

Result<Tended> RootRotation::tend(const std::string& target) {
  ASSIGN_OR_RETURN(const auto held, turn(target));
  ASSIGN_OR_RETURN(Work work, load(target));
  const WallTime now = services_.clock.wall();
  if (work.login.next) {
    const Status settled = settle(work);
    if (!settled) {
      services_.log.warn("interrupted rotation of a root password not decided yet",
                         {{"target", target}, {"error", settled.error().message}});
      return Tended{now + options_.retry_first, true};
    }
    ASSIGN_OR_RETURN(work, load(target));
  }
  if (work.config.rotation.is_on_demand()) return Tended{std::nullopt, false};
  RETURN_IF_ERROR(mend_dates(work));
  if (const auto next = due(work); !next || *next > now)
    return Tended{next, work.login.failures > 0};
  Status rotated = check_rotatable(work);
  if (rotated) rotated = change_and_record(work);
  if (!rotated) return Tended{now + options_.retry_first, true};
  return Tended{due(work), false};
}

}  // namespace curfew::engines::postgres

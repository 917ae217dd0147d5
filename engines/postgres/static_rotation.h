#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "engines/engine.h"
#include "engines/postgres/config.h"
#include "engines/postgres/marker.h"
#include "engines/postgres/static_role.h"
#include "engines/postgres/target_pools.h"
#include "engines/postgres/turns.h"
#include "engines/postgres/verifier_stock.h"

namespace curfew::engines::postgres {

// How passwords of static roles and of logins are changed.
struct RotationOptions {
  Millis attempt_time{10'000};                   // one change, at the target
  Millis login_time{5'000};                      // one login that is tried
  Millis turn_time{3'000};                       // waiting for a change of the same password
  Millis retry_first{10'000};                    // doubled after every failure,
  Millis retry_max = std::chrono::minutes{5};    // and capped here, for ever
  Millis try_every = std::chrono::hours{1};      // a login with the password, to find drift
  Millis retry_login = std::chrono::minutes{1};  // the same while it does not work
  // For tests: called before each step; what it throws is a crash there, with nothing tidied up.
  std::function<void(std::string_view step)> at_step = {};
};

// Changes the passwords of static roles.
//
// Crash-safe: the new password is stored before the target sees it, and the old one is forgotten
// only after a login with the new one. In between nobody is given either; a login finds out which
// of them is valid, after a crash as well. One change at a time for each role. Thread-safe.
class StaticRotation {
 public:
  // The references outlive this.
  StaticRotation(const Services& services, TargetPools& pools, VerifierStock& stock,
                 Markers& markers, RotationOptions options);

  // Whoever changes what is stored of a static role has its turn. kOverloaded: it takes too long.
  Result<Turns::Turn> turn(const std::string& name);

  // Changes the password now. Blocks for attempt_time and a login. When it fails, what failed is on
  // the role's record; kRefused and kUnavailable without a next password there: nothing changed.
  Status rotate(const std::string& name);
  // The same for who has the turn.
  Status rotate_in_turn(const std::string& name);

  // The role's password with nothing undecided about it. Where a change was interrupted this finds
  // out, which may block for a login or two. kUnavailable: which one is valid is not known yet.
  Result<StaticPassword> settled(const std::string& name);

  // Tries a password that somebody else set. kInvalidArgument: it does not log in.
  Status try_password(const StaticRole& role, StaticPassword& password);
  // kRefused: the user does not exist, is leased or the broker's own.
  Status check_user(const StaticRole& role);

  // Does what is due for the static roles of a target: changes, interrupted changes, and logins
  // that find passwords which no longer work.
  Result<Tended> tend(const std::string& target, const CallContext& context);

  // When the password is changed next; nullopt: on demand.
  std::optional<WallTime> next_rotation(const StaticRole& role,
                                        const StaticPassword& password) const;

 private:
  struct Work {
    StaticRole role;
    StaticPassword password;
    TargetConfig config;
    std::shared_ptr<Pool> pool;
  };
  struct Outcome {
    std::optional<WallTime> next;
    bool failing = false;
    bool target_down = false;
  };

  Result<Work> load(const std::string& name);
  Status save(const Work& work);
  void step(std::string_view name) const;
  Millis undecided_time() const;
  Result<Login> log_in(const Work& work, const Secret& password) const;
  Status in_charge(const Work& work) const;
  Status change(Work& work);
  Status change_at_target(Work& work, const PasswordPair& pair);
  Status judge(Work& work, Login login);
  Status settle(Work& work);
  Status promote(Work& work, Login login);
  Status change_and_record(Work& work);
  // Logs in with the present password, and stores what that says about it, with the rest of `work`.
  Status look_at_current(Work& work);
  std::string why_rejected(Work& work) const;
  bool is_due(const StaticRole& role, const StaticPassword& password) const;
  bool is_login_due(const StaticPassword& password) const;
  WallTime next_login(const StaticPassword& password) const;
  std::optional<WallTime> next_work(const StaticRole& role, const StaticPassword& password) const;
  Status mend_dates(const std::string& name);
  Result<Outcome> tend_role(const std::string& name);

  const Services& services_;
  TargetPools& pools_;
  VerifierStock& stock_;
  Markers& markers_;
  const RotationOptions options_;
  Turns turns_;
};

}  // namespace curfew::engines::postgres

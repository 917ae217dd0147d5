#pragma once

#include <optional>
#include <string>

#include "engines/engine.h"
#include "engines/postgres/config.h"
#include "engines/postgres/marker.h"
#include "engines/postgres/root_login.h"
#include "engines/postgres/static_rotation.h"
#include "engines/postgres/target_pools.h"
#include "engines/postgres/turns.h"
#include "engines/postgres/verifier_stock.h"

namespace curfew::engines::postgres {

// Changes the password of the login that a configuration names, so that nobody but the broker
// knows it.
//
// Crash-safe as StaticRotation is: the next password is stored first, and takes the place of the
// old one after a login with it. Sessions that are open go on. Who writes or deletes the
// configuration takes the same turn. Thread-safe.
class RootRotation {
 public:
  // The references outlive this.
  RootRotation(const Services& services, TargetPools& pools, VerifierStock& stock, Markers& markers,
               RotationOptions options);

  // kOverloaded: somebody else has it for too long.
  Result<Turns::Turn> turn(const std::string& target);

  // Changes the password now. Blocks for attempt_time and some logins.
  Status rotate(const std::string& target);

  // Finds out which password is valid where a change was interrupted; for who has the turn.
  // Success: one of them is. kUnavailable: it is not known yet. kRefused: neither is.
  Status settle(const std::string& target);
  // Whether an interrupted change may still happen at the target by itself.
  Result<bool> is_undecided(const std::string& target) const;

  // The present password, where a write names one from before a rotation, as configuration managers
  // do; nullopt: it does not. `stored`: the configuration before the write.
  Result<std::optional<Secret>> rotated_password(const std::optional<TargetConfig>& stored,
                                                 const TargetConfig& written) const;

  // Inside the transaction that stores a configuration with a password that was given and has
  // logged in, or that deletes a configuration.
  Status written(StorageWriter& writer, const TargetConfig& config) const;
  Status deleted(StorageWriter& writer, const TargetConfig& config) const;

  // Adds to what a read of the configuration shows.
  Status show(const TargetConfig& config, Reply& reply) const;

  // Changes what is due by the configuration's plan, and finishes what was interrupted.
  Result<Tended> tend(const std::string& target);

 private:
  struct Work {
    TargetConfig config;
    RootLogin login;
    TargetSettings settings;  // with the present password
    const std::string& user() const { return settings.parameters.at("user"); }
  };

  Result<Work> load(const std::string& target) const;
  Status save(const Work& work);
  void step(std::string_view name) const;
  Result<Login> log_in(const Work& work, const Secret& password) const;
  Status check_rotatable(const Work& work) const;
  Status change_and_record(Work& work);
  Status in_charge(const Work& work) const;
  Status change(Work& work);
  Status change_at_target(Work& work, const PasswordPair& pair);
  Status settle(Work& work);
  Status settle_after_all(Work& work);
  Status redo(Work& work);
  Status take_over(Work& work);
  std::optional<WallTime> due(const Work& work) const;
  Status mend_dates(Work& work);

  const Services& services_;
  TargetPools& pools_;
  VerifierStock& stock_;
  Markers& markers_;
  const RotationOptions options_;
  Turns turns_;
};

}  // namespace curfew::engines::postgres

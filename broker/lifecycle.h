#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/timed_lock.h"
#include "broker/root_generation.h"
#include "store/barrier.h"
#include "store/rekey.h"
#include "store/seal.h"
#include "store/sql.h"

namespace curfew::broker {

struct Initialized {
  std::vector<Secret> shares;  // raw bytes
  bool recovery = false;       // they are of a recovery key: the seal opens by itself
  Secret root_token;
};

// From no keys, to keys, to serving, and back: the one place that knows the order. Thread-safe.
class Lifecycle {
 public:
  struct Hooks {
    std::function<Status()> unsealed;  // brings up what needs the keys; an error seals again
    std::function<void()> sealing;  // the keys are about to go: begin nothing more; must not wait
    std::function<void()> sealed;   // they are gone: wait for what was under way, forget the rest
  };
  // REQUIRES: set_hooks() before anything else. All references outlive this object.
  Lifecycle(store::Seal& seal, store::Database& database, const store::Barrier& barrier,
            const Clock& clock, Random& random, Log& log);
  void set_hooks(Hooks hooks);

  // Makes the keys and the first root token (`root_token`, or a random one). See
  // Seal::initialize().
  Result<Initialized> initialize(int shares, int threshold, const Secret& root_token = {});

  // Gives one share. See Seal::unseal(). As initialize() and reset_unseal(), kUnavailable: another
  // change has been waiting for the key's holder for seconds.
  Result<store::SealStatus> unseal(const Secret& share, bool migrate = false);
  Status reset_unseal();

  // Opens a seal that opens by itself; does nothing for one that does not, or that has no keys yet.
  Status start();

  // Zeroes the keys; requests are refused from here on.
  void seal();

  Result<store::SealStatus> status() const;

  // What the holders of key shares do together while it is unsealed; sealing ends their attempts.
  store::Rekey& rekey() { return rekey_; }
  RootGeneration& root_generation() { return root_generation_; }
  // See Seal::make_recovery_keys().
  Result<std::vector<Secret>> make_recovery_keys(const store::ShareNumbers& numbers);

  Result<std::string> store_id() const { return seal_.store_id(); }
  bool is_serving() const { return serving_.load(); }

 private:
  Result<std::unique_lock<TimedLock>> turn();
  Status bring_up();

  store::Seal& seal_;
  const Clock& clock_;
  Random& random_;
  Log& log_;
  store::Rekey rekey_;
  RootGeneration root_generation_;
  Hooks hooks_;
  TimedLock mutex_;  // one change at a time
  std::atomic<bool> serving_{false};
};

}  // namespace curfew::broker

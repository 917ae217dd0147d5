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
#include "store/seal.h"

namespace curfew::broker {

struct Initialized {
  std::vector<Secret> shares;  // raw bytes; none where the seal opens by itself
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
  // REQUIRES: set_hooks() before anything else.
  Lifecycle(store::Seal& seal, const Clock& clock, Random& random, Log& log);
  void set_hooks(Hooks hooks);

  // Makes the keys and the first root token (`root_token`, or a random one). See
  // Seal::initialize().
  Result<Initialized> initialize(int shares, int threshold, const Secret& root_token = {});

  // Gives one share. See Seal::unseal().
  Result<store::SealStatus> unseal(const Secret& share);
  void reset_unseal();

  // Opens a seal that opens by itself; does nothing for one that does not, or that has no keys yet.
  Status start();

  // Zeroes the keys; requests are refused from here on.
  void seal();

  Result<store::SealStatus> status() const;
  Result<std::string> store_id() const { return seal_.store_id(); }
  bool is_serving() const { return serving_.load(); }

 private:
  Status bring_up();

  store::Seal& seal_;
  const Clock& clock_;
  Random& random_;
  Log& log_;
  Hooks hooks_;
  std::mutex mutex_;  // one change at a time
  std::atomic<bool> serving_{false};
};

}  // namespace curfew::broker

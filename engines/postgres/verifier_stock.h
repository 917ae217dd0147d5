#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "engines/engine.h"

namespace curfew::engines::postgres {

// A password and what the target is told of it.
struct PasswordPair {
  Secret password;
  std::string verifier;
};

// Passwords with their verifiers, some of them made ahead of time in a thread of its own, because
// one verifier costs a millisecond or more of CPU. Only passwords of the default policy are kept
// ready: a named policy may be changed at any moment, and the next password must obey it.
//
// Thread-safe. The thread starts with the first take() and is joined by the destructor, which
// waits for one verifier at most.
class VerifierStock {
 public:
  // The references outlive the stock. At most `ready_max` pairs are kept for each count of
  // iterations.
  VerifierStock(PasswordMaker& passwords, Random& random, Log& log, std::size_t ready_max = 16);
  ~VerifierStock();
  VerifierStock(const VerifierStock&) = delete;
  VerifierStock& operator=(const VerifierStock&) = delete;

  // A fresh pair, never given out before. `policy` as in PasswordMaker::make. kInvalidArgument: the
  // policy makes passwords with characters that are not printable ASCII.
  // REQUIRES: 1 <= iterations <= kScramIterationsMax.
  Result<PasswordPair> take(std::string_view policy, int iterations);

  // How many pairs are ready now; for tests.
  std::size_t ready() const;

 private:
  Result<PasswordPair> make(std::string_view policy, int iterations);
  void refill();

  PasswordMaker& passwords_;
  Random& random_;
  Log& log_;
  const std::size_t ready_max_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::map<int, std::deque<PasswordPair>> ready_;  // by iterations; guarded by mutex_
  bool stopping_ = false;                          // guarded by mutex_
  bool making_fails_ = false;                      // guarded by mutex_; cleared by take()
  std::thread thread_;                             // started under mutex_
};

}  // namespace curfew::engines::postgres

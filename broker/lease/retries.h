#pragma once

#include <condition_variable>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "base/secret.h"
#include "broker/lease/lease_service.h"
#include "broker/lease/lease_store.h"
#include "broker/lease/lockdown.h"
#include "broker/request.h"
#include "store/barrier.h"

namespace curfew::broker {

struct RetryOptions {
  // An answer that was lost waits so long for an identical request before its lease is revoked; 0:
  // not at all.
  Millis window = Seconds{10};
  // How long an Idempotency-Key stands for the lease of its first request.
  Millis key_window = std::chrono::minutes{10};
  std::size_t waiters_max = 16;  // requests that may wait for another one's outcome
  // Answers that are kept for retries; beyond either the oldest is forgotten.
  std::size_t answers_max = 10'000;
  std::size_t answer_bytes_max = 16 * 1024 * 1024;
};

// Makes a request and its retries end in one lease. What says which lease a key stands for, and
// when the lease of a lost answer ends, is in the store; the answers themselves are in memory
// alone. Thread-safe.
class Retries {
 public:
  Retries(LeaseStore& store, LeaseService& leases, const Lockdowns& lockdowns,
          const store::Barrier& barrier, const Clock& clock, Log& log,
          std::function<void()> lease_due, RetryOptions options);

  // Issues a lease, or gives the answer of an earlier attempt again:
  // - With an Idempotency-Key, while the first attempt's lease lives and the key's window lasts.
  //   An attempt that still runs is waited for. Where the answer is not in memory any more, the
  //   first lease is ended and a new one issued in its place. kInvalidArgument: the key was used
  //   with other parameters. kOverloaded: too many wait, or the first lease could not be ended yet.
  //   A request whose answer is to be wrapped is answered anew each time, in the same way.
  // - Without one, where an identical request's client has hung up.
  // kPermissionDenied: a lockdown began since.
  Result<Response> issue(IssueCall call);

  // The answer was not delivered. Unless another answer with the same lease was, the lease is
  // revoked when the window has passed without a retry.
  void lost(const Response& response);

  // Forgets all answers: the broker is being sealed.
  void forget();

 private:
  struct Identity {
    std::string key;          // what attempts at the same thing have in common
    std::string fingerprint;  // of the parameters, where the caller chose the key
    bool chosen = false;
  };
  struct Answer {
    std::string lease_id;
    Secret data;
    std::vector<std::string> warnings;
    std::shared_ptr<Deliveries> deliveries;
  };
  struct Attempt {
    Identity identity;
    std::function<bool()> is_abandoned;
    // Guarded by mutex_.
    bool running = true;
    std::optional<Answer> answer;
    WallTime replay_until;
    std::size_t bytes = 0;  // accounted for, while it is in order_
    std::list<std::string>::iterator place;
  };
  using AttemptPointer = std::shared_ptr<Attempt>;

  Result<Identity> identify(const IssueCall& call) const;
  Result<Response> run(IssueCall& call, const AttemptPointer& attempt);
  Status end_earlier(const Identity& identity);
  Result<std::optional<Response>> replay(const Identity& identity, const Answer& answer);
  Status wait_for(std::unique_lock<std::mutex>& lock, const Attempt& attempt, SteadyTime give_up);
  void keep(const AttemptPointer& attempt, WallTime until);
  void drop(const std::string& key);
  void drop_answer(const std::string& key, const std::string& lease_id);

  LeaseStore& store_;
  LeaseService& leases_;
  const Lockdowns& lockdowns_;
  const store::Barrier& barrier_;
  const Clock& clock_;
  Log& log_;
  const std::function<void()> lease_due_;
  const RetryOptions options_;

  std::mutex mutex_;
  std::condition_variable finished_;
  // Guarded by mutex_.
  std::map<std::string, AttemptPointer> attempts_;  // by key: those that run, and kept answers
  std::list<std::string> order_;                    // keys of kept answers, the oldest first
  std::size_t bytes_ = 0;
  std::size_t waiters_ = 0;
};

}  // namespace curfew::broker

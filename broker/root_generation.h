#pragma once

#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "store/barrier.h"
#include "store/seal.h"
#include "store/share_attempt.h"
#include "store/sql.h"

namespace curfew::broker {

// Makes a root token when the people that hold key shares ask for it together, for when nobody has
// one any more. The token leaves the server under a one-time password that whoever began the
// attempt knows, so that the one who gives the last share does not learn it. In memory alone.
//
// Thread-safe.
class RootGeneration {
 public:
  struct Progress {
    bool started = false;
    std::string nonce;
    int progress = 0;
    int required = 0;
  };

  // References outlive this object.
  RootGeneration(store::Seal& seal, store::Database& database, const store::Barrier& barrier,
                 const Clock& clock, Random& random, Log& log);

  // How long a one-time password is.
  static std::size_t pad_length();

  // kPreconditionFailed as Seal::holders(); kUnavailable.
  Result<Progress> progress() const;

  // `password`: see parse_pad(); empty: a random one is made and returned. kInvalidArgument: the
  // password, or an attempt is under way; the errors of progress().
  Result<Secret> begin(const Secret& password);

  void cancel();

  // Takes one share. With the last one: the token under the one-time password. kInvalidArgument: no
  // attempt, another nonce, not the shares (begin again with the first one). Errors of the database
  // end the attempt.
  Result<std::optional<std::string>> give(const std::string& nonce, const Secret& share);

 private:
  Result<std::string> make_token(const Secret& pad);  // called with mutex_ held

  store::Seal& seal_;
  store::Database& database_;
  const store::Barrier& barrier_;
  const Clock& clock_;
  Random& random_;
  Log& log_;

  mutable std::mutex mutex_;  // protects what follows
  store::ShareAttempt attempt_;
  Secret pad_;
};

}  // namespace curfew::broker

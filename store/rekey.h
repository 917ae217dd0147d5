#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "store/seal.h"
#include "store/share_attempt.h"

namespace curfew::store {

// Replaces the shares that people hold by new ones: those of the seal's key or, where the seal
// opens by itself, of the recovery key. The root key stays, so nothing else is written anew. The
// present shares are asked for; the new ones are in force at once or, with verification, when
// enough of them have been given back. Attempts are in memory alone: a stop ends them.
//
// Thread-safe.
class Rekey {
 public:
  struct Progress {
    bool started = false;
    std::string nonce;               // of the attempt
    ShareNumbers wanted;             // of the new shares
    int progress = 0;                // present shares given so far
    int required = 0;                // how many it takes; 0: nobody holds any
    bool verifies = false;           // whether new shares have to be given back
    std::string verification_nonce;  // while they are waited for
    int verified = 0;                // new shares given back so far
  };

  // References outlive this object.
  Rekey(Seal& seal, Random& random, Log& log);

  // kUnavailable: the database cannot be read.
  Result<Progress> progress() const;

  // kInvalidArgument: an attempt is under way, or check_share_numbers(); kPreconditionFailed as
  // Seal::holders().
  Result<Progress> begin(const ShareNumbers& wanted, bool verifies);

  // Ends the attempt; the present shares stay in force.
  void cancel();

  // Takes one present share. With the last one: the new shares, 33 raw bytes each, given out this
  // once. kInvalidArgument: no attempt, another nonce, not the present shares (begin again with the
  // first one). The errors of Seal::replace_shares() end the attempt.
  struct Given {
    std::optional<std::vector<Secret>> shares;
    std::string verification_nonce;  // empty: they are in force
    std::string doubt;               // why it is not certain whether they are; empty: it is
  };
  Result<Given> give(const std::string& nonce, const Secret& share);

  // Takes one new share; true: that was the last, and the new shares are in force. Errors as
  // give(), also where no verification is waited for.
  Result<bool> verify(const std::string& nonce, const Secret& share);

  // Forgets the new shares given back so far, under a new nonce. kInvalidArgument as verify().
  Status restart_verification();

 private:
  // Called with mutex_ held.
  Result<std::vector<Secret>> finish(const Secret& key, std::string& doubt);
  void end();

  Seal& seal_;
  Random& random_;
  Log& log_;

  mutable std::mutex mutex_;  // protects what follows
  ShareAttempt present_;
  ShareNumbers wanted_;
  bool verifies_ = false;
  ShareAttempt verification_;
  std::optional<Seal::NewShares> made_;  // without its shares, while it waits for verification
};

}  // namespace curfew::store

#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "broker/identity/identities.h"
#include "broker/lease/lease_store.h"
#include "broker/lease/lockdown.h"
#include "broker/request.h"
#include "broker/token/token_store.h"
#include "broker/wrapping/wrapped_response.h"
#include "store/barrier.h"
#include "store/records.h"
#include "store/sql.h"

namespace curfew::broker {

// Answers that wait behind wrapping tokens: orphans of a single use that can do nothing but open
// theirs. An answer is a sealed record under its token's row id, made and taken away in the same
// transaction as the token: it is given out once, or what it held is ended with the token (settle).
// Thread-safe. A mutating call is durable when it returns success.
class Wraps {
 public:
  // Of an entity of this namespace or of one above; nullptr: there is none.
  using FindStanding =
      std::function<Result<std::shared_ptr<const Standing>>(const std::string& entity_id)>;

  Wraps(store::Database& database, const store::Records& records, const store::Barrier& barrier,
        TokenStore& tokens, LeaseStore& leases, const Lockdowns& lockdowns,
        FindStanding find_standing, const Clock& clock, Random& random, Log& log);

  // Puts `response`, which answers `request` of `by`, away for at most `ttl`; gives the answer that
  // tells of it. kTooLarge: it has more than kWrappedBytesMax. After an error nobody can get at it
  // any more: take back what it holds.
  Result<Response> wrap(const Request& request, const engines::Attribution& by, Millis ttl,
                        Response response);

  // Puts nothing away yet: the token stands for what people have to approve first. Gives the answer
  // that tells of it.
  Result<Response> promise(const Request& request, const engines::Attribution& by, Millis ttl,
                           const std::string& approval_id);
  // The approval request that a wrapping token, or the one of an accessor, stands for; nullopt: it
  // has an answer behind it. Errors as of open().
  Result<std::optional<std::string>> promised(const Secret& token) const;
  Result<std::optional<std::string>> promised_by(const std::string& accessor) const;
  // Spends a token whose promise was kept.
  Status keep_promise(const Secret& token);

  // The answer behind a token, which is spent by this. kInvalidArgument: not a wrapping token, or
  // a spent one; or the lease or token in the answer has ended meanwhile. kPermissionDenied: its
  // lease is locked down, or who asked for the answer, whom its token is for, or the human they act
  // for may not act any more.
  Result<Response> open(const Secret& token);

  // Puts the answer behind a token of its own, and spends the old one. `ttl`: the shorter of this
  // and the old one's counts. Errors as of open().
  Result<Response> rewrap(const Secret& token, std::optional<Millis> ttl);

  // What is known of the answer without opening it: path, time and TTL of its wrapping. Errors as
  // of open().
  Result<Json> look_up(const Secret& token) const;

  // Called for a token of this row id that has ended, any number of times: the lease or token in
  // an answer that was not given out ends as of `now`.
  Status settle(const std::string& token, WallTime now);

 private:
  struct Found {
    Token token;
    WrappedResponse wrapped;
  };
  Result<Found> find(const store::Reader& reader, const Secret& token) const;
  Result<Found> find(const Secret& token) const;
  Status check_lives(const WrappedResponse& wrapped) const;
  Status check_may_act(const std::string& entity_id) const;
  Status spend(store::Writer& writer, const Token& token);
  Result<WrapInfo> put(store::Writer& writer, const WrappedResponse& wrapped);

  store::Database& database_;
  const store::Records& records_;
  const store::Barrier& barrier_;
  TokenStore& tokens_;
  LeaseStore& leases_;
  const Lockdowns& lockdowns_;
  const FindStanding find_standing_;
  const Clock& clock_;
  Random& random_;
  Log& log_;
};

// What open() and the others say of a token that is none of theirs, in Vault's words.
Error no_wrapping_token();

// Policy of wrapping tokens. No other token can have it.
inline constexpr const char* kWrappingPolicy = "response-wrapping";

}  // namespace curfew::broker

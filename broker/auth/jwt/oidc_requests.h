#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "broker/auth/login.h"

namespace curfew::broker::jwt {

// A login through the browser that has begun and is not over.
struct OidcRequest {
  std::string role;
  std::string redirect_uri;
  std::string nonce;         // must come back in the ID token
  Secret code_verifier;      // of which the provider has the hash (PKCE)
  std::string client_nonce;  // what the client must know at the end; may be empty
  bool polled = false;       // the client asks for the outcome by poll()
  std::string address = {};  // of who began it; see address_group()
};

// The logins under way, by their state. In memory: after a restart they begin again. Each ends
// within five minutes, is good for one answer, and only so many are kept, few of one address:
// beyond that none begins, so that nobody pushes out what others have begun. Thread-safe.
class OidcRequests {
 public:
  OidcRequests(const Clock& clock, Random& random) : clock_(clock), random_(random) {}

  struct Begun {
    std::string state;
    OidcRequest request;  // with nonce and code_verifier
  };
  // kQuotaExceeded: too many from this address. kOverloaded: too many from all.
  Result<Begun> begin(OidcRequest request);

  // Takes the request out: an answer of the provider is tried once. nullopt: unknown, over, or
  // too old.
  std::optional<OidcRequest> take(const std::string& state);

  // The outcome of a polled request, kept until it is fetched or five minutes have passed.
  void finish(const std::string& state, Result<std::shared_ptr<const Login>> outcome);

  // nullptr: not over yet. The outcome is given once. kInvalidArgument: the state is unknown or too
  // old, or `client_nonce` is not the one that the request began with. Also the outcome's error.
  Result<std::shared_ptr<const Login>> poll(const std::string& state,
                                            const std::string& client_nonce);

 private:
  struct Entry {
    OidcRequest request;
    SteadyTime until;
    bool answered = false;  // the provider's answer has come
    std::optional<Result<std::shared_ptr<const Login>>> outcome = {};
  };

  using Entries = std::map<std::string, Entry>;

  // REQUIRES: mutex_ is held.
  Status make_room(const std::string& address);
  Entries::iterator find(const std::string& state);
  Entries::iterator erase(Entries::iterator at);

  const Clock& clock_;
  Random& random_;
  std::mutex mutex_;
  Entries entries_;                                  // by state; guarded by mutex_
  std::map<std::string, std::size_t> of_addresses_;  // how many of entries_; likewise
};

}  // namespace curfew::broker::jwt

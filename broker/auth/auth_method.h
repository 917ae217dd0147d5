#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "broker/auth/login.h"
#include "broker/backend.h"
#include "engines/engine.h"
#include "store/barrier.h"

namespace curfew::broker {

// What a method is given. All references outlive it.
struct AuthServices {
  std::string mount_accessor;
  Json options;  // the mount's options, an object of strings
  engines::MountStorage& storage;
  const store::Barrier& barrier;  // for keyed hashes of what is compared and never shown
  const Clock& clock;
  Random& random;
  Log& log;
  // To be called when who logged in by this alias is removed, before and after: the next one of
  // that name is somebody else. May block on the store, so not inside a write of `storage`.
  std::function<Status(const std::string& alias)> retire_login = {};
};

// A way to log in, at work at auth/<path>/. Its paths are a Backend's; one that logs somebody in
// is `unauthenticated` and answers with Response::login, of which the broker makes a token with an
// identity behind it.
//
// What an unauthenticated caller can learn from an answer, and from the time it takes, must be the
// same whether a name exists or not.
//
// Thread-safety: every method may be called from several threads at once. Blocking: handlers may
// wait for the network within bounds of their own (10 s altogether); nothing else may.
class AuthMethod : public Backend {
 public:
  virtual std::string_view type() const = 0;

  // Asked when a token that this method gave is to be renewed: the rules as they are now. An error
  // refuses (the role is gone, the certificate is another one, …). `renewal` is Login::renewal.
  virtual Result<TokenRules> renew(const Json& renewal, const Request& request) const = 0;

  // As whom an attempt tries to log in, before anything is looked at: attempts and failures are
  // counted by it, for names that do not exist as well. Empty: the method has no names.
  virtual std::string login_name(const BackendCall&) const { return {}; }

  // Whether a name is shut after failed logins where the mount's settings do not say. Only where
  // secrets can be guessed: whoever knows a name can shut it.
  virtual bool locks_names() const { return false; }

  // What a clean-up now and then removes: expired secret ids and the like. Called every few
  // minutes; bounded work.
  virtual Status tidy() { return ok(); }
};

// The methods that can be mounted, by type. Filled at the start; thread-safe afterwards.
class AuthRegistry {
 public:
  using Factory = std::function<Result<std::unique_ptr<AuthMethod>>(AuthServices)>;

  void add(std::string type, Factory factory) { factories_[std::move(type)] = std::move(factory); }
  // nullptr: there is none.
  const Factory* find(std::string_view type) const {
    const auto it = factories_.find(type);
    return it == factories_.end() ? nullptr : &it->second;
  }

 private:
  std::map<std::string, Factory, std::less<>> factories_;
};

}  // namespace curfew::broker

#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "broker/auth/jwt/jws.h"
#include "broker/auth/remote_value.h"

namespace curfew::broker::jwt {

// Where the keys of an issuer come from. Thread-safe.
class KeySource {
 public:
  virtual ~KeySource() = default;

  // The claims of a token that one of the keys has signed; see Jws::verify(). Also kUnavailable:
  // the keys cannot be had; kOverloaded.
  virtual Result<Json> verify(const Jws& jws, const std::vector<Algorithm>& allowed) = 0;
};

// Keys that are given.
class StaticKeys final : public KeySource {
 public:
  explicit StaticKeys(Keys keys) : keys_(std::move(keys)) {}
  Result<Json> verify(const Jws& jws, const std::vector<Algorithm>& allowed) override {
    return jws.verify(keys_, allowed);
  }

 private:
  const Keys keys_;
};

// Keys that the issuer publishes and changes: a token that none of them has signed asks for them
// again, but not more often than the limits say, so that forgers cause no traffic.
class RemoteKeys final : public KeySource {
 public:
  RemoteKeys(std::function<Result<Keys>()> fetch, const Clock& clock, RemoteLimits limits = {})
      : keys_(std::move(fetch), clock, limits) {}
  Result<Json> verify(const Jws& jws, const std::vector<Algorithm>& allowed) override;

 private:
  RemoteValue<Keys> keys_;
};

}  // namespace curfew::broker::jwt

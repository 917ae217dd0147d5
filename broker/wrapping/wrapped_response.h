#pragma once

#include <string>

#include "base/clock.h"
#include "base/json.h"
#include "broker/request.h"

namespace curfew::broker {

// An answer that waits behind a wrapping token, with what must be known of it to look it up and to
// take it back.
struct WrappedResponse {
  Response response;
  std::string request_id;     // of the request that it answers
  std::string creation_path;  // that request's
  WallTime created_at;        // when it was wrapped, or wrapped again
  Millis ttl{0};
  std::string wrapped_accessor;  // see WrapInfo
  std::string held_token;        // row id of the token that it hands out; empty: none with a row
  // Who asked for it: the entity, and the human that it acted for; empty: nobody known.
  std::string entity_id = {};
  std::string human_id = {};
  // The approval request whose outcome it opens; there is no answer yet. Empty: there is one.
  std::string approval_id = {};

  // The lease that it hands out; empty: none.
  std::string held_lease() const {
    return response.gives_lease() ? response.lease_id : std::string();
  }
};

// For the store; holds secrets in the clear.
Json to_stored(const WrappedResponse& wrapped);
// REQUIRES: `stored` was opened from a seal.
WrappedResponse wrapped_response_from_stored(const Json& stored);

}  // namespace curfew::broker

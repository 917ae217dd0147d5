#pragma once

#include "api/http_types.h"
#include "base/random.h"
#include "base/result.h"
#include "broker/request.h"

namespace curfew::api {

// Reads a request to Vault's HTTP API: verb, path, body, query and headers. `random` makes the
// request's id. Stateless and thread-safe.
//
// What a caller can do wrong here:
//   kUnsupportedPath (empty message)  the path is not below /v1/
//   kUnsupportedOperation             an unknown verb
//   kUnsupportedMediaType             PATCH without application/merge-patch+json
//   kInvalidArgument                  a path, body, query or header that cannot be read
//
// A namespace is given without its outer slashes ("team/a/" is "team/a"); a list request's path
// always ends in '/'. A malformed traceparent is dropped, as its standard says; so are
// preferences ("Prefer: wait=20, respond-async") that cannot be read. A longer wait than 50 seconds
// is one of 50 seconds.
Result<broker::Request> read_request(const HttpRequest& http, Random& random);

}  // namespace curfew::api

#pragma once

#include <string_view>

#include "api/http_types.h"
#include "base/route.h"
#include "broker/request.h"

namespace curfew::api {

// Writes an answer as Vault's clients expect it: the envelope with its eight keys, the data also at
// the top level, or the data bare; 204 or 202 without a body; 404 {"errors":[]} for a list without
// entries. Durations become whole seconds, rounded down, so that none is promised too long.
// Stateless and thread-safe; never fails.
HttpResponse write_response(const broker::Response& response, std::string_view request_id,
                            Operation operation);

}  // namespace curfew::api

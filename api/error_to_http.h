#pragma once

#include <string_view>

#include "api/http_types.h"
#include "base/result.h"

namespace curfew::api {

// The HTTP status of an outcome, as Vault's clients know them. The only such table.
int status_of(Errc code);

// {"errors":["message"]} with that status, or {"errors":[]} for an empty message.
HttpResponse errors_response(int status, std::string_view message);

// The answer for an error: its message, never its detail; Retry-After where waiting helps.
HttpResponse error_response(const Error& error);

}  // namespace curfew::api

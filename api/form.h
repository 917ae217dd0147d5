#pragma once

#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace curfew::api {

// "a=1&b=x%20y&a=2" as an object of strings: {"a":["1","2"],"b":"x y"}. '+' is a space; a name
// without '=' has the value "". Serves queries and form-encoded bodies. kInvalidArgument: a
// malformed escape, bytes that are not UTF-8, more than 1,000 pairs. Messages hold no values.
Result<Json> parse_form(std::string_view text);

// Whether the bytes are well-formed UTF-8 (no surrogates, no overlong forms).
bool is_utf8(std::string_view bytes);

}  // namespace curfew::api

#pragma once

#include <string>
#include <string_view>

namespace curfew::cli {

// A policy with each line indented by the braces and brackets around it, one blank around "=",
// no blanks at the ends of lines and no more than one empty line in a row. Comments, strings and
// here-documents keep their text. Whatever does not parse comes out with the same words.
std::string format_policy(std::string_view text);

}  // namespace curfew::cli

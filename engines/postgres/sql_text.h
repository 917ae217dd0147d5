#pragma once

#include <string>
#include <string_view>

// Pieces of SQL text that are safe whatever they hold. Bytes of value 0, which PostgreSQL takes
// nowhere, are left out.
namespace curfew::engines::postgres {

// "name", with quotes doubled.
std::string quote_identifier(std::string_view name);

// 'text', or E'text' where it holds a backslash; means the same under every setting of
// standard_conforming_strings.
std::string quote_literal(std::string_view text);

}  // namespace curfew::engines::postgres

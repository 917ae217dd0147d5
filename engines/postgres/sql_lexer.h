#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace curfew::engines::postgres {

enum class TokenKind {
  kWord,         // an unquoted name or keyword; `text` is in lower case
  kQuotedName,   // "…"; `text` is what is inside, with quotes undoubled
  kString,       // '…', E'…', B'…', X'…', U&'…'; `text` is the raw inside
  kDollarQuote,  // $tag$…$tag$; `text` is the raw inside
  kPunctuation,  // any other character, also digits of numbers
};

struct Token {
  TokenKind kind;
  std::string text;
  int line;           // from 1
  int column;         // from 1, in bytes
  std::size_t begin;  // where it stands in the text: [begin, end)
  std::size_t end;
};

// One statement, without its semicolon; never empty.
using SqlStatement = std::vector<Token>;

// Takes SQL text apart the way psql does: comments (nested ones too) fall away; a semicolon ends a
// statement unless it stands in parentheses or in the BEGIN ATOMIC … END body of a function.
// Linear in the text. kInvalidArgument: something begins and does not end; the message names what,
// and where it begins ("line 2, column 5").
Result<std::vector<SqlStatement>> split_statements(std::string_view sql);

}  // namespace curfew::engines::postgres

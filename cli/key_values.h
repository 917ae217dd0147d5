#pragma once

#include <iosfwd>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/secret.h"

namespace curfew::cli {

// What commands read from the command line, from files and from standard input. All bounded by
// 32 MiB; every error is kInvalidArgument and names the file or the argument.

// The rest of `in`.
Result<std::string> read_all(std::istream& in, std::string_view name);
Result<std::string> read_file(const std::string& path);
// "-" is standard input.
Result<std::string> read_source(const std::string& path, std::istream& in);

// The rest of `in` without the blanks and line breaks at its ends: a token or a key.
Result<Secret> read_secret(std::istream& in);

// KEY=VALUE words as a JSON object of texts. VALUE "@file" is the file's contents, "-" standard
// input, "\@…" a text that begins with @. A key that comes twice has a list. A word "-" is a JSON
// object on standard input, "@file" one in a file.
Result<Json> parse_key_values(std::span<const std::string> words, std::istream& in);

// "a=b" as a pair; `what` names the flag in the error.
Result<std::pair<std::string, std::string>> split_pair(const std::string& text,
                                                       std::string_view what);
// Several as an object of texts.
Result<Json> pairs_object(std::span<const std::string> texts, std::string_view what);

// "1,2" and repeated flags, as Vault takes them: ["1","2"]. Each must be a version, that is a
// positive number.
Result<Json> versions_list(std::span<const std::string> texts);

}  // namespace curfew::cli

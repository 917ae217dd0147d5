#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"

// Values as text. Pure functions.
namespace curfew::cli {

// Members stay in the order in which they were added.
using OrderedJson = nlohmann::ordered_json;

// One line of a table.
using Row = std::vector<std::string>;

// Readers of answers that may hold anything. The member, or null if `object` is not an object or
// has no such member; valid as long as `object`.
const Json& member(const Json& object, std::string_view name);
// The member's text, "" if it is not a string.
std::string member_text(const Json& object, std::string_view name);
// The member if it is an array, else an empty one.
const Json& member_list(const Json& object, std::string_view name);

// A value as Vault's command line shows it: strings bare, null as <nil>, lists as [a b], objects
// as map[k:v].
std::string value_text(const Json& value);

// Strings quoted: ["a" "b"].
std::string quoted_list(const Json& list);

// A number of seconds, or a duration in text, in its shortest form ("1h30m"); value_text of what
// is neither.
std::string duration_text(const Json& value);

// Members whose name says that they hold a duration: ttl, period, …_ttl, …_duration.
bool names_duration(std::string_view member);

// `text` with control characters other than line breaks and tabs spelled out (\x1b), and those that
// turn the direction of text or cannot be seen (\u{202e}), so that what comes from a server can
// neither drive the terminal nor look like something else.
std::string printable(std::string_view text);
// The same in one line: line breaks and tabs are spelled out too.
std::string one_line(std::string_view text);
// `text` without such characters, line breaks aside: for what somebody untrusted wrote.
std::string plain_text(std::string_view text);

// Columns four blanks apart under a header with a line beneath; empty cells as n/a. Ends with a
// line break. REQUIRES: rows is not empty, its first row is the header and the longest.
std::string table_text(const std::vector<Row>& rows);

// Indented by two, with a final line break; bytes that are not UTF-8 are replaced.
std::string json_text(const OrderedJson& value);

// A YAML 1.2 document; strings are quoted wherever a reader could take them for something else.
std::string yaml_text(const OrderedJson& value);

// For people: names and values in lines, what is nested indented under its name.
std::string pretty_text(const Json& value);

}  // namespace curfew::cli

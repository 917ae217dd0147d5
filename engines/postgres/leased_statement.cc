#include "engines/postgres/leased_statement.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace curfew::engines::postgres {
namespace {

constexpr std::string_view kAllowed =
    "one SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES or TABLE statement is allowed, also behind "
    "WITH";
constexpr std::array<std::string_view, 8> kVerbs{"select", "insert", "update", "delete",
                                                 "merge",  "values", "table",  "with"};

Error bad(std::string message) {
  return {Errc::kInvalidArgument, "statement: " + std::move(message)};
}

bool is_word(const Token& token, std::string_view text) {
  return token.kind == TokenKind::kWord && token.text == text;
}

bool is_mark(const Token& token, std::string_view text) {
  return token.kind == TokenKind::kPunctuation && token.text == text;
}

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> beginnings) {
  return std::any_of(beginnings.begin(), beginnings.end(),
                     [&](std::string_view beginning) { return text.starts_with(beginning); });
}

// Characters that turn the direction of what follows: a text looks like another one on a screen.
bool turns_direction(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i)
    if (is_one_of(text.substr(i), {"\xd8\x9c", "\xe2\x80\x8e", "\xe2\x80\x8f", "\xe2\x80\xaa",
                                   "\xe2\x80\xab", "\xe2\x80\xac", "\xe2\x80\xad", "\xe2\x80\xae",
                                   "\xe2\x81\xa6", "\xe2\x81\xa7", "\xe2\x81\xa8", "\xe2\x81\xa9"}))
      return true;
  return false;
}

// Those that cannot be seen: control characters, and blanks without width.
bool hides(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if ((c < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7f) return true;
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : '\xff');
    if (c == 0xc2 && next < 0xa0) return true;
    if (is_one_of(text.substr(i), {"\xe2\x80\x8b", "\xe2\x80\x8c", "\xe2\x80\x8d", "\xe2\x80\xa8",
                                   "\xe2\x80\xa9", "\xe2\x81\xa0", "\xef\xbb\xbf", "\xf3\xa0"}))
      return true;
  }
  return false;
}

// SELECT … INTO makes a table. Of the whole statement's own words: what stands in parentheses is
// for PostgreSQL to refuse.
bool selects_into(const SqlStatement& tokens) {
  int depth = 0;
  for (const Token& token : tokens) {
    if (is_mark(token, "(")) ++depth;
    if (is_mark(token, ")")) --depth;
    if (depth > 0) continue;
    // Before these INTO is their own.
    if (is_word(token, "insert") || is_word(token, "merge")) return false;
    if (is_word(token, "into")) return true;
  }
  return false;
}

// U&"…", whose escapes hide what it names.
bool has_hidden_name(const SqlStatement& tokens, std::string_view text) {
  return std::any_of(tokens.begin(), tokens.end(), [&](const Token& token) {
    return token.kind == TokenKind::kQuotedName && text[token.begin] != '"';
  });
}

Status check_form(const SqlStatement& tokens, std::string_view text) {
  const Token& first = tokens.front();
  const bool known = first.kind == TokenKind::kWord &&
                     std::find(kVerbs.begin(), kVerbs.end(), first.text) != kVerbs.end();
  if (!known)
    return bad(fmt::format("{}; this one begins with \"{}\"", kAllowed, first.text.substr(0, 32)));
  if (selects_into(tokens)) return bad(fmt::format("SELECT … INTO makes a table; {}", kAllowed));
  if (has_hidden_name(tokens, text)) return bad("a name in U&\"…\"; write the name itself");
  // PostgreSQL reads the second of them by the rules of the first, where a line break is between.
  for (std::size_t i = 1; i < tokens.size(); ++i)
    if (tokens[i].kind == TokenKind::kString && tokens[i - 1].kind == TokenKind::kString)
      return bad(
          fmt::format("line {}, column {}: a string that goes on in another string; write "
                      "it as one",
                      tokens[i].line, tokens[i].column));
  return ok();
}

// The highest n of $n. kInvalidArgument: a number that is none.
Result<std::size_t> parameters_in(const SqlStatement& tokens) {
  std::size_t highest = 0;
  for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
    if (!is_mark(tokens[i], "$") || tokens[i + 1].begin != tokens[i].end) continue;
    const std::string& digits = tokens[i + 1].text;
    std::size_t n = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), n);
    if (error != std::errc{} || end != digits.data() + digits.size() || n == 0 ||
        n > kLeasedParametersMax)
      return bad(fmt::format("parameters are $1 to ${}", kLeasedParametersMax));
    highest = std::max(highest, n);
  }
  return highest;
}

Result<std::vector<Json>> read_parameters(const Json& data) {
  const auto bad_parameters = [](std::string message) {
    return Error{Errc::kInvalidArgument, "statement_parameters: " + std::move(message)};
  };
  std::vector<Json> out;
  const auto it = data.find("statement_parameters");
  if (it == data.end() || it->is_null()) return out;
  Json list = *it;
  if (list.is_string()) {
    auto parsed = parse_json(list.get<std::string>());
    if (parsed) list = std::move(*parsed);
  }
  if (!list.is_array())
    return bad_parameters("expected an array, one element for each of $1, $2 …");
  if (list.size() > kLeasedParametersMax)
    return bad_parameters(fmt::format("more than {}", kLeasedParametersMax));
  std::size_t bytes = 0;
  for (Json& value : list) {
    if (value.is_structured() || value.is_binary())
      return bad_parameters(fmt::format(
          "[{}] is no text, number, boolean or null; write other values as PostgreSQL's text for "
          "them",
          out.size()));
    bytes += dump_json(value).size();
    if (bytes > kLeasedParameterBytesMax)
      return bad_parameters(fmt::format("longer than {} bytes", kLeasedParameterBytesMax));
    if (value.is_string() && value.get_ref<const std::string&>().find('\0') != std::string::npos)
      return bad_parameters("a zero byte, which PostgreSQL's text cannot hold");
    if (value.is_string() && turns_direction(value.get_ref<const std::string&>()))
      return bad_parameters(
          "a character that turns the direction of the text, so that people would read another "
          "one");
    out.push_back(std::move(value));
  }
  return out;
}

}  // namespace

Json LeasedStatement::to_json() const {
  return Json{{"text", text}, {"parameters", parameters}};
}

Result<LeasedStatement> LeasedStatement::from_json(const Json& stored) {
  LeasedStatement out;
  const auto text = stored.find("text");
  const auto parameters = stored.find("parameters");
  if (text == stored.end() || !text->is_string() || parameters == stored.end() ||
      !parameters->is_array())
    return Error{Errc::kInternal, "the statement of this lease was not made by this engine"};
  out.text = text->get<std::string>();
  out.parameters.assign(parameters->begin(), parameters->end());
  return out;
}

std::optional<std::string> LeasedStatement::parameter_text(std::size_t i) const {
  const Json& value = parameters.at(i);
  if (value.is_null()) return std::nullopt;
  return value.is_string() ? value.get<std::string>() : dump_json(value);
}

Result<std::optional<LeasedStatement>> leased_statement(const Json& data) {
  ASSIGN_OR_RETURN(const std::string text, Fields(data).text_or("statement", ""));
  ASSIGN_OR_RETURN(std::vector<Json> parameters, read_parameters(data));
  if (text.empty()) {
    if (!parameters.empty())
      return Error{Errc::kInvalidArgument, "statement_parameters: there is no statement for them"};
    return std::optional<LeasedStatement>{};
  }
  if (text.size() > kLeasedStatementBytesMax)
    return bad(fmt::format("longer than {} bytes", kLeasedStatementBytesMax));
  if (hides(text) || turns_direction(text))
    return bad(
        "holds control characters or others that cannot be seen; write those in strings as "
        "U&'\\202E' or E'\\u202e'");
  auto statements = split_statements(text);
  if (!statements) return bad(statements.error().message);
  if (statements->size() != 1)
    return bad(fmt::format("{} statements; {}", statements->size(), kAllowed));
  const SqlStatement& tokens = statements->front();
  RETURN_IF_ERROR(check_form(tokens, text));
  ASSIGN_OR_RETURN(const std::size_t wanted, parameters_in(tokens));
  if (wanted != parameters.size())
    return Error{Errc::kInvalidArgument,
                 fmt::format("statement_parameters: {} are given, and the statement has {}",
                             parameters.size(), wanted)};
  const std::size_t begin = tokens.front().begin;
  return std::optional{
      LeasedStatement{text.substr(begin, tokens.back().end - begin), std::move(parameters)}};
}

}  // namespace curfew::engines::postgres

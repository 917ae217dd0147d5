#include "engines/postgres/username_template.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <map>
#include <vector>

#include "base/digest.h"
#include "base/duration.h"
#include "base/encoding.h"

namespace curfew::engines::postgres {
namespace {

constexpr std::size_t kTemplateBytesMax = 4096;
constexpr std::size_t kNameBytesMax = 1024;
constexpr int kDepthMax = 16;

Error bad(std::string message) {
  return {Errc::kInvalidArgument, "username_template: " + std::move(message)};
}

}  // namespace

// kSequence: the children one after the other. kCall: a function and its arguments.
struct UsernameTemplate::Node {
  enum class Kind { kText, kField, kCall, kSequence } kind = Kind::kText;
  std::string text = {};  // the text, or the name of the field or function
  std::vector<Node> children = {};
};

struct UsernameTemplate::Parser {
  std::string_view text;
  std::size_t at = 0;
  int depth = 0;

  void skip_blanks() {
    while (at < text.size() && (text[at] == ' ' || (text[at] >= '\t' && text[at] <= '\r'))) ++at;
  }

  bool take(std::string_view token) {
    if (text.substr(at, token.size()) != token) return false;
    at += token.size();
    return true;
  }

  Error unexpected() const {
    if (at >= text.size()) return bad("ends in the middle of {{ … }}");
    return bad(fmt::format("byte {}: unexpected \"{}\"", at + 1, text.substr(at, 8)));
  }

  Result<Node> parse() {
    Node sequence{Node::Kind::kSequence};
    while (at < text.size()) {
      const auto open = std::min(text.find("{{", at), text.size());
      std::string literal(text.substr(at, open - at));
      at = std::min(open + 2, text.size());
      const bool trims = open < text.size() && take("- ");
      if (trims) literal.erase(literal.find_last_not_of(" \t\r\n") + 1);
      if (!literal.empty()) sequence.children.push_back({Node::Kind::kText, std::move(literal)});
      if (open == text.size()) break;
      ASSIGN_OR_RETURN(Node action, pipeline());
      sequence.children.push_back(std::move(action));
      skip_blanks();
      if (take("-}}")) {
        skip_blanks();
      } else if (!take("}}")) {
        return unexpected();
      }
    }
    return sequence;
  }

  // command | command | …: what comes before is the last argument of what comes after.
  Result<Node> pipeline() {
    if (++depth > kDepthMax) return bad("nested too deeply");
    ASSIGN_OR_RETURN(Node value, command());
    skip_blanks();
    while (take("|")) {
      ASSIGN_OR_RETURN(Node next, command());
      if (next.kind != Node::Kind::kCall) return bad("behind a | stands a function");
      next.children.push_back(std::move(value));
      value = std::move(next);
      skip_blanks();
    }
    --depth;
    return value;
  }

  bool at_end_of_command() const {
    const std::string_view rest = text.substr(at);
    return rest.empty() || rest[0] == '|' || rest[0] == ')' || rest.starts_with("}}") ||
           rest.starts_with("-}}");
  }

  Result<Node> command() {
    skip_blanks();
    ASSIGN_OR_RETURN(Node first, operand());
    skip_blanks();
    while (!at_end_of_command()) {
      if (first.kind != Node::Kind::kCall) return bad("only a function takes arguments");
      ASSIGN_OR_RETURN(Node argument, operand());
      first.children.push_back(std::move(argument));
      skip_blanks();
    }
    return first;
  }

  Result<Node> operand() {
    if (at >= text.size()) return unexpected();
    const char c = text[at];
    if (c == '(') return group();
    if (c == '"' || c == '`') return quoted(c);
    if (c == '.') {
      ++at;
      std::string name = word();
      if (name != "DisplayName" && name != "RoleName")
        return bad(fmt::format("there is no field .{}; .DisplayName and .RoleName are", name));
      return Node{Node::Kind::kField, std::move(name)};
    }
    std::string name = word();
    if (name.empty()) return unexpected();
    if (name.front() >= '0' && name.front() <= '9') return Node{Node::Kind::kText, std::move(name)};
    return Node{Node::Kind::kCall, std::move(name)};
  }

  Result<Node> group() {
    ++at;
    ASSIGN_OR_RETURN(Node inner, pipeline());
    skip_blanks();
    if (!take(")")) return unexpected();
    // As a value of its own, so that it takes no further arguments.
    Node value{Node::Kind::kSequence};
    value.children.push_back(std::move(inner));
    return value;
  }

  Result<Node> quoted(char quote) {
    std::string value;
    for (++at; at < text.size() && text[at] != quote; ++at) {
      if (quote == '"' && text[at] == '\\' && at + 1 < text.size()) ++at;
      value += text[at];
    }
    if (at >= text.size()) return bad("a string has no end");
    ++at;
    return Node{Node::Kind::kText, std::move(value)};
  }

  std::string word() {
    const auto start = at;
    const auto is_name = [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    };
    while (at < text.size() && is_name(text[at])) ++at;
    return std::string(text.substr(start, at - start));
  }
};

struct UsernameTemplate::Evaluator {
  const TemplateInput& input;
  Random& random;

  using Arguments = std::vector<std::string>;
  using Function = std::function<Result<std::string>(Evaluator&, const Arguments&)>;

  Result<std::string> eval(const Node& node) {
    switch (node.kind) {
      case Node::Kind::kText: return node.text;
      case Node::Kind::kField:
        return node.text == "RoleName" ? input.role_name : input.display_name;
      case Node::Kind::kCall: return call(node);
      case Node::Kind::kSequence: break;
    }
    std::string out;
    for (const Node& child : node.children) {
      ASSIGN_OR_RETURN(const std::string part, eval(child));
      out += part;
      if (out.size() > kNameBytesMax) return bad("makes a name of more than 1,024 bytes");
    }
    return out;
  }

  static Result<std::size_t> count(const std::string& text) {
    std::size_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size() || number < 1 || number > 256)
      return bad(fmt::format("\"{}\" is no number from 1 to 256", text.substr(0, 16)));
    return number;
  }

  static std::string mapped(std::string text, char first, int offset) {
    std::transform(text.begin(), text.end(), text.begin(), [&](char c) {
      return c >= first && c < first + 26 ? static_cast<char>(c + offset) : c;
    });
    return text;
  }

  static Result<std::string> truncate_hashed(const Arguments& a) {
    ASSIGN_OR_RETURN(const auto size, count(a[0]));
    if (size <= 8) return bad("truncate_sha256 needs more than 8 characters");
    if (a[1].size() <= size) return a[1];
    return a[1].substr(0, size - 8) + hex_encode(sha256(a[1])).substr(0, 8);
  }

  static Result<std::string> replace(const Arguments& a) {
    if (a[0].empty()) return bad("replace needs something to look for");
    std::string out;
    std::size_t at = 0;
    while (true) {
      const auto found = std::min(a[2].find(a[0], at), a[2].size());
      out += a[2].substr(at, found - at);
      if (found == a[2].size()) return out;
      out += a[1];
      at = found + a[0].size();
      if (out.size() > kNameBytesMax) return bad("makes a name of more than 1,024 bytes");
    }
  }

  static Result<std::string> print(const Arguments& a) {
    std::string out;
    std::size_t next = 1;
    for (std::size_t i = 0; i < a[0].size(); ++i) {
      if (a[0][i] != '%') {
        out += a[0][i];
        continue;
      }
      const char verb = ++i < a[0].size() ? a[0][i] : '\0';
      if (verb == '%') {
        out += '%';
      } else if (verb != 's' && verb != 'd' && verb != 'v') {
        return bad("printf knows %s, %d, %v and %%");
      } else if (next >= a.size()) {
        return bad("printf has more verbs than arguments");
      } else {
        out += a[next++];
      }
    }
    if (next != a.size()) return bad("printf has more arguments than verbs");
    return out;
  }

  struct Entry {
    std::size_t arguments_min, arguments_max;
    Function run;
  };

  static const std::map<std::string, Entry, std::less<>>& functions() {
    using A = const Arguments&;
    static const std::map<std::string, Entry, std::less<>> table{
        {"random",
         {1, 1,
          [](Evaluator& e, A a) -> Result<std::string> {
            ASSIGN_OR_RETURN(const auto size, count(a[0]));
            return random_base62(e.random, size);
          }}},
        {"truncate",
         {2, 2,
          [](Evaluator&, A a) -> Result<std::string> {
            ASSIGN_OR_RETURN(const auto size, count(a[0]));
            return a[1].substr(0, size);
          }}},
        {"truncate_sha256", {2, 2, [](Evaluator&, A a) { return truncate_hashed(a); }}},
        {"uppercase", {1, 1, [](Evaluator&, A a) { return mapped(a[0], 'a', -32); }}},
        {"lowercase", {1, 1, [](Evaluator&, A a) { return mapped(a[0], 'A', 32); }}},
        {"replace", {3, 3, [](Evaluator&, A a) { return replace(a); }}},
        {"sha256", {1, 1, [](Evaluator&, A a) { return hex_encode(sha256(a[0])); }}},
        {"base64", {1, 1, [](Evaluator&, A a) { return base64_encode(a[0]); }}},
        {"unix_time",
         {0, 0, [](Evaluator& e, A) { return std::to_string(to_unix_seconds(e.input.now)); }}},
        {"unix_time_millis",
         {0, 0, [](Evaluator& e, A) { return std::to_string(to_unix_millis(e.input.now)); }}},
        {"timestamp",
         {0, 0,
          [](Evaluator& e, A) {
            return format_rfc3339(std::chrono::floor<Seconds>(e.input.now));
          }}},
        {"uuid", {0, 0, [](Evaluator& e, A) { return random_uuid(e.random); }}},
        {"printf", {1, 32, [](Evaluator&, A a) { return print(a); }}},
    };
    return table;
  }

  Result<std::string> call(const Node& node) {
    const auto it = functions().find(node.text);
    if (it == functions().end())
      return bad(fmt::format("there is no function \"{}\"", node.text.substr(0, 32)));
    const Entry& entry = it->second;
    if (node.children.size() < entry.arguments_min || node.children.size() > entry.arguments_max)
      return bad(fmt::format("{} takes {} arguments, not {}", node.text, entry.arguments_min,
                             node.children.size()));
    Arguments arguments;
    for (const Node& child : node.children) {
      ASSIGN_OR_RETURN(std::string value, eval(child));
      arguments.push_back(std::move(value));
    }
    return entry.run(*this, arguments);
  }
};

Result<UsernameTemplate> UsernameTemplate::parse(std::string_view text) {
  if (text.size() > kTemplateBytesMax) return bad("longer than 4,096 bytes");
  Parser parser{text};
  ASSIGN_OR_RETURN(Node root, parser.parse());
  UsernameTemplate out;
  out.root_ = std::make_shared<const Node>(std::move(root));
  return out;
}

Result<std::string> UsernameTemplate::expand(const TemplateInput& input, Random& random) const {
  return Evaluator{input, random}.eval(*root_);
}

}  // namespace curfew::engines::postgres

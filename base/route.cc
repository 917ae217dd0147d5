#include "base/route.h"

#include <algorithm>

namespace curfew {

const char* operation_name(Operation operation) {
  switch (operation) {
    case Operation::kCreate: return "create";
    case Operation::kRead: return "read";
    case Operation::kUpdate: return "update";
    case Operation::kPatch: return "patch";
    case Operation::kDelete: return "delete";
    case Operation::kList: return "list";
  }
  return "read";
}

namespace route_internal {
namespace {

bool is_word(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool is_name(std::string_view text, bool with_at) {
  return !text.empty() && is_word(text.front()) && is_word(text.back()) &&
         std::all_of(text.begin(), text.end(), [&](char c) {
           return is_word(c) || c == '-' || c == '.' || (with_at && c == '@');
         });
}

// Cuts off everything up to the next '/' (and the '/'); sets `more` to whether there was one.
std::string_view take_segment(std::string_view& rest, bool& more) {
  const auto slash = rest.find('/');
  more = slash != std::string_view::npos;
  const std::string_view segment = rest.substr(0, slash);
  rest = more ? rest.substr(slash + 1) : std::string_view{};
  return segment;
}

}  // namespace

bool match(std::string_view pattern, std::string_view path, RouteParams& params) {
  bool pattern_more = true, path_more = true;
  while (pattern_more) {
    std::string_view part = take_segment(pattern, pattern_more);
    if (part.ends_with("...}")) {
      part = part.substr(1, part.size() - 5);
      params[std::string(part)] = path_more ? std::string(path) : std::string();
      return true;
    }
    if (!path_more) return false;
    const std::string_view segment = take_segment(path, path_more);
    if (part.starts_with('{')) {
      part = part.substr(1, part.size() - 2);
      const bool with_at = part.ends_with('@');
      if (with_at) part.remove_suffix(1);
      if (!is_name(segment, with_at)) return false;
      params[std::string(part)] = std::string(segment);
    } else if (part != segment) {
      return false;
    }
  }
  return !path_more;
}

}  // namespace route_internal
}  // namespace curfew

#include "api/form.h"

#include <algorithm>
#include <string>

#include "base/encoding.h"

namespace curfew::api {
namespace {

constexpr std::size_t kPairsMax = 1000;

// Length of the well-formed sequence that `bytes` begins with; 0 if there is none.
std::size_t utf8_sequence(std::string_view bytes) {
  const auto at = [bytes](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned char first = at(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || bytes.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((at(i) & 0xc0) != 0x80) return 0;
  const unsigned char second = at(1);
  if (first == 0xe0 && second < 0xa0) return 0;  // overlong
  if (first == 0xed && second > 0x9f) return 0;  // a surrogate
  if (first == 0xf0 && second < 0x90) return 0;  // overlong
  if (first == 0xf4 && second > 0x8f) return 0;  // beyond U+10FFFF
  return length;
}

Result<std::string> decode(std::string_view text) {
  std::string plain(text);
  std::replace(plain.begin(), plain.end(), '+', ' ');
  auto decoded = percent_decode(plain);
  if (!decoded)
    return Error{Errc::kInvalidArgument, "a query or form holds a malformed percent escape"};
  if (!is_utf8(*decoded))
    return Error{Errc::kInvalidArgument, "a query or form holds bytes that are not UTF-8"};
  return std::move(*decoded);
}

}  // namespace

bool is_utf8(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t length = utf8_sequence(bytes);
    if (length == 0) return false;
    bytes.remove_prefix(length);
  }
  return true;
}

Result<Json> parse_form(std::string_view text) {
  Json out = Json::object();
  std::size_t pairs = 0;
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(text.size(), pair.size() + 1));
    if (pair.empty()) continue;
    if (++pairs > kPairsMax)
      return Error{Errc::kInvalidArgument, "a query or form has more than 1000 parameters"};
    const auto equals = std::min(pair.find('='), pair.size());
    ASSIGN_OR_RETURN(const std::string name, decode(pair.substr(0, equals)));
    ASSIGN_OR_RETURN(std::string value,
                     decode(equals == pair.size() ? "" : pair.substr(equals + 1)));
    const auto it = out.find(name);
    if (it == out.end()) {
      out[name] = std::move(value);
    } else if (it->is_array()) {
      it->push_back(std::move(value));
    } else {
      *it = Json::array({std::move(*it), std::move(value)});
    }
  }
  return out;
}

}  // namespace curfew::api

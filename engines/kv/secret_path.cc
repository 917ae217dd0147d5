#include "engines/kv/secret_path.h"

#include <algorithm>

namespace curfew::engines::kv {
namespace {

Error bad_path(std::string what) {
  return {Errc::kInvalidArgument, "invalid path of a secret: " + std::move(what)};
}

}  // namespace

Status check_secret_path(std::string_view path) {
  if (path.empty()) return Error{Errc::kInvalidArgument, "missing path"};
  if (path.size() > kPathBytesMax)
    return bad_path("it is longer than " + std::to_string(kPathBytesMax) + " bytes");
  if (std::any_of(path.begin(), path.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }))
    return bad_path("it holds a control character");
  std::string_view rest = path;
  for (bool more = true; more;) {
    const auto slash = rest.find('/');
    const std::string_view segment = rest.substr(0, slash);
    if (segment.empty()) return bad_path("a part between slashes is empty");
    if (segment == "." || segment == "..") return bad_path("\".\" and \"..\" are not names");
    more = slash != std::string_view::npos;
    if (more) rest.remove_prefix(slash + 1);
  }
  return ok();
}

Status check_secret_size(const Json& data) {
  if (dump_json(data).size() <= kSecretBytesMax) return ok();
  return Error{Errc::kTooLarge, "the secret is larger than " + std::to_string(kSecretBytesMax) +
                                    " bytes: split it over several paths"};
}

std::string list_prefix(std::string_view path) {
  std::string prefix(path);
  if (!prefix.empty() && !prefix.ends_with('/')) prefix += '/';
  return prefix;
}

Result<Json> list_page(std::vector<std::string> names, const Json& request) {
  const Fields fields(request);
  ASSIGN_OR_RETURN(const auto after, fields.text_or("after", ""));
  ASSIGN_OR_RETURN(const auto limit, fields.integer_or("limit", 0));
  if (!after.empty())
    names.erase(names.begin(), std::upper_bound(names.begin(), names.end(), after));
  if (limit > 0 && names.size() > static_cast<std::uint64_t>(limit))
    names.resize(static_cast<std::size_t>(limit));
  if (names.empty()) return not_found();
  return Json{{"keys", std::move(names)}};
}

Error not_found() {
  return {Errc::kNotFound, ""};
}

}  // namespace curfew::engines::kv

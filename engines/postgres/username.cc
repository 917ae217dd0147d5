#include "engines/postgres/username.h"

#include <fmt/format.h>

#include "base/digest.h"
#include "base/encoding.h"

namespace curfew::engines::postgres {
namespace {

constexpr std::size_t kLeasePartMax = 30;

std::string cleaned(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       c == '_' || c == '.' || c == '@' || c == ':' || c == '-';
    if (c == '-' && !out.empty() && out.back() == '-') continue;
    out += plain ? c : '_';
  }
  return out;
}

// What is unique of a lease id: the part behind the path. Where that is not plain or too long, a
// hash of the whole stands in.
std::string lease_part(std::string_view lease_id) {
  const auto slash = lease_id.rfind('/');
  std::string_view last = slash == std::string_view::npos ? lease_id : lease_id.substr(slash + 1);
  std::string part = cleaned(last);
  if (part.empty() || part != last || part.size() > kLeasePartMax)
    return hex_encode(sha256(lease_id)).substr(0, 24);
  return part;
}

}  // namespace

std::string default_username(std::string_view role, std::string_view lease_id) {
  const std::string part = lease_part(lease_id);
  const std::size_t room = kRoleNameBytesMax - part.size() - std::string_view("cf--").size();
  return cleaned("cf-" + cleaned(role).substr(0, room) + "-" + part);
}

std::string executor_name(std::string_view database_role) {
  constexpr std::string_view kEnding = ".run";
  constexpr std::size_t kHashPart = 16;
  const std::string name = std::string(database_role) + std::string(kEnding);
  if (name.size() <= kRoleNameBytesMax) return name;
  const std::string hash = hex_encode(sha256(database_role)).substr(0, kHashPart);
  const std::size_t room = kRoleNameBytesMax - kEnding.size() - kHashPart - 1;
  return fmt::format("{}_{}{}", database_role.substr(0, room), hash, kEnding);
}

Result<std::string> templated_username(std::string_view username_template,
                                       const TemplateInput& input, Random& random) {
  ASSIGN_OR_RETURN(const auto parsed, UsernameTemplate::parse(username_template));
  ASSIGN_OR_RETURN(const std::string raw, parsed.expand(input, random));
  std::string name = cleaned(raw);
  if (name.empty()) return Error{Errc::kInvalidArgument, "username_template: makes an empty name"};
  if (name.size() > kRoleNameBytesMax)
    return Error{Errc::kInvalidArgument,
                 fmt::format("username_template: makes a name of {} bytes, PostgreSQL takes {}; "
                             "end it with \"| truncate {}\"",
                             name.size(), kRoleNameBytesMax, kRoleNameBytesMax)};
  if (name.starts_with("pg_"))
    return Error{Errc::kInvalidArgument,
                 "username_template: names that begin with pg_ are PostgreSQL's own"};
  return name;
}

bool is_issued_name(std::string_view name) {
  return !name.empty() && name.size() <= kRoleNameBytesMax && cleaned(name) == name;
}

Status check_username_template(std::string_view username_template, WallTime now, Random& random) {
  const TemplateInput sample{"token-of-a-person-with-a-name-of-some-length",
                             "role-with-a-name-of-some-length", now};
  ASSIGN_OR_RETURN(const std::string first, templated_username(username_template, sample, random));
  ASSIGN_OR_RETURN(const std::string second, templated_username(username_template, sample, random));
  if (first == second)
    return Error{Errc::kInvalidArgument,
                 "username_template: makes the same name for every lease; put {{random 20}} or "
                 "{{uuid}} into it"};
  return ok();
}

}  // namespace curfew::engines::postgres

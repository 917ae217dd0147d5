#include "broker/policy/password_policies.h"

#include <fmt/format.h>

#include "base/encoding.h"

namespace curfew::broker {
namespace {

constexpr std::string_view kScope = "sys/password-policy";

}  // namespace

PasswordPolicies::PasswordPolicies(store::Database& database, const store::Records& records,
                                   Random& random)
    : database_(database), records_(records), random_(random) {}

Result<std::optional<std::string>> PasswordPolicies::text(const std::string& name) const {
  std::optional<std::string> text;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto stored, records_.get(reader, kScope, name));
    if (stored) text = stored->at("text").get<std::string>();
    return ok();
  }));
  return text;
}

Status PasswordPolicies::put(const std::string& name, const std::string& text) {
  const auto decoded = base64_decode(text);
  const std::string& plain = decoded ? *decoded : text;
  auto parsed = PasswordPolicy::parse(plain, random_);
  if (!parsed) return std::move(parsed).error();
  return database_.write([&](store::Writer& writer) -> Status {
    return records_.put(writer, kScope, name, {{"text", plain}});
  });
}

Status PasswordPolicies::remove(const std::string& name) {
  return database_.write([&](store::Writer& writer) -> Status {
    RETURN_IF_ERROR(records_.remove(writer, kScope, name));
    return ok();
  });
}

Result<std::vector<std::string>> PasswordPolicies::names() const {
  std::vector<std::string> names;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(names, records_.names(reader, kScope));
    return ok();
  }));
  return names;
}

Result<Secret> PasswordPolicies::make(std::string_view name) {
  if (name.empty()) return default_.generate(random_);
  ASSIGN_OR_RETURN(const auto stored, text(std::string(name)));
  if (!stored) return Error{Errc::kInvalidArgument, fmt::format("no password policy \"{}\"", name)};
  ASSIGN_OR_RETURN(const PasswordPolicy policy, PasswordPolicy::parse(*stored, random_));
  return policy.generate(random_);
}

}  // namespace curfew::broker

#include "broker/identity/identity_checks.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/token/token_service.h"
#include "store/sql.h"

namespace curfew::broker {
namespace {

constexpr std::size_t kNameBytesMax = 512;
constexpr std::size_t kAgentNameBytesMax = 128;
constexpr std::size_t kPoliciesMax = 256;
constexpr std::size_t kPolicyBytesMax = 256;
constexpr std::size_t kMetadataKeysMax = 64;
constexpr std::size_t kMetadataKeyBytesMax = 128;
constexpr std::size_t kMetadataValueBytesMax = 512;
constexpr std::size_t kAllowedRolesMax = 256;
constexpr std::size_t kAllowedRoleBytesMax = 512;
constexpr std::size_t kKindBytesMax = 128;
constexpr std::size_t kDescriptionBytesMax = 1024;
constexpr std::int64_t kLeasesMax = 1'000'000'000;

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

Status check_metadata_pair(const std::string& key, const std::string& value) {
  const auto fail = [&](std::string why) {
    return invalid_identity(fmt::format("failed to load metadata pair \"{}\": {}", key, why));
  };
  if (key.empty()) return fail("key cannot be blank");
  if (key.size() > kMetadataKeyBytesMax)
    return fail(fmt::format("key is too long (limit: {} characters)", kMetadataKeyBytesMax));
  if (!std::all_of(key.begin(), key.end(), [](char c) {
        return is_letter_or_digit(c) || std::string_view("=/+_-").find(c) != std::string_view::npos;
      }))
    return fail("key contains invalid characters");
  if (value.size() > kMetadataValueBytesMax)
    return fail(fmt::format("value is too long (limit: {} characters)", kMetadataValueBytesMax));
  if (!store::is_storable_text(value)) return fail("value is not UTF-8 text");
  return ok();
}

Status check_count(std::string_view field, std::int64_t value) {
  if (value < 0 || value > kLeasesMax)
    return invalid_identity(
        fmt::format("field \"{}\": must be 0 (no limit) to {}", field, kLeasesMax));
  return ok();
}

}  // namespace

Error invalid_identity(std::string message) {
  return {Errc::kInvalidArgument, std::move(message)};
}

Status check_identity_text(std::string_view field, std::string_view text, std::size_t bytes_max) {
  if (text.size() > bytes_max)
    return invalid_identity(fmt::format("field \"{}\": longer than {} bytes", field, bytes_max));
  if (!store::is_storable_text(text) || has_control(text))
    return invalid_identity(
        fmt::format("field \"{}\": must be UTF-8 without control characters", field));
  return ok();
}

Status check_identity_name(std::string_view what, std::string_view name) {
  if (name.empty()) return invalid_identity(fmt::format("missing {}", what));
  if (name.size() > kNameBytesMax)
    return invalid_identity(fmt::format("{}: longer than {} bytes", what, kNameBytesMax));
  if (!store::is_storable_text(name) || has_control(name))
    return invalid_identity(fmt::format("{}: must be UTF-8 without control characters", what));
  return ok();
}

Status check_agent_name(std::string_view name) {
  const auto fits = [](char c) {
    return is_letter_or_digit(c) || c == '.' || c == '-' || c == '_';
  };
  const auto at_end = [](char c) { return is_letter_or_digit(c) || c == '_'; };
  if (name.empty() || name.size() > kAgentNameBytesMax ||
      !std::all_of(name.begin(), name.end(), fits) || !at_end(name.front()) || !at_end(name.back()))
    return invalid_identity(
        fmt::format("an agent's name has 1 to {} letters, digits, '.', '-' and '_', and neither "
                    "begins nor ends with '.' or '-'",
                    kAgentNameBytesMax));
  return ok();
}

Result<std::vector<std::string>> checked_policies(std::vector<std::string> policies) {
  policies = normalise_policies(std::move(policies), false);
  if (policies.size() > kPoliciesMax)
    return invalid_identity(fmt::format("more than {} policies", kPoliciesMax));
  for (const std::string& policy : policies) {
    if (policy == "root") return invalid_identity("policies cannot contain root");
    if (policy.empty() || policy.size() > kPolicyBytesMax || has_control(policy) ||
        !store::is_storable_text(policy))
      return invalid_identity(
          fmt::format("a policy's name has 1 to {} bytes of UTF-8 without "
                      "control characters",
                      kPolicyBytesMax));
  }
  return policies;
}

Status check_identity_metadata(const IdentityMetadata& metadata) {
  if (metadata.size() > kMetadataKeysMax)
    return invalid_identity(
        fmt::format("metadata cannot contain more than {} key/value pairs", kMetadataKeysMax));
  for (const auto& [key, value] : metadata) RETURN_IF_ERROR(check_metadata_pair(key, value));
  return ok();
}

Status check_agent_record(const AgentRecord& agent) {
  RETURN_IF_ERROR(check_identity_text("kind", agent.kind, kKindBytesMax));
  RETURN_IF_ERROR(check_identity_text("description", agent.description, kDescriptionBytesMax));
  if (agent.limits.allowed_roles.size() > kAllowedRolesMax)
    return invalid_identity(fmt::format("field \"allowed_roles\": more than {}", kAllowedRolesMax));
  for (const std::string& role : agent.limits.allowed_roles) {
    RETURN_IF_ERROR(check_identity_text("allowed_roles", role, kAllowedRoleBytesMax));
    if (role != "*" && role.find('/') == std::string::npos)
      return invalid_identity(
          fmt::format("field \"allowed_roles\": \"{}\" names no mount: write MOUNT/ROLE, such as "
                      "database/readonly or database/*",
                      role));
  }
  RETURN_IF_ERROR(check_count("max_live_leases", agent.limits.live_leases_max));
  RETURN_IF_ERROR(check_count("max_leases_per_hour", agent.limits.leases_per_hour));
  if (agent.limits.ttl_max > Millis{0} && agent.limits.ttl_max < Seconds{1})
    return invalid_identity("field \"max_ttl\": at least one second, or 0 for no limit");
  return ok();
}

}  // namespace curfew::broker

#include "broker/auth/approle/app_role.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/duration.h"
#include "broker/auth/old_names.h"
#include "broker/token/cidr.h"

namespace curfew::broker {
namespace {

constexpr std::size_t kMetadataMax = 64;
constexpr std::size_t kMetadataNameBytesMax = 128;
constexpr std::size_t kMetadataValueBytesMax = 512;
// Vault's word for "never" in times that JSON needs.
constexpr std::string_view kNever = "0001-01-01T00:00:00Z";

Error invalid(std::string message) {
  return {Errc::kInvalidArgument, std::move(message)};
}

std::int64_t seconds(Millis time) {
  return std::chrono::floor<Seconds>(time).count();
}

bool printable(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

Result<std::optional<std::vector<std::string>>> cidr_list(const Fields& fields,
                                                          std::string_view name) {
  ASSIGN_OR_RETURN(auto cidrs, fields.comma_list(name));
  if (cidrs) {
    for (const std::string& cidr : *cidrs) RETURN_IF_ERROR(check_cidr(cidr));
  }
  return cidrs;
}

Status check_role_id(const std::string& id) {
  if (id.empty()) return invalid("invalid role_id supplied: it is empty");
  if (id.size() > kRoleIdBytesMax)
    return invalid(fmt::format("field \"role_id\": at most {} bytes are allowed", kRoleIdBytesMax));
  // Logins trim what they are given.
  if (!printable(id) || id.front() == ' ' || id.back() == ' ')
    return invalid(
        "field \"role_id\": control characters, and blanks at its ends, are not allowed");
  return ok();
}

Status check_guarded(const AppRole& role) {
  if (role.bind_secret_id || !role.secret_id_bound_cidrs.empty() || !role.rules.bound_cidrs.empty())
    return ok();
  return invalid(
      "at least one constraint should be enabled on the role: bind_secret_id, "
      "secret_id_bound_cidrs or token_bound_cidrs");
}

Status check_subset(std::string_view member, const std::vector<std::string>& cidrs,
                    const std::vector<std::string>& of_role) {
  if (of_role.empty()) return ok();
  for (const std::string& cidr : cidrs) {
    if (!cidr_in_any(cidr, of_role))
      return invalid(
          fmt::format("field \"{}\": {} is not within the role's networks", member, cidr));
  }
  return ok();
}

// An object, the text of one, or "a=b,c=d".
Result<std::map<std::string, std::string>> read_metadata(const Json& data) {
  Json given = Json::object();
  const auto member = data.find("metadata");
  if (member != data.end() && !member->is_null()) given["metadata"] = *member;
  if (member != data.end() && member->is_string()) {
    const auto& text = member->get_ref<const std::string&>();
    const auto parsed = parse_json(text);
    if (parsed && parsed->is_object()) {
      given["metadata"] = *parsed;
    } else {
      ASSIGN_OR_RETURN(const auto pairs, Fields(data).comma_list("metadata"));
      given["metadata"] = *pairs;
    }
  }
  ASSIGN_OR_RETURN(auto metadata, Fields(given).text_map("metadata"));
  if (!metadata) return std::map<std::string, std::string>{};
  if (metadata->size() > kMetadataMax)
    return invalid(fmt::format("field \"metadata\": at most {} members", kMetadataMax));
  for (const auto& [name, value] : *metadata) {
    if (name.empty() || name.size() > kMetadataNameBytesMax || !printable(name) ||
        value.size() > kMetadataValueBytesMax || !printable(value))
      return invalid(
          fmt::format("field \"metadata\": names have 1 to {} printable bytes, values at most {}",
                      kMetadataNameBytesMax, kMetadataValueBytesMax));
  }
  return std::move(*metadata);
}

Status take_uses_and_ttl(const Fields& fields, const AppRole& role, SecretId& secret) {
  ASSIGN_OR_RETURN(secret.uses_left, fields.integer_or("num_uses", role.secret_id_num_uses));
  if (secret.uses_left < 0) return invalid("num_uses cannot be negative");
  if (role.secret_id_num_uses > 0 &&
      (secret.uses_left == 0 || secret.uses_left > role.secret_id_num_uses))
    return invalid("num_uses cannot be higher than the role's secret_id_num_uses");
  ASSIGN_OR_RETURN(secret.ttl, fields.duration_or("ttl", role.secret_id_ttl));
  if (role.secret_id_ttl > Millis{0} &&
      (secret.ttl == Millis{0} || secret.ttl > role.secret_id_ttl))
    return invalid("ttl cannot be longer than the role's secret_id_ttl");
  return ok();
}

}  // namespace

Status apply_fields(const Json& raw, AppRole& role) {
  const Json data = with_names_of_today(raw, {{"policies", "token_policies"},
                                              {"period", "token_period"},
                                              {"bound_cidr_list", "secret_id_bound_cidrs"}});
  const Fields fields(data);
  RETURN_IF_ERROR(apply_fields(data, role.rules));
  ASSIGN_OR_RETURN(role.role_id, fields.text_or("role_id", role.role_id));
  RETURN_IF_ERROR(check_role_id(role.role_id));
  ASSIGN_OR_RETURN(role.bind_secret_id, fields.boolean_or("bind_secret_id", role.bind_secret_id));
  ASSIGN_OR_RETURN(auto cidrs, cidr_list(fields, "secret_id_bound_cidrs"));
  if (cidrs) role.secret_id_bound_cidrs = std::move(*cidrs);
  ASSIGN_OR_RETURN(role.secret_id_num_uses,
                   fields.integer_or("secret_id_num_uses", role.secret_id_num_uses));
  if (role.secret_id_num_uses < 0) return invalid("secret_id_num_uses cannot be negative");
  ASSIGN_OR_RETURN(role.secret_id_ttl, fields.duration_or("secret_id_ttl", role.secret_id_ttl));
  return check_guarded(role);
}

Json to_api(const AppRole& role) {
  Json data = {{"bind_secret_id", role.bind_secret_id},
               {"secret_id_bound_cidrs", role.secret_id_bound_cidrs},
               {"secret_id_num_uses", role.secret_id_num_uses},
               {"secret_id_ttl", seconds(role.secret_id_ttl)},
               {"local_secret_ids", false}};
  add_to_api(role.rules, data);
  if (!role.rules.policies.empty()) data["policies"] = data["token_policies"];
  if (role.rules.period > Millis{0}) data["period"] = data["token_period"];
  return data;
}

Json to_stored(const AppRole& role) {
  return {{"name", role.name},
          {"uuid", role.uuid},
          {"role_id", role.role_id},
          {"bind_secret_id", role.bind_secret_id},
          {"secret_id_bound_cidrs", role.secret_id_bound_cidrs},
          {"secret_id_num_uses", role.secret_id_num_uses},
          {"secret_id_ttl", role.secret_id_ttl.count()},
          {"rules", to_stored(role.rules)}};
}

AppRole app_role_from_stored(const Json& stored) {
  AppRole role;
  role.name = stored.at("name").get<std::string>();
  role.uuid = stored.at("uuid").get<std::string>();
  role.role_id = stored.at("role_id").get<std::string>();
  role.bind_secret_id = stored.at("bind_secret_id").get<bool>();
  role.secret_id_bound_cidrs = stored.at("secret_id_bound_cidrs").get<std::vector<std::string>>();
  role.secret_id_num_uses = stored.at("secret_id_num_uses").get<std::int64_t>();
  role.secret_id_ttl = Millis{stored.at("secret_id_ttl").get<std::int64_t>()};
  role.rules = token_rules_from_stored(stored.at("rules"));
  return role;
}

const std::vector<RoleMember>& role_members() {
  static const std::vector<RoleMember> kMembers = {
      {"policies", "token_policies", "policies", Json::array(), "The policies of the tokens."},
      {"bound-cidr-list", "secret_id_bound_cidrs", "bound_cidr_list", Json::array(),
       "The networks that a login may come from, by its old name."},
      {"secret-id-bound-cidrs", "secret_id_bound_cidrs", "", Json::array(),
       "The networks that a login may come from."},
      {"token-bound-cidrs", "token_bound_cidrs", "", Json::array(),
       "The networks that the tokens may be used from."},
      {"bind-secret-id", "bind_secret_id", "", true, "Whether a login needs a secret id."},
      {"secret-id-num-uses", "secret_id_num_uses", "", 0, "How often a secret id may be used."},
      {"secret-id-ttl", "secret_id_ttl", "", 0, "How long a secret id is good."},
      {"period", "token_period", "period", 0, "Every renewal gives this much again."},
      {"token-num-uses", "token_num_uses", "", 0, "How often a token may be used."},
      {"token-ttl", "token_ttl", "", 0, "The time to live of the tokens."},
      {"token-max-ttl", "token_max_ttl", "", 0, "The longest that a token may live."},
      {"local-secret-ids", "local_secret_ids", "", nullptr, "Always false."},
  };
  return kMembers;
}

Result<SecretId> new_secret_id(const Json& data, const AppRole& role, WallTime now) {
  const Fields fields(data);
  SecretId secret;
  secret.created_at = secret.updated_at = now;
  RETURN_IF_ERROR(take_uses_and_ttl(fields, role, secret));
  if (secret.ttl > Millis{0}) secret.expires_at = now + secret.ttl;
  ASSIGN_OR_RETURN(auto cidrs, cidr_list(fields, "cidr_list"));
  if (cidrs) secret.cidrs = std::move(*cidrs);
  RETURN_IF_ERROR(check_subset("cidr_list", secret.cidrs, role.secret_id_bound_cidrs));
  ASSIGN_OR_RETURN(auto token_cidrs, cidr_list(fields, "token_bound_cidrs"));
  if (token_cidrs) secret.token_cidrs = std::move(*token_cidrs);
  RETURN_IF_ERROR(check_subset("token_bound_cidrs", secret.token_cidrs, role.rules.bound_cidrs));
  ASSIGN_OR_RETURN(secret.metadata, read_metadata(data));
  return secret;
}

Json to_api(const SecretId& secret) {
  return {{"secret_id_accessor", secret.accessor},
          {"secret_id_num_uses", secret.uses_left},
          {"secret_id_ttl", seconds(secret.ttl)},
          {"creation_time", format_rfc3339(secret.created_at)},
          {"last_updated_time", format_rfc3339(secret.updated_at)},
          {"expiration_time",
           secret.expires_at ? format_rfc3339(*secret.expires_at) : std::string(kNever)},
          {"metadata", secret.metadata},
          {"cidr_list", secret.cidrs},
          {"token_bound_cidrs", secret.token_cidrs}};
}

Json to_stored(const SecretId& secret) {
  return {{"accessor", secret.accessor},
          {"created_at", to_unix_millis(secret.created_at)},
          {"updated_at", to_unix_millis(secret.updated_at)},
          {"expires_at", secret.expires_at ? Json(to_unix_millis(*secret.expires_at)) : Json()},
          {"ttl", secret.ttl.count()},
          {"uses_left", secret.uses_left},
          {"metadata", secret.metadata},
          {"cidrs", secret.cidrs},
          {"token_cidrs", secret.token_cidrs}};
}

SecretId secret_id_from_stored(const Json& stored) {
  SecretId secret;
  secret.accessor = stored.at("accessor").get<std::string>();
  secret.created_at = from_unix_millis(stored.at("created_at").get<std::int64_t>());
  secret.updated_at = from_unix_millis(stored.at("updated_at").get<std::int64_t>());
  if (!stored.at("expires_at").is_null())
    secret.expires_at = from_unix_millis(stored.at("expires_at").get<std::int64_t>());
  secret.ttl = Millis{stored.at("ttl").get<std::int64_t>()};
  secret.uses_left = stored.at("uses_left").get<std::int64_t>();
  secret.metadata = stored.at("metadata").get<std::map<std::string, std::string>>();
  secret.cidrs = stored.at("cidrs").get<std::vector<std::string>>();
  secret.token_cidrs = stored.at("token_cidrs").get<std::vector<std::string>>();
  return secret;
}

}  // namespace curfew::broker

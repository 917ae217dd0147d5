#include "broker/mount/mount_entry.h"

#include <fmt/format.h>

namespace curfew::broker {
namespace {

constexpr std::size_t kPathBytesMax = 256;
// Served by the broker itself, or kept for what Vault's clients know there.
constexpr std::string_view kReserved[] = {"sys/", "auth/", "cubbyhole/", "identity/", "audit/"};

Error invalid(std::string message) {
  return {Errc::kInvalidArgument, std::move(message)};
}

std::int64_t seconds(Millis time) {
  return std::chrono::floor<Seconds>(time).count();
}

Status take_keys(const Fields& fields, std::string_view name, std::set<std::string>& into) {
  ASSIGN_OR_RETURN(auto keys, fields.comma_list(name));
  if (keys) into = std::set<std::string>(keys->begin(), keys->end());
  return ok();
}

// "system" and "" mean: as the system has it.
Status take_ttl(const Json& data, const char* name, Millis& into) {
  const auto it = data.find(name);
  if (it == data.end() || it->is_null() || *it == "") return ok();
  if (*it == "system") {
    into = Millis{0};
    return ok();
  }
  ASSIGN_OR_RETURN(into, Fields(data).duration_or(name, into));
  return ok();
}

}  // namespace

Json to_stored(const MountEntry& entry) {
  return {{"path", entry.path},
          {"uuid", entry.uuid},
          {"accessor", entry.accessor},
          {"type", entry.type},
          {"description", entry.description},
          {"default_lease_ttl", entry.config.default_lease_ttl.count()},
          {"max_lease_ttl", entry.config.max_lease_ttl.count()},
          {"force_no_cache", entry.config.force_no_cache},
          {"listing_visibility", entry.config.listing_visibility},
          {"audit_non_hmac_request_keys", entry.config.audit_non_hmac_request_keys},
          {"audit_non_hmac_response_keys", entry.config.audit_non_hmac_response_keys},
          {"lockout", to_stored(entry.config.lockout)},
          {"options", entry.options},
          {"unmounting", entry.state == MountState::kUnmounting}};
}

MountEntry mount_entry_from_stored(const Json& stored) {
  MountEntry entry;
  entry.path = stored.at("path").get<std::string>();
  entry.uuid = stored.at("uuid").get<std::string>();
  entry.accessor = stored.at("accessor").get<std::string>();
  entry.type = stored.at("type").get<std::string>();
  entry.description = stored.at("description").get<std::string>();
  entry.config.default_lease_ttl = Millis{stored.at("default_lease_ttl").get<std::int64_t>()};
  entry.config.max_lease_ttl = Millis{stored.at("max_lease_ttl").get<std::int64_t>()};
  entry.config.force_no_cache = stored.at("force_no_cache").get<bool>();
  entry.config.listing_visibility = stored.at("listing_visibility").get<std::string>();
  entry.config.audit_non_hmac_request_keys =
      stored.at("audit_non_hmac_request_keys").get<std::set<std::string>>();
  entry.config.audit_non_hmac_response_keys =
      stored.at("audit_non_hmac_response_keys").get<std::set<std::string>>();
  // Not in what versions before wrote.
  if (stored.contains("lockout"))
    entry.config.lockout = lockout_settings_from_stored(stored["lockout"]);
  entry.options = stored.at("options").get<std::map<std::string, std::string>>();
  entry.state = stored.at("unmounting").get<bool>() ? MountState::kUnmounting : MountState::kActive;
  return entry;
}

Json to_api(const MountEntry& entry) {
  Json config = {{"default_lease_ttl", seconds(entry.config.default_lease_ttl)},
                 {"force_no_cache", entry.config.force_no_cache},
                 {"max_lease_ttl", seconds(entry.config.max_lease_ttl)}};
  if (!entry.config.listing_visibility.empty())
    config["listing_visibility"] = entry.config.listing_visibility;
  if (!entry.config.audit_non_hmac_request_keys.empty())
    config["audit_non_hmac_request_keys"] = entry.config.audit_non_hmac_request_keys;
  if (!entry.config.audit_non_hmac_response_keys.empty())
    config["audit_non_hmac_response_keys"] = entry.config.audit_non_hmac_response_keys;
  Json lockout = Json::object();
  add_to_api(entry.config.lockout, lockout);
  if (!lockout.empty()) config["user_lockout_config"] = std::move(lockout);
  if (entry.type == "token") config["token_type"] = "default-service";
  Json out = {{"accessor", entry.accessor},
              {"config", std::move(config)},
              {"description", entry.description},
              {"external_entropy_access", false},
              {"local", false},
              {"options", entry.options.empty() ? Json(nullptr) : Json(entry.options)},
              {"seal_wrap", false},
              {"type", entry.type},
              {"uuid", entry.uuid}};
  if (entry.state == MountState::kUnmounting) out["state"] = "unmounting";
  return out;
}

Status apply_config(const Json& data, MountConfig& config) {
  const Fields fields(data);
  RETURN_IF_ERROR(take_ttl(data, "default_lease_ttl", config.default_lease_ttl));
  RETURN_IF_ERROR(take_ttl(data, "max_lease_ttl", config.max_lease_ttl));
  if (config.max_lease_ttl > Millis{0} && config.default_lease_ttl > config.max_lease_ttl)
    return invalid("the mount's default_lease_ttl is longer than its max_lease_ttl");
  ASSIGN_OR_RETURN(config.force_no_cache,
                   fields.boolean_or("force_no_cache", config.force_no_cache));
  ASSIGN_OR_RETURN(config.listing_visibility,
                   fields.text_or("listing_visibility", config.listing_visibility));
  if (config.listing_visibility != "" && config.listing_visibility != "unauth" &&
      config.listing_visibility != "hidden")
    return invalid("field \"listing_visibility\": expected \"unauth\", \"hidden\" or \"\"");
  RETURN_IF_ERROR(apply_lockout(data, config.lockout));
  RETURN_IF_ERROR(
      take_keys(fields, "audit_non_hmac_request_keys", config.audit_non_hmac_request_keys));
  return take_keys(fields, "audit_non_hmac_response_keys", config.audit_non_hmac_response_keys);
}

Result<std::string> normalise_mount_path(std::string_view path) {
  while (path.starts_with('/')) path.remove_prefix(1);
  while (path.ends_with('/')) path.remove_suffix(1);
  if (path.empty()) return invalid("the mount needs a path");
  if (path.size() > kPathBytesMax) return invalid("the mount's path is longer than 256 bytes");
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte == 0x7f || c == '*' || c == '+' || c == '%' || c == '?' || c == '#')
      return invalid(
          "the mount's path may not hold spaces, control characters or any of * + % ? #");
  }
  std::string out = std::string(path) + "/";
  if (out.find("//") != std::string::npos || out.find("../") != std::string::npos)
    return invalid("the mount's path may hold neither empty segments nor \"..\"");
  for (const std::string_view reserved : kReserved) {
    if (out.starts_with(reserved))
      return invalid(fmt::format("cannot mount at \"{}\": reserved", out));
  }
  return out;
}

}  // namespace curfew::broker

#include "broker/system/mount_tuning.h"

#include "broker/lease/ttl.h"

namespace curfew::broker {

Json tune_data(const MountEntry& entry) {
  const auto seconds = [](Millis time) {
    return std::chrono::floor<Seconds>(time > Millis{0} ? time : kSystemTtl).count();
  };
  Json out = {{"default_lease_ttl", seconds(entry.config.default_lease_ttl)},
              {"max_lease_ttl", seconds(entry.config.max_lease_ttl)},
              {"force_no_cache", entry.config.force_no_cache},
              {"description", entry.description}};
  if (!entry.options.empty()) out["options"] = entry.options;
  if (!entry.config.listing_visibility.empty())
    out["listing_visibility"] = entry.config.listing_visibility;
  if (!entry.config.audit_non_hmac_request_keys.empty())
    out["audit_non_hmac_request_keys"] = entry.config.audit_non_hmac_request_keys;
  if (!entry.config.audit_non_hmac_response_keys.empty())
    out["audit_non_hmac_response_keys"] = entry.config.audit_non_hmac_response_keys;
  add_to_api(entry.config.lockout, out);
  return out;
}

Status apply_tune(const Json& data, MountEntry& entry) {
  const Fields fields(data);
  RETURN_IF_ERROR(apply_config(data, entry.config));
  ASSIGN_OR_RETURN(entry.description, fields.text_or("description", entry.description));
  ASSIGN_OR_RETURN(const auto options, fields.text_map("options"));
  if (options) {
    for (const auto& [name, value] : *options) entry.options[name] = value;
  }
  return ok();
}

std::vector<FieldSpec> tune_fields() {
  using enum FieldType;
  return {{"default_lease_ttl", kDuration, "Time to live where a role says nothing."},
          {"max_lease_ttl", kDuration, "The longest time to live."},
          {"description", kText, "For people."},
          {"options", kMap, "Of the engine."},
          {"listing_visibility", kText, "\"unauth\" shows the mount without a token."},
          {"user_lockout_config", kMap,
           "Of an auth method: lockout_threshold, lockout_duration, "
           "lockout_counter_reset_duration, lockout_disable."},
          {"audit_non_hmac_request_keys", kList, "Request members to audit in the clear."},
          {"audit_non_hmac_response_keys", kList, "Response members to audit in the clear."}};
}

}  // namespace curfew::broker

#include "broker/wrapping/wrapped_response.h"

namespace curfew::broker {
namespace {

Json auth_json(const Auth& auth) {
  return {{"client_token", auth.client_token.reveal()},
          {"accessor", auth.accessor},
          {"policies", auth.policies},
          {"token_policies", auth.token_policies},
          {"identity_policies", auth.identity_policies},
          {"metadata", auth.metadata},
          {"lease_duration", auth.lease_duration.count()},
          {"renewable", auth.renewable},
          {"entity_id", auth.entity_id},
          {"token_type", auth.token_type},
          {"orphan", auth.orphan},
          {"num_uses", auth.num_uses},
          {"made_now", auth.made_now}};
}

Auth auth_from_json(const Json& json) {
  Auth auth;
  auth.client_token = Secret(json.at("client_token").get<std::string>());
  auth.accessor = json.at("accessor").get<std::string>();
  auth.policies = json.at("policies").get<std::vector<std::string>>();
  auth.token_policies = json.at("token_policies").get<std::vector<std::string>>();
  auth.identity_policies = json.at("identity_policies").get<std::vector<std::string>>();
  auth.metadata = json.at("metadata");
  auth.lease_duration = Millis{json.at("lease_duration").get<std::int64_t>()};
  auth.renewable = json.at("renewable").get<bool>();
  auth.entity_id = json.at("entity_id").get<std::string>();
  auth.token_type = json.at("token_type").get<std::string>();
  auth.orphan = json.at("orphan").get<bool>();
  auth.num_uses = json.at("num_uses").get<std::int64_t>();
  auth.made_now = json.at("made_now").get<bool>();
  return auth;
}

}  // namespace

// The layout is not kept: what is unwrapped comes in the envelope, as from Vault.
Json to_stored(const WrappedResponse& wrapped) {
  const Response& response = wrapped.response;
  return {{"request_id", wrapped.request_id},
          {"creation_path", wrapped.creation_path},
          {"created_at", to_unix_millis(wrapped.created_at)},
          {"ttl", wrapped.ttl.count()},
          {"wrapped_accessor", wrapped.wrapped_accessor},
          {"held_token", wrapped.held_token},
          {"entity_id", wrapped.entity_id},
          {"human_id", wrapped.human_id},
          {"approval_id", wrapped.approval_id},
          {"status", response.status},
          {"data", response.data},
          {"lease_id", response.lease_id},
          {"renewable", response.renewable},
          {"lease_duration", response.lease_duration.count()},
          {"warnings", response.warnings},
          {"auth", response.auth ? auth_json(*response.auth) : Json(nullptr)}};
}

WrappedResponse wrapped_response_from_stored(const Json& stored) {
  WrappedResponse wrapped;
  wrapped.request_id = stored.at("request_id").get<std::string>();
  wrapped.creation_path = stored.at("creation_path").get<std::string>();
  wrapped.created_at = from_unix_millis(stored.at("created_at").get<std::int64_t>());
  wrapped.ttl = Millis{stored.at("ttl").get<std::int64_t>()};
  wrapped.wrapped_accessor = stored.at("wrapped_accessor").get<std::string>();
  wrapped.held_token = stored.at("held_token").get<std::string>();
  wrapped.entity_id = stored.value("entity_id", "");      // not in older rows
  wrapped.human_id = stored.value("human_id", "");        // likewise
  wrapped.approval_id = stored.value("approval_id", "");  // likewise
  Response& response = wrapped.response;
  response.status = stored.at("status").get<int>();
  response.data = stored.at("data");
  response.lease_id = stored.at("lease_id").get<std::string>();
  response.renewable = stored.at("renewable").get<bool>();
  response.lease_duration = Millis{stored.at("lease_duration").get<std::int64_t>()};
  response.warnings = stored.at("warnings").get<std::vector<std::string>>();
  if (!stored.at("auth").is_null()) response.auth = auth_from_json(stored.at("auth"));
  return wrapped;
}

}  // namespace curfew::broker

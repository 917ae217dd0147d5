#include "tests/broker/tenant_world.h"

namespace curfew::broker {

TenantWorld::TenantWorld() {
  outside_.role_ttl = Seconds{900};
  outside_.role_max = Seconds{3600};
  for (const char* name : {"team-a", "team-b"}) {
    make_namespace("", name);
    furnish(name);
  }
}

Result<Response> TenantWorld::in(const std::string& name_space, Operation operation,
                                 const std::string& path, Json data, const std::string& token) {
  extra_.name_space = name_space;
  auto response = call(operation, path, std::move(data), token);
  extra_.name_space.clear();
  return response;
}

Response TenantWorld::must_in(const std::string& name_space, Operation operation,
                              const std::string& path, Json data, const std::string& token) {
  auto response = in(name_space, operation, path, std::move(data), token);
  if (response) return *std::move(response);
  ADD_FAILURE() << name_space << " " << path << ": " << response.error().message;
  return {};
}

void TenantWorld::make_namespace(const std::string& above, const std::string& name) {
  must_in(above, Operation::kUpdate, "sys/namespaces/" + name);
}

void TenantWorld::furnish(const std::string& name_space) {
  must_in(name_space, Operation::kUpdate, "sys/mounts/db", {{"type", "scripted"}});
  must_in(name_space, Operation::kUpdate, "sys/mounts/kv", {{"type", "kv"}});
  must_in(name_space, Operation::kUpdate, "sys/policies/acl/agent",
          {{"policy", R"(path "db/creds/*" { capabilities = ["read"] })"}});
}

std::string TenantWorld::token_in(const std::string& name_space,
                                  const std::vector<std::string>& policies, Json more) {
  more["policies"] = policies;
  const Response made = must_in(name_space, Operation::kUpdate, "auth/token/create", more);
  return made.auth ? std::string(made.auth->client_token.reveal()) : "";
}

std::string TenantWorld::issue_in(const std::string& name_space, const std::string& token) {
  return must_in(name_space, Operation::kRead, "db/creds/ro", Json::object(), token).lease_id;
}

std::int64_t TenantWorld::live_in(const std::string& name_space) {
  return must_in(name_space, Operation::kRead, "sys/leases/count").data.value("lease_count", -1);
}

}  // namespace curfew::broker

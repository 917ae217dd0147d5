#pragma once

#include <string>

#include "broker/auth/jwt/jwt_method.h"
#include "broker/auth/kubernetes/kubernetes_method.h"
#include "tests/broker/broker_world.h"
#include "tests/support/https_server.h"
#include "tests/support/token_signer.h"

namespace curfew::broker {

// A broker with the methods that believe other servers, and such a server.
class AuthWorld : public BrokerWorld {
 protected:
  AuthWorld() {
    jwt::add_methods(auth_methods_);
    kubernetes::add_methods(auth_methods_,
                            {.pod_folder = directory_.string(), .review_timeout = Millis{400}});
    write_policy("ci", "path \"secret/ci\" { capabilities = [\"read\"] }");
  }

  void enable(const std::string& type) { must_write("sys/auth/" + type, {{"type", type}}); }
  std::int64_t now() const { return to_unix_seconds(clock_.wall()); }

  // A call without a token, as one who logs in makes it.
  Result<Response> as_stranger(const std::string& path, const Json& data) {
    Result<Response> result = write(path, data, "");
    server_.settle();
    return result;
  }
  std::string refusal(const Result<Response>& result, Errc code = Errc::kInvalidArgument) {
    if (result) return "(no refusal)";
    EXPECT_EQ(result.error().code, code) << result.error().message;
    return result.error().message;
  }

  test::HttpsServer server_;
};

}  // namespace curfew::broker

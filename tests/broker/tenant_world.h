#pragma once

#include <string>

#include "tests/broker/broker_world.h"

namespace curfew::broker {

// A broker with the namespaces team-a/ and team-b/, made alike: a mount "db" of scripted
// credentials, a mount "kv", a policy "agent" that may lease. Their tokens differ.
class TenantWorld : public BrokerWorld {
 protected:
  TenantWorld();

  // As BrokerWorld's, in a namespace ("" is the first one).
  Result<Response> in(const std::string& name_space, Operation operation, const std::string& path,
                      Json data = Json::object(), const std::string& token = "root");
  Response must_in(const std::string& name_space, Operation operation, const std::string& path,
                   Json data = Json::object(), const std::string& token = "root");

  void make_namespace(const std::string& above, const std::string& name);
  void furnish(const std::string& name_space);
  // A token of the namespace, made from above.
  std::string token_in(const std::string& name_space, const std::vector<std::string>& policies,
                       Json more = Json::object());
  std::string issue_in(const std::string& name_space, const std::string& token);
  std::int64_t live_in(const std::string& name_space);
};

}  // namespace curfew::broker

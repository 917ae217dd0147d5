#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "tests/api/raw_client.h"
#include "tests/e2e/agent_world.h"

namespace curfew::e2e {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

class BadInputTest : public ::testing::Test {
 protected:
  BadInputTest() { server_.start_initialized(); }
  ~BadInputTest() override {
    EXPECT_TRUE(server_.is_running()) << server_.log();
    EXPECT_EQ(server_.call("GET", "sys/mounts").status, 200);
  }

  // What a write to the path needs beside the field in question.
  static Json others(const std::string& path) {
    if (path == "database/config/wrong")
      return {{"plugin_name", "postgresql-database-plugin"},
              {"connection_url", "postgresql://{{username}}:{{password}}@127.0.0.1:1/x"},
              {"verify_connection", false}};
    if (path == "database/roles/wrong") return {{"db_name", "app"}};
    if (path == "sys/mounts/wrong") return {{"type", "kv"}};
    return Json::object();
  }

  ServerProcess server_;
};

TEST_F(BadInputTest, bodies_that_are_no_json_object_are_refused_with_400) {
  for (const std::string& body :
       {std::string("{"), std::string("{\"a\":}"), std::string("[1,2]"), std::string("\"text\""),
        std::string("7"), std::string("{\"policy\":\"\xff\xfe\"}"), std::string("{} trailing"),
        std::string("\0\0\0", 3), std::string("{\"a\":NaN}"),
        std::string("{\"policy\":\"\\ud800\"}")}) {
    const Answer answer = server_.call_raw("POST", "sys/policies/acl/p", body);
    EXPECT_EQ(answer.status, 400) << body << " " << answer.text;
    EXPECT_NE(answer.error(), "") << body;
  }
}

TEST_F(BadInputTest, deep_and_large_bodies_are_refused) {
  const std::string deep = "{\"a\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}";
  EXPECT_EQ(server_.call_raw("POST", "sys/policies/acl/p", deep).status, 400);
  std::string objects = "1";
  for (int i = 0; i < 1'000; ++i) objects = "{\"a\":" + objects + "}";
  EXPECT_EQ(server_.call_raw("POST", "sys/policies/acl/p", objects).status, 400);
  std::string many = "{\"a\":[0";
  for (int i = 0; i < 200'000; ++i) many += ",0";
  EXPECT_EQ(server_.call_raw("POST", "sys/policies/acl/p", many + "]}").status, 400);
  const std::string huge = "{\"policy\":\"" + std::string(33u << 20, 'x') + "\"}";
  // The server may close before all of it was sent: then there is no answer to read.
  EXPECT_THAT(server_.call_raw("POST", "sys/policies/acl/p", huge).status, AnyOf(413, 0));
}

TEST_F(BadInputTest, unknown_paths_and_methods_have_their_statuses) {
  EXPECT_EQ(server_.call("GET", "no/such/mount").status, 404);
  EXPECT_EQ(server_.call("GET", "sys/no-such-path").status, 404);
  EXPECT_EQ(server_.call("DELETE", "sys/health").status, 405);
  EXPECT_EQ(server_.call("BREW", "sys/health").status, 405);
  EXPECT_EQ(server_.call("GET", "sys/mounts", nullptr, "").status, 403);
  EXPECT_EQ(server_.call("GET", "sys/mounts", nullptr, "s.nobody").status, 403);
  EXPECT_EQ(server_.call("GET", "sys/mounts", nullptr, std::string(5'000, 'x')).status, 403);
  for (const char* path : {"../../etc/passwd", "%2e%2e/%2e%2e/x", "sys//mounts", "%00", "%zz",
                           "sys/policies/acl/%ff", "database/creds/%0a"}) {
    const int status = server_.call("GET", path).status;
    EXPECT_TRUE(status >= 400 && status < 500) << path << " " << status;
  }
}

// Each field in turn gets values of other types. Numbers and texts may stand for each other; an
// object or a list of objects where neither belongs is refused, and nothing is an internal error.
TEST_F(BadInputTest, values_of_wrong_types_are_refused_field_by_field) {
  test::TestDatabase database;
  const AgentWorld world(server_, database);
  const std::vector<Json> nested{
      {{"x", {{"y", 1}}}}, Json::array({Json::object()}), Json::array({nullptr})};
  const std::vector<Json> plain{-1, 1e300, std::string("\x01\x02"), true,
                                std::string(100'000, 'a')};
  // Vault's clients send these; they mean nothing here and are not looked at.
  const std::set<std::string> ignored{"sys/mounts/wrong local", "sys/mounts/wrong seal_wrap",
                                      "sys/mounts/wrong config"};
  const std::map<std::string, std::vector<std::string>> fields{
      {"database/config/wrong",
       {"plugin_name", "connection_url", "username", "password", "allowed_roles",
        "verify_connection", "password_policy", "username_template", "scram_iterations",
        "max_open_connections", "max_idle_connections", "max_connection_lifetime",
        "disable_escaping", "password_authentication", "root_rotation_statements",
        "connection_details", "tls_ca"}},
      {"database/roles/wrong",
       {"db_name", "creation_statements", "revocation_statements", "renew_statements",
        "rollback_statements", "default_ttl", "max_ttl", "credential_type", "credential_config"}},
      {"auth/token/create",
       {"id",
        "policies",
        "meta",
        "no_parent",
        "no_default_policy",
        "renewable",
        "ttl",
        "explicit_max_ttl",
        "display_name",
        "num_uses",
        "period",
        "type",
        "entity_alias",
        "lease",
        "agent",
        "on_behalf_of",
        "sub_agent",
        "max_live_leases",
        "max_leases_per_hour",
        "max_lease_ttl"}},
      {"sys/mounts/wrong", {"type", "description", "config", "options", "local", "seal_wrap"}},
      {"sys/policies/acl/wrong", {"policy"}},
      {"sys/audit/wrong", {"type", "description", "options", "local"}}};
  const auto post = [&](const std::string& path, const std::string& name, const Json& value) {
    Json body = others(path);
    body[name] = value;
    const Answer answer = server_.call("POST", path, body);
    const std::string what = path + " " + name + " = " + dump_json(value).substr(0, 60) + ": " +
                             answer.text.substr(0, 300);
    EXPECT_THAT(answer.status, AnyOf(200, 204, 400)) << what;
    EXPECT_EQ(answer.status == 400, !answer.error().empty()) << what;
    if (answer.status != 400 && path == "sys/mounts/wrong") server_.call("DELETE", path);
    return answer.status;
  };
  for (const auto& [path, names] : fields) {
    for (const std::string& name : names) {
      for (const Json& value : nested) {
        const int status = post(path, name, value);
        if (!ignored.contains(path + " " + name)) {
          EXPECT_EQ(status, 400) << path << " " << name << " = " << value;
        }
      }
      for (const Json& value : plain) post(path, name, value);
    }
  }
  EXPECT_EQ(world.issue("1h").status, 200);
}

TEST_F(BadInputTest, requests_for_credentials_with_bad_times_to_live_are_refused) {
  test::TestDatabase database;
  const AgentWorld world(server_, database);
  for (const char* ttl : {"x", "-5m", "1e9", "99999999999999999999", "5%20m", "%00"})
    EXPECT_EQ(world.issue(ttl).status, 400) << ttl;
  EXPECT_EQ(world.live_leases(), 0);
  EXPECT_EQ(server_.call("GET", "database/creds/no-such-role").status, 400);
  EXPECT_EQ(world.marked_roles(), 0);
}

TEST_F(BadInputTest, slow_and_garbled_connections_do_not_hold_up_others) {
  std::vector<std::unique_ptr<api::testing::RawClient>> slow;
  for (int i = 0; i < 200; ++i) {
    slow.push_back(std::make_unique<api::testing::RawClient>(server_.port()));
    slow.back()->send(i % 2 == 0 ? "GET /v1/sys/he"
                                 : "POST /v1/sys/init HTTP/1.1\r\nHost: x\r\n"
                                   "Content-Length: 1000000\r\n\r\n{");
  }
  for (const std::string& garbage :
       {std::string("\x16\x03\x01\x02\x00\x01", 6), std::string("\0\0\0\0\r\n\r\n", 8),
        std::string("GET / HTTP/9.9\r\n\r\n"), std::string("GET /v1/x HTTP/1.1\r\n\r\n"),
        std::string("POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"),
        std::string("POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        "GET /v1/" + std::string(100'000, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n"}) {
    api::testing::RawClient client(server_.port());
    const auto answer = client.exchange(garbage);
    EXPECT_TRUE(answer.status == 0 || (answer.status >= 400 && answer.status < 506)) << answer.head;
  }
  std::vector<std::thread> clients;
  for (int i = 0; i < 4; ++i)
    clients.emplace_back([&] {
      for (int n = 0; n < 25; ++n) EXPECT_EQ(server_.call("GET", "sys/mounts").status, 200);
    });
  for (std::thread& client : clients) client.join();
}

}  // namespace
}  // namespace curfew::e2e

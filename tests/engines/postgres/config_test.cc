#include "engines/postgres/config.h"

#include "engines/postgres/roles.h"
#include "tests/engines/postgres/postgres_fixture.h"

namespace curfew::engines::postgres {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// Configurations and roles need no server while nothing is verified.
class Paths : public ::testing::Test {
 protected:
  Paths() : engine_(std::move(*make_postgres_engine(world_.services()))) {}

  Result<Reply> call(Operation operation, const std::string& path, Json data = Json::object()) {
    return EngineWorld::call(*engine_, operation, path, std::move(data));
  }
  Result<Reply> write(const std::string& path, Json data) {
    return call(Operation::kUpdate, path, std::move(data));
  }
  Json read(const std::string& path) {
    const auto reply = call(Operation::kRead, path);
    EXPECT_TRUE(reply.has_value()) << (reply ? "" : reply.error().message);
    return reply ? reply->data : Json();
  }
  Json config(Json more = Json::object()) {
    Json body{{"plugin_name", "postgresql-database-plugin"},
              {"connection_url", "postgresql://{{username}}:{{password}}@127.0.0.1:1/app"},
              {"username", "broker"},
              {"password", "s3cret/word"},
              {"verify_connection", false}};
    body.update(more);
    return body;
  }
  void expect_refused(const std::string& path, Json data, const std::string& words) {
    const auto reply = write(path, std::move(data));
    ASSERT_FALSE(reply.has_value()) << words;
    EXPECT_EQ(reply.error().code, Errc::kInvalidArgument);
    EXPECT_THAT(reply.error().message, HasSubstr(words));
    EXPECT_THAT(reply.error().message, Not(HasSubstr("s3cret")));
  }

  EngineWorld world_;
  std::unique_ptr<SecretEngine> engine_;
};

TEST_F(Paths, a_configuration_is_read_without_its_password) {  // 018
  ASSERT_TRUE(write("config/pg", config({{"allowed_roles", "a, b*"}})).has_value());
  const Json data = read("config/pg");
  EXPECT_EQ(data["allowed_roles"], (Json{"a", "b*"}));
  EXPECT_EQ(data["plugin_name"], "postgresql-database-plugin");
  EXPECT_EQ(data["password_policy"], "");
  EXPECT_EQ(data["root_credentials_rotate_statements"], Json::array());
  EXPECT_EQ(data["connection_details"],
            (Json{{"connection_url", "postgresql://{{username}}:{{password}}@127.0.0.1:1/app"},
                  {"username", "broker"}}));
}

TEST_F(Paths, a_write_merges_into_what_is_stored) {
  ASSERT_TRUE(write("config/pg", config({{"allowed_roles", {"a"}}})).has_value());
  ASSERT_TRUE(
      write("config/pg", {{"max_open_connections", "7"}, {"username", "other"}}).has_value());
  const Json data = read("config/pg");
  EXPECT_EQ(data["connection_details"]["username"], "other");
  EXPECT_EQ(data["connection_details"]["max_open_connections"], "7");
  EXPECT_EQ(data["allowed_roles"], Json{"a"});
  const auto stored = load_config(world_.storage, "pg");
  EXPECT_EQ((*stored)->details["password"], "s3cret/word");
}

TEST_F(Paths, a_password_in_the_url_is_masked_and_warned_about) {
  auto reply =
      write("config/pg",
            config({{"connection_url", "postgresql://u:s3cret@h/d?sslpassword=s3cret&a=b"}}));
  ASSERT_FALSE(reply.has_value());  // "a" is no parameter
  EXPECT_THAT(reply.error().message, Not(HasSubstr("s3cret")));
  reply = write("config/pg",
                config({{"connection_url", "postgresql://u:s3cret@h/d?sslpassword=s3cret"}}));
  ASSERT_TRUE(reply.has_value()) << reply.error().message;
  EXPECT_THAT(reply->warnings, Contains(HasSubstr("Password found in connection_url")));
  EXPECT_EQ(read("config/pg")["connection_details"]["connection_url"],
            "postgresql://u:xxxxx@h/d?sslpassword=xxxxx");
  reply = write("config/pg",
                config({{"connection_url", "host=h user=u password='s3cret x' dbname=d"}}));
  ASSERT_TRUE(reply.has_value()) << reply.error().message;
  EXPECT_EQ(read("config/pg")["connection_details"]["connection_url"],
            "host=h user=u password=xxxxx dbname=d");
}

TEST_F(Paths, bad_configurations_are_refused_by_field) {
  expect_refused("config/pg", Json::object(), "empty plugin name");
  expect_refused("config/pg", config({{"plugin_name", "mysql-database-plugin"}}), "plugin_name");
  expect_refused("config/pg", config({{"connection_url", ""}}), "connection_url");
  expect_refused("config/pg", config({{"connection_url", "postgresql://u:s3cret@h:port:x/"}}),
                 "port is a number");
  expect_refused("config/pg", config({{"connection_url", "postgresql://u:s3cret@[h/"}}),
                 "connection_url cannot be read");
  expect_refused("config/pg", config({{"connection_url", "service=x"}}), "\"service\"");
  expect_refused("config/pg", config({{"connection_url", "host=h connect_timeout=soon"}}),
                 "connect_timeout");
  expect_refused("config/pg", config({{"max_open_connections", -1}}), "max_open_connections");
  expect_refused("config/pg", config({{"max_open_connections", "many"}}), "max_open_connections");
  expect_refused("config/pg", config({{"max_connection_lifetime", "x"}}),
                 "max_connection_lifetime");
  expect_refused("config/pg", config({{"scram_iterations", 0}}), "scram_iterations");
  expect_refused("config/pg", config({{"scram_iterations", 1'000'001}}), "scram_iterations");
  expect_refused("config/pg", config({{"username_template", "{{.RoleName}}"}}), "same name");
  expect_refused("config/pg", config({{"username_template", "{{oops}}"}}), "username_template");
  expect_refused("config/pg", config({{"password_authentication", "md5"}}),
                 "password_authentication");
  expect_refused("config/pg", config({{"tls_ca", "-----BEGIN"}}), "sslrootcert");
  expect_refused("config/pg", config({{"extra", {{"a", "b"}}}}), "extra");
  expect_refused("config/pg", config({{"connection_details", "text"}}), "connection_details");
  expect_refused("config/pg", config({{"connection_details", {{"extra", {{"a", "b"}}}}}}), "extra");
  EXPECT_EQ(call(Operation::kRead, "config/pg").error().code, Errc::kNotFound);
}

TEST_F(Paths, lists_and_misses) {
  for (const char* path : {"config", "roles"})
    EXPECT_EQ(call(Operation::kList, path).error().code, Errc::kNotFound);
  for (const char* path : {"config/x", "roles/x"})  // 023
    EXPECT_EQ(call(Operation::kRead, path).error().code, Errc::kNotFound);
  ASSERT_TRUE(write("config/pg", config()).has_value());
  ASSERT_TRUE(write("roles/ro", {{"db_name", "pg"}}).has_value());
  EXPECT_EQ(call(Operation::kList, "config")->data, (Json{{"keys", {"pg"}}}));
  EXPECT_EQ(call(Operation::kList, "roles")->data, (Json{{"keys", {"ro"}}}));
  for (const char* path : {"config/pg", "roles/ro", "roles/ro"})
    EXPECT_TRUE(call(Operation::kDelete, path).has_value());
  EXPECT_EQ(call(Operation::kList, "config").error().code, Errc::kNotFound);
}

TEST_F(Paths, the_broker_can_tell_create_from_update) {
  const auto exists = [&](const std::string& path, const std::string& name) {
    return *engine_->exists({Operation::kUpdate, path, {{"name", name}}, Json::object(), {}});
  };
  EXPECT_EQ(exists("config/pg", "pg"), false);
  EXPECT_EQ(exists("roles/ro", "ro"), false);
  EXPECT_EQ(exists("reset/pg", "pg"), std::nullopt);
  ASSERT_TRUE(write("config/pg", config()).has_value());
  ASSERT_TRUE(write("roles/ro", {{"db_name", "pg"}}).has_value());
  EXPECT_EQ(exists("config/pg", "pg"), true);
  EXPECT_EQ(exists("roles/ro", "ro"), true);
}

TEST_F(Paths, a_configuration_that_leases_need_is_not_deleted_by_accident) {
  ASSERT_TRUE(write("config/pg", config()).has_value());
  world_.leases.add({"l1", "ro", {"pg", Json::object()}, world_.clock.wall()});
  world_.leases.add({"l2", "ro", {"pg", Json::object()}, world_.clock.wall()});
  auto reply = call(Operation::kDelete, "config/pg");
  ASSERT_FALSE(reply.has_value());
  EXPECT_THAT(reply.error().message, HasSubstr("2 leases"));
  EXPECT_THAT(reply.error().message, HasSubstr("force=true"));
  reply = call(Operation::kDelete, "config/pg", {{"force", "true"}});
  ASSERT_TRUE(reply.has_value()) << reply.error().message;
  EXPECT_THAT(reply->warnings, Contains(HasSubstr("2 leases")));
  EXPECT_EQ(call(Operation::kRead, "config/pg").error().code, Errc::kNotFound);
}

TEST_F(Paths, reset_needs_a_configuration) {  // 046
  EXPECT_EQ(write("reset/pg", Json::object()).error().code, Errc::kInvalidArgument);
  ASSERT_TRUE(write("config/pg", config()).has_value());
  const auto reply = write("reset/pg", Json::object());
  ASSERT_TRUE(reply.has_value());
  EXPECT_TRUE(reply->data.is_null());
}

TEST_F(Paths, a_role_is_read_as_it_was_written) {  // 021
  ASSERT_TRUE(write("config/pg", config({{"allowed_roles", "*"}})).has_value());
  const auto reply =
      write("roles/ro",
            {{"db_name", "pg"},
             {"creation_statements",
              "CREATE ROLE \"{{name}}\" PASSWORD '{{password}}' VALID UNTIL '{{expiration}}', a"},
             {"rehearse", false},
             {"default_ttl", "1h"},
             {"max_ttl", 86400}});
  ASSERT_TRUE(reply.has_value()) << reply.error().message;
  EXPECT_THAT(reply->warnings, ElementsAre(HasSubstr("rehearse=false")));
  EXPECT_EQ(
      read("roles/ro"),
      (Json{{"db_name", "pg"},
            {"creation_statements",
             {"CREATE ROLE \"{{name}}\" PASSWORD '{{password}}' VALID UNTIL '{{expiration}}', a"}},
            {"revocation_statements", Json::array()},
            {"renew_statements", Json::array()},
            {"rollback_statements", Json::array()},
            {"credential_type", "password"},
            {"default_ttl", 3600},
            {"max_ttl", 86400}}));
  ASSERT_TRUE(write("roles/ro", {{"max_ttl", "2h"}}).has_value());
  EXPECT_EQ(read("roles/ro")["max_ttl"], 7200);
  EXPECT_EQ(read("roles/ro")["db_name"], "pg");
}

TEST_F(Paths, bad_roles_are_refused_by_field) {
  expect_refused("roles/ro", Json::object(), "database name is required");  // 407
  expect_refused("roles/ro", {{"db_name", "pg"}, {"default_ttl", "2h"}, {"max_ttl", "1h"}},
                 "default_ttl (2h) is longer than max_ttl (1h)");
  expect_refused("roles/ro", {{"db_name", "pg"}, {"default_ttl", "soon"}}, "default_ttl");
  expect_refused("roles/ro", {{"db_name", "pg"}, {"creation_statements", {"SELECT 1; COMMIT"}}},
                 "creation_statements[0]");
  expect_refused("roles/ro", {{"db_name", "pg"}, {"revocation_statements", {"SELECT '"}}},
                 "revocation_statements[0]");
  expect_refused("roles/ro", {{"db_name", "pg"}, {"renew_statements", {"DO $$"}}},
                 "renew_statements[0]");
  expect_refused("roles/ro", {{"db_name", "pg"}, {"credential_type", "rsa_private_key"}},
                 "credential_type");
  expect_refused("roles/ro", {{"db_name", "pg"}, {"credential_config", {{"x", "y"}}}},
                 "credential_config");
}

TEST_F(Paths, what_is_unwise_is_warned_about) {
  const auto warnings = [&](const std::string& creation, const std::string& revocation = "") {
    Json body{{"db_name", "pg"}, {"creation_statements", {creation}}};
    if (!revocation.empty()) body["revocation_statements"] = {revocation};
    auto reply = write("roles/ro", body);
    EXPECT_TRUE(reply.has_value()) << (reply ? "" : reply.error().message);
    return reply ? Json(reply->warnings).dump() : "";
  };
  EXPECT_THAT(warnings("CREATE ROLE \"{{name}}\""), HasSubstr("VALID UNTIL"));
  EXPECT_THAT(warnings("CREATE ROLE \"{{name}}\""), HasSubstr("no config/pg yet"));
  ASSERT_TRUE(write("config/pg", config({{"allowed_roles", "other"}})).has_value());
  EXPECT_THAT(warnings("CREATE ROLE \"{{name}}\""), HasSubstr("allowed_roles"));
  EXPECT_THAT(warnings("GRANT SELECT ON t TO \"{{name}}\""), HasSubstr("group role"));  // [4]
  EXPECT_THAT(warnings("CREATE ROLE \"{{user}}\""), HasSubstr("{{user}}"));
  EXPECT_THAT(warnings("SELECT 1", "REASSIGN OWNED BY \"{{name}}\" TO app"),
              HasSubstr("REASSIGN OWNED"));
}

TEST_F(Paths, who_may_not_have_credentials_is_told_why) {
  const auto plan = [&](const std::string& role) {
    const auto made = engine_->plan(
        {"creds/" + role, {{"name", role}}, "m/creds/" + role + "/l", Json::object(), {}},
        world_.random);
    EXPECT_FALSE(made.has_value());
    return made ? Error{} : made.error();
  };
  EXPECT_EQ(plan("nope").message, "unknown role: nope");  // 025
  EXPECT_EQ(plan("nope").code, Errc::kInvalidArgument);
  ASSERT_TRUE(write("roles/ro", {{"db_name", "ghost"}}).has_value());
  EXPECT_THAT(plan("ro").message, HasSubstr("connection with name: \"ghost\""));  // 408
  ASSERT_TRUE(write("config/ghost", config()).has_value());
  EXPECT_EQ(plan("ro").message, "\"ro\" is not an allowed role");  // 405; empty means none
  EXPECT_EQ(plan("ro").code, Errc::kRefused);
  ASSERT_TRUE(write("config/ghost", {{"allowed_roles", "r*"}}).has_value());
  EXPECT_EQ(plan("ro").message, "empty creation statements");  // 406
  EXPECT_EQ(plan("ro").code, Errc::kRefused);
}

TEST_F(Paths, the_stores_failures_are_passed_on) {
  world_.storage.fail_write(1);
  EXPECT_EQ(write("config/pg", config()).error().code, Errc::kUnavailable);
  world_.storage.fail_write(1);
  EXPECT_EQ(write("roles/ro", {{"db_name", "pg"}}).error().code, Errc::kUnavailable);
}

TEST(Target, credentials_need_no_escaping_and_add_no_parameters) {
  const auto parsed =
      parse_target("pg", {{"connection_url", "postgresql://{{username}}:{{password}}@h:6000/d"},
                          {"username", "u@x/y"},
                          {"password", "p%20@host=evil/?#&sslmode=disable"}});
  ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
  EXPECT_EQ(parsed->parameters.at("user"), "u@x/y");
  EXPECT_EQ(parsed->password.reveal(), "p%20@host=evil/?#&sslmode=disable");
  EXPECT_EQ(parsed->parameters.at("host"), "h");
  EXPECT_FALSE(parsed->parameters.contains("sslmode"));
  EXPECT_EQ(parsed->address, "h:6000");
}

TEST(Target, escaped_credentials_are_taken_as_they_are_when_told_so) {
  const auto parsed =
      parse_target("pg", {{"connection_url", "postgresql://{{username}}:{{password}}@h/d"},
                          {"username", "u"},
                          {"password", "a%40b"},
                          {"disable_escaping", true}});
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->password.reveal(), "a@b");
}

TEST(Target, settings_of_the_url_are_honoured) {
  const auto parsed = parse_target("pg", {{"connection_url",
                                           "host=h port=7 sslmode=verify-full connect_timeout=3 "
                                           "application_name=mine dbname=d password={{password}}"},
                                          {"username", "u"},
                                          {"password", "p q"},
                                          {"max_open_connections", 9},
                                          {"max_idle_connections", -1},
                                          {"max_connection_lifetime", "90s"}});
  ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
  EXPECT_EQ(parsed->parameters.at("sslmode"), "verify-full");
  EXPECT_EQ(parsed->parameters.at("application_name"), "mine");
  EXPECT_EQ(parsed->parameters.at("user"), "u");
  EXPECT_EQ(parsed->password.reveal(), "p q");
  EXPECT_EQ(parsed->connect_timeout, Seconds{3});
  EXPECT_EQ(parsed->connections_max, 9);
  EXPECT_EQ(parsed->idle_max, 0);
  EXPECT_EQ(parsed->lifetime_max, Seconds{90});
}

}  // namespace
}  // namespace curfew::engines::postgres

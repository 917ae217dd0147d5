#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>

#include "tests/e2e/server_process.h"
#include "tests/support/sqlite_file.h"

namespace curfew::e2e {
namespace {

using ::testing::HasSubstr;

namespace fs = std::filesystem;

class ConfigurationTest : public ::testing::Test {
 protected:
  // Expects an exit with status 1 and an error that says `what`.
  void refuse(const std::string& configuration, const std::string& what) {
    const Outcome outcome = server_.start_refused_with(configuration);
    EXPECT_EQ(outcome.exit, 1) << configuration;
    EXPECT_THAT(outcome.err, HasSubstr(what));
  }
  std::string storage() const {
    return "storage \"sqlite\" { path = \"" + server_.database_path() + "\" }\n";
  }

  ServerProcess server_;
  const std::string listener_ =
      "listener \"tcp\" {\n  address = \"127.0.0.1:0\"\n  tls_disable = true\n}\n";
};

TEST_F(ConfigurationTest, an_unknown_setting_is_named_with_its_line) {
  refuse(listener_ + storage() + "log_levle = \"info\"\n", "line 6, column 1");
  refuse(listener_ + storage() + "log_levle = \"info\"\n", "log_levle");
  refuse("listener \"tcp\" {\n  adress = \"127.0.0.1:0\"\n}\n" + storage(), "line 2");
}

TEST_F(ConfigurationTest, what_is_missing_or_malformed_is_said) {
  refuse(listener_, "expected storage \"sqlite\"");
  refuse(storage(), "expected at least one: listener");
  refuse("listener \"tcp\" {\n", "line ");
  refuse("listener \"tcp\" { tls_disable = true\n address = \"127.0.0.1:99999\" }\n" + storage(),
         "invalid address \"127.0.0.1:99999\"");
  refuse("listener \"tcp\" { tls_disable = true\n address = \"no.such.host.invalid:0\" }\n" +
             storage(),
         "no.such.host.invalid");
  refuse("listener \"tcp\" { address = \"127.0.0.1:0\" }\n" + storage(), "tls_cert_file");
  refuse(
      "listener \"tcp\" {\n tls_disable = true\n tls_require_and_verify_client_cert = true\n}\n" +
          storage(),
      "expected tls_client_ca_file");
  refuse(
      "listener \"tcp\" {\n tls_client_ca_file = \"a\"\n tls_require_and_verify_client_cert = "
      "true\n"
      " tls_disable_client_certs = true\n}\n" +
          storage(),
      "line 4, column 2");
  refuse(
      "listener \"tcp\" {\n tls_disable = true\n tls_disable_client_certs = true\n}\n" + storage(),
      "there are no client certificates");
  refuse(listener_ + "storage \"sqlite\" { path = \"/no/such/folder/curfew.db\" }\n",
         "/no/such/folder");
}

TEST_F(ConfigurationTest, a_missing_file_and_a_missing_flag_are_said) {
  const Outcome missing = run_cli({"server", "-config=" + server_.path("none.hcl")});
  EXPECT_EQ(missing.exit, 1);
  EXPECT_THAT(missing.err, HasSubstr(server_.path("none.hcl")));
  const Outcome none = run_cli({"server"});
  EXPECT_EQ(none.exit, 1);
  EXPECT_THAT(none.err, HasSubstr("-config=FILE"));
}

TEST_F(ConfigurationTest, a_port_that_is_taken_is_named) {
  ServerProcess first;
  first.start();
  const std::string port = std::to_string(first.port());
  refuse("listener \"tcp\" {\n  address = \"127.0.0.1:" + port + "\"\n  tls_disable = true\n}\n" +
             storage(),
         port);
}

TEST_F(ConfigurationTest, a_second_server_on_the_same_store_is_refused_and_the_first_goes_on) {
  server_.start_initialized();
  ServerProcess second;
  second.set_storage(storage());
  const Outcome refused = second.start_refused();
  EXPECT_EQ(refused.exit, 1);
  EXPECT_THAT(refused.err, HasSubstr("another server (process " + std::to_string(server_.pid()) +
                                     ") is using the database"));
  EXPECT_EQ(server_.call("GET", "sys/mounts").status, 200);
}

TEST_F(ConfigurationTest, a_file_that_is_no_database_of_curfew_is_refused_and_left_alone) {
  write_file(server_.database_path(), std::string(5000, 'x'));
  const Outcome text = server_.start_refused();
  EXPECT_EQ(text.exit, 1);
  EXPECT_THAT(text.err, HasSubstr("is not a Curfew database"));
  EXPECT_EQ(read_file(server_.database_path()), std::string(5000, 'x'));

  fs::remove(server_.database_path());
  test::run_sqlite(server_.database_path(), "CREATE TABLE theirs (a int)");
  const std::string before = read_file(server_.database_path());
  const Outcome foreign = server_.start_refused();
  EXPECT_EQ(foreign.exit, 1);
  EXPECT_THAT(foreign.err, HasSubstr("another program's SQLite database"));
  EXPECT_EQ(read_file(server_.database_path()), before);
}

TEST_F(ConfigurationTest, a_database_put_in_the_place_of_another_is_refused) {
  ServerProcess other;
  server_.start_initialized();
  other.start_initialized();
  server_.stop();
  other.stop();
  fs::copy_file(other.database_path(), server_.database_path(),
                fs::copy_options::overwrite_existing);
  const Outcome refused = server_.start_refused();
  EXPECT_EQ(refused.exit, 1);
  EXPECT_THAT(refused.err, HasSubstr("does not open this database"));
}

TEST_F(ConfigurationTest, rows_that_somebody_edited_become_errors_and_no_privileges) {
  server_.start_initialized();
  server_.must("PUT", "sys/policies/acl/reader",
               {{"policy", R"(path "secret/*" { capabilities = ["read"] })"}});
  server_.must("PUT", "sys/policies/acl/writer",
               {{"policy", R"(path "*" { capabilities = ["read", "sudo", "update"] })"}});
  const std::string token = server_
                                .must("POST", "auth/token/create",
                                      {{"policies", {"reader"}}, {"no_default_policy", true}})
                                .at("auth")
                                .at("client_token");
  server_.must("GET", "sys/mounts");
  EXPECT_EQ(server_.call("GET", "sys/mounts", nullptr, token).status, 403);
  server_.stop();
  // The powerful policy's sealed value under the harmless one's name.
  EXPECT_EQ(
      test::run_sqlite(
          server_.database_path(),
          "UPDATE records SET sealed = (SELECT sealed FROM records WHERE scope = 'sys/policy' AND "
          "name = 'writer') WHERE scope = 'sys/policy' AND name = 'reader'"),
      1);
  server_.start();
  const Answer answer = server_.call("GET", "sys/mounts", nullptr, token);
  EXPECT_NE(answer.status, 200);
  EXPECT_THAT(answer.text, HasSubstr("could not be verified"));
  EXPECT_EQ(server_.call("GET", "sys/mounts").status, 200) << "root needs no policy";
}

TEST_F(ConfigurationTest, a_damaged_database_is_refused_at_the_start) {
  server_.start_initialized();
  server_.stop();
  std::string bytes = read_file(server_.database_path());
  ASSERT_GT(bytes.size(), 3u * 4096);
  for (std::size_t i = 4096; i < 3 * 4096; ++i) bytes[i] = static_cast<char>(i * 31);
  write_file(server_.database_path(), bytes);
  const Outcome refused = server_.start_refused();
  EXPECT_EQ(refused.exit, 1);
  EXPECT_THAT(refused.err, HasSubstr("damaged"));
}

TEST_F(ConfigurationTest, nothing_in_the_folder_is_open_to_other_users) {
  server_.start_initialized();
  for (const char* name : {"curfew.db", "curfew.db-wal", "curfew.db-shm", "curfew.db.lock"}) {
    ASSERT_TRUE(fs::exists(server_.path(name))) << name;
    EXPECT_EQ(fs::status(server_.path(name)).permissions() & fs::perms(077), fs::perms::none)
        << name;
  }
}

}  // namespace
}  // namespace curfew::e2e

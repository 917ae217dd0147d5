#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>

#include "tests/e2e/server_process.h"
#include "tests/support/certificate.h"

namespace curfew::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class TlsTest : public ::testing::Test {
 protected:
  TlsTest() {
    install(first_);
    write_file(server_.path("first.pem"), first_.certificate);
    write_file(server_.path("second.pem"), second_.certificate);
    server_.set_listener("tls_cert_file = \"" + server_.path("server.crt") +
                         "\"\n  tls_key_file = \"" + server_.path("server.key") + "\"");
    server_.trust(server_.path("first.pem"));
  }

  void install(const test::Certificate& pair) {
    write_file(server_.path("server.crt"), pair.certificate);
    write_file(server_.path("server.key"), pair.key);
  }
  int status_trusting(const std::string& name) {
    server_.trust(server_.path(name));
    return server_.cli({"status"}).exit;
  }

  ServerProcess server_;
  const test::Certificate first_ = test::make_certificate();
  const test::Certificate second_ = test::make_certificate();
};

TEST_F(TlsTest, clients_that_trust_the_certificate_are_served_and_others_turn_away) {
  server_.start_initialized();
  EXPECT_THAT(server_.address(), StartsWith("https://"));
  EXPECT_EQ(server_.cli({"token", "lookup"}).exit, 0);
  EXPECT_EQ(status_trusting("second.pem"), 1);
  const Outcome plain =
      run_cli({"status"}, {{"CURFEW_ADDR", "http://127.0.0.1:" + std::to_string(server_.port())}});
  EXPECT_EQ(plain.exit, 1);
}

TEST_F(TlsTest, sighup_swaps_the_certificate_and_keeps_the_old_one_when_the_new_is_no_good) {
  server_.start_initialized();
  install(second_);
  EXPECT_EQ(status_trusting("first.pem"), 0) << "nothing changes by itself";
  server_.signal(SIGHUP);
  EXPECT_TRUE(eventually([&] { return status_trusting("second.pem") == 0; }));
  EXPECT_EQ(status_trusting("first.pem"), 1);

  write_file(server_.path("server.crt"), "no certificate");
  server_.signal(SIGHUP);
  EXPECT_TRUE(eventually([&] {
    return server_.log().find("certificates=\"kept\"") != std::string::npos;
  })) << server_.log();
  EXPECT_EQ(status_trusting("second.pem"), 0);
}

TEST_F(TlsTest, a_certificate_without_its_key_is_refused_at_the_start) {
  write_file(server_.path("server.key"), second_.key);
  const Outcome refused = server_.start_refused();
  EXPECT_EQ(refused.exit, 1);
  EXPECT_THAT(refused.err, HasSubstr(server_.path("server.")));
}

TEST(SignalTest, sighup_writes_the_audit_lines_to_a_new_file_after_a_rotation) {
  ServerProcess server;
  server.start_initialized();
  const std::string log = server.path("audit.log");
  server.must("PUT", "sys/audit/file", {{"type", "file"}, {"options", {{"file_path", log}}}});
  server.must("GET", "sys/policies/acl/default");
  ASSERT_THAT(read_file(log), HasSubstr("sys/policies/acl/default"));
  std::filesystem::rename(log, log + ".1");
  const std::string before = read_file(log + ".1");
  server.signal(SIGHUP);
  EXPECT_TRUE(eventually([&] {
    server.must("GET", "sys/policies/acl/root");
    return std::filesystem::exists(log);
  }));
  server.must("GET", "sys/mounts");
  EXPECT_THAT(read_file(log), HasSubstr("sys/mounts"));
  EXPECT_THAT(read_file(log + ".1"), StartsWith(before));
}

TEST(SignalTest, sigterm_and_sigint_end_the_server_with_status_0) {
  for (const int number : {SIGTERM, SIGINT}) {
    ServerProcess server;
    server.start_initialized();
    EXPECT_EQ(server.stop(number), 0);
    EXPECT_EQ(server.call("GET", "sys/health").status, 0);
  }
}

}  // namespace
}  // namespace curfew::e2e

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "base/digest.h"
#include "tests/broker/broker_world.h"

namespace curfew::broker {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class AuditTest : public BrokerWorld {
 protected:
  AuditTest() {
    must_write("sys/mounts/db", {{"type", "scripted"}});
    must_write("sys/mounts/kv", {{"type", "kv"}});
    file_ = directory_ / "audit.log";
  }

  void enable(Json options = Json::object()) {
    options["file_path"] = file_.string();
    must_write("sys/audit/file", {{"type", "file"}, {"options", options}});
  }
  std::string text() {
    std::ifstream in(file_);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::vector<Json> lines() {
    std::vector<Json> out;
    std::ifstream in(file_);
    for (std::string line; std::getline(in, line);) out.push_back(Json::parse(line));
    return out;
  }
  // The last two lines: a request and its response.
  std::pair<Json, Json> last() {
    auto all = lines();
    if (all.size() < 2) {
      ADD_FAILURE() << "fewer than two lines";
      return {};
    }
    return {all[all.size() - 2], all.back()};
  }

  std::filesystem::path file_;
};

TEST_F(AuditTest, each_request_and_each_response_is_a_line) {
  enable();
  extra_.purpose = "weekly\nreport";
  extra_.session = "s-1";
  extra_.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  extra_.remote_port = 4242;
  PeerCertificate shown;
  shown.serial_number = "77";
  extra_.peer_certificate = std::make_shared<const PeerCertificate>(shown);
  const auto issued = read("db/creds/ro");
  ASSERT_TRUE(issued.has_value());
  const auto [request, response] = last();
  EXPECT_EQ(request.at("type"), "request");
  EXPECT_EQ(response.at("type"), "response");
  EXPECT_EQ(request.at("request").at("id"), response.at("request").at("id"));
  const Json& asked = request.at("request");
  EXPECT_EQ(asked.at("operation"), "read");
  EXPECT_EQ(asked.at("path"), "db/creds/ro");
  EXPECT_EQ(asked.at("mount_type"), "scripted");
  EXPECT_EQ(asked.at("remote_address"), "127.0.0.1");
  EXPECT_EQ(asked.at("remote_port"), 4242);
  EXPECT_EQ(asked.at("client_certificate_serial_number"), "77");
  EXPECT_EQ(asked.at("namespace").at("id"), "root");
  EXPECT_EQ(asked.at("purpose"), "weeklyreport");
  EXPECT_EQ(asked.at("session"), "s-1");
  EXPECT_EQ(asked.at("trace_id"), "0af7651916cd43dd8448eb211c80319c");
  const Json& auth = request.at("auth");
  EXPECT_EQ(auth.at("display_name"), "root");
  EXPECT_EQ(auth.at("policies"), Json({"root"}));
  EXPECT_EQ(auth.at("policy_results").at("allowed"), true);
  EXPECT_THAT(auth.at("client_token").get<std::string>(), HasSubstr("hmac-sha256:"));
  EXPECT_EQ(response.at("response").at("secret").at("lease_id"), issued->lease_id);
}

TEST_F(AuditTest, no_secret_is_in_the_file) {
  enable();
  const auto issued = read("db/creds/ro");
  must_write("kv/app", {{"api_key", "hunter2-value"}, {"nested", {{"deep", {"hunter3-value"}}}}});
  const std::string token = make_token({"default"});
  EXPECT_THAT(text(), Not(HasSubstr(issued->data.at("password").get<std::string>())));
  EXPECT_THAT(text(), Not(HasSubstr("hunter2-value")));
  EXPECT_THAT(text(), Not(HasSubstr("hunter3-value")));
  EXPECT_THAT(text(), Not(HasSubstr(token)));
}

TEST_F(AuditTest, a_value_can_be_found_by_its_hash) {
  enable();
  must_write("kv/app", {{"k", "needle"}});
  const Json hashed = must_write("sys/audit-hash/file", {{"input", "needle"}}).data;
  EXPECT_THAT(text(), HasSubstr(hashed.at("hash").get<std::string>()));
  EXPECT_THAT(hashed.at("hash").get<std::string>(), Not(HasSubstr(sha256("needle"))));
}

TEST_F(AuditTest, refusals_are_recorded_with_their_reason) {
  enable();
  write_policy("agent", R"(path "db/creds/*" { capabilities = ["read"] })");
  const std::string token = make_token({"agent"});
  EXPECT_EQ(code_of(read("kv/app", token)), Errc::kPermissionDenied);
  const auto [request, response] = last();
  EXPECT_EQ(request.at("auth").at("policy_results").at("allowed"), false);
  EXPECT_FALSE(request.at("auth").at("policy_results").at("reason").get<std::string>().empty());
  EXPECT_THAT(response.at("error").get<std::string>(), HasSubstr("permission denied"));
  EXPECT_EQ(code_of(read("kv/app", "bad")), Errc::kUnauthenticated);
  EXPECT_TRUE(last().second.contains("error"));
}

TEST_F(AuditTest, members_named_by_the_mount_stay_readable) {
  enable();
  must_write("sys/mounts/kv/tune",
             {{"audit_non_hmac_request_keys", "team"}, {"audit_non_hmac_response_keys", "team"}});
  must_write("kv/app", {{"team", "blue"}, {"key", "secret-1"}});
  EXPECT_EQ(last().first.at("request").at("data").at("team"), "blue");
  EXPECT_THAT(last().first.at("request").at("data").at("key").get<std::string>(),
              HasSubstr("hmac"));
  must_read("kv/app");
  EXPECT_EQ(last().second.at("response").at("data").at("team"), "blue");
}

TEST_F(AuditTest, a_device_can_be_listed_and_disabled_and_survives_a_restart) {
  enable({{"prefix", "@cee: "}, {"mode", "0640"}});
  struct stat info {};
  ASSERT_EQ(::stat(file_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
  restart();
  EXPECT_EQ(must_read("sys/audit").at("file/").at("options").at("prefix"), "@cee: ");
  EXPECT_THAT(text(), HasSubstr("@cee: {"));
  const auto before = text().size();
  EXPECT_TRUE(remove("sys/audit/file").has_value());
  must_read("sys/mounts");
  EXPECT_LT(text().size(), before + 2000);
  EXPECT_TRUE(must_read("sys/audit").empty());
}

TEST_F(AuditTest, bad_devices_are_refused_with_the_reason) {
  const auto refused = [&](Json body) {
    const auto result = write("sys/audit/x", std::move(body));
    EXPECT_EQ(code_of(result), Errc::kInvalidArgument);
    return result ? "" : result.error().message;
  };
  EXPECT_THAT(refused({{"type", "syslog"}}), HasSubstr("unknown audit device type"));
  EXPECT_THAT(refused({{"type", "file"}}), HasSubstr("file_path"));
  EXPECT_THAT(refused({{"type", "file"}, {"options", {{"file_path", "relative"}}}}),
              HasSubstr("absolute"));
  EXPECT_THAT(refused({{"type", "file"}, {"options", {{"file_path", "/no/such/dir/a.log"}}}}),
              HasSubstr("No such file"));
  EXPECT_THAT(refused({{"type", "file"}, {"options", {{"file_path", "/tmp/x"}, {"bogus", "1"}}}}),
              HasSubstr("bogus"));
  enable();
  EXPECT_THAT(write("sys/audit/file", {{"type", "file"}, {"options", {{"file_path", "/tmp/x"}}}})
                  .error()
                  .message,
              HasSubstr("in use"));
}

// Pain 18: a device that fails takes everything with it, and nobody knows why.
TEST_F(AuditTest, pain_18_a_failing_device_refuses_requests_says_why_and_can_be_disabled) {
  if (::access("/dev/full", W_OK) != 0) FAIL() << "/dev/full is needed";
  must_write("sys/audit/full", {{"type", "file"}, {"options", {{"file_path", "/dev/full"}}}});
  const auto refused = read("db/creds/ro");
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().message, HasSubstr("/dev/full"));
  EXPECT_THAT(refused.error().message, HasSubstr("No space left"));
  EXPECT_THAT(refused.error().message, HasSubstr("audit disable"));
  EXPECT_TRUE(outside_.names().empty()) << "refused before anything was made";
  EXPECT_TRUE(remove("sys/audit/full").has_value());
  EXPECT_TRUE(read("db/creds/ro").has_value());
}

TEST_F(AuditTest, one_working_device_is_enough) {
  enable();
  must_write("sys/audit/full", {{"type", "file"}, {"options", {{"file_path", "/dev/full"}}}});
  EXPECT_TRUE(read("db/creds/ro").has_value());
}

TEST_F(AuditTest, a_credential_whose_answer_cannot_be_audited_is_revoked) {
  enable();
  // The file turns into a full device between the line of the request and that of the response.
  outside_.during_apply = [&](const std::string&) {
    std::filesystem::remove(file_);
    std::filesystem::create_symlink("/dev/full", file_);
    broker_->reopen_audit();
  };
  const auto refused = read("db/creds/ro");
  outside_.during_apply = nullptr;
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().message, HasSubstr("could not be audited"));
  EXPECT_EQ(outside_.names().size(), 1u);
  run_due();
  EXPECT_TRUE(outside_.names().empty());
}

// The reverse of pain 18: a deleted file that goes unnoticed.
TEST_F(AuditTest, a_deleted_file_is_made_anew_and_a_renamed_one_after_the_signal) {
  enable();
  std::filesystem::remove(file_);
  must_read("sys/mounts");
  EXPECT_EQ(lines().size(), 2u);
  std::filesystem::rename(file_, directory_ / "audit.log.1");
  must_read("sys/mounts");
  EXPECT_FALSE(std::filesystem::exists(file_));
  broker_->reopen_audit();
  must_read("sys/mounts");
  EXPECT_EQ(lines().size(), 2u);
}

TEST_F(AuditTest, health_checks_and_seal_status_are_not_recorded) {
  enable();
  const auto before = text();
  EXPECT_TRUE(read("sys/health", "").has_value());
  EXPECT_TRUE(read("sys/seal-status", "").has_value());
  EXPECT_EQ(text(), before);
}

TEST_F(AuditTest, a_pipe_that_nobody_reads_is_refused_and_not_waited_for) {
  ASSERT_EQ(::mkfifo(file_.c_str(), 0600), 0);
  const auto refused =
      write("sys/audit/pipe", {{"type", "file"}, {"options", {{"file_path", file_.string()}}}});
  EXPECT_EQ(code_of(refused), Errc::kInvalidArgument);
}

}  // namespace
}  // namespace curfew::broker

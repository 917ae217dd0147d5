// Clients that show a certificate of their own, through the real program.
#include "tests/support/certificate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <ctime>

#include "tests/e2e/server_process.h"

namespace curfew::e2e {
namespace {

using test::Certificate;
using test::CertificateAuthority;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::int64_t kDay = 86'400;

class CertificateTest : public ::testing::Test {
 protected:
  CertificateTest() {
    install("server", test::make_certificate());
    install("agent", agent_);
    write_file(server_.path("agents.pem"), agents_.certificate());
    listen();
    server_.trust(server_.path("server.pem"));
  }

  void listen(const std::string& more = "") {
    server_.set_listener("tls_cert_file = \"" + server_.path("server.pem") +
                         "\"\n  tls_key_file = \"" + server_.path("server.key") + "\"\n" + more);
  }
  void install(const std::string& name, const Certificate& pair) {
    write_file(server_.path(name + ".pem"), pair.certificate);
    write_file(server_.path(name + ".key"), pair.key);
  }
  void start_with_role(Json more = Json::object()) {
    server_.start_initialized();
    server_.must("POST", "sys/auth/cert", {{"type", "cert"}});
    more.emplace("certificate", read_file(server_.path("agents.pem")));
    more.emplace("token_ttl", "20m");
    server_.must("POST", "auth/cert/certs/agents", more);
  }
  // What call() shows; "": nothing.
  void show(const std::string& name) {
    if (name.empty()) return server_.show("", "");
    server_.show(server_.path(name + ".pem"), server_.path(name + ".key"));
  }
  void show(const Certificate& pair) {
    install("shown", pair);
    show("shown");
  }
  Answer log_in() { return server_.call("POST", "auth/cert/login", Json::object(), ""); }
  std::string token_of(const Answer& answer) {
    EXPECT_EQ(answer.status, 200) << answer.text;
    return answer.status == 200 ? answer.body.at("auth").at("client_token") : Json("none");
  }
  int use(const std::string& token) {
    return server_.call("GET", "auth/token/lookup-self", nullptr, token).status;
  }
  std::string run(const std::vector<std::string>& words) {
    const std::string out = server_.path("run.out"), err = server_.path("run.err");
    write_file(out, "");
    const int status = wait_for_exit(start_child(
        words, {{"PATH", "/usr/bin:/bin"}, {"HOME", server_.folder()}}, "/dev/null", out, err));
    EXPECT_EQ(status, 0) << read_file(err);
    return read_file(out);
  }

  ServerProcess server_;
  const CertificateAuthority agents_{"Agents"};
  const Certificate agent_ = agents_.issue({.common_name = "agent-7"});
};

TEST_F(CertificateTest, made_with_openssl_and_shown_by_curl) {
  const auto file = [this](const char* name) { return server_.path(name); };
  run({"/usr/bin/openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
       "-nodes", "-keyout", file("ca.key"), "-out", file("agents.pem"), "-days", "2", "-subj",
       "/CN=Plant", "-addext", "keyUsage=critical,keyCertSign,cRLSign"});
  for (const char* name : {"robot", "other"}) {
    run({"/usr/bin/openssl", "req", "-newkey", "rsa:2048", "-nodes", "-keyout",
         file((std::string(name) + ".key").c_str()), "-out", file("csr"), "-subj",
         std::string("/O=Plant/CN=") + name});
    run({"/usr/bin/openssl", "x509", "-req", "-in", file("csr"), "-CA", file("agents.pem"),
         "-CAkey", file("ca.key"), "-CAcreateserial", "-days", "1", "-out",
         file((std::string(name) + ".pem").c_str())});
  }
  start_with_role();
  const auto curl = [&](const std::string& name, const std::string& path,
                        std::vector<std::string> more) {
    std::vector<std::string> words = {"/usr/bin/curl", "-sS", "--cacert", file("server.pem")};
    if (!name.empty())
      for (const std::string& word : {std::string("--cert"), file((name + ".pem").c_str()),
                                      std::string("--key"), file((name + ".key").c_str())})
        words.push_back(word);
    words.insert(words.end(), more.begin(), more.end());
    words.push_back(server_.address() + "/v1/" + path);
    return run(words);
  };
  const Json answer = Json::parse(curl("robot", "auth/cert/login", {"-X", "POST"}));
  ASSERT_TRUE(answer.contains("auth")) << answer.dump();
  EXPECT_EQ(answer.at("auth").at("metadata").at("common_name"), "robot");
  const std::string header =
      "X-Vault-Token: " + answer.at("auth").at("client_token").get<std::string>();
  const auto status = [&](const std::string& name) {
    return curl(name, "auth/token/lookup-self",
                {"-o", "/dev/null", "-w", "%{http_code}", "-H", header});
  };
  EXPECT_EQ(status("robot"), "200");
  EXPECT_EQ(status(""), "403") << "stolen, and used without the certificate";
  EXPECT_EQ(status("other"), "403") << "stolen, and used with another one";
}

TEST_F(CertificateTest, the_command_line_logs_in_with_one_and_shows_it_ever_after) {
  start_with_role();
  const Environment home{{"HOME", server_.folder()}};
  const std::string cert = server_.path("agent.pem"), key = server_.path("agent.key");
  const Outcome none = server_.cli({"login", "-method=cert"}, "", "", home);
  EXPECT_EQ(none.exit, 1);
  EXPECT_THAT(none.err, HasSubstr("-client-cert"));
  const Outcome login = server_.cli(
      {"login", "-method=cert", "-client-cert=" + cert, "-client-key=" + key, "name=agents"}, "",
      "", home);
  ASSERT_EQ(login.exit, 0) << login.err;
  EXPECT_EQ(server_.cli({"token", "lookup"}, "", "", home).exit, 2);
  for (const std::string& prefix : {std::string("CURFEW_"), std::string("VAULT_")}) {
    Environment with = home;
    with[prefix + "CLIENT_CERT"] = cert;
    with[prefix + "CLIENT_KEY"] = key;
    const Outcome lookup = server_.cli({"token", "lookup"}, "", "", with);
    EXPECT_EQ(lookup.exit, 0) << lookup.err;
    EXPECT_THAT(lookup.out, HasSubstr("x5t#S256"));
  }
}

TEST_F(CertificateTest, who_is_not_believed_gets_one_answer) {
  const std::int64_t now = std::time(nullptr);
  start_with_role({{"allowed_dns_sans", "*.agents.example"}});
  auto wish = [](std::int64_t begins = 0, std::int64_t ends = 0) {
    return test::CertificateWish{.common_name = "a",
                                 .alternative_names = "DNS:a.agents.example",
                                 .begins = begins,
                                 .ends = ends};
  };
  auto for_servers = wish();
  for_servers.usages = "serverAuth";
  auto elsewhere = wish();
  elsewhere.alternative_names = "DNS:a.agents.example.org";
  const Certificate good = agents_.issue(wish()), stolen = agents_.issue(wish());
  server_.must("POST", "auth/cert/crls/agents",
               {{"crl", agents_.revocation_list({stolen.certificate})}});
  show(good);
  ASSERT_EQ(log_in().status, 200);
  const std::vector<std::pair<std::string, Certificate>> bad = {
      {"forged", CertificateAuthority("Agents").issue(wish())},
      {"self-signed", test::make_self_signed(wish())},
      {"expired", agents_.issue(wish(now - 2 * kDay, now - kDay))},
      {"not valid yet", agents_.issue(wish(now + kDay, now + 2 * kDay))},
      {"revoked", stolen},
      {"for servers", agents_.issue(for_servers)},
      {"another name", agents_.issue(elsewhere)}};
  for (const auto& [what, pair] : bad) {
    show(pair);
    const Answer answer = log_in();
    EXPECT_EQ(answer.status, 400) << what;
    EXPECT_EQ(answer.error(), "invalid certificate or no client certificate supplied\n") << what;
  }
  show("");
  EXPECT_EQ(log_in().status, 400);
  EXPECT_THAT(server_.log(), HasSubstr("certificate revoked"));
}

// Revocation with a new list takes effect at the next login and renewal, expiry at once.
TEST_F(CertificateTest, a_tied_token_survives_a_crash_and_stays_tied) {
  start_with_role();
  show("agent");
  const std::string token = token_of(log_in());
  server_.kill();
  server_.start();
  EXPECT_EQ(use(token), 200);
  EXPECT_EQ(server_.call("POST", "auth/token/renew-self", Json::object(), token).status, 200);
  server_.must("POST", "auth/cert/crls/agents",
               {{"crl", agents_.revocation_list({agent_.certificate})}});
  EXPECT_EQ(server_.call("POST", "auth/token/renew-self", Json::object(), token).status, 400);
  EXPECT_EQ(log_in().status, 400);
  show("");
  EXPECT_EQ(use(token), 403);
}

TEST_F(CertificateTest, a_plain_listener_knows_no_certificates) {
  server_.set_more("listener \"tcp\" {\n  address = \"127.0.0.1:0\"\n  tls_disable = true\n}\n");
  start_with_role();
  show("agent");
  const std::string token = token_of(log_in());
  const std::string log = server_.log();
  const std::string ending = "\" tls=\"false\"";
  const auto end = log.find(ending);
  ASSERT_NE(end, std::string::npos) << log;
  const auto begin = log.rfind('"', end - 1) + 1;
  const Environment plain{{"CURFEW_ADDR", "http://127.0.0.1:" + log.substr(begin, end - begin)}};
  const Outcome login = run_cli({"write", "-f", "auth/cert/login"}, plain);
  EXPECT_EQ(login.exit, 2);
  EXPECT_THAT(login.err, HasSubstr("client certificate must be supplied"));
  Environment with_token = plain;
  with_token["CURFEW_TOKEN"] = token;
  const Outcome lookup = run_cli({"token", "lookup"}, with_token);
  EXPECT_EQ(lookup.exit, 2);
  EXPECT_THAT(lookup.err, HasSubstr("permission denied"));
  with_token["CURFEW_TOKEN"] = server_.root_token();
  EXPECT_EQ(run_cli({"token", "lookup"}, with_token).exit, 0);
}

TEST_F(CertificateTest, a_listener_can_require_one_and_sighup_brings_other_authorities) {
  listen("  tls_require_and_verify_client_cert = true\n  tls_client_ca_file = \"" +
         server_.path("agents.pem") + "\"");
  show("agent");
  server_.start();
  EXPECT_EQ(server_.call("GET", "sys/health").status, 501);
  const CertificateAuthority others("Others");
  show(others.issue());
  EXPECT_EQ(server_.call("GET", "sys/health").status, 0);
  write_file(server_.path("agents.pem"), others.certificate());
  server_.signal(SIGHUP);
  EXPECT_TRUE(eventually([&] { return server_.call("GET", "sys/health").status == 501; }));
  show("agent");
  EXPECT_EQ(server_.call("GET", "sys/health").status, 0);
  show("");
  EXPECT_EQ(server_.call("GET", "sys/health").status, 0);
}

TEST_F(CertificateTest, the_audit_log_has_its_number_and_nothing_secret) {
  start_with_role();
  const std::string trail = server_.path("audit.log");
  server_.must("PUT", "sys/audit/file", {{"type", "file"}, {"options", {{"file_path", trail}}}});
  show("agent");
  const Answer answer = log_in();
  const std::string token = token_of(answer);
  EXPECT_THAT(read_file(trail),
              HasSubstr("\"client_certificate_serial_number\":" +
                        answer.body.at("auth").at("metadata").at("serial_number").dump()));
  EXPECT_THAT(read_file(trail) + server_.log(), Not(HasSubstr(token)));
}

// Networks beside certificates: the other way to keep a token where it belongs.
TEST_F(CertificateTest, tokens_that_are_bound_to_networks_are_refused_from_elsewhere) {
  server_.start_initialized();
  for (const auto& [networks, expected] :
       {std::pair{"192.0.2.0/24", 403}, std::pair{"127.0.0.0/8", 200}}) {
    server_.must("POST", "auth/token/roles/here", {{"token_bound_cidrs", networks}});
    for (const char* type : {"service", "batch"}) {
      const Answer made = server_.call("POST", "auth/token/create/here",
                                       {{"type", type}, {"policies", {"default"}}, {"ttl", "5m"}});
      ASSERT_EQ(made.status, 200) << made.text;
      EXPECT_EQ(use(made.body.at("auth").at("client_token")), expected) << type << networks;
    }
  }
  server_.must("POST", "sys/auth/userpass", {{"type", "userpass"}});
  for (const char* type : {"service", "batch"}) {
    server_.must(
        "POST", "auth/userpass/users/ana",
        {{"password", "correct horse"}, {"token_strictly_bind_ip", true}, {"token_type", type}});
    const Answer login =
        server_.call("POST", "auth/userpass/login/ana", {{"password", "correct horse"}}, "");
    const Json self = server_.must("GET", "auth/token/lookup-self", nullptr, token_of(login));
    EXPECT_EQ(self.at("data").at("bound_cidrs"), Json{"127.0.0.1"}) << type;
  }
}

}  // namespace
}  // namespace curfew::e2e

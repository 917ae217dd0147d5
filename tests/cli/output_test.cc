// What people and programs get to see, for a command of each kind.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/json.h"
#include "tests/cli/cli_runner.h"
#include "tests/cli/scripted_server.h"

namespace curfew::cli {
namespace {

using testing::CliResult;
using testing::CliRunner;
using testing::ScriptedServer;

const char* const kCredentials = R"({"request_id":"88bd","lease_id":"database/creds/ro/wtFV",
  "renewable":true,"lease_duration":3600,"data":{"username":"v-ro","password":"f-KD"},
  "wrap_info":null,"warnings":["TTL was capped"],"auth":null})";
const char* const kToken = R"({"request_id":"0be9","lease_id":"","renewable":false,
  "lease_duration":0,"data":null,"wrap_info":null,"warnings":null,"auth":{
  "client_token":"hvs.new","accessor":"0PIR","policies":["agent","default"],
  "token_policies":["agent","default"],"metadata":{"agent":"a1"},"lease_duration":3600,
  "renewable":true,"entity_id":"","token_type":"service","orphan":false}})";

class Output : public ::testing::Test {
 protected:
  Output() {
    cli_.environment["CURFEW_ADDR"] = server_.address();
    cli_.environment["CURFEW_TOKEN"] = "hvs.mine";
  }

  CliResult run(const std::vector<std::string>& words, const std::vector<std::string>& bodies) {
    for (const std::string& body : bodies) server_.reply({.body = body});
    return cli_.run(words);
  }

  ScriptedServer server_;
  CliRunner cli_;
};

TEST_F(Output, CredentialsAsATable) {
  const CliResult result = run({"read", "database/creds/ro"}, {kCredentials});
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.out,
            "Key                Value\n"
            "---                -----\n"
            "lease_id           database/creds/ro/wtFV\n"
            "lease_duration     1h\n"
            "lease_renewable    true\n"
            "password           f-KD\n"
            "username           v-ro\n");
  EXPECT_EQ(result.err, "Warning: TTL was capped\n");
}

TEST_F(Output, CredentialsAsJsonInVaultsOrder) {
  const CliResult result = run({"read", "-format=json", "database/creds/ro"}, {kCredentials});
  const auto document = nlohmann::ordered_json::parse(result.out);
  std::vector<std::string> names;
  for (const auto& [name, value] : document.items()) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"request_id", "lease_id", "lease_duration",
                                             "renewable", "data", "warnings"}));
  EXPECT_EQ(document["data"]["password"], "f-KD");
  EXPECT_EQ(document["lease_duration"], 3600);
  EXPECT_EQ(result.err, "");
}

TEST_F(Output, CredentialsAsYamlAndPretty) {
  cli_.environment["VAULT_FORMAT"] = "yaml";
  const CliResult yaml = run({"read", "a"}, {kCredentials});
  EXPECT_NE(yaml.out.find("lease_id: database/creds/ro/wtFV\n"), std::string::npos);
  EXPECT_NE(yaml.out.find("data:\n  password: f-KD\n"), std::string::npos);
  cli_.environment["CURFEW_FORMAT"] = "pretty";
  const CliResult pretty = run({"read", "a"}, {kCredentials});
  EXPECT_NE(pretty.out.find("data:\n  password    f-KD\n"), std::string::npos) << pretty.out;
}

TEST_F(Output, OneFieldIsExactlyItsValue) {
  EXPECT_EQ(run({"read", "-field=password", "a"}, {kCredentials}).out, "f-KD");
  EXPECT_EQ(run({"read", "-field=lease_id", "a"}, {kCredentials}).out, "database/creds/ro/wtFV");
  EXPECT_EQ(run({"-field", "password", "read", "a"}, {kCredentials}).out, "f-KD");
  EXPECT_EQ(run({"token", "create", "-field=token"}, {kToken}).out, "hvs.new");
  EXPECT_EQ(run({"token", "create", "-field=policies"}, {kToken}).out, "[agent default]");
  EXPECT_EQ(run({"read", "-field=password", "-format=json", "a"}, {kCredentials}).out,
            "\"f-KD\"\n");
  cli_.out_is_terminal = true;
  EXPECT_EQ(run({"read", "-field=password", "a"}, {kCredentials}).out, "f-KD\n");
}

TEST_F(Output, AFieldThatIsNotThereIsALocalError) {
  const CliResult result = run({"read", "-field=nope", "a"}, {kCredentials});
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(result.out, "");
  EXPECT_NE(result.err.find("no field \"nope\""), std::string::npos);
}

TEST_F(Output, ATokenAsATable) {
  EXPECT_EQ(run({"token", "create"}, {kToken}).out,
            "Key                  Value\n"
            "---                  -----\n"
            "token                hvs.new\n"
            "token_accessor       0PIR\n"
            "token_duration       1h\n"
            "token_renewable      true\n"
            "token_policies       [\"agent\" \"default\"]\n"
            "identity_policies    []\n"
            "policies             [\"agent\" \"default\"]\n"
            "token_meta_agent     a1\n");
}

TEST_F(Output, AWrappedAnswer) {
  const CliResult result =
      run({"read", "-wrap-ttl=1m", "a"}, {R"({"request_id":"","lease_id":"","renewable":false,
    "lease_duration":0,"data":null,"wrap_info":{"token":"hvs.w","accessor":"Lvv5","ttl":60,
    "creation_time":"2026-11-20T01:54:25Z","creation_path":"a"},"warnings":null,"auth":null})"});
  EXPECT_EQ(result.out,
            "Key                              Value\n"
            "---                              -----\n"
            "wrapping_token:                  hvs.w\n"
            "wrapping_accessor:               Lvv5\n"
            "wrapping_token_ttl:              1m\n"
            "wrapping_token_creation_time:    2026-11-20T01:54:25Z\n"
            "wrapping_token_creation_path:    a\n");
}

TEST_F(Output, KeysAndPolicies) {
  const char* const keys = R"({"request_id":"r","data":{"keys":["a","b/"]}})";
  EXPECT_EQ(run({"list", "x"}, {keys}).out, "Keys\n----\na\nb/\n");
  EXPECT_EQ(Json::parse(run({"list", "x", "-format=json"}, {keys}).out), Json::array({"a", "b/"}));
  EXPECT_EQ(run({"policy", "list"}, {keys}).out, "a\nb/\n");
  EXPECT_EQ(
      run({"policy", "read", "p"}, {R"({"request_id":"r","data":{"policy":"path \"a\" {\n}"}})"})
          .out,
      "path \"a\" {\n}\n");
}

TEST_F(Output, StatusOfAnOpenAndOfASealedServer) {
  const std::string leader = R"({"ha_enabled":false,"leader_address":""})";
  const CliResult open = run({"status"}, {R"({"type":"shamir","initialized":true,"sealed":false,
    "t":2,"n":3,"progress":0,"nonce":"","version":"1.0.0","storage_type":"sqlite",
    "cluster_name":"curfew-cluster-1","cluster_id":"0490"})",
                                          leader});
  EXPECT_EQ(open.code, 0);
  EXPECT_EQ(open.out,
            "Key             Value\n"
            "---             -----\n"
            "Seal Type       shamir\n"
            "Initialized     true\n"
            "Sealed          false\n"
            "Total Shares    3\n"
            "Threshold       2\n"
            "Version         1.0.0\n"
            "Storage Type    sqlite\n"
            "Cluster Name    curfew-cluster-1\n"
            "Cluster ID      0490\n"
            "HA Enabled      false\n");
  const std::string sealed_body = R"({"type":"shamir","initialized":true,"sealed":true,"t":2,
    "n":3,"progress":1,"nonce":"","version":"1.0.0"})";
  const CliResult sealed = run({"status"}, {sealed_body, leader});
  EXPECT_EQ(sealed.code, 2);
  EXPECT_NE(sealed.out.find("Unseal Progress    1/2\n"), std::string::npos);
  EXPECT_NE(sealed.out.find("Unseal Nonce       n/a\n"), std::string::npos);
  server_.reply({.body = sealed_body});
  server_.reply({.status = 503, .body = R"({"errors":["Vault is sealed"]})"});
  const CliResult refused = cli_.run({"status", "-format=json"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_EQ(Json::parse(refused.out)["progress"], 1);
}

TEST_F(Output, AVersionedSecretHasItsMetadataApart) {
  const char* const mount =
      R"({"request_id":"r","data":{"path":"secret/","options":{"version":"2"}}})";
  const char* const secret = R"({"request_id":"r","data":{"data":{"k":"v"},"metadata":{
    "created_time":"2026-11-20T01:54:25Z","deletion_time":"","destroyed":false,"version":1}}})";
  EXPECT_EQ(run({"kv", "get", "secret/app"}, {mount, secret}).out,
            "== Secret Path ==\n"
            "secret/data/app\n"
            "\n"
            "====== Metadata ======\n"
            "Key              Value\n"
            "---              -----\n"
            "created_time     2026-11-20T01:54:25Z\n"
            "deletion_time    n/a\n"
            "destroyed        false\n"
            "version          1\n"
            "\n"
            "== Data ==\n"
            "Key    Value\n"
            "---    -----\n"
            "k      v\n");
  EXPECT_EQ(run({"kv", "get", "-field=k", "secret/app"}, {mount, secret}).out, "v");
}

TEST_F(Output, ADeletedSecretShowsItsMetadataOnly) {
  const char* const mount =
      R"({"request_id":"r","data":{"path":"secret/","options":{"version":"2"}}})";
  const char* const deleted = R"({"request_id":"r","data":{"data":null,"metadata":{
    "deletion_time":"2026-11-20T01:54:25Z","version":1}}})";
  server_.reply({.body = mount});
  server_.reply({.status = 404, .body = deleted});
  const CliResult result = cli_.run({"kv", "get", "secret/app"});
  EXPECT_EQ(result.code, 0);
  EXPECT_NE(result.out.find("Metadata"), std::string::npos);
  EXPECT_EQ(result.out.find("= Data ="), std::string::npos);
  server_.reply({.body = mount});
  server_.reply({.status = 404, .body = deleted});
  EXPECT_EQ(cli_.run({"kv", "get", "-field=k", "secret/app"}).code, 2);
}

TEST_F(Output, KvMetadataListsVersionsByNumber) {
  const char* const mount =
      R"({"request_id":"r","data":{"path":"secret/","options":{"version":"2"}}})";
  const char* const metadata = R"({"request_id":"r","data":{"max_versions":0,"versions":{
    "10":{"destroyed":false},"9":{"destroyed":true}}}})";
  const std::string out = run({"kv", "metadata", "get", "secret/app"}, {mount, metadata}).out;
  EXPECT_LT(out.find("= Version 9 ="), out.find("= Version 10 ="));
  EXPECT_NE(out.find("max_versions    0\n"), std::string::npos);
}

TEST_F(Output, MountsAsATable) {
  const char* const mounts = R"({"kv/":{"type":"kv"},"request_id":"r","data":{
    "kv/":{"type":"kv","accessor":"kv_1","description":"","options":{"version":"2"},
      "config":{"default_lease_ttl":0,"max_lease_ttl":3600},"uuid":"u"},
    "sys/":{"type":"system","accessor":"s_1","description":"system"}}})";
  EXPECT_EQ(run({"secrets", "list"}, {mounts}).out,
            "Path    Type      Accessor    Description\n"
            "----    ----      --------    -----------\n"
            "kv/     kv        kv_1        n/a\n"
            "sys/    system    s_1         system\n");
  const std::string detailed = run({"secrets", "list", "-detailed"}, {mounts}).out;
  EXPECT_NE(detailed.find("map[version:2]"), std::string::npos);
  EXPECT_NE(detailed.find("1h"), std::string::npos);
  EXPECT_EQ(Json::parse(run({"secrets", "list", "-format=json"}, {mounts}).out).size(), 2U);
}

TEST_F(Output, AReceiptIsReadable) {
  const char* const receipt = R"({"request_id":"r","data":{"lease_id":"a/b/1","role_absent":true,
    "phases":[{"phase":"lock_out","at":"12:00"}],"sessions_left":0}})";
  const CliResult result = run({"lease", "show", "a/b/1"}, {receipt});
  EXPECT_EQ(result.out,
            "lease_id         a/b/1\n"
            "phases:\n"
            "  - at       12:00\n"
            "    phase    lock_out\n"
            "role_absent      true\n"
            "sessions_left    0\n");
  EXPECT_EQ(run({"lease", "show", "-field=role_absent", "a/b/1"}, {receipt}).out, "true");
}

TEST_F(Output, InitShowsTheKeysOnce) {
  const char* const keys = R"({"keys":["aa","bb"],"keys_base64":["qg==","uw=="],
    "root_token":"hvs.root"})";
  const CliResult result = run({"operator", "init", "-key-shares=2", "-key-threshold=1"}, {keys});
  EXPECT_EQ(result.out.substr(0, result.out.find("\n\nThe key")),
            "Unseal Key 1: qg==\nUnseal Key 2: uw==\n\nInitial Root Token: hvs.root");
  const Json json =
      Json::parse(run({"operator", "init", "-n=2", "-t=1", "-format=json"}, {keys}).out);
  EXPECT_EQ(json["unseal_keys_b64"], Json::array({"qg==", "uw=="}));
  EXPECT_EQ(json["unseal_keys_hex"], Json::array({"aa", "bb"}));
  EXPECT_EQ(json["unseal_shares"], 2);
  EXPECT_EQ(json["unseal_threshold"], 1);
  EXPECT_EQ(json["root_token"], "hvs.root");
}

TEST_F(Output, SuccessIsForPeopleOnly) {
  server_.reply({.status = 204});
  EXPECT_EQ(cli_.run({"write", "a/b", "k=v"}).out, "Success! Data written to: a/b\n");
  server_.reply({.status = 204});
  EXPECT_EQ(cli_.run({"write", "-format=json", "a/b", "k=v"}).out, "");
  // Vault 1.8 answers a configuration's write with an empty envelope.
  EXPECT_EQ(run({"write", "a/b", "k=v"}, {R"({"request_id":"r","data":null})"}).out,
            "Success! Data written to: a/b\n");
}

TEST_F(Output, AServerCannotDriveTheTerminal) {
  const CliResult result =
      run({"read", "a"}, {R"({"request_id":"r","data":{"x":"\u001b]0;title\u0007"}})"});
  EXPECT_EQ(result.out.find('\x1b'), std::string::npos);
  server_.reply({.status = 400, .body = R"({"errors":["\u001b[2J"]})"});
  const CliResult refused = cli_.run({"read", "a"});
  EXPECT_EQ(refused.err.find('\x1b'), std::string::npos);
  EXPECT_NE(refused.err.find("\\x1b[2J"), std::string::npos);
}

TEST_F(Output, LoginKeepsTheTokenUnlessToldNotTo) {
  const std::string path = cli_.home.path(".curfew-token");
  cli_.environment.erase("CURFEW_TOKEN");
  const char* const self =
      R"({"request_id":"r","data":{"accessor":"acc","policies":["p"],"ttl":60,"renewable":true}})";
  EXPECT_EQ(run({"login", "-no-store", "hvs.x"}, {self}).code, 0);
  EXPECT_FALSE(std::filesystem::exists(path));
  const CliResult stored = run({"login", "hvs.x"}, {self});
  EXPECT_EQ(stored.code, 0) << stored.err;
  EXPECT_EQ(testing::read_text(path), "hvs.x");
  EXPECT_NE(stored.out.find("token_duration       1m\n"), std::string::npos) << stored.out;
  EXPECT_EQ(cli_.run({"print", "token"}).out, "hvs.x\n");
  // The next command uses it.
  run({"read", "a"}, {kCredentials});
  EXPECT_EQ(server_.seen().back().headers.at("x-vault-token"), "hvs.x");
  cli_.environment["VAULT_TOKEN"] = "hvs.other";
  EXPECT_NE(run({"login", "hvs.x"}, {self}).err.find("VAULT_TOKEN is set"), std::string::npos);
}

TEST_F(Output, LoginAsksForWhatIsMissing) {
  cli_.typed = "typed-secret";
  EXPECT_EQ(run({"login", "-token-only"}, {kCredentials}).out, "typed-secret");
  EXPECT_EQ(server_.seen().back().headers.at("x-vault-token"), "typed-secret");
  EXPECT_EQ(run({"login", "-method=userpass", "username=bob"}, {kToken}).code, 0);
  EXPECT_EQ(server_.seen().back().line(),
            R"(PUT /v1/auth/userpass/login/bob {"password":"typed-secret"})");
  EXPECT_EQ(cli_.prompts,
            (std::vector<std::string>{"Token (will be hidden): ", "Password (will be hidden): "}));
  cli_.typed = "";
  EXPECT_EQ(cli_.run({"login"}).code, 1);
}

TEST_F(Output, APasswordIsNoArgument) {
  const CliResult shown =
      cli_.run({"login", "-method=userpass", "username=bob", "password=hunter2"});
  EXPECT_EQ(shown.code, 1);
  EXPECT_NE(shown.err.find("password=@FILE"), std::string::npos) << shown.err;
  EXPECT_EQ(shown.err.find("hunter2"), std::string::npos) << shown.err;
  EXPECT_TRUE(server_.seen().empty());
}

TEST_F(Output, LoginSaysWhatAMethodTakes) {
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{"login", "-method=userpass"}, "username=NAME"},
      {{"login", "-method=approle", "secret_id=x"}, "role_id=ID"},
      {{"login", "-method=jwt", "role=x"}, "jwt=@FILE"},
      {{"login", "-method=kubernetes"}, "role=NAME"},
      {{"login", "-method=cert"}, "-client-cert=FILE"},
      {{"login", "-method=oidc", "port=0"}, "port="},
  };
  for (const auto& [arguments, words] : cases) {
    const CliResult refused = cli_.run(arguments);
    EXPECT_EQ(refused.code, 1) << arguments[1];
    EXPECT_NE(refused.err.find(words), std::string::npos) << refused.err;
  }
  EXPECT_TRUE(server_.seen().empty());
  EXPECT_NE(cli_.run({"auth", "help", "approle"}).out.find("secret_id=@FILE"), std::string::npos);
  const CliResult unknown = cli_.run({"auth", "help", "magic"});
  EXPECT_EQ(unknown.code, 1);
  EXPECT_NE(unknown.err.find("known are: token, userpass"), std::string::npos) << unknown.err;
}

TEST_F(Output, ACurlCommandHoldsNoToken) {
  const CliResult read =
      cli_.run({"read", "-output-curl-string", "-namespace=it's", "database/creds/ro"});
  EXPECT_EQ(read.code, 0) << read.err;
  EXPECT_EQ(read.out,
            "curl -H 'X-Vault-Request: true' -H 'X-Vault-Namespace: it'\\''s' "
            "-H \"X-Vault-Token: $(curfew print token)\" '" +
                server_.address() + "/v1/database/creds/ro'\n");
  const CliResult lookup = cli_.run({"token", "lookup", "-output-curl-string", "hvs.other"});
  EXPECT_EQ(lookup.out.find("hvs."), std::string::npos);
  EXPECT_NE(lookup.out.find(R"(-X POST)"), std::string::npos);
  EXPECT_NE(lookup.out.find(R"("token":"<redacted>")"), std::string::npos);
  EXPECT_EQ(cli_.run({"status", "-output-curl-string"}).code, 0);
  EXPECT_TRUE(server_.seen().empty());
}

TEST_F(Output, PolicyFmtRewritesTheFile) {
  const testing::TemporaryDirectory directory;
  const std::string path = directory.file("p.hcl", "path \"a\" {\ncapabilities=[\"read\"]\n}");
  EXPECT_EQ(cli_.run({"policy", "fmt", path}).code, 0);
  EXPECT_EQ(testing::read_text(path), "path \"a\" {\n  capabilities = [\"read\"]\n}\n");
  EXPECT_EQ(cli_.run({"policy", "fmt", "/nowhere"}).code, 1);
}

}  // namespace
}  // namespace curfew::cli

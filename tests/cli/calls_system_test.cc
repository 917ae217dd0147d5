// Each command makes the calls that Vault's own command line makes, in the same order.
#include "tests/cli/recorded_calls.h"

namespace curfew::cli {
namespace {

using namespace testing;  // NOLINT: the cases are read as a table

class SystemCalls : public ::testing::TestWithParam<Case> {};

TEST_P(SystemCalls, AreTheRecordedOnes) {
  run_case(GetParam());
}

INSTANTIATE_TEST_SUITE_P(
    Recorded, SystemCalls,
    ::testing::Values(
        Case{"policy_write",
             {"policy", "write", "Agent", "-"},
             {kNothing},
             {R"(PUT /v1/sys/policies/acl/agent {"policy":"path \"a\" {}\n"})"},
             "path \"a\" {}\n"},
        Case{"policy_list", {"policy", "list"}, {kKeys}, {"GET /v1/sys/policies/acl?list=true"}},
        Case{"policy_read",
             {"policy", "read", "p"},
             {{.body = R"({"request_id":"r","data":{"name":"p","policy":"x"}})"}},
             {"GET /v1/sys/policies/acl/p"}},
        Case{"policy_read_none",
             {"policy", "read", "p"},
             {kUnknownMount},
             {"GET /v1/sys/policies/acl/p"},
             "",
             2},
        Case{"policy_delete",
             {"policy", "delete", "p"},
             {kNothing},
             {"DELETE /v1/sys/policies/acl/p"}},
        Case{"secrets_enable",
             {"secrets", "enable", "database"},
             {kNothing},
             {R"(POST /v1/sys/mounts/database {"type":"database","description":"","local":false,
                 "seal_wrap":false,"options":null,"config":{"options":null,"force_no_cache":false,
                 "default_lease_ttl":"0s","max_lease_ttl":"0s"}})"}},
        Case{"secrets_enable_kv",
             {"secrets", "enable", "-path=team/kv", "-version=2", "-default-lease-ttl=1h",
              "-description=d", "kv"},
             {kNothing},
             {R"(POST /v1/sys/mounts/team/kv {"type":"kv","description":"d","local":false,
                 "seal_wrap":false,"options":{"version":"2"},"config":{"options":null,
                 "force_no_cache":false,"default_lease_ttl":"1h0m0s","max_lease_ttl":"0s"}})"}},
        Case{"secrets_enable_kv_v2",
             {"secrets", "enable", "kv-v2"},
             {kNothing},
             {R"(POST /v1/sys/mounts/kv-v2 {"type":"kv","description":"","local":false,
                 "seal_wrap":false,"options":{"version":"2"},"config":{"options":null,
                 "force_no_cache":false,"default_lease_ttl":"0s","max_lease_ttl":"0s"}})"}},
        Case{"secrets_list", {"secrets", "list"}, {kData}, {"GET /v1/sys/mounts"}},
        Case{"secrets_tune",
             {"secrets", "tune", "-default-lease-ttl=2h", "kv/"},
             {kNothing},
             {R"(POST /v1/sys/mounts/kv/tune {"default_lease_ttl":"2h0m0s","max_lease_ttl":""})"}},
        Case{"secrets_move",
             {"secrets", "move", "a/", "b/c/"},
             {kNothing},
             {R"(POST /v1/sys/remount {"from":"a","to":"b/c"})"}},
        Case{"secrets_disable",
             {"secrets", "disable", "a/"},
             {kNothing},
             {"DELETE /v1/sys/mounts/a"}},
        Case{"auth_enable",
             {"auth", "enable", "approle"},
             {kNothing},
             {R"(POST /v1/sys/auth/approle {"type":"approle","description":"","local":false,
                 "seal_wrap":false,"options":null,"config":{"options":null,"force_no_cache":false,
                 "default_lease_ttl":"0s","max_lease_ttl":"0s"}})"}},
        Case{"auth_list", {"auth", "list"}, {kData}, {"GET /v1/sys/auth"}},
        Case{"auth_tune",
             {"auth", "tune", "-max-lease-ttl=1h", "auth/approle/"},
             {kNothing},
             {"POST /v1/sys/mounts/auth/approle/tune "
              R"({"default_lease_ttl":"","max_lease_ttl":"1h0m0s"})"}},
        Case{"auth_disable",
             {"auth", "disable", "approle"},
             {kNothing},
             {"DELETE /v1/sys/auth/approle"}},
        Case{"audit_enable",
             {"audit", "enable", "file", "file_path=/x"},
             {kNothing},
             {R"(PUT /v1/sys/audit/file {"type":"file","description":"","local":false,
                 "options":{"file_path":"/x"}})"}},
        Case{"audit_list",
             {"audit", "list"},
             {{.body = R"({"request_id":"r","data":{"file/":{"type":"file"}}})"}},
             {"GET /v1/sys/audit"}},
        Case{"audit_list_none",
             {"audit", "list"},
             {{.body = R"({"request_id":"r","data":{}})"}},
             {"GET /v1/sys/audit"},
             "",
             2},
        Case{"audit_disable",
             {"audit", "disable", "file"},
             {kNothing},
             {"DELETE /v1/sys/audit/file"}}),
    case_name);

class OperatorCalls : public ::testing::TestWithParam<Case> {};

TEST_P(OperatorCalls, AreTheRecordedOnes) {
  run_case(GetParam());
}

INSTANTIATE_TEST_SUITE_P(
    Recorded, OperatorCalls,
    ::testing::Values(
        Case{"init",
             {"operator", "init", "-key-shares=3", "-key-threshold=2"},
             {{.body = R"({"keys":["aa"],"keys_base64":["qg=="],"root_token":"hvs.root"})"}},
             {R"(PUT /v1/sys/init {"secret_shares":3,"secret_threshold":2,"stored_shares":0,
                 "pgp_keys":null,"recovery_shares":3,"recovery_threshold":2,
                 "recovery_pgp_keys":null,"root_token_pgp_key":""})"}},
        Case{
            "init_wrong", {"operator", "init", "-key-shares=2", "-key-threshold=3"}, {}, {}, "", 1},
        Case{"init_status",
             {"operator", "init", "-status"},
             {{.body = R"({"initialized":true})"}},
             {"GET /v1/sys/init"}},
        Case{"init_status_none",
             {"operator", "init", "-status"},
             {{.body = R"({"initialized":false})"}},
             {"GET /v1/sys/init"},
             "",
             2},
        Case{"unseal",
             {"operator", "unseal", "a2V5"},
             {kSealStatus, kLeader},
             {R"(PUT /v1/sys/unseal {"key":"a2V5","reset":false,"migrate":false})",
              "GET /v1/sys/leader"}},
        Case{"unseal_stdin",
             {"operator", "unseal"},
             {kSealStatus, kLeader},
             {R"(PUT /v1/sys/unseal {"key":"a2V5","reset":false,"migrate":false})",
              "GET /v1/sys/leader"},
             "a2V5\nmore\n"},
        Case{"unseal_reset",
             {"operator", "unseal", "-reset"},
             {kSealStatus, kLeader},
             {R"(PUT /v1/sys/unseal {"reset":true})", "GET /v1/sys/leader"}},
        Case{"unseal_nothing", {"operator", "unseal"}, {}, {}, "", 1},
        Case{"seal", {"operator", "seal"}, {kNothing}, {"PUT /v1/sys/seal"}},
        Case{"key_status", {"operator", "key-status"}, {kData}, {"GET /v1/sys/key-status"}},
        Case{"rotate",
             {"operator", "rotate"},
             {kNothing, kData},
             {"POST /v1/sys/rotate", "GET /v1/sys/key-status"}}),
    case_name);

}  // namespace
}  // namespace curfew::cli

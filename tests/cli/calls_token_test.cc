// Each command makes the calls that Vault's own command line makes, in the same order.
#include "tests/cli/recorded_calls.h"

namespace curfew::cli {
namespace {

using namespace testing;  // NOLINT: the cases are read as a table

class TokensCalls : public ::testing::TestWithParam<Case> {};

TEST_P(TokensCalls, AreTheRecordedOnes) {
  run_case(GetParam());
}

INSTANTIATE_TEST_SUITE_P(
    Recorded, TokensCalls,
    ::testing::Values(
        Case{"create",
             {"token", "create"},
             {kAuth},
             {R"(POST /v1/auth/token/create {"ttl":"0s","explicit_max_ttl":"0s","period":"0s",
                 "display_name":"","num_uses":0,"renewable":true,"type":"service",
                 "entity_alias":""})"}},
        Case{"create_full",
             {"token", "create", "-policy=a", "-policy", "b", "-ttl=10m", "-period=1h", "-orphan",
              "-explicit-max-ttl=2h", "-use-limit=3", "-display-name=agent", "-metadata=x=y",
              "-role=r", "-id=chosen", "-renewable=false"},
             {kAuth},
             {R"(POST /v1/auth/token/create/r {"policies":["a","b"],"ttl":"10m0s",
                 "explicit_max_ttl":"2h0m0s","period":"1h0m0s","display_name":"agent","num_uses":3,
                 "renewable":false,"type":"service","entity_alias":"","meta":{"x":"y"},
                 "no_parent":true,"id":"chosen"})"}},
        Case{"lookup_self", {"token", "lookup"}, {kData}, {"GET /v1/auth/token/lookup-self"}},
        Case{"lookup",
             {"token", "lookup", "hvs.x"},
             {kData},
             {R"(POST /v1/auth/token/lookup {"token":"hvs.x"})"}},
        Case{"lookup_accessor",
             {"token", "lookup", "-accessor", "acc"},
             {kData},
             {R"(POST /v1/auth/token/lookup-accessor {"accessor":"acc"})"}},
        Case{"renew_self",
             {"token", "renew"},
             {kAuth},
             {R"(PUT /v1/auth/token/renew-self {"increment":0})"}},
        Case{"renew",
             {"token", "renew", "hvs.x", "-increment=30s"},
             {kAuth},
             {R"(PUT /v1/auth/token/renew {"token":"hvs.x","increment":30})"}},
        Case{"renew_accessor",
             {"token", "renew", "-accessor", "acc"},
             {kAuth},
             {R"(POST /v1/auth/token/renew-accessor {"accessor":"acc","increment":0})"}},
        Case{"revoke",
             {"token", "revoke", "hvs.x"},
             {kNothing},
             {R"(PUT /v1/auth/token/revoke {"token":"hvs.x"})"}},
        Case{"revoke_self",
             {"token", "revoke", "-self"},
             {kNothing},
             {"PUT /v1/auth/token/revoke-self"}},
        Case{"revoke_accessor",
             {"token", "revoke", "-accessor", "acc"},
             {kNothing},
             {R"(POST /v1/auth/token/revoke-accessor {"accessor":"acc"})"}},
        Case{"revoke_orphan",
             {"token", "revoke", "-mode=orphan", "hvs.x"},
             {kNothing},
             {R"(PUT /v1/auth/token/revoke-orphan {"token":"hvs.x"})"}},
        Case{"revoke_path",
             {"token", "revoke", "-mode=path", "auth/x/"},
             {kNothing},
             {"PUT /v1/sys/leases/revoke-prefix/auth/x"}},
        Case{"revoke_nothing", {"token", "revoke"}, {}, {}, "", 1},
        Case{"revoke_self_and_token", {"token", "revoke", "-self", "hvs.x"}, {}, {}, "", 1},
        Case{"capabilities_self",
             {"token", "capabilities", "a/b"},
             {{.body = R"({"request_id":"r","data":{"capabilities":["read"],"a/b":["read"]}})"}},
             {R"(POST /v1/sys/capabilities-self {"path":"a/b","token":"hvs.mine"})"}},
        Case{"capabilities",
             {"token", "capabilities", "hvs.x", "a/b"},
             {{.body = R"({"request_id":"r","data":{"a/b":["read"]}})"}},
             {R"(POST /v1/sys/capabilities {"path":"a/b","token":"hvs.x"})"}},
        Case{"login", {"login", "hvs.x"}, {kData}, {"GET /v1/auth/token/lookup-self"}},
        Case{"login_stdin",
             {"login", "-no-store", "-"},
             {kData},
             {"GET /v1/auth/token/lookup-self"},
             "hvs.x\n"},
        Case{"login_userpass",
             {"login", "-method=userpass", "username=bob", "password=pw"},
             {kAuth},
             {R"(PUT /v1/auth/userpass/login/bob {"password":"pw"})"}},
        Case{"login_approle",
             {"login", "-method=approle", "-path=robots/", "role_id=r", "secret_id=s"},
             {kAuth},
             {R"(PUT /v1/auth/robots/login {"role_id":"r","secret_id":"s"})"}}),
    case_name);

}  // namespace
}  // namespace curfew::cli

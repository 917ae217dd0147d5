#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/cli/scripted_server.h"

// One command and the calls that Vault's own command line makes for it.
namespace curfew::cli::testing {

inline const ScriptedReply kNothing{.status = 204};
inline const ScriptedReply kData{.body = R"({"request_id":"r","data":{"k":"v"}})"};
inline const ScriptedReply kKeys{.body = R"({"request_id":"r","data":{"keys":["a","b/"]}})"};
inline const ScriptedReply kVersioned{
    .body = R"({"request_id":"r","data":{"path":"secret/","options":{"version":"2"}}})"};
inline const ScriptedReply kUnversioned{
    .body = R"({"request_id":"r","data":{"path":"kv/","options":null}})"};
inline const ScriptedReply kUnknownMount{.status = 404, .body = R"({"errors":[]})"};
inline const ScriptedReply kVersionedSecret{
    .body = R"({"request_id":"r","data":{"data":{"k":"v","old":"x"},"metadata":{"version":4}}})"};
inline const ScriptedReply kAuth{
    .body = R"({"request_id":"r","auth":{"client_token":"hvs.new","policies":["p"]}})"};
inline const ScriptedReply kSealStatus{.body = R"({"sealed":false,"t":1,"n":1,"type":"shamir"})"};
inline const ScriptedReply kLeader{.body = R"({"ha_enabled":false})"};

struct Case {
  const char* name;
  std::vector<std::string> words;
  std::vector<ScriptedReply> replies;
  std::vector<std::string> calls;  // "PUT /v1/path {body}"
  std::string input = {};
  int code = 0;
};

void PrintTo(const Case& test_case, std::ostream* out);

std::string case_name(const ::testing::TestParamInfo<Case>& info);

// Runs the command against a server that gives the replies, and compares the calls in their order
// (bodies as JSON) and the exit code.
void run_case(const Case& test_case);

// How a kv command asks which engine it talks to.
inline const std::string kPreflight = "GET /v1/sys/internal/ui/mounts/";

}  // namespace curfew::cli::testing

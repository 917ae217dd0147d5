#include "tests/cli/recorded_calls.h"

#include "base/json.h"
#include "tests/cli/cli_runner.h"

namespace curfew::cli::testing {

namespace {

// Bodies are compared as JSON, so that the order of members does not matter.
void expect_call(const std::string& seen, const std::string& expected) {
  const auto split = [](const std::string& line) {
    const std::size_t end = line.find(' ', line.find(' ') + 1);
    return std::pair(line.substr(0, end),
                     end == std::string::npos ? std::string() : line.substr(end + 1));
  };
  EXPECT_EQ(split(seen).first, split(expected).first);
  const std::string seen_body = split(seen).second;
  const std::string expected_body = split(expected).second;
  ASSERT_EQ(seen_body.empty(), expected_body.empty()) << seen_body;
  if (!seen_body.empty()) {
    EXPECT_EQ(Json::parse(seen_body), Json::parse(expected_body)) << seen_body;
  }
}

}  // namespace

void PrintTo(const Case& test_case, std::ostream* out) {
  *out << test_case.name;
}

std::string case_name(const ::testing::TestParamInfo<Case>& info) {
  return info.param.name;
}

void run_case(const Case& test_case) {
  ScriptedServer server;
  for (const ScriptedReply& reply : test_case.replies) server.reply(reply);
  CliRunner cli;
  cli.environment["CURFEW_ADDR"] = server.address();
  cli.environment["CURFEW_TOKEN"] = "hvs.mine";
  cli.input = test_case.input;
  const CliResult result = cli.run(test_case.words);
  EXPECT_EQ(result.code, test_case.code) << result.out << result.err;
  const std::vector<std::string> lines = server.lines();
  ASSERT_EQ(lines.size(), test_case.calls.size()) << ::testing::PrintToString(lines);
  for (std::size_t i = 0; i < lines.size(); ++i) expect_call(lines[i], test_case.calls[i]);
  for (const testing::SeenRequest& request : server.seen()) {
    EXPECT_EQ(request.headers.at("x-vault-request"), "true");
    if (!request.body.empty()) {
      EXPECT_EQ(request.headers.at("content-type"),
                request.method == "PATCH" ? "application/merge-patch+json" : "application/json");
    }
  }
}

}  // namespace curfew::cli::testing

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "cli/event_stream.h"
#include "tests/cli/cli_runner.h"
#include "tests/cli/scripted_server.h"

namespace curfew::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> events_of(const std::vector<std::string>& parts) {
  EventReader reader;
  std::vector<std::string> seen;
  for (const std::string& part : parts)
    if (!reader.feed(part, [&](const StreamEvent& event) {
          seen.push_back(event.name + "=" + event.data);
          return event.name != "last";
        }))
      seen.push_back("end");
  return seen;
}

TEST(EventStream, ReadsEventsHoweverTheyAreCut) {
  const std::string text =
      ":\n\nevent: a\ndata: 1\nid: 9\n\ndata:2\r\ndata: 3\r\n\r\nevent: none\n\n";
  std::vector<std::string> bytes;
  for (const char c : text) bytes.emplace_back(1, c);
  EXPECT_THAT(events_of({text}), ElementsAre("a=1", "message=2\n3"));
  EXPECT_EQ(events_of({text}), events_of(bytes));
}

TEST(EventStream, StopsWhenToldAndAtWhatIsTooLarge) {
  EXPECT_THAT(events_of({"event: last\ndata: 1\n\nevent: b\ndata: 2\n\n"}),
              ElementsAre("last=1", "end"));
  EXPECT_THAT(events_of({std::string(2 << 20, 'x')}), ElementsAre("end"));
}

class WatchCommand : public ::testing::Test {
 protected:
  WatchCommand() {
    runner_.environment["CURFEW_ADDR"] = server_.address();
    runner_.environment["CURFEW_TOKEN"] = "t";
  }
  // A stream of these pieces, that ends in order or breaks.
  void stream(const std::vector<std::string>& pieces, bool in_order = true) {
    std::string raw =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (const std::string& piece : pieces) {
      char size[16];
      std::snprintf(size, sizeof size, "%zx\r\n", piece.size());
      raw += size + piece + "\r\n";
    }
    server_.reply({.raw = raw + (in_order ? "0\r\n\r\n" : "")});
  }
  static std::string change(const std::string& id, const std::string& state, int revision,
                            bool waiting = false) {
    return "event: approval\ndata: " +
           Json{{"id", id},     {"state", state},   {"revision", revision},
                {"role", "rw"}, {"kind", "access"}, {"waiting", waiting}}
               .dump() +
           "\n\n";
  }
  static std::string page(const std::vector<std::pair<std::string, int>>& requests, bool can) {
    Json keys = Json::array(), info = Json::object();
    for (const auto& [id, revision] : requests) {
      keys.push_back(id);
      info[id] = {{"id", id},     {"state", "pending"}, {"revision", revision},
                  {"role", "rw"}, {"kind", "access"},   {"can", {{"approve", can}}}};
    }
    return Json{{"request_id", "r"}, {"data", {{"keys", keys}, {"key_info", info}}}}.dump();
  }

  testing::ScriptedServer server_;
  testing::CliRunner runner_;
};

// The scripted server serves one connection at a time, so the lists, which are asked for while the
// stream is open, come from the script only because the stream's bytes are there at once.
TEST_F(WatchCommand, PrintsWhatWaitsThenEveryChangeOnce) {
  stream({"event: hello\ndata: {}\n\n", ":\n\n", change("R1", "approved", 2),
          change("R1", "approved", 2), change("R3", "pending", 1, true)});
  server_.reply({.body = page({{"R1", 1}}, true)});
  server_.reply({.body = page({{"R1", 1}, {"R0", 7}}, true)});
  const auto result = runner_.run({"approval", "watch", "-count=3"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out,
            "R1  pending     access  rw  (waits for you)\n"
            "R1  approved    access  rw\n"
            "R3  pending     access  rw  (waits for you)\n");
  EXPECT_THAT(server_.lines(), ElementsAre("GET /v1/sys/approvals/events",
                                           "GET /v1/sys/approvals?waiting=true&limit=200&list=true",
                                           "GET /v1/sys/approvals?limit=200&list=true"));
}

TEST_F(WatchCommand, AChangeBetweenHelloAndTheListIsNews) {
  stream({"event: hello\ndata: {}\n\n", change("R1", "denied", 4)});
  server_.reply({.status = 404, .body = R"({"errors":[]})"});
  server_.reply({.body = page({{"R1", 4}}, false)});
  const auto result = runner_.run({"approval", "watch", "-count=1"});
  EXPECT_EQ(result.out, "R1  denied      access  rw\n");
}

TEST_F(WatchCommand, ComesBackAndMissesNothing) {
  stream({"event: hello\ndata: {}\n\n", change("R1", "pending", 1)}, false);
  server_.reply({.status = 404, .body = R"({"errors":[]})"});
  server_.reply({.status = 404, .body = R"({"errors":[]})"});
  server_.reply({.status = 503, .body = R"({"errors":["sealed"]})"});
  stream({"event: hello\ndata: {}\n\n", change("R2", "denied", 5)});
  server_.reply({.body = page({{"R2", 4}, {"R1", 1}}, false)});
  const auto result = runner_.run({"approval", "watch", "-count=3", "-format=json"});
  EXPECT_EQ(result.code, 0) << result.err;
  std::vector<std::string> lines;
  std::istringstream out(result.out);
  for (std::string line; std::getline(out, line);) {
    const Json change = Json::parse(line);
    lines.push_back(change["id"].get<std::string>() + " " + change["revision"].dump());
  }
  EXPECT_THAT(lines, ElementsAre("R1 1", "R2 4", "R2 5"));
  EXPECT_THAT(result.err, HasSubstr("trying again"));
  EXPECT_EQ(runner_.slept.size(), 2u);
}

TEST_F(WatchCommand, ShowsOnlyWhatWaitsIfAsked) {
  stream({"event: hello\ndata: {}\n\n", change("R1", "pending", 1), "event: other\ndata: x\n\n",
          "event: approval\ndata: no json\n\n", change("R2", "pending", 1, true)});
  server_.reply({.status = 404, .body = R"({"errors":[]})"});
  server_.reply({.status = 404, .body = R"({"errors":[]})"});
  const auto result = runner_.run({"approval", "watch", "-waiting", "-count=1"});
  EXPECT_EQ(result.code, 0);
  EXPECT_THAT(result.out, HasSubstr("R2"));
}

TEST_F(WatchCommand, ARefusalEndsIt) {
  server_.reply({.status = 403, .body = R"({"errors":["permission denied"]})"});
  const auto refused = runner_.run({"approval", "watch"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("permission denied"));
  runner_.environment["CURFEW_ADDR"] = "http://127.0.0.1:" + std::to_string(testing::unused_port());
  EXPECT_EQ(runner_.run({"approval", "watch"}).code, 2);
  EXPECT_TRUE(runner_.slept.empty());
}

}  // namespace
}  // namespace curfew::cli

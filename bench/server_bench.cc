// What a Curfew server does besides issuing: looking up a token, reading and writing key/value
// secrets, and how its memory and its start depend on the number of leases in the store. wrk makes
// the load, on the same machine.
#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <regex>
#include <string>

#include "bench/curfew_process.h"
#include "bench/http_client.h"
#include "bench/lease_filler.h"
#include "bench/load.h"

namespace curfew::bench {
namespace {

constexpr int kStarts = 5;

std::string output_of(const std::string& command) {
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) fail("cannot run: " + command);
  std::string text;
  std::array<char, 4096> buffer;
  for (std::size_t got = 1; got > 0;) {
    got = std::fread(buffer.data(), 1, buffer.size(), pipe);
    text.append(buffer.data(), got);
  }
  if (::pclose(pipe) != 0) fail("wrk failed (is it installed?): " + command);
  return text;
}

std::string part(const std::string& text, const std::string& pattern) {
  std::smatch found;
  return std::regex_search(text, found, std::regex(pattern)) ? found[1].str() : "?";
}

// Loads one path for a few seconds; `script` (Lua, may be empty) makes the requests.
void load(const CurfewProcess& server, const Folder& folder, const std::string& name,
          const std::string& path, const std::string& script, int connections) {
  const std::string script_path = folder.path() + "/load.lua";
  std::ofstream(script_path) << "wrk.headers['X-Vault-Token'] = '" << server.token() << "'\n"
                             << script;
  const std::string text = output_of(
      fmt::format("wrk --latency -t1 -c{} -d{}s -s {} http://127.0.0.1:{}/v1/{}", connections,
                  environment("CURFEW_BENCH_SECONDS", "5"), script_path, server.port(), path));
  if (text.find("Non-2xx") != std::string::npos) fail(name + ": requests failed\n" + text);
  add_row(fmt::format("{}, {} connections", name, connections),
          fmt::format("{:>7} /s  p50 {}  p99 {}", part(text, "Requests/sec: +([0-9]+)"),
                      part(text, "50% +([0-9.]+[a-z]+)"), part(text, "99% +([0-9.]+[a-z]+)")));
}

constexpr const char* kAnyKey = R"(
request = function()
  return wrk.format(nil, '/v1/secret/data/bench/' .. math.random(1000))
end
)";
constexpr const char* kWriteAnyKey = R"(
wrk.headers['Content-Type'] = 'application/json'
request = function()
  return wrk.format('POST', '/v1/secret/data/bench/' .. math.random(1000), nil,
                    '{"data":{"user":"report","password":"not-a-real-one"}}')
end
)";

void requests() {
  const Folder folder;
  CurfewProcess server(folder.path());
  server.start();
  server.initialize();
  HttpClient client(server.port(), server.token());
  client.call("POST", "sys/mounts/secret", R"({"type":"kv","options":{"version":"2"}})");
  for (int key = 1; key <= 1000; ++key)
    client.call("POST", fmt::format("secret/data/bench/{}", key),
                R"({"data":{"user":"report","password":"not-a-real-one"}})");
  add_row("-- requests", "");
  for (const int connections : {1, 32}) {
    load(server, folder, "token lookup-self", "auth/token/lookup-self", "", connections);
    load(server, folder, "kv v2 read", "secret/data/bench/1", kAnyKey, connections);
    load(server, folder, "kv v2 write", "secret/data/bench/1", kWriteAnyKey, connections);
  }
  const Json device{{"type", "file"}, {"options", {{"file_path", folder.path() + "/audit.log"}}}};
  client.call("PUT", "sys/audit/file", dump_json(device));
  load(server, folder, "token lookup-self, audited", "auth/token/lookup-self", "", 32);
  load(server, folder, "kv v2 read, audited", "secret/data/bench/1", kAnyKey, 32);
  add_row("memory after these", fmt::format("{:.0f} MiB", server.memory_mib()));
}

void starts(int leases) {
  const Folder folder;
  CurfewProcess server(folder.path());
  server.start();
  server.initialize();
  HttpClient(server.port(), server.token())
      .call("POST", "sys/mounts/database", R"({"type":"database"})");
  const Json mounts = HttpClient(server.port(), server.token()).json("GET", "sys/mounts");
  const std::string accessor = mounts.at("data").at("database/").at("accessor").get<std::string>();
  server.stop();
  if (leases > 0) fill_leases(server.database_path(), server.seal_path(), accessor, leases);
  std::vector<double> times;
  for (int i = 0; i < kStarts; ++i) {
    times.push_back(server.start());
    if (i + 1 < kStarts) server.stop();
  }
  const double at_start = server.memory_mib();
  load(server, folder, fmt::format("{} leases: lookup-self", leases), "auth/token/lookup-self", "",
       32);
  add_row(fmt::format("{} leases: from start to the first answer", leases),
          fmt::format("{:.0f} ms", median(times)));
  add_row(fmt::format("{} leases: memory at the start, after load", leases),
          fmt::format("{:.0f} MiB, {:.0f} MiB", at_start, server.memory_mib()));
}

}  // namespace
}  // namespace curfew::bench

int main() {
  using namespace curfew::bench;
  requests();
  add_row("-- start and memory", "");
  for (const int leases : {0, 100'000, 1'000'000}) starts(leases);
}

// Logins per second, for each auth method, through the whole program. Each login makes a token and
// the record of who logged in, durably.
#include <fmt/format.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "bench/curfew_process.h"
#include "bench/http_client.h"
#include "bench/load.h"

namespace curfew::bench {
namespace {

// The login of one method: the path and the body of the n-th.
struct Method {
  std::string name;
  std::string path;
  std::string body;
};

std::string text_at(HttpClient& root, const char* method, const char* path, const char* member) {
  return root.json(method, path).at("data").at(member).get<std::string>();
}

std::vector<Method> set_up(HttpClient& root) {
  root.call("POST", "sys/config/login-limits",
            R"({"attempts_per_address":0,"attempts_per_name":0,"failures_per_address":0,
                "failures_per_name":0})");
  root.call("POST", "sys/auth/approle", R"({"type":"approle"})");
  root.call("POST", "sys/auth/userpass", R"({"type":"userpass"})");
  root.call("POST", "auth/approle/role/any", R"({"token_policies":"default","token_ttl":"1h"})");
  root.call("POST", "auth/approle/role/counted",
            R"({"token_policies":"default","token_ttl":"1h","secret_id_num_uses":1000000000})");
  root.call("POST", "auth/userpass/users/ana",
            R"({"password":"a password","token_policies":"default","token_ttl":"1h"})");
  const auto machine = [&](const std::string& role) {
    const std::string below = "auth/approle/role/" + role;
    return dump_json(
        {{"role_id", text_at(root, "GET", (below + "/role-id").c_str(), "role_id")},
         {"secret_id", text_at(root, "POST", (below + "/secret-id").c_str(), "secret_id")}});
  };
  return {
      {"approle, secret id without a limit", "auth/approle/login", machine("any")},
      {"approle, secret id whose uses are counted", "auth/approle/login", machine("counted")},
      {"userpass (argon2id, 19 MiB)", "auth/userpass/login/ana", R"({"password":"a password"})"}};
}

Timings measure(const CurfewProcess& server, const Method& method, int clients, int count) {
  std::vector<std::unique_ptr<HttpClient>> connections;
  for (int i = 0; i < clients; ++i)
    connections.push_back(std::make_unique<HttpClient>(server.port(), ""));
  return run_load(clients, count, [&](int client, int) {
    connections[static_cast<std::size_t>(client)]->call("POST", method.path, method.body);
  });
}

void run() {
  const int turns = std::stoi(environment("CURFEW_BENCH_TURNS", "3"));
  const int count = std::stoi(environment("CURFEW_BENCH_COUNT", "2000"));
  const Folder folder;
  CurfewProcess server(folder.path());
  server.start();
  server.initialize();
  HttpClient root(server.port(), server.token());
  add_row("-- logins", "");
  for (const Method& method : set_up(root)) {
    for (const int clients : {1, 16}) {
      std::vector<Timings> runs;
      const int logins = method.path.find("userpass") == std::string::npos ? count : count / 10;
      for (int turn = 0; turn < turns; ++turn)
        runs.push_back(measure(server, method, clients, logins));
      add_row(fmt::format("{}, {} clients", method.name, clients), text_of(median(runs)));
    }
  }
  add_row("memory after these", fmt::format("{:.0f} MiB", server.memory_mib()));
}

}  // namespace
}  // namespace curfew::bench

int main() {
  curfew::bench::run();
}

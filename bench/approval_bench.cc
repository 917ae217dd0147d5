// What the approval queue costs: from an approval to the credential in the hands of an agent that
// waits for it, lists of 10,000 requests, decisions a second, and 1,000 listeners. Run it below
// tools/with-postgres.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/json.h"
#include "bench/curfew_process.h"
#include "bench/event_listeners.h"
#include "bench/http_client.h"
#include "bench/load.h"
#include "bench/plain_program.h"

namespace curfew::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kDatabase = "curfew_approval_bench";
constexpr const char* kLogin = "curfew_approval_bench_broker";
constexpr const char* kPassword = "approval-bench";
constexpr const char* kPath = "database/creds/bench";
constexpr int kRounds = 4096;       // of SCRAM
constexpr int kAskedPerToken = 10;  // that may wait
constexpr int kClients = 8;
constexpr std::chrono::milliseconds kOnHoldAfter{60};  // a read that has been sent

double since(Clock::time_point began) {
  return std::chrono::duration<double, std::milli>(Clock::now() - began).count();
}

std::string text_of(std::vector<double> times) {
  std::sort(times.begin(), times.end());
  return fmt::format("p50 {:7.2f} ms  p99 {:7.2f} ms  max {:7.2f} ms", times[times.size() / 2],
                     times[(times.size() - 1) * 99 / 100], times.back());
}

// A database, and the login by which Curfew makes roles in it.
class Target {
 public:
  explicit Target(const std::string& admin_url) : admin_(admin_url), admin_url_(admin_url) {
    clean_up();
    admin_.run(fmt::format("CREATE ROLE {} LOGIN CREATEROLE PASSWORD '{}'", kLogin, kPassword));
    admin_.run(fmt::format("GRANT pg_signal_backend TO {}", kLogin));
    admin_.run(fmt::format("CREATE DATABASE {} OWNER {}", kDatabase, kLogin));
    PlainConnection owner(url());
    owner.run("CREATE ROLE bench_readers NOLOGIN");
    owner.run("CREATE TABLE orders (id int); GRANT SELECT ON orders TO bench_readers");
  }
  ~Target() { clean_up(); }
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  std::string address() const {
    const auto colon = admin_url_.rfind(':');
    const auto port = admin_url_.substr(colon + 1, admin_url_.find('/', colon) - colon - 1);
    return fmt::format("127.0.0.1:{}/{}", port, kDatabase);
  }
  std::string url() const {
    return fmt::format("postgresql://{}:{}@{}", kLogin, kPassword, address());
  }

 private:
  void clean_up() {
    admin_.run(fmt::format("DROP DATABASE IF EXISTS {} WITH (FORCE)", kDatabase));
    admin_.run(
        "DO $$ DECLARE r name; BEGIN FOR r IN SELECT rolname FROM pg_roles WHERE rolname ~ "
        "'^(cf-|plain_)' LOOP EXECUTE format('DROP ROLE %I', r); END LOOP; END $$");
    admin_.run("DROP ROLE IF EXISTS bench_readers");
    admin_.run(fmt::format("DROP ROLE IF EXISTS {}", kLogin));
  }

  PlainConnection admin_;
  const std::string admin_url_;
};

struct Asked {
  std::string id;
  std::string digest;
};

// Curfew with a guarded role, and people who approve: ana of "owners"; ben of "others", for whom
// nothing waits.
class Subject {
 public:
  explicit Subject(const Target& target) : server_(folder_.path()) {
    server_.start();
    server_.initialize();
    root_ = std::make_unique<HttpClient>(server_.port(), server_.token());
    root_->call("POST", "sys/mounts/database", R"({"type":"database"})");
    const Json config{
        {"plugin_name", "postgresql-database-plugin"},
        {"connection_url", "postgresql://{{username}}:{{password}}@" + target.address()},
        {"username", kLogin},
        {"password", kPassword},
        {"allowed_roles", "*"},
        {"scram_iterations", kRounds}};
    root_->call("POST", "database/config/app", dump_json(config));
    const Json role{{"db_name", "app"},
                    {"creation_statements", creation_statements(Grant::kGroup)},
                    {"default_ttl", "1h"}};
    root_->call("POST", "database/roles/bench", dump_json(role));
    const Json policy{{"policy", fmt::format(R"(path "{}" {{ capabilities = ["read"]
        control_group = {{ factor "owners" {{
          identity {{ group_names = ["owners"] approvals = 1 }} }} }} }})",
                                             kPath)}};
    root_->call("PUT", "sys/policies/acl/asker", dump_json(policy));
    root_->call("POST", "sys/auth/userpass", R"({"type":"userpass"})");
    ana_ = human("ana", "owners");
    ben_ = human("ben", "others");
  }

  CurfewProcess& server() { return server_; }
  const std::string& ana() const { return ana_; }
  const std::string& ben() const { return ben_; }
  std::unique_ptr<HttpClient> client(const std::string& token) const {
    return std::make_unique<HttpClient>(server_.port(), token);
  }

  // A token that may ask, and is nobody's.
  std::string asker() {
    return root_->json("POST", "auth/token/create", R"({"policies":["asker"],"ttl":"4h"})")
        .at("auth")
        .at("client_token")
        .get<std::string>();
  }

 private:
  std::string human(const std::string& name, const std::string& group) {
    const std::string password = R"({"password":"a password"})";
    root_->call("POST", "auth/userpass/users/" + name, password);
    const Json auth = HttpClient(server_.port(), "")
                          .json("POST", "auth/userpass/login/" + name, password)
                          .at("auth");
    const std::string entity = auth.at("entity_id");
    root_->call("POST", "identity/entity/id/" + entity, R"({"kind":"human"})");
    root_->call("POST", "identity/group",
                dump_json({{"name", group}, {"member_entity_ids", {entity}}}));
    return auth.at("client_token");
  }

  const Folder folder_;
  CurfewProcess server_;
  std::unique_ptr<HttpClient> root_;
  std::string ana_, ben_;
};

Asked ask(HttpClient& client, int n) {
  const Json wish{{"path", kPath}, {"reason", fmt::format("repair of order {}", n)}};
  const Json made = client.json("POST", "sys/approvals", dump_json(wish)).at("data");
  return {made.at("id"), made.at("digest")};
}

void approve(HttpClient& client, const Asked& asked) {
  client.call("POST", "sys/approvals/" + asked.id + "/approve",
              dump_json({{"digest", asked.digest}}));
}

// ---- from the approval to the credential

void to_the_credential(Subject& subject, const Target& target, int count) {
  const auto approver = subject.client(subject.ana());
  const auto agent = subject.client(subject.asker());
  PlainConnection plain(target.url());
  const auto roles = make_plain_roles(count, kRounds);
  std::vector<double> whole, decisions, alone;
  for (int n = 0; n < count; ++n) {
    agent->set_headers(fmt::format("Prefer: wait=50\r\nX-Curfew-Purpose: order {}\r\n", n));
    const Asked asked = ask(*agent, n);
    Clock::time_point given;
    std::string lease;
    std::thread reads([&] {
      lease = agent->json("GET", kPath).at("lease_id").get<std::string>();
      given = Clock::now();
    });
    std::this_thread::sleep_for(kOnHoldAfter);
    const auto began = Clock::now();
    approve(*approver, asked);
    decisions.push_back(since(began));
    reads.join();
    if (lease.empty()) fail("the agent was given no credential");
    whole.push_back(std::chrono::duration<double, std::milli>(given - began).count());
    const auto& role = roles[static_cast<std::size_t>(n)];
    const auto created = Clock::now();
    plain.run(fmt::format("CREATE ROLE plain_{} LOGIN PASSWORD '{}'", n, role.verifier));
    alone.push_back(since(created));
  }
  add_row("from approve to the credential, agent on hold", text_of(whole));
  add_row("the answer to the approval", text_of(decisions));
  add_row("PostgreSQL: CREATE ROLE alone", text_of(alone));
}

// ---- many that wait

std::vector<Asked> fill(Subject& subject, int count) {
  std::vector<std::unique_ptr<HttpClient>> clients(kClients);
  std::vector<std::string> tokens;
  for (int i = 0; i < count / kAskedPerToken; ++i) tokens.push_back(subject.asker());
  std::vector<Asked> out(static_cast<std::size_t>(count));
  const Timings timings =
      run_load(kClients, static_cast<int>(tokens.size()), [&](int client, int n) {
        auto& connection = clients[static_cast<std::size_t>(client)];
        connection = subject.client(tokens[static_cast<std::size_t>(n)]);
        for (int i = 0; i < kAskedPerToken; ++i) {
          const int number = n * kAskedPerToken + i;
          out[static_cast<std::size_t>(number)] = ask(*connection, number);
        }
      });
  add_row(fmt::format("asking, {} clients", kClients),
          fmt::format("{:7.0f} /s", timings.per_second * kAskedPerToken));
  return out;
}

void look(Subject& subject, const std::vector<Asked>& asked) {
  const auto timed = [&](const std::string& name, const std::string& token, int count,
                         const std::function<std::string(int)>& path) {
    const auto client = subject.client(token);
    std::vector<double> times;
    for (int i = 0; i < count; ++i) {
      const auto began = Clock::now();
      client->call("GET", path(i));
      times.push_back(since(began));
    }
    add_row(name, text_of(times));
  };
  const std::string list = "sys/approvals?list=true&waiting=true";
  const auto always = [](const std::string& path) { return [path](int) { return path; }; };
  timed("list waiting=true, the first 50", subject.ana(), 100, always(list));
  timed("list waiting=true, the first 200", subject.ana(), 100, always(list + "&limit=200"));
  timed("the same for somebody for whom none waits", subject.ben(), 5, always(list));
  timed("one of them", subject.ana(), 500, [&](int i) {
    return "sys/approvals/" + asked[static_cast<std::size_t>(i * 17) % asked.size()].id;
  });
}

void decide(Subject& subject, const std::vector<Asked>& asked, std::size_t& next, int clients,
            int count) {
  std::vector<std::unique_ptr<HttpClient>> connections;
  for (int i = 0; i < clients; ++i) connections.push_back(subject.client(subject.ana()));
  const std::size_t first = next;
  next += static_cast<std::size_t>(count);
  const Timings timings = run_load(clients, count, [&](int client, int n) {
    approve(*connections[static_cast<std::size_t>(client)],
            asked.at(first + static_cast<std::size_t>(n)));
  });
  add_row(fmt::format("decisions, {} clients", clients), curfew::bench::text_of(timings));
}

// ---- many who listen

void listen(Subject& subject, int count, int turns) {
  const double before = subject.server().memory_mib();
  EventListeners listeners(subject.server().port(), subject.ana(), count);
  const double after = subject.server().memory_mib();
  const auto approver = subject.client(subject.ana());
  std::vector<double> middle, last;
  std::string token;
  for (int n = 0; n < turns; ++n) {
    if (n % kAskedPerToken == 0) token = subject.asker();
    const auto agent = subject.client(token);
    const Asked asked = ask(*agent, n);
    const auto times = listeners.hear(asked.id, "approved", [&] { approve(*approver, asked); });
    middle.push_back(times[times.size() / 2]);
    last.push_back(times.back());
  }
  add_row(fmt::format("{} listeners: memory before, with them", count),
          fmt::format("{:.0f} MiB, {:.0f} MiB", before, after));
  add_row("from approve until half of them have heard it", text_of(middle));
  add_row("from approve until the last has heard it", text_of(last));
}

void run() {
  const std::string admin_url = environment("CURFEW_TEST_PG", "");
  if (admin_url.empty()) fail("run this as: tools/with-postgres build/approval_bench");
  const int pending = std::stoi(environment("CURFEW_BENCH_PENDING", "10000"));
  const int decisions = std::stoi(environment("CURFEW_BENCH_COUNT", "2000"));
  const int rounds = std::stoi(environment("CURFEW_BENCH_ROUNDS", "200"));
  const int listeners = std::stoi(environment("CURFEW_BENCH_LISTENERS", "1000"));
  Target target(admin_url);
  Subject subject(target);
  add_row("-- approvals", "");
  to_the_credential(subject, target, rounds);
  listen(subject, listeners, 50);
  const double before = subject.server().memory_mib();
  const auto asked = fill(subject, pending);
  look(subject, asked);
  add_row(fmt::format("{} that wait: memory before, with them", pending),
          fmt::format("{:.0f} MiB, {:.0f} MiB", before, subject.server().memory_mib()));
  std::size_t next = 0;
  for (const int clients : {1, kClients}) decide(subject, asked, next, clients, decisions);
}

}  // namespace
}  // namespace curfew::bench

int main() {
  curfew::bench::run();
}

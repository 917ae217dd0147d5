// What happens when thousands of leases end in the same second while others go on asking for new
// ones: how long a credential works beyond its end (lock-out), how long until it is proven to be
// gone, what it does to those who ask, and how that compares with what PostgreSQL can drop by
// itself in the same minutes.
//
// Run it below tools/with-postgres, or with CURFEW_TEST_PG naming a superuser of a server that can
// be spoilt. CURFEW_BENCH_LEASES (10000) says how many.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/duration.h"
#include "base/system_clock.h"
#include "bench/curfew_process.h"
#include "bench/http_client.h"
#include "bench/load.h"
#include "bench/plain_program.h"

namespace curfew::bench {
namespace {

constexpr const char* kDatabase = "curfew_mass_bench";
constexpr const char* kLogin = "curfew_mass_bench_broker";
constexpr const char* kPassword = "mass-bench";
constexpr int kClients = 8;
constexpr int kPlainRoles = 1500;

class Target {
 public:
  explicit Target(const std::string& admin_url) : admin_(admin_url), admin_url_(admin_url) {
    clean_up();
    admin_.run(fmt::format("CREATE ROLE {} LOGIN CREATEROLE PASSWORD '{}'", kLogin, kPassword));
    admin_.run(fmt::format("GRANT pg_signal_backend TO {}", kLogin));
    admin_.run(fmt::format("CREATE DATABASE {} OWNER {}", kDatabase, kLogin));
    PlainConnection(url()).run("CREATE ROLE bench_readers NOLOGIN");
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
  int roles_like(const std::string& part) {
    return std::stoi(
        admin_.value(fmt::format("SELECT count(*) FROM pg_roles WHERE rolname LIKE '%{}%'", part)));
  }
  void tidy() {
    for (const char* table : {"pg_authid", "pg_auth_members", "pg_shdepend", "pg_shdescription"})
      admin_.run(fmt::format("VACUUM pg_catalog.{}", table));
  }

 private:
  void clean_up() {
    admin_.run(fmt::format("DROP DATABASE IF EXISTS {} WITH (FORCE)", kDatabase));
    admin_.run(
        "DO $$ DECLARE r name; BEGIN FOR r IN SELECT rolname FROM pg_roles WHERE rolname ~ "
        "'^cf-(plain|mass|long)' LOOP EXECUTE format('DROP ROLE %I', r); END LOOP; END $$");
    admin_.run("DROP ROLE IF EXISTS bench_readers");
    admin_.run(fmt::format("DROP ROLE IF EXISTS {}", kLogin));
  }

  PlainConnection admin_;
  const std::string admin_url_;
};

// What PostgreSQL drops in a second for a plain program with the best number of connections.
double plain_drops_per_second(const Target& target) {
  double best = 0;
  for (const int connections : {1, 2, 4, 8}) {
    const auto roles = make_plain_roles(kPlainRoles, 1);
    std::vector<std::unique_ptr<PlainConnection>> open;
    for (int i = 0; i < connections; ++i)
      open.push_back(std::make_unique<PlainConnection>(target.url()));
    const auto of = [&](int i) -> PlainConnection& {
      return *open.at(static_cast<std::size_t>(i));
    };
    run_load(connections, kPlainRoles, [&](int client, int n) {
      of(client).create(roles.at(static_cast<std::size_t>(n)), Grant::kGroup);
    });
    const Timings drops = run_load(connections, kPlainRoles, [&](int client, int n) {
      of(client).drop(roles.at(static_cast<std::size_t>(n)));
    });
    add_row(fmt::format("plain drop, {} connections", connections), text_of(drops));
    best = std::max(best, drops.per_second);
  }
  return best;
}

std::string quantiles(std::vector<double> seconds) {
  if (seconds.empty()) return "none";
  std::sort(seconds.begin(), seconds.end());
  const auto at = [&](double part) {
    return seconds.at(static_cast<std::size_t>(part * static_cast<double>(seconds.size() - 1)));
  };
  return fmt::format("p50 {:.2f} s, p99 {:.2f} s, max {:.2f} s", at(0.5), at(0.99), at(1.0));
}

double seconds_between(const Json& from, const Json& to) {
  const auto begin = parse_rfc3339(from.get<std::string>());
  const auto end = parse_rfc3339(to.get<std::string>());
  if (!begin || !end) fail("a receipt's time cannot be read");
  return static_cast<double>(Millis{*end - *begin}.count()) / 1000;
}

class MassExpiry {
 public:
  explicit MassExpiry(Target& target) : target_(target), server_(folder_.path()) {
    server_.start();
    server_.initialize();
    HttpClient client(server_.port(), server_.token());
    client.call("POST", "sys/mounts/database", R"({"type":"database"})");
    const Json config{
        {"plugin_name", "postgresql-database-plugin"},
        {"connection_url", "postgresql://{{username}}:{{password}}@" + target_.address()},
        {"username", kLogin},
        {"password", kPassword},
        {"allowed_roles", "*"},
        {"username_template", "cf-{{.RoleName}}-{{random 16}}"},
        {"scram_iterations", 1},
        {"max_open_connections", kClients}};
    client.call("POST", "database/config/app", dump_json(config));
    for (const char* name : {"mass", "long"}) {
      const Json role{{"db_name", "app"},
                      {"creation_statements", creation_statements(Grant::kGroup)},
                      {"default_ttl", "1h"},
                      {"max_ttl", "24h"}};
      client.call("POST", std::string("database/roles/") + name, dump_json(role));
    }
    for (int i = 0; i < kClients; ++i)
      clients_.push_back(std::make_unique<HttpClient>(server_.port(), server_.token()));
  }

  void run(int leases, double plain_per_second) {
    const Timings idle = issue_long(600);
    add_row("issue, nothing due, 8 clients", text_of(idle));
    const WallTime end = issue_mass(leases, idle.per_second);
    while (clock_.wall() < end) std::this_thread::sleep_for(Millis{5});
    std::atomic<bool> over{false};
    WallTime gone = end;
    std::thread watch([&] {
      while (target_.roles_like("cf-mass-") > 0) std::this_thread::sleep_for(Millis{100});
      gone = clock_.wall();
      over = true;
    });
    const Timings busy = issue_until(over);
    watch.join();
    add_row("issue meanwhile, 8 clients", text_of(busy));
    add_row("issue meanwhile / idle", fmt::format("p99 {:.1f} times", busy.p99_ms / idle.p99_ms));
    const double seconds = static_cast<double>(Millis{gone - end}.count()) / 1000;
    const double rate = leases / seconds;
    add_row(fmt::format("{} leases gone, seen from outside", leases),
            fmt::format("{:.1f} s, {:.0f} /s = {:.2f} of plain", seconds, rate,
                        rate / plain_per_second));
    report_lags();
  }

 private:
  HttpClient& client(int i) { return *clients_.at(static_cast<std::size_t>(i)); }

  Timings issue_long(int count) {
    return run_load(kClients, count,
                    [&](int n, int) { client(n).call("GET", "database/creds/long"); });
  }

  // All of them end within the same second, which is returned. Half the rate is allowed for.
  WallTime issue_mass(int leases, double per_second) {
    const auto seconds = static_cast<int>(2 * leases / per_second);
    const WallTime end = clock_.wall() + Seconds{10 + seconds};
    leases_.resize(static_cast<std::size_t>(leases));
    run_load(kClients, leases, [&](int n, int at) {
      const auto left = std::chrono::floor<Seconds>(end - clock_.wall()).count();
      if (left < 1) fail("issuing took longer than was allowed for");
      leases_.at(static_cast<std::size_t>(at)) =
          client(n)
              .json("GET", fmt::format("database/creds/mass?ttl={}s", left))
              .at("lease_id")
              .get<std::string>();
    });
    return end;
  }

  Timings issue_until(const std::atomic<bool>& over) {
    std::vector<double> latencies;
    std::mutex mutex;
    const SteadyTime begin = clock_.steady();
    std::vector<std::thread> threads;
    for (int i = 0; i < kClients; ++i)
      threads.emplace_back([&, i] {
        while (!over) {
          const auto from = std::chrono::steady_clock::now();
          client(i).call("GET", "database/creds/long");
          const std::chrono::duration<double, std::milli> took =
              std::chrono::steady_clock::now() - from;
          const std::scoped_lock lock(mutex);
          latencies.push_back(took.count());
        }
      });
    for (std::thread& thread : threads) thread.join();
    std::sort(latencies.begin(), latencies.end());
    const auto at = [&](double part) {
      return latencies.at(
          static_cast<std::size_t>(part * static_cast<double>(latencies.size() - 1)));
    };
    const double seconds = static_cast<double>(Millis{clock_.steady() - begin}.count()) / 1000;
    return {static_cast<double>(latencies.size()) / seconds, at(0.5), at(0.99)};
  }

  // A role is gone from the target a moment before that is on record.
  Json ended(int n, const std::string& lease_id) {
    const auto give_up = clock_.steady() + std::chrono::minutes{1};
    for (;;) {
      const Json lease =
          client(n)
              .json("PUT", "sys/leases/receipt", fmt::format(R"({{"lease_id":"{}"}})", lease_id))
              .at("data");
      if (lease.contains("receipt")) return lease;
      if (clock_.steady() >= give_up) fail("a lease has no receipt: " + lease_id);
      std::this_thread::sleep_for(Millis{20});
    }
  }

  // From the receipts, whose times are taken after the commits that they speak of.
  void report_lags() {
    std::vector<double> locked(leases_.size()), gone(leases_.size());
    run_load(kClients, static_cast<int>(leases_.size()), [&](int n, int at) {
      const auto which = static_cast<std::size_t>(at);
      const Json lease = ended(n, leases_.at(which));
      const Json& receipt = lease.at("receipt");
      locked.at(which) =
          seconds_between(lease.at("expire_time"), receipt.at("phases").at("lock_out").at("at"));
      gone.at(which) = seconds_between(lease.at("expire_time"), receipt.at("ended_at"));
    });
    add_row("lock-out after the end", quantiles(locked));
    add_row("proven gone after the end", quantiles(gone));
  }

  Target& target_;
  const SystemClock clock_;
  const Folder folder_;
  CurfewProcess server_;
  std::vector<std::unique_ptr<HttpClient>> clients_;
  std::vector<std::string> leases_;  // that end together
};

void run_all() {
  const std::string admin_url = environment("CURFEW_TEST_PG", "");
  if (admin_url.empty()) fail("run this as: tools/with-postgres build/bench/mass_expiry_bench");
  Target target(admin_url);
  const int leases = std::stoi(environment("CURFEW_BENCH_LEASES", "10000"));
  add_row(fmt::format("-- {} leases that end in one second", leases), "");
  const double plain = plain_drops_per_second(target);
  target.tidy();
  MassExpiry(target).run(leases, plain);
}

}  // namespace
}  // namespace curfew::bench

int main() {
  curfew::bench::run_all();
}

// How fast Curfew makes, renews and takes back database roles, beside a plain libpq program that
// sends the same statements to the same PostgreSQL in the same minutes. The two take turns, several
// times for each setting, because other work on the machine changes what it can do from one second
// to the next; the median counts.
//
// Run it below tools/with-postgres, or with CURFEW_TEST_PG naming a superuser of a server that can
// be spoilt.
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "bench/curfew_process.h"
#include "bench/http_client.h"
#include "bench/load.h"
#include "bench/plain_program.h"

namespace curfew::bench {
namespace {

constexpr const char* kDatabase = "curfew_issue_bench";
constexpr const char* kLogin = "curfew_issue_bench_broker";
constexpr const char* kPassword = "issue-bench";
constexpr int kRevokedPart = 3;  // one lease in so many is revoked by itself, the rest together

struct Setting {
  Grant grant;
  int rounds;  // of SCRAM
  int clients;
};

// A database, a login that may make roles in it, and what its roles get.
class Target {
 public:
  explicit Target(const std::string& admin_url) : admin_(admin_url), admin_url_(admin_url) {
    clean_up();
    admin_.run(fmt::format("CREATE ROLE {} LOGIN CREATEROLE PASSWORD '{}'", kLogin, kPassword));
    admin_.run(fmt::format("GRANT pg_signal_backend TO {}", kLogin));
    admin_.run(fmt::format("CREATE DATABASE {} OWNER {}", kDatabase, kLogin));
    PlainConnection owner(url());
    owner.run("CREATE ROLE bench_readers NOLOGIN");
    for (const char* table : {"customers", "orders", "invoices"})
      owner.run(
          fmt::format("CREATE TABLE {0} (id int); GRANT SELECT ON {0} TO bench_readers", table));
  }
  ~Target() { clean_up(); }
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  std::string address() const { return fmt::format("127.0.0.1:{}/{}", port(), kDatabase); }
  std::string url() const {
    return fmt::format("postgresql://{}:{}@{}", kLogin, kPassword, address());
  }

  // The dead rows of earlier runs would slow down later ones.
  void tidy() {
    for (const char* table :
         {"pg_authid", "pg_auth_members", "pg_shdepend", "pg_shdescription", "pg_class"})
      admin_.run(fmt::format("VACUUM pg_catalog.{}", table));
  }

  std::string flushes() { return admin_.value("SHOW fsync"); }

 private:
  std::string port() const {
    const auto colon = admin_url_.rfind(':');
    return admin_url_.substr(colon + 1, admin_url_.find('/', colon) - colon - 1);
  }

  void clean_up() {
    admin_.run(fmt::format("DROP DATABASE IF EXISTS {} WITH (FORCE)", kDatabase));
    admin_.run(
        "DO $$ DECLARE r name; BEGIN FOR r IN SELECT rolname FROM pg_roles WHERE rolname ~ "
        "'^cf-(plain|bench)' LOOP EXECUTE format('DROP ROLE %I', r); END LOOP; END $$");
    admin_.run("DROP ROLE IF EXISTS bench_readers");
    admin_.run(fmt::format("DROP ROLE IF EXISTS {}", kLogin));
  }

  PlainConnection admin_;
  const std::string admin_url_;
};

struct Outcome {
  Timings issue, renew, revoke;
};

Outcome run_plain(const Target& target, const Setting& setting, int count) {
  const auto roles = make_plain_roles(count, setting.rounds);
  std::vector<std::unique_ptr<PlainConnection>> connections;
  for (int i = 0; i < setting.clients; ++i)
    connections.push_back(std::make_unique<PlainConnection>(target.url()));
  const auto of = [&](int i) -> PlainConnection& {
    return *connections.at(static_cast<std::size_t>(i));
  };
  const auto role = [&](int n) -> const PlainRole& {
    return roles.at(static_cast<std::size_t>(n));
  };
  Outcome out;
  out.issue = run_load(setting.clients, count,
                       [&](int client, int n) { of(client).create(role(n), setting.grant); });
  out.revoke =
      run_load(setting.clients, count, [&](int client, int n) { of(client).drop(role(n)); });
  return out;
}

// Curfew with a mount "database" on the target.
class Subject {
 public:
  explicit Subject(const Target& target) : target_(target), server_(folder_.path()) {
    server_.start();
    server_.initialize();
    HttpClient(server_.port(), server_.token())
        .call("POST", "sys/mounts/database", R"({"type":"database"})");
  }

  void configure(const Setting& setting) {
    HttpClient client(server_.port(), server_.token());
    const Json config{
        {"plugin_name", "postgresql-database-plugin"},
        {"connection_url", "postgresql://{{username}}:{{password}}@" + target_.address()},
        {"username", kLogin},
        {"password", kPassword},
        {"allowed_roles", "*"},
        {"scram_iterations", setting.rounds},
        {"max_open_connections", setting.clients}};
    client.call("POST", "database/config/app", dump_json(config));
    const Json role{{"db_name", "app"},
                    {"creation_statements", creation_statements(setting.grant)},
                    {"default_ttl", "1h"},
                    {"max_ttl", "24h"}};
    client.call("POST", "database/roles/bench", dump_json(role));
  }

  void set_audit(bool on) {
    HttpClient client(server_.port(), server_.token());
    if (on) {
      const Json device{{"type", "file"},
                        {"options", {{"file_path", folder_.path() + "/audit.log"}}}};
      client.call("PUT", "sys/audit/file", dump_json(device));
    } else {
      client.call("DELETE", "sys/audit/file");
    }
  }

  Outcome run(const Setting& setting, int count) {
    std::vector<std::unique_ptr<HttpClient>> clients;
    for (int i = 0; i < setting.clients; ++i)
      clients.push_back(std::make_unique<HttpClient>(server_.port(), server_.token()));
    const auto of = [&](int i) -> HttpClient& { return *clients.at(static_cast<std::size_t>(i)); };
    // Connections to the target are there already, as those of the plain program are.
    run_load(setting.clients, 2 * setting.clients,
             [&](int client, int) { (void)lease_of(of(client)); });
    std::vector<std::string> leases(static_cast<std::size_t>(count));
    Outcome out;
    out.issue = run_load(setting.clients, count, [&](int client, int n) {
      leases.at(static_cast<std::size_t>(n)) = lease_of(of(client));
    });
    out.renew = run_load(setting.clients, count, [&](int client, int n) {
      of(client).call("PUT", "sys/leases/renew",
                      fmt::format(R"({{"lease_id":"{}","increment":7200}})",
                                  leases.at(static_cast<std::size_t>(n))));
    });
    out.revoke = run_load(setting.clients, count / kRevokedPart, [&](int client, int n) {
      revoke(of(client), leases.at(static_cast<std::size_t>(n)));
    });
    of(0).call("PUT", "sys/leases/revoke-prefix/database/creds", R"({"sync":true})");
    return out;
  }

 private:
  static std::string lease_of(HttpClient& client) {
    return client.json("GET", "database/creds/bench").at("lease_id").get<std::string>();
  }
  static void revoke(HttpClient& client, const std::string& lease) {
    client.call("PUT", "sys/leases/revoke",
                fmt::format(R"({{"lease_id":"{}","sync":true}})", lease));
  }

  const Target& target_;
  const Folder folder_;
  CurfewProcess server_;
};

const char* grant_name(Grant grant) {
  return grant == Grant::kGroup ? "group" : "tables";
}

// The turns of one setting.
struct Turns {
  std::vector<Timings> plain_create, plain_drop, issue, renew, revoke, audited;
  std::vector<double> issue_ratio, revoke_ratio, audited_ratio;
};

void report(const Setting& setting, const Turns& turns) {
  const std::string name =
      fmt::format("{} grant, {} rounds, {} clients: ", grant_name(setting.grant), setting.rounds,
                  setting.clients);
  const auto of_plain = [](const std::vector<double>& ratios) {
    return fmt::format("  = {:.2f} of plain", median(ratios));
  };
  add_row(name + "plain create", text_of(median(turns.plain_create)));
  add_row(name + "issue", text_of(median(turns.issue)) + of_plain(turns.issue_ratio));
  add_row(name + "issue, audited", text_of(median(turns.audited)) + of_plain(turns.audited_ratio));
  add_row(name + "renew", text_of(median(turns.renew)));
  add_row(name + "plain drop", text_of(median(turns.plain_drop)));
  add_row(name + "revoke", text_of(median(turns.revoke)) + of_plain(turns.revoke_ratio));
}

void measure(Target& target, Subject& subject, const Setting& setting, int turns_wanted,
             int count) {
  Turns turns;
  subject.configure(setting);
  for (int turn = 0; turn < turns_wanted; ++turn) {
    target.tidy();
    const Outcome plain = run_plain(target, setting, count);
    target.tidy();
    const Outcome curfew = subject.run(setting, count);
    target.tidy();
    subject.set_audit(true);
    const Outcome audited = subject.run(setting, count);
    subject.set_audit(false);
    turns.plain_create.push_back(plain.issue);
    turns.plain_drop.push_back(plain.revoke);
    turns.issue.push_back(curfew.issue);
    turns.renew.push_back(curfew.renew);
    turns.revoke.push_back(curfew.revoke);
    turns.audited.push_back(audited.issue);
    turns.issue_ratio.push_back(curfew.issue.per_second / plain.issue.per_second);
    turns.audited_ratio.push_back(audited.issue.per_second / plain.issue.per_second);
    turns.revoke_ratio.push_back(curfew.revoke.per_second / plain.revoke.per_second);
  }
  report(setting, turns);
}

void run_all() {
  const std::string admin_url = environment("CURFEW_TEST_PG", "");
  if (admin_url.empty()) fail("run this as: tools/with-postgres build/bench/issue_bench");
  const int turns = std::stoi(environment("CURFEW_BENCH_TURNS", "3"));
  const int count = std::stoi(environment("CURFEW_BENCH_COUNT", "150"));
  const int wanted = std::stoi(environment("CURFEW_BENCH_CLIENTS", "0"));  // 0: all
  Target target(admin_url);
  add_row("-- issuing; the target's fsync is " + target.flushes(), "");
  Subject subject(target);
  for (const Grant grant : {Grant::kGroup, Grant::kTables})
    for (const int rounds : {4096, 1})
      for (const int clients : {1, 4, 16})
        if (wanted == 0 || wanted == clients)
          measure(target, subject, {grant, rounds, clients}, turns, count);
}

}  // namespace
}  // namespace curfew::bench

int main() {
  curfew::bench::run_all();
}

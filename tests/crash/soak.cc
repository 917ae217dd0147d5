// make soak: hours of mixed work on a clock that is moved, against a real PostgreSQL and a real
// store file; what the process and the store use has to stay flat.

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <mutex>
#include <random>
#include <thread>

#include "tests/crash/target_world.h"

namespace curfew::crash {
namespace {

namespace fs = std::filesystem;
using std::chrono::minutes;

constexpr int kClients = 4;
constexpr int kIssuesPerClient = 8;  // in each minute
constexpr minutes kRetention{10};    // of ended leases, so that the store reaches its size soon

// What is in use at a moment.
struct Sample {
  int minute = 0;
  long rss_kib = 0;
  long descriptors = 0;
  long connections = 0;  // the broker's, at the target
  long store_kib = 0;    // file and log
  long live = 0;
  double audit_bytes = 0;  // for each request since the sample before
};

class Soak : public TargetWorld {
 protected:
  Soak() {
    options_.lease_ends.retention = kRetention;
    begin_again();
    must_write("sys/audit/file", {{"type", "file"}, {"options", {{"file_path", audit_file()}}}});
    write_policy("agent", R"(path "database/creds/ro" { capabilities = ["read"] }
                             path "auth/token/create" { capabilities = ["update"] })");
  }

  std::string audit_file() const { return directory_ / "audit.log"; }

  // What clients do in one minute; errors are expected while something is down.
  void one_minute(int minute) {
    std::vector<std::thread> clients;
    for (int i = 0; i < kClients; ++i)
      clients.emplace_back([this, seed = minute * kClients + i] { client(seed); });
    for (std::thread& thread : clients) thread.join();
    for (int i = 0; i < 6; ++i) {
      clock_.advance(Seconds{10});
      (void)broker_->run_due();
    }
  }

  void client(int seed) {
    std::mt19937 dice(static_cast<unsigned>(seed));
    const auto token = grown_token(dice() % 4 == 0);
    for (int i = 0; i < kIssuesPerClient; ++i) {
      const auto made = counted(ask("5m", token));
      if (!made) continue;
      const std::string lease = made->lease_id;
      const unsigned what = dice() % 4;
      if (what == 0) test::can_log_in(login_url(credential_of(*made)));
      if (what == 1)
        (void)counted(write("sys/leases/renew", {{"lease_id", lease}, {"increment", "8m"}}));
      if (what == 2) (void)counted(write("sys/leases/revoke", {{"lease_id", lease}}));
    }
    // Some trees end early, the others with their time.
    if (token != "root" && dice() % 2 == 0)
      (void)counted(write("auth/token/revoke", {{"token", token}}));
  }

  std::string login_url(const Credential& made) const {
    return target_.url(made.user, made.password);
  }

  // A token's child, or root's own.
  std::string grown_token(bool grown) {
    if (!grown) return "root";
    auto parent = counted(write("auth/token/create", {{"policies", {"agent"}}, {"ttl", "6m"}}));
    if (!parent || !parent->auth) return "root";
    auto child =
        counted(write("auth/token/create", {{"ttl", "6m"}}, parent->auth->client_token.reveal()));
    return child && child->auth ? child->auth->client_token.reveal() : "root";
  }

  Result<broker::Response> counted(Result<broker::Response> answer) {
    const std::scoped_lock lock(mutex_);
    ++requests_;
    ++(answer ? good_ : failed_);
    return answer;
  }

  Sample sample(int minute) {
    Sample now{.minute = minute};
    const auto bytes_of = [](const fs::path& path) {
      std::error_code none;
      const auto size = fs::file_size(path, none);
      return none ? 0L : static_cast<long>(size);
    };
    now.rss_kib = rss_kib();
    for ([[maybe_unused]] const auto& one : fs::directory_iterator("/proc/self/fd"))
      ++now.descriptors;
    now.connections = std::stol(superuser_.value(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = '" + login_.user + "'"));
    now.live = static_cast<long>(live_leases().size());
    const fs::path file = directory_ / "curfew.db";
    now.store_kib = (bytes_of(file) + bytes_of(file.string() + "-wal")) / 1024;
    const long audited = bytes_of(audit_file());
    now.audit_bytes =
        static_cast<double>(audited - audited_) / std::max(1, requests_ - requests_before_);
    audited_ = audited;
    requests_before_ = requests_;
    return now;
  }

  static long rss_kib() {
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;) {
      long kib = 0;
      if (word == "VmRSS:" && status >> kib) return kib;
    }
    return 0;
  }

  std::mutex mutex_;  // protects the three below
  int requests_ = 0;
  int good_ = 0;
  int failed_ = 0;
  int requests_before_ = 0;
  long audited_ = 0;
};

int total_minutes() {
  const char* text = std::getenv("SOAK_HOURS");
  const double hours = text == nullptr || *text == '\0' ? 1.0 : std::stod(text);
  return std::max(30, static_cast<int>(hours * 60));
}

void print(const Sample& one) {
  std::cout << fmt::format("{:>6} {:>9} {:>6} {:>6} {:>9} {:>6} {:>10.0f}\n", one.minute,
                           one.rss_kib, one.descriptors, one.connections, one.store_kib, one.live,
                           one.audit_bytes)
            << std::flush;
}

TEST_F(Soak, what_is_in_use_stays_flat_over_hours_of_mixed_work_and_faults) {
  const int total = total_minutes();
  std::vector<Sample> samples;
  std::cout << "minute   RSS KiB    fds  conns store KiB   live B audit/req\n";
  for (int minute = 1; minute <= total; ++minute) {
    // Two minutes in ten without the target, and one in which the store fails for a moment.
    if (minute % 10 == 3) proxy_.cut_off();
    if (minute % 10 == 5) proxy_.heal();
    if (minute % 10 == 8) database_->fail_write(20);
    if (minute % 10 == 9) database_->fail_read(30);
    one_minute(minute);
    if (minute % 10 != 0) continue;
    samples.push_back(sample(minute));
    print(samples.back());
  }
  // Everything runs out.
  heal();
  for (int i = 0; i < 12; ++i) {
    clock_.advance(minutes{1});
    run_due();
  }
  std::cout << fmt::format("{} requests, {} of them failed as they should\n", requests_, failed_);
  EXPECT_TRUE(live_leases().empty());
  EXPECT_TRUE(roles().empty());
  EXPECT_EQ(leftovers(), "");
  EXPECT_GT(good_, failed_);

  ASSERT_GE(samples.size(), 3u);
  const Sample& warm = samples[1];  // retention is over by then
  for (auto it = samples.begin() + 2; it != samples.end(); ++it) {
    EXPECT_LE(it->rss_kib, warm.rss_kib + 16 * 1024) << "memory";
    EXPECT_LE(it->descriptors, warm.descriptors + 8) << "descriptors";
    EXPECT_LE(it->connections, 4) << "connections to the target";
    EXPECT_LE(it->store_kib, warm.store_kib * 3 / 2) << "the store";
    EXPECT_NEAR(it->audit_bytes, warm.audit_bytes, warm.audit_bytes / 5) << "the audit log";
  }
}

}  // namespace
}  // namespace curfew::crash

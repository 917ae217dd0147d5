// Identities with 100,000 entities, each in three of 10,000 groups, these nested four deep, and
// 1,000 policies. CURFEW_BENCH_ENTITIES makes it smaller. The store is in the working directory.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "base/system_clock.h"
#include "broker/identity/identity_service.h"
#include "broker/policy/policy_store.h"
#include "store/keyring.h"
#include "store/sqlite.h"

namespace curfew::broker {
namespace {

constexpr std::size_t kGroupsOfEntity = 3;
constexpr std::size_t kPolicies = 1'000;
constexpr std::size_t kSubgroups = 10;   // of a group that has any
constexpr std::size_t kWorking = 1'000;  // entities that ask all the time

std::size_t entity_count() {
  const char* text = std::getenv("CURFEW_BENCH_ENTITIES");
  return text == nullptr ? 100'000 : std::max<std::size_t>(1'000, std::strtoul(text, nullptr, 10));
}

double resident_mib() {
  std::ifstream file("/proc/self/statm");
  long total = 0;
  long resident = 0;
  file >> total >> resident;
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE)) / 1048576.0;
}

template <class T>
T must(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "%s\n", result.error().message.c_str());
    std::abort();
  }
  return *std::move(result);
}

std::string policy_name(std::size_t n) {
  return "policy-" + std::to_string(n % kPolicies);
}

// Made once, for all benchmarks.
class World {
 public:
  World() {
    fill_policies();
    fill_entities();
    fill_groups();
    identities.forget();
    std::fprintf(stderr, "filled; resident %.0f MiB\n", resident_mib());
  }
  ~World() {
    database.reset();
    remove_files();
  }

  std::vector<std::string> ids;
  std::unique_ptr<Log> log = make_null_log();
  SystemRandom random;
  std::unique_ptr<Clock> clock = std::make_unique<SystemClock>();
  std::unique_ptr<store::SqliteDatabase> database = open();
  store::Keyring keyring{"root", random, *clock};
  store::Records records{keyring};
  IdentityService identities{*database, records, keyring, *clock, random, *log};
  PolicyStore policies{*database, records, *clock, *log};

 private:
  static void remove_files() {
    for (const char* suffix : {"", "-wal", "-shm", ".lock"})
      std::filesystem::remove(std::string("identity_bench.db") + suffix);
  }

  std::unique_ptr<store::SqliteDatabase> open() {
    remove_files();
    return must(store::open_sqlite("identity_bench.db", {}, *log));
  }

  void fill_policies() {
    must(database->write([&](store::Writer& writer) {
      return keyring.create(writer, Secret(random_bytes(random, 32)));
    }));
    for (std::size_t n = 0; n < kPolicies; ++n) {
      const std::string id = std::to_string(n);
      must(policies.put(policy_name(n), "path \"secret/data/team-" + id +
                                            "/*\" { capabilities = [\"read\", \"list\"] }\npath "
                                            "\"database/creds/role-" +
                                            id + "\" { capabilities = [\"read\"] }\n"));
    }
  }

  // As logins make them: an entity and its alias.
  void fill_entities() {
    ids.resize(entity_count());
    std::atomic<std::size_t> next = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 16; ++t)
      threads.emplace_back([&] {
        for (std::size_t n = next++; n < ids.size(); n = next++)
          ids[n] = must(identities.sign_in({.mount_accessor = "jwt_1",
                                            .mount_type = "jwt",
                                            .alias = "user-" + std::to_string(n),
                                            .metadata = {{"email", "user@example.com"}},
                                            .groups = {}},
                                           clock->wall()));
      });
    for (std::thread& thread : threads) thread.join();
  }

  // The lowest groups have the entities for members; above them each has ten groups.
  void fill_groups() {
    const std::size_t groups = std::max<std::size_t>(1, ids.size() / 10);
    std::vector<std::vector<std::string>> members(groups * 9 / 10);
    for (std::size_t n = 0; n < ids.size(); ++n)
      for (std::size_t k = 0; k < kGroupsOfEntity; ++k)
        members[(n * kGroupsOfEntity + k) % members.size()].push_back(ids[n]);
    std::vector<std::string> level;
    std::size_t made = 0;
    const auto make = [&](GroupChange change) {
      change.name = "group-" + std::to_string(made);
      change.policies = std::vector{policy_name(made), policy_name(made * 7 + 1)};
      ++made;
      return must(identities.put_group(change)).id;
    };
    for (auto& entities : members) {
      GroupChange change;
      change.member_entity_ids = std::move(entities);
      level.push_back(make(std::move(change)));
    }
    while (level.size() > 1) {
      std::vector<std::string> above;
      for (std::size_t at = 0; at < level.size(); at += kSubgroups) {
        GroupChange change;
        change.member_group_ids.emplace(
            level.begin() + static_cast<std::ptrdiff_t>(at),
            level.begin() + static_cast<std::ptrdiff_t>(std::min(level.size(), at + kSubgroups)));
        above.push_back(make(std::move(change)));
      }
      level = std::move(above);
    }
    std::fprintf(stderr, "%zu entities, %zu groups, %zu policies\n", ids.size(), made, kPolicies);
  }
};

World& world() {
  static World made;
  return made;
}

// Asked with every request of an entity that asked lately.
void BM_StandingKnown(benchmark::State& state) {
  World& w = world();
  std::size_t n = 0;
  for (std::size_t i = 0; i < kWorking; ++i) must(w.identities.standing(w.ids[i]));
  for (auto _ : state) benchmark::DoNotOptimize(must(w.identities.standing(w.ids[n++ % kWorking])));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_StandingKnown)->Threads(1)->Threads(4)->UseRealTime();

// All entities in turn, most of which have been forgotten again.
void BM_StandingRead(benchmark::State& state) {
  World& w = world();
  std::size_t n = static_cast<std::size_t>(state.thread_index()) * 7919;
  std::size_t policies = 0;
  for (auto _ : state) {
    const auto standing = must(w.identities.standing(w.ids[(n += 31) % w.ids.size()]));
    policies += standing->policies.size();
  }
  state.SetItemsProcessed(state.iterations());
  if (state.thread_index() == 0) {
    state.counters["policies"] =
        static_cast<double>(policies) / static_cast<double>(state.iterations());
    state.counters["resident_MiB"] = resident_mib();
  }
}
BENCHMARK(BM_StandingRead)->Threads(1)->Threads(4)->UseRealTime();

// What a request costs between token and answer: who it is, and whether they may.
void decide(benchmark::State& state, std::size_t working) {
  World& w = world();
  std::size_t n = 0;
  if (working <= kWorking)
    for (std::size_t i = 0; i < working; ++i)
      must(w.policies.acl(must(w.identities.standing(w.ids[i]))->policies));
  for (auto _ : state) {
    const auto standing = must(w.identities.standing(w.ids[n++ % working]));
    const auto acl = must(w.policies.acl(standing->policies));
    benchmark::DoNotOptimize(
        acl->check({.operation = Operation::kRead, .path = "database/creds/role-7"}).allowed);
  }
  state.SetItemsProcessed(state.iterations());
}
void BM_DecisionOfAFew(benchmark::State& state) {
  decide(state, 100);
}
BENCHMARK(BM_DecisionOfAFew)->UseRealTime();
void BM_DecisionOfAll(benchmark::State& state) {
  decide(state, world().ids.size());
}
BENCHMARK(BM_DecisionOfAll)->UseRealTime();

void BM_SignInKnown(benchmark::State& state) {
  World& w = world();
  std::size_t n = 0;
  for (auto _ : state)
    must(w.identities.sign_in({.mount_accessor = "jwt_1",
                               .mount_type = "jwt",
                               .alias = "user-" + std::to_string((n += 31) % w.ids.size()),
                               .metadata = {{"email", "user@example.com"}},
                               .groups = {}},
                              w.clock->wall()));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_SignInKnown)->UseRealTime();

void BM_LookUpEntityByName(benchmark::State& state) {
  World& w = world();
  const auto view = must(w.identities.find_entity({IdentityKey::By::kId, w.ids[7]}));
  for (auto _ : state)
    benchmark::DoNotOptimize(
        must(w.identities.find_entity({IdentityKey::By::kName, view->entity.name})));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_LookUpEntityByName)->UseRealTime();

void BM_ListEntities(benchmark::State& state) {
  World& w = world();
  for (auto _ : state) {
    std::size_t count = 0;
    must(w.identities.each_entity([&](const Entity&) { ++count; }));
    benchmark::DoNotOptimize(count);
  }
}
BENCHMARK(BM_ListEntities)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace curfew::broker

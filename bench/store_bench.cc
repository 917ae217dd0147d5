#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "base/random.h"
#include "base/system_clock.h"
#include "store/keyring.h"
#include "store/sqlite.h"

namespace curfew::store {
namespace {

// A database on the disk that holds the working directory, shared by the threads of a run.
struct Shared {
  std::string path = "store_bench.db";
  std::unique_ptr<Log> log = make_null_log();
  std::unique_ptr<SqliteDatabase> database;

  void open() {
    for (const char* suffix : {"", "-wal", "-shm", ".lock"}) std::filesystem::remove(path + suffix);
    auto opened = open_sqlite(path, {}, *log);
    if (!opened) std::abort();
    database = std::move(*opened);
  }
  void close() {
    database.reset();
    for (const char* suffix : {"", "-wal", "-shm", ".lock"}) std::filesystem::remove(path + suffix);
  }
};

Status insert_lease(Writer& writer, const std::string& id) {
  static const std::string kSealed(600, 'x');
  RETURN_IF_ERROR(writer.execute(
      "INSERT INTO leases (id, namespace, mount, role, resource, token, entity, state, issued_at, "
      "expires_at, next_action_at, attempts, sealed) VALUES ($1, 'root', 'database/', 'r', 't', "
      "'tok', 'e', 1, $2, $2, $2, 0, $3)",
      {Value{id}, Value{std::int64_t{1'800'000'000'000}}, Value{Blob{kSealed}}}));
  return ok();
}

Shared shared;

// Durable writes a second, with as many callers as threads.
void BM_DurableInsert(benchmark::State& state) {
  if (state.thread_index() == 0) shared.open();
  std::int64_t i = 0;
  const std::string prefix = std::to_string(state.thread_index()) + "/";
  for (auto _ : state) {
    const std::string id = prefix + std::to_string(++i);
    const Status written =
        shared.database->write([&](Writer& writer) { return insert_lease(writer, id); });
    if (!written) state.SkipWithError("write failed");
  }
  state.SetItemsProcessed(state.iterations());
  if (state.thread_index() == 0) {
    const CommitStats stats = shared.database->stats();
    state.counters["writes_per_commit"] =
        static_cast<double>(stats.writes) / static_cast<double>(stats.commits);
    shared.close();
  }
}
BENCHMARK(BM_DurableInsert)->Threads(1)->Threads(4)->Threads(16)->Threads(64)->UseRealTime();

void BM_ReadOneRow(benchmark::State& state) {
  if (state.thread_index() == 0) {
    shared.open();
    const Status written =
        shared.database->write([](Writer& writer) { return insert_lease(writer, "id"); });
    if (!written) std::abort();
  }
  for (auto _ : state) {
    const Status read = shared.database->read([](const Reader& reader) -> Status {
      RETURN_IF_ERROR(
          reader.query_one("SELECT sealed FROM leases WHERE id = $1", {Value{std::string("id")}}));
      return ok();
    });
    if (!read) state.SkipWithError("read failed");
  }
  state.SetItemsProcessed(state.iterations());
  if (state.thread_index() == 0) shared.close();
}
BENCHMARK(BM_ReadOneRow)->Threads(1)->Threads(4)->UseRealTime();

// Opening a database does not depend on its size.
void BM_Open(benchmark::State& state) {
  shared.open();
  const Status filled = shared.database->write([&](Writer& writer) -> Status {
    RETURN_IF_ERROR(writer.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) INSERT INTO "
        "leases (id, namespace, mount, role, resource, token, entity, state, issued_at, "
        "expires_at, "
        "next_action_at, attempts, sealed) SELECT 'lease' || i, 'root', 'm', 'r', 't', 'tok', 'e', "
        "1, i, i, i, 0, zeroblob(600) FROM n",
        {Value{static_cast<std::int64_t>(state.range(0))}}));
    return ok();
  });
  if (!filled) std::abort();
  for (auto _ : state) {
    state.PauseTiming();
    shared.database.reset();
    state.ResumeTiming();
    auto opened = open_sqlite(shared.path, {}, *shared.log);
    if (!opened) std::abort();
    shared.database = std::move(*opened);
  }
  shared.close();
}
BENCHMARK(BM_Open)->Arg(10'000)->Arg(1'000'000)->Unit(benchmark::kMillisecond)->UseRealTime();

void BM_SealAndOpen(benchmark::State& state) {
  SystemRandom random;
  SystemClock clock;
  const std::unique_ptr<Log> log = make_null_log();
  auto database = open_sqlite("", {}, *log);
  if (!database) std::abort();
  Keyring keyring("root", random, clock);
  const Secret root_key = make_root_key(random);
  const Status created =
      (*database)->write([&](Writer& writer) { return keyring.create(writer, root_key); });
  if (!created) std::abort();
  const std::string text(600, 'x');
  for (auto _ : state) {
    auto sealed = keyring.seal("leases|4:root|10:0123456789", text);
    benchmark::DoNotOptimize(keyring.open("leases|4:root|10:0123456789", *sealed));
  }
}
BENCHMARK(BM_SealAndOpen);

}  // namespace
}  // namespace curfew::store

#include "store/sqlite.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <atomic>
#include <filesystem>
#include <latch>
#include <thread>

#include "base/system_clock.h"
#include "tests/fakes/faulty_vfs.h"
#include "tests/store/temp_folder.h"

namespace curfew::store {
namespace {

namespace fs = std::filesystem;

class SqliteTest : public testing::Test {
 protected:
  void open(const SqliteOptions& options = {}) {
    database_.reset();
    auto opened = open_sqlite(path_, options, *log_);
    ASSERT_TRUE(opened) << opened.error().message;
    database_ = std::move(*opened);
  }
  Status put(const std::string& name, std::size_t bytes = 10) {
    return database_->write([&](Writer& writer) -> Status {
      RETURN_IF_ERROR(writer.execute("INSERT INTO meta (name, value) VALUES ($1, $2)",
                                     {Value{name}, Value{Blob{std::string(bytes, 'x')}}}));
      return ok();
    });
  }
  std::int64_t count() {
    std::int64_t rows = -1;
    const Status read = database_->read([&](const Reader& reader) -> Status {
      ASSIGN_OR_RETURN(const auto row, reader.query_one("SELECT count(*) FROM meta"));
      rows = row->integer(0);
      return ok();
    });
    EXPECT_TRUE(read);
    return rows;
  }
  // How SQLite would run a query, as text.
  std::string plan(const std::string& sql, const std::vector<Value>& parameters) {
    std::string steps;
    const Status read = database_->read([&](const Reader& reader) -> Status {
      ASSIGN_OR_RETURN(const auto rows, reader.query("EXPLAIN QUERY PLAN " + sql, parameters));
      for (const Row& row : rows) steps += row.text(3) + "\n";
      return ok();
    });
    EXPECT_TRUE(read) << read.error().detail;
    return steps;
  }

  const TempFolder folder_;
  const SystemClock clock_;
  const std::unique_ptr<Log> log_ = make_null_log();
  const std::string path_ = folder_.file("curfew.db");
  std::unique_ptr<SqliteDatabase> database_;
};

TEST_F(SqliteTest, ManyWritersShareCommits) {
  open();
  const CommitStats before = database_->stats();
  constexpr int kThreads = 16;
  constexpr int kWrites = 50;
  std::latch ready(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      ready.arrive_and_wait();
      for (int i = 0; i < kWrites; ++i)
        EXPECT_TRUE(put(std::to_string(t) + "/" + std::to_string(i)));
    });
  }
  for (std::thread& thread : threads) thread.join();
  const CommitStats after = database_->stats();
  EXPECT_EQ(after.writes - before.writes, kThreads * kWrites);
  EXPECT_LT(after.commits - before.commits, kThreads * kWrites / 2);
  EXPECT_EQ(count(), kThreads * kWrites);
}

TEST_F(SqliteTest, FailuresAmongConcurrentWritesLeaveTheOthers) {
  open();
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const std::string name = std::to_string(t) + "/" + std::to_string(i);
        const bool fails = (t + i) % 3 == 0;
        const Status written = database_->write([&](Writer& writer) -> Status {
          RETURN_IF_ERROR(writer.execute("INSERT INTO meta (name, value) VALUES ($1, $2)",
                                         {Value{name}, Value{Blob{}}}));
          if (fails) return Error{Errc::kConflict, "no"};
          return ok();
        });
        EXPECT_EQ(written.has_value(), !fails);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  int expected = 0;
  for (int t = 0; t < 8; ++t)
    for (int i = 0; i < 50; ++i) expected += (t + i) % 3 == 0 ? 0 : 1;
  EXPECT_EQ(count(), expected);
}

TEST_F(SqliteTest, IsDurableAndChecksWhatItReferencesTo) {
  open();
  // The settings that the promise of write() rests on.
  sqlite3* handle = nullptr;
  ASSERT_EQ(sqlite3_open_v2(path_.c_str(), &handle, SQLITE_OPEN_READONLY, nullptr), SQLITE_OK);
  std::string mode;
  sqlite3_exec(
      handle, "PRAGMA journal_mode",
      [](void* out, int, char** values, char**) {
        *static_cast<std::string*>(out) = values[0];
        return 0;
      },
      &mode, nullptr);
  sqlite3_close(handle);
  EXPECT_EQ(mode, "wal");
}

TEST_F(SqliteTest, ReadersAreBoundedAndSayWhenTheyAreBusy) {
  open({.readers = 2, .reader_wait_max = Millis{50}});
  std::atomic<int> inside{0};
  std::atomic<bool> go{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      EXPECT_TRUE(database_->read([&](const Reader&) {
        ++inside;
        while (!go) std::this_thread::yield();
        return ok();
      }));
    });
  }
  while (inside < 2) std::this_thread::yield();
  const Status read = database_->read([](const Reader&) { return ok(); });
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Errc::kOverloaded);
  EXPECT_TRUE(put("a"));  // a writer waits for no reader
  go = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count(), 1);
}

TEST_F(SqliteTest, AnswersAreBounded) {
  open({.rows_max = 3});
  for (const char* name : {"a", "b", "c"}) ASSERT_TRUE(put(name));
  EXPECT_TRUE(database_->read([](const Reader& reader) -> Status {
    RETURN_IF_ERROR(reader.query("SELECT name FROM meta"));
    return ok();
  }));
  ASSERT_TRUE(put("d"));
  const Status read = database_->read([](const Reader& reader) -> Status {
    RETURN_IF_ERROR(reader.query("SELECT name FROM meta"));
    return ok();
  });
  EXPECT_EQ(read.error().code, Errc::kTooLarge);
}

TEST_F(SqliteTest, GeneratedStatementsDoNotPileUp) {
  open();
  for (int i = 0; i < 1'000; ++i) {
    const Status read = database_->read([&](const Reader& reader) -> Status {
      ASSIGN_OR_RETURN(const auto row, reader.query_one("SELECT " + std::to_string(i)));
      EXPECT_EQ(row->integer(0), i);
      return ok();
    });
    ASSERT_TRUE(read);
  }
}

TEST_F(SqliteTest, StatementsThatReachOutsideAreRefused) {
  open();
  for (const char* sql :
       {"ATTACH 'x.db' AS x", "PRAGMA synchronous = OFF", "VACUUM INTO 'x.db'",
        "CREATE TRIGGER t AFTER INSERT ON meta BEGIN SELECT 1; END", "CREATE VIEW v AS SELECT 1",
        "SELECT 1; SELECT 2", "", "SELECT ?", "SELECT :name", "SELECT $0", "SELECT $name",
        "SELECT load_extension('x')"}) {
    const Status written = database_->write([&](Writer& writer) -> Status {
      RETURN_IF_ERROR(writer.execute(sql));
      return ok();
    });
    EXPECT_FALSE(written) << sql;
  }
  EXPECT_FALSE(fs::exists("x.db"));
}

TEST_F(SqliteTest, TriggersPlantedInTheFileDoNotRun) {
  open();
  database_.reset();
  sqlite3* handle = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &handle), SQLITE_OK);
  ASSERT_EQ(
      sqlite3_exec(handle, "CREATE TRIGGER evil AFTER INSERT ON meta BEGIN DELETE FROM meta; END",
                   nullptr, nullptr, nullptr),
      SQLITE_OK);
  sqlite3_close(handle);
  open();
  ASSERT_TRUE(put("a"));
  EXPECT_EQ(count(), 1);
}

TEST_F(SqliteTest, ValueOfAnotherTypeThanDeclaredIsCorrupt) {
  open();
  for (const char* change :
       {"INSERT INTO meta (name, value) VALUES (x'00', x'00')",
        "INSERT INTO meta (name, value) VALUES ('a', 'text')",
        "INSERT INTO meta (name, value) VALUES ('a', 7)",
        "INSERT INTO keyring (namespace, version, created_at, sealed) VALUES ('n', 'x', 0, x'')",
        "INSERT INTO keyring (namespace, version, created_at, sealed) VALUES ('n', 0, 1.5, x'')"}) {
    const Status written = database_->write([&](Writer& writer) -> Status {
      RETURN_IF_ERROR(writer.execute(change));
      RETURN_IF_ERROR(writer.query("SELECT name, value FROM meta"));
      RETURN_IF_ERROR(writer.query("SELECT version, created_at FROM keyring"));
      return ok();
    });
    ASSERT_FALSE(written) << change;
    EXPECT_EQ(written.error().code, Errc::kCorrupt) << change;
  }
}

TEST_F(SqliteTest, LogStaysBoundedWhileReadsOverlapWithoutAGap) {
  const fakes::FaultyVfs vfs;  // for its speed
  open({.readers = 3, .checkpoint_pages = 50, .wal_pages_max = 400, .vfs = vfs.name()});
  std::atomic<bool> stop{false};
  std::atomic<int> begun{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      while (!stop) {
        EXPECT_TRUE(database_->read([&](const Reader& reader) -> Status {
          RETURN_IF_ERROR(reader.query("SELECT count(*) FROM meta"));
          // Goes on until another read has begun too, so that there is never none.
          const int own = ++begun;
          const SteadyTime end = clock_.steady() + Millis{2};
          while (begun == own && clock_.steady() < end) std::this_thread::yield();
          return ok();
        }));
      }
    });
  }
  std::uintmax_t largest = 0;
  for (int i = 0; i < 1'500; ++i) {
    ASSERT_TRUE(put(std::to_string(i), 3'000));
    largest = std::max(largest, fs::file_size(path_ + "-wal"));
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count(), 1'500);
  // 1,500 commits are at least 3,000 pages; a log that is never emptied would hold them all.
  EXPECT_LT(largest, std::uintmax_t{2'000} * 4'120);

  database_.reset();
}

TEST_F(SqliteTest, ClosingMovesTheLogIntoTheFile) {
  open();
  ASSERT_TRUE(put("a"));
  EXPECT_TRUE(fs::exists(path_ + "-wal"));
  database_.reset();
  EXPECT_FALSE(fs::exists(path_ + "-wal"));
  open();
  EXPECT_EQ(count(), 1);
}

// Pain 7: what a start and each second cost must not depend on how many leases there are.
TEST_F(SqliteTest, HotQueriesUseTheirIndex) {
  open();
  const Value text = std::string("x");
  const Value number = std::int64_t{1};
  const auto uses = [&](const std::string& index, const std::string& sql,
                        const std::vector<Value>& parameters) {
    EXPECT_NE(plan(sql, parameters).find(index), std::string::npos) << plan(sql, parameters);
  };
  const std::string live = "SELECT id FROM leases WHERE state < 4 AND namespace = $1 AND ";
  uses("leases_due",
       live +
           "next_action_at IS NOT NULL AND next_action_at <= $2 ORDER BY next_action_at, id "
           "LIMIT 10",
       {text, number});
  uses("leases_live", live + "id > $2 ORDER BY id LIMIT 10", {text, text});
  uses("leases_by_state", live + "state = $2 AND id > $3 ORDER BY id LIMIT 10",
       {text, number, text});
  uses("leases_by_token", live + "token = $2 AND id > $3 ORDER BY id", {text, text, text});
  uses("leases_by_token", live + "token = $2 AND +state = $4 AND id > $3 ORDER BY id",
       {text, text, text, number});
  uses("leases_by_resource", live + "mount = $2 AND resource = $3", {text, text, text});
  uses("leases_by_role", live + "mount = $2 AND role = $3", {text, text, text});
  for (const std::string label : {"agent", "session", "trace"})
    uses("leases_by_" + label,
         live + label + " <> '' AND " + label + " = $2 AND id > $3 ORDER BY id LIMIT 10",
         {text, text, text});
  uses("leases_by_entity", live + "entity <> '' AND entity = $2", {text, text});
  uses("leases_by_request", live + "request_key <> '' AND request_key = $2", {text, text});
  uses("leases_by_name", "SELECT id FROM leases WHERE namespace = $1 AND name <> '' AND name = $2",
       {text, text});
  uses("leases_ended",
       "SELECT id FROM leases WHERE state > 3 AND namespace = $1 AND state = $2 AND id > $3 ORDER "
       "BY id LIMIT 10",
       {text, number, text});
  uses("autoindex", "SELECT id FROM leases WHERE id = $1 AND namespace = $2", {text, text});
  uses("autoindex", "SELECT id FROM tokens WHERE id = $1 AND namespace = $2", {text, text});
  uses("autoindex", "SELECT id FROM tokens WHERE accessor = $1 AND namespace = $2", {text, text});
  uses("tokens_parent", "SELECT id FROM tokens WHERE parent = $1 AND namespace = $2", {text, text});
  uses("tokens_expires_at", "SELECT id FROM tokens WHERE namespace = $1 AND expires_at <= $2",
       {text, number});
  uses("tokens_by_accessor", "SELECT accessor FROM tokens WHERE namespace = $1 ORDER BY accessor",
       {text});
}

TEST_F(SqliteTest, StartDoesNotReadTheRows) {
  open();
  ASSERT_TRUE(database_->write([](Writer& writer) -> Status {
    RETURN_IF_ERROR(writer.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000) "
        "INSERT INTO leases (id, namespace, mount, role, resource, token, entity, state, "
        "issued_at, expires_at, next_action_at, attempts, sealed) SELECT 'lease' || i, 'root', "
        "'m', 'r', 't', 'tok', 'e', 1, i, i, i, 0, zeroblob(300) FROM n"));
    return ok();
  }));
  const SteadyTime before = clock_.steady();
  open();
  const Millis took = clock_.steady() - before;
  EXPECT_GT(fs::file_size(path_), 20'000'000u);
  // It takes 3 ms; a scan of this file takes 100 and more.
  EXPECT_LT(took, Millis{1'000});
}

}  // namespace
}  // namespace curfew::store

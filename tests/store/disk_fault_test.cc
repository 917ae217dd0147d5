#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <set>

#include "store/sqlite.h"
#include "tests/fakes/faulty_vfs.h"
#include "tests/store/temp_folder.h"

namespace curfew::store {
namespace {

namespace fs = std::filesystem;

using Names = std::set<std::string>;

Names names_in(Database& database) {
  Names names;
  const Status read = database.read([&](const Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto rows, reader.query("SELECT name FROM meta"));
    for (const Row& row : rows) names.insert(row.text(0));
    return ok();
  });
  EXPECT_TRUE(read) << read.error().message << " " << read.error().detail;
  return names;
}

Status put(Database& database, const std::string& name, std::size_t bytes) {
  return database.write([&](Writer& writer) -> Status {
    RETURN_IF_ERROR(writer.execute("INSERT INTO meta (name, value) VALUES ($1, $2)",
                                   {Value{name}, Value{Blob{std::string(bytes, 'x')}}}));
    return ok();
  });
}

class DiskFaultTest : public testing::Test {
 protected:
  // What a start after a sudden death of the process would find, now.
  Names names_after_death() {
    const std::string copy = folder_.file("copy.db");
    for (const char* suffix : {"", "-wal"}) {
      fs::remove(copy + suffix);
      if (fs::exists(path_ + suffix)) fs::copy_file(path_ + suffix, copy + suffix);
    }
    fs::remove(copy + "-shm");
    const fakes::FaultyVfs vfs;
    auto database = open_sqlite(copy, {.readers = 1, .vfs = vfs.name()}, *log_);
    EXPECT_TRUE(database) << database.error().message;
    return database ? names_in(**database) : Names{};
  }

  const TempFolder folder_;
  const std::unique_ptr<Log> log_ = make_null_log();
  const std::string path_ = folder_.file("curfew.db");
};

// Fails the first change of a file, the second, the third, …, alone or with all that follow, and
// checks each time that a write is there exactly if it was acknowledged.
TEST_F(DiskFaultTest, EveryWriteIsThereExactlyIfItWasAcknowledged) {
  for (const bool lasting : {false, true}) {
    int clean_rounds = 0;
    for (int fault = 1; clean_rounds < 2; ++fault) {
      ASSERT_LT(fault, 2'000);
      for (const char* suffix : {"", "-wal", "-shm"}) fs::remove(path_ + suffix);
      fakes::FaultyVfs vfs;
      const SqliteOptions options{.readers = 1, .checkpoint_pages = 10, .vfs = vfs.name()};
      auto opened = open_sqlite(path_, options, *log_);
      ASSERT_TRUE(opened);
      Database& database = **opened;
      Names acknowledged;
      bool failed = false;
      vfs.fail_change(fault, lasting);
      for (int i = 0; i < 8; ++i) {
        const std::string name = "n" + std::to_string(i);
        const Status written = put(database, name, 6'000);
        if (written) acknowledged.insert(name);
        if (written) continue;
        failed = true;
        EXPECT_EQ(written.error().code, Errc::kUnavailable) << written.error().detail;
        ASSERT_EQ(names_in(database), acknowledged) << "fault " << fault;
        if (!lasting) {
          ASSERT_EQ(names_after_death(), acknowledged) << "fault " << fault;
        }
      }
      vfs.heal();
      // There is space again: everything goes on.
      ASSERT_TRUE(put(database, "after", 6'000)) << "fault " << fault;
      acknowledged.insert("after");
      ASSERT_EQ(names_in(database), acknowledged) << "fault " << fault;
      ASSERT_EQ(names_after_death(), acknowledged) << "fault " << fault;
      clean_rounds = failed ? 0 : clean_rounds + 1;
      if (fault < 40) clean_rounds = 0;  // faults in a checkpoint fail nobody's write
    }
  }
}

TEST_F(DiskFaultTest, CommitWhoseFlushFailedDoesNotComeTrueLater) {
  fakes::FaultyVfs vfs;
  SqliteOptions options;
  options.vfs = vfs.name();
  auto database = open_sqlite(path_, options, *log_).value();
  ASSERT_TRUE(put(*database, "before", 10));
  vfs.fail_flush(1);
  const Status written = put(*database, "ghost", 10);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Errc::kUnavailable);
  EXPECT_EQ(names_in(*database), Names{"before"});
  EXPECT_EQ(names_after_death(), Names{"before"});
}

TEST_F(DiskFaultTest, FullDiskIsSaidAndSurvived) {
  fakes::FaultyVfs vfs;
  SqliteOptions options;
  options.vfs = vfs.name();
  auto database = open_sqlite(path_, options, *log_).value();
  vfs.fail_change(1, true);
  const Status written = put(*database, "a", 10);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Errc::kUnavailable);
  EXPECT_NE(written.error().message.find("disk"), std::string::npos);
  EXPECT_NE(written.error().message.find("free space"), std::string::npos);
  EXPECT_EQ(names_in(*database), Names{});
  vfs.heal();
  EXPECT_TRUE(put(*database, "a", 10));
}

// A real limit of the system rather than a pretended one.
TEST_F(DiskFaultTest, FileSizeLimitIsSurvived) {
  auto* const earlier = std::signal(SIGXFSZ, SIG_IGN);
  struct rlimit before {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  auto database = open_sqlite(path_, {}, *log_).value();
  struct rlimit limit = before;
  limit.rlim_cur = 1'000'000;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  Names acknowledged;
  int failures = 0;
  for (int i = 0; i < 200 && failures < 5; ++i) {
    const std::string name = "n" + std::to_string(i);
    const Status written = put(*database, name, 20'000);
    if (written) acknowledged.insert(name);
    if (written) continue;
    ++failures;
    EXPECT_EQ(written.error().code, Errc::kUnavailable);
    EXPECT_EQ(names_in(*database), acknowledged);
  }
  EXPECT_EQ(failures, 5);
  EXPECT_FALSE(acknowledged.empty());
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_TRUE(put(*database, "after", 20'000));
  acknowledged.insert("after");
  EXPECT_EQ(names_in(*database), acknowledged);
  database.reset();
  EXPECT_EQ(names_after_death(), acknowledged);
  std::signal(SIGXFSZ, earlier);
}

}  // namespace
}  // namespace curfew::store

#include "store/database_file.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "store/sqlite.h"
#include "tests/store/temp_folder.h"

namespace curfew::store {
namespace {

namespace fs = std::filesystem;

class DatabaseFileTest : public testing::Test {
 protected:
  Result<std::unique_ptr<SqliteDatabase>> open(const std::string& path) {
    return open_sqlite(path, {}, *log_);
  }
  static unsigned mode_of(const std::string& path) {
    struct stat info {};
    EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
    return info.st_mode & 07777;
  }
  static Status put(Database& database, const std::string& name) {
    return database.write([&](Writer& writer) -> Status {
      RETURN_IF_ERROR(writer.execute("INSERT INTO meta (name, value) VALUES ($1, $2)",
                                     {Value{name}, Value{Blob{std::string(1'000, 'x')}}}));
      return ok();
    });
  }

  const TempFolder folder_;
  const std::unique_ptr<Log> log_ = make_null_log();
  const std::string path_ = folder_.file("curfew.db");
};

TEST_F(DatabaseFileTest, FilesAreForTheOwnerAlone) {
  ::umask(0);
  const auto database = open(path_).value();
  ASSERT_TRUE(put(*database, "a"));
  for (const char* suffix : {"", "-wal", "-shm", ".lock"})
    EXPECT_EQ(mode_of(path_ + suffix), 0600u) << suffix;
}

TEST_F(DatabaseFileTest, ModeThatIsTooWideIsTightened) {
  { const auto database = open(path_).value(); }
  fs::permissions(path_, fs::perms(0644));
  const auto database = open(path_).value();
  EXPECT_EQ(mode_of(path_), 0600u);
}

TEST_F(DatabaseFileTest, SecondServerIsRefusedUntilTheFirstIsGone) {
  auto first = open(path_).value();
  const auto second = open(path_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::kUnavailable);
  EXPECT_NE(second.error().message.find("another server"), std::string::npos);
  EXPECT_NE(second.error().message.find(std::to_string(::getpid())), std::string::npos);
  EXPECT_TRUE(put(*first, "a"));
  first.reset();
  EXPECT_TRUE(open(path_));
}

TEST_F(DatabaseFileTest, LinkToTheFileIsTheSameFile) {
  const auto first = open(path_).value();
  fs::create_symlink(path_, folder_.file("link.db"));
  EXPECT_FALSE(open(folder_.file("link.db")));
  EXPECT_FALSE(
      open(folder_.path() + "/../" + fs::path(folder_.path()).filename().string() + "/curfew.db"));
}

TEST_F(DatabaseFileTest, LeftOverLockFileDoesNotMatter) {
  std::ofstream(path_ + ".lock") << "4242\n";
  EXPECT_TRUE(open(path_));
}

TEST_F(DatabaseFileTest, ForeignDatabaseIsRefusedAndUntouched) {
  sqlite3* handle = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &handle), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(handle, "CREATE TABLE t (a)", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(handle);
  const auto before = fs::last_write_time(path_);
  const auto database = open(path_);
  ASSERT_FALSE(database);
  EXPECT_EQ(database.error().code, Errc::kPreconditionFailed);
  EXPECT_EQ(fs::last_write_time(path_), before);
}

TEST_F(DatabaseFileTest, WhatIsNoDatabaseIsRefusedAndUntouched) {
  for (const std::string& text :
       {std::string("hello"), std::string(10'000, 'x'), std::string("SQLite format 3\0", 16)}) {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << text;
    const auto database = open(path_);
    ASSERT_FALSE(database);
    EXPECT_EQ(database.error().code, Errc::kCorrupt);
    EXPECT_EQ(fs::file_size(path_), text.size());
  }
}

TEST_F(DatabaseFileTest, DirectoryOrMissingDirectoryIsRefused) {
  EXPECT_EQ(open(folder_.path()).error().code, Errc::kPreconditionFailed);
  const auto missing = open(folder_.file("no/curfew.db"));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Errc::kUnavailable);
  EXPECT_NE(missing.error().message.find("Create it"), std::string::npos);
}

TEST_F(DatabaseFileTest, EmptyFileBecomesADatabase) {
  { std::ofstream file(path_); }
  EXPECT_TRUE(open(path_));
  EXPECT_TRUE(open(path_));
}

TEST_F(DatabaseFileTest, CutFileIsRefused) {
  {
    const auto database = open(path_).value();
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(put(*database, std::to_string(i)));
  }
  const auto size = fs::file_size(path_);
  for (const auto left : {size / 2, size - 4096, std::uintmax_t{4096}, std::uintmax_t{5000}}) {
    fs::resize_file(path_, left);
    const auto database = open(path_);
    ASSERT_FALSE(database) << left;
    EXPECT_EQ(database.error().code, Errc::kCorrupt) << left;
  }
}

TEST_F(DatabaseFileTest, DamagedPageIsFoundAtTheStartOrWhenRead) {
  {
    const auto database = open(path_).value();
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(put(*database, std::to_string(i)));
  }
  const auto pages = fs::file_size(path_) / 4096;
  int found = 0;
  for (std::uintmax_t page = 0; page < pages; ++page) {
    const std::string copy = folder_.file("copy.db");
    fs::copy_file(path_, copy, fs::copy_options::overwrite_existing);
    {
      std::fstream file(copy, std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(static_cast<std::streamoff>(page * 4096 + (page == 0 ? 100 : 0)));
      file << std::string(200, '\xff');
    }
    const auto database = open(copy);
    if (database) continue;  // the content of a value: its own seal finds that
    EXPECT_EQ(database.error().code, Errc::kCorrupt);
    ++found;
  }
  EXPECT_GT(found, 10);
}

TEST_F(DatabaseFileTest, NewerSchemaIsRefused) {
  {
    const auto database = open(path_).value();
    ASSERT_TRUE(database->write([](Writer& writer) -> Status {
      RETURN_IF_ERROR(writer.execute("INSERT INTO schema_version (version) VALUES (999)"));
      return ok();
    }));
  }
  const auto database = open(path_);
  ASSERT_FALSE(database);
  EXPECT_EQ(database.error().code, Errc::kPreconditionFailed);
  EXPECT_NE(database.error().message.find("999"), std::string::npos);
}

TEST_F(DatabaseFileTest, TemporaryDatabaseLeavesNothing) {
  std::string path;
  {
    auto file = DatabaseFile::open("", *log_).value();
    path = file->path();
    EXPECT_TRUE(fs::exists(path));
    EXPECT_TRUE(file->is_temporary());
  }
  EXPECT_FALSE(fs::exists(fs::path(path).parent_path()));
  const auto one = open("").value();
  const auto other = open("").value();
  ASSERT_TRUE(put(*one, "a"));
  EXPECT_TRUE(put(*other, "a"));
}

}  // namespace
}  // namespace curfew::store

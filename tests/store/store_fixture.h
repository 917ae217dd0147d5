#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "store/sqlite.h"
#include "tests/fakes/manual_clock.h"
#include "tests/fakes/seeded_random.h"

namespace curfew::store {

// A private database, a clock and a source of randomness.
class StoreTest : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = open_sqlite("", {}, *log_);
    ASSERT_TRUE(opened) << opened.error().message;
    database_ = std::move(*opened);
  }

  Database& db() { return *database_; }

  // Runs one statement; gives the number of rows changed.
  std::int64_t execute(const std::string& sql, const std::vector<Value>& parameters = {}) {
    std::int64_t count = -1;
    const Status written = db().write([&](Writer& writer) -> Status {
      ASSIGN_OR_RETURN(count, writer.execute(sql, parameters));
      return ok();
    });
    EXPECT_TRUE(written) << written.error().message << " " << written.error().detail;
    return count;
  }

  // The first column of the only row, which is a BLOB.
  std::string blob(const std::string& sql) {
    std::string bytes;
    const Status read = db().read([&](const Reader& reader) -> Status {
      ASSIGN_OR_RETURN(const auto row, reader.query_one(sql));
      bytes = row.value().blob(0);
      return ok();
    });
    EXPECT_TRUE(read);
    return bytes;
  }

  std::int64_t integer(const std::string& sql) {
    std::int64_t number = 0;
    const Status read = db().read([&](const Reader& reader) -> Status {
      ASSIGN_OR_RETURN(const auto row, reader.query_one(sql));
      number = row.value().integer(0);
      return ok();
    });
    EXPECT_TRUE(read);
    return number;
  }

  const std::unique_ptr<Log> log_ = make_null_log();
  fakes::ManualClock clock_;
  fakes::SeededRandom random_;
  std::unique_ptr<SqliteDatabase> database_;
};

}  // namespace curfew::store

#include "tests/contract/database_contract.h"

#include <atomic>
#include <thread>

#include "store/migrations.h"

namespace curfew::contract {
namespace {

using store::Blob;
using store::Reader;
using store::Row;
using store::Value;
using store::Writer;

Value text(const char* value) {
  return std::string(value);
}
Value number(std::int64_t value) {
  return value;
}

Status put_meta(Writer& writer, const std::string& name, const std::string& value) {
  auto done = writer.execute("INSERT INTO meta (name, value) VALUES ($1, $2)", {name, Blob{value}});
  if (!done) return done.error();
  return ok();
}

std::int64_t count_meta(store::Database& db) {
  std::int64_t count = -1;
  const Status read = db.read([&](const Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto row, reader.query_one("SELECT count(*) FROM meta"));
    count = row->integer(0);
    return ok();
  });
  EXPECT_TRUE(read) << read.error().message;
  return count;
}

TEST_P(DatabaseContract, KeepsWhatWasWritten) {
  ASSERT_TRUE(db().write([](Writer& writer) { return put_meta(writer, "a", "1"); }));
  EXPECT_EQ(count_meta(db()), 1);
  fixture_->reopen();
  EXPECT_EQ(count_meta(db()), 1);
}

TEST_P(DatabaseContract, GivesBackEveryTypeAsItWas) {
  const std::string bytes("\x00\xff\x01", 3);
  ASSERT_TRUE(db().write([&](Writer& writer) -> Status {
    RETURN_IF_ERROR(writer.execute(
        "INSERT INTO tokens (id, namespace, accessor, parent, expires_at, sealed) "
        "VALUES ($1, $2, $3, $4, $5, $6)",
        {text("i"), text("Gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x94\x91"), text(""),
         std::monostate{}, number(-9'223'372'036'854'775'807 - 1), Blob{bytes}}));
    return ok();
  }));
  ASSERT_TRUE(db().read([&](const Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto row, reader.query_one("SELECT namespace, accessor, parent, "
                                                      "expires_at, sealed FROM tokens"));
    EXPECT_EQ(row->text(0), "Gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x94\x91");
    EXPECT_EQ(row->text(1), "");
    EXPECT_TRUE(row->is_null(2));
    EXPECT_EQ(row->integer(3), -9'223'372'036'854'775'807 - 1);
    EXPECT_EQ(row->blob(4), bytes);
    EXPECT_EQ(row->integer_or_null(3), -9'223'372'036'854'775'807 - 1);
    return ok();
  }));
}

TEST_P(DatabaseContract, NumberedParametersMayStandInAnyOrderAndTwice) {
  ASSERT_TRUE(db().write([](Writer& writer) { return put_meta(writer, "b", "a"); }));
  ASSERT_TRUE(db().read([](const Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const std::vector<Row> rows,
                     reader.query("SELECT name FROM meta WHERE value = $2 AND name = $1 "
                                  "AND name <> $3 AND name >= $1",
                                  {text("b"), Blob{"a"}, text("x")}));
    EXPECT_EQ(rows.size(), 1u);
    return ok();
  }));
}

TEST_P(DatabaseContract, WrongNumberOfParametersIsAnError) {
  const Status read = db().read([](const Reader& reader) -> Status {
    auto fewer = reader.query("SELECT name FROM meta WHERE name = $1", {});
    EXPECT_FALSE(fewer);
    auto more = reader.query("SELECT name FROM meta", {text("x")});
    EXPECT_FALSE(more);
    return ok();
  });
  EXPECT_TRUE(read);
}

TEST_P(DatabaseContract, TextSortsByBytes) {
  ASSERT_TRUE(db().write([](Writer& writer) -> Status {
    for (const char* name : {"b", "B", "a/x", "a0", "a-", "\xc3\xa4"})
      RETURN_IF_ERROR(put_meta(writer, name, ""));
    return ok();
  }));
  ASSERT_TRUE(db().read([](const Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const std::vector<Row> rows,
                     reader.query("SELECT name FROM meta ORDER BY name"));
    std::vector<std::string> names;
    for (const Row& row : rows) names.push_back(row.text(0));
    EXPECT_EQ(names, (std::vector<std::string>{"B", "a-", "a/x", "a0", "b", "\xc3\xa4"}));
    return ok();
  }));
}

TEST_P(DatabaseContract, TextThatIsNotUtf8IsRefused) {
  for (const std::string& bad :
       {std::string("a\0b", 3), std::string("\xff"), std::string("\xc3"),
        std::string("\xed\xa0\x80"), std::string("\xc0\x80"), std::string("\xf4\x90\x80\x80")}) {
    const Status written = db().write([&](Writer& writer) { return put_meta(writer, bad, ""); });
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().code, Errc::kInvalidArgument);
  }
  EXPECT_EQ(count_meta(db()), 0);
}

TEST_P(DatabaseContract, ExecuteCountsChangedRows) {
  ASSERT_TRUE(db().write([](Writer& writer) -> Status {
    RETURN_IF_ERROR(put_meta(writer, "a", ""));
    RETURN_IF_ERROR(put_meta(writer, "b", ""));
    ASSIGN_OR_RETURN(const auto all, writer.execute("UPDATE meta SET value = $1", {Blob{"x"}}));
    EXPECT_EQ(all, 2);
    ASSIGN_OR_RETURN(const auto none,
                     writer.execute("DELETE FROM meta WHERE name = $1", {text("zzz")}));
    EXPECT_EQ(none, 0);
    return ok();
  }));
}

TEST_P(DatabaseContract, WriterSeesItsOwnChanges) {
  ASSERT_TRUE(db().write([](Writer& writer) -> Status {
    RETURN_IF_ERROR(put_meta(writer, "a", "1"));
    ASSIGN_OR_RETURN(const auto row,
                     writer.query_one("SELECT value FROM meta WHERE name = $1", {text("a")}));
    EXPECT_TRUE(row.has_value());
    return ok();
  }));
}

TEST_P(DatabaseContract, NothingRemainsOfAWriteThatFails) {
  const Status written = db().write([](Writer& writer) -> Status {
    RETURN_IF_ERROR(put_meta(writer, "a", "1"));
    return Error{Errc::kPreconditionFailed, "no"};
  });
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Errc::kPreconditionFailed);
  EXPECT_EQ(count_meta(db()), 0);
}

TEST_P(DatabaseContract, ViolatedConstraintIsAConflictAndFailsTheWhole) {
  ASSERT_TRUE(db().write([](Writer& writer) { return put_meta(writer, "a", "1"); }));
  const Status written = db().write([](Writer& writer) -> Status {
    RETURN_IF_ERROR(put_meta(writer, "b", "1"));
    return put_meta(writer, "a", "2");
  });
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Errc::kConflict);
  EXPECT_EQ(count_meta(db()), 1);
}

TEST_P(DatabaseContract, ErrorThatTheWriterForgetsFailsTheWriteAllTheSame) {
  ASSERT_TRUE(db().write([](Writer& writer) { return put_meta(writer, "a", "1"); }));
  const Status written = db().write([](Writer& writer) -> Status {
    (void)put_meta(writer, "a", "2");
    (void)put_meta(writer, "b", "2");
    return ok();
  });
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Errc::kConflict);
  EXPECT_EQ(count_meta(db()), 1);
}

TEST_P(DatabaseContract, WrongStatementIsAnInternalError) {
  const Status read = db().read([](const Reader& reader) -> Status {
    RETURN_IF_ERROR(reader.query("SELECT nothing FROM nowhere"));
    return ok();
  });
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Errc::kInternal);
  const Status written = db().write([](Writer& writer) -> Status {
    RETURN_IF_ERROR(writer.execute("INSERT INTO nowhere VALUES (1)"));
    return ok();
  });
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Errc::kInternal);
}

TEST_P(DatabaseContract, ReaderMayNotWrite) {
  const Status read = db().read([](const Reader& reader) -> Status {
    RETURN_IF_ERROR(reader.query("DELETE FROM schema_version RETURNING version"));
    return ok();
  });
  EXPECT_FALSE(read);
  ASSERT_TRUE(db().read([](const Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto version, store::schema_of(reader));
    EXPECT_EQ(version, store::newest_schema());
    return ok();
  }));
}

TEST_P(DatabaseContract, TransactionsAreNotSteeredFromInside) {
  for (const char* sql : {"COMMIT", "ROLLBACK", "SAVEPOINT x", "BEGIN"}) {
    const Status written = db().write([&](Writer& writer) -> Status {
      RETURN_IF_ERROR(put_meta(writer, "a", ""));
      RETURN_IF_ERROR(writer.execute(sql));
      return ok();
    });
    EXPECT_FALSE(written) << sql;
  }
  EXPECT_EQ(count_meta(db()), 0);
}

TEST_P(DatabaseContract, ExceptionsBecomeErrors) {
  const Status written = db().write([](Writer& writer) -> Status {
    RETURN_IF_ERROR(put_meta(writer, "a", ""));
    throw std::runtime_error("oops");
  });
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Errc::kInternal);
  const Status read = db().read([](const Reader&) -> Status { throw std::runtime_error("oops"); });
  EXPECT_FALSE(read);
  EXPECT_EQ(count_meta(db()), 0);
}

TEST_P(DatabaseContract, UseInsideAWriteIsRefusedAndDoesNotHang) {
  ASSERT_TRUE(db().write([&](Writer& writer) -> Status {
    EXPECT_FALSE(db().write([](Writer&) { return ok(); }));
    EXPECT_FALSE(db().read([](const Reader&) { return ok(); }));
    return put_meta(writer, "a", "");
  }));
  EXPECT_EQ(count_meta(db()), 1);
}

TEST_P(DatabaseContract, ReaderKeepsItsViewWhileOthersWrite) {
  ASSERT_TRUE(db().write([](Writer& writer) { return put_meta(writer, "a", ""); }));
  ASSERT_TRUE(db().read([&](const Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto before, reader.query_one("SELECT count(*) FROM meta"));
    // The write completes although a read is under way, and that read does not see it.
    std::thread other(
        [&] { EXPECT_TRUE(db().write([](Writer& writer) { return put_meta(writer, "b", ""); })); });
    other.join();
    ASSIGN_OR_RETURN(const auto after, reader.query_one("SELECT count(*) FROM meta"));
    EXPECT_EQ(before->integer(0), after->integer(0));
    return ok();
  }));
  EXPECT_EQ(count_meta(db()), 2);
}

TEST_P(DatabaseContract, WritersRunOneAtATime) {
  ASSERT_TRUE(db().write([](Writer& writer) -> Status {
    RETURN_IF_ERROR(writer.execute(
        "INSERT INTO keyring (namespace, version, created_at, sealed) VALUES ($1, $2, $3, $4)",
        {text("n"), number(0), number(0), Blob{}}));
    return ok();
  }));
  constexpr int kThreads = 8;
  constexpr int kWrites = 50;
  std::atomic<int> inside{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kWrites; ++i) {
        const Status written = db().write([&](Writer& writer) -> Status {
          EXPECT_EQ(inside.fetch_add(1), 0);
          ASSIGN_OR_RETURN(const auto row, writer.query_one("SELECT created_at FROM keyring"));
          auto set =
              writer.execute("UPDATE keyring SET created_at = $1", {number(row->integer(0) + 1)});
          inside.fetch_sub(1);
          if (!set) return set.error();
          return ok();
        });
        EXPECT_TRUE(written);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(db().read([&](const Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto row, reader.query_one("SELECT created_at FROM keyring"));
    EXPECT_EQ(row->integer(0), kThreads * kWrites);
    return ok();
  }));
}

TEST_P(DatabaseContract, ReadSeesWhatAnyThreadWroteBefore) {
  for (int i = 0; i < 50; ++i) {
    std::thread other([&] {
      EXPECT_TRUE(db().write(
          [&](Writer& writer) { return put_meta(writer, "n" + std::to_string(i), ""); }));
    });
    other.join();
    EXPECT_EQ(count_meta(db()), i + 1);
  }
}

TEST_P(DatabaseContract, MigratingAgainChangesNothing) {
  ASSERT_TRUE(db().write([](Writer& writer) { return put_meta(writer, "a", ""); }));
  EXPECT_TRUE(db().write(store::migrate));
  EXPECT_EQ(count_meta(db()), 1);
}

TEST_P(DatabaseContract, NewerSchemaIsRefused) {
  ASSERT_TRUE(db().write([](Writer& writer) -> Status {
    RETURN_IF_ERROR(writer.execute("INSERT INTO schema_version (version) VALUES ($1)",
                                   {number(store::newest_schema() + 5)}));
    return ok();
  }));
  const Status migrated = db().write(store::migrate);
  ASSERT_FALSE(migrated);
  EXPECT_EQ(migrated.error().code, Errc::kPreconditionFailed);
  EXPECT_NE(migrated.error().message.find("newer"), std::string::npos);
}

}  // namespace
}  // namespace curfew::contract

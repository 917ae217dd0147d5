#include "store/sqlite.h"
#include "tests/contract/database_contract.h"
#include "tests/store/temp_folder.h"

namespace curfew::contract {
namespace {

class SqliteFixture final : public DatabaseFixture {
 public:
  SqliteFixture() { open(); }
  store::Database& database() override { return *database_; }
  void reopen() override {
    database_.reset();
    open();
  }

 private:
  void open() {
    auto opened = store::open_sqlite(folder_.file("curfew.db"), {}, *log_);
    if (!opened) FAIL() << opened.error().message;
    database_ = std::move(*opened);
  }

  const TempFolder folder_;
  const std::unique_ptr<Log> log_ = make_null_log();
  std::unique_ptr<store::SqliteDatabase> database_;
};

INSTANTIATE_TEST_SUITE_P(Sqlite, DatabaseContract, testing::Values(DatabaseFactory([] {
                           return std::make_unique<SqliteFixture>();
                         })),
                         [](const auto&) { return "Embedded"; });

}  // namespace
}  // namespace curfew::contract

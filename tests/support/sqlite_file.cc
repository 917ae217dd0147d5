#include "tests/support/sqlite_file.h"

#include <sqlite3.h>

#include <memory>
#include <stdexcept>

namespace curfew::test {

int run_sqlite(const std::string& path, const std::string& sql) {
  sqlite3* opened = nullptr;
  const int status = sqlite3_open(path.c_str(), &opened);
  const std::unique_ptr<sqlite3, int (*)(sqlite3*)> database(opened, sqlite3_close);
  if (status != SQLITE_OK ||
      sqlite3_exec(database.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
    throw std::runtime_error("the test's SQL failed: " + std::string(sqlite3_errmsg(opened)) +
                             " in: " + sql);
  return sqlite3_total_changes(database.get());
}

}  // namespace curfew::test

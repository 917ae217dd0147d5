#pragma once

#include <string>

namespace curfew::test {

// Runs one statement on a database file with SQLite's own library, as another program would. How
// many rows it changed. Throws with SQLite's message when it fails.
int run_sqlite(const std::string& path, const std::string& sql);

}  // namespace curfew::test

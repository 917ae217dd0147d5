// Writes rows from several threads until it is killed, and prints the name of each one after it was
// acknowledged. Its arguments: the database's path and what the names begin with.
#include <unistd.h>

#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "store/sqlite.h"

int main(int argc, char** argv) {
  using namespace curfew;
  if (argc != 3) return 2;
  const std::unique_ptr<Log> log = make_null_log();
  auto database = store::open_sqlite(argv[1], {}, *log);
  if (!database) {
    std::fprintf(stderr, "%s\n", database.error().message.c_str());
    return 3;
  }
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0;; ++i) {
        const std::string name =
            std::string(argv[2]) + "-" + std::to_string(t) + "-" + std::to_string(i);
        const Status written = (*database)->write([&](store::Writer& writer) -> Status {
          // Two rows: both or none are there afterwards.
          for (const char* half : {"/a", "/b"})
            RETURN_IF_ERROR(writer.execute(
                "INSERT INTO meta (name, value) VALUES ($1, $2)",
                {store::Value{name + half}, store::Value{store::Blob{std::string(500, 'x')}}}));
          return ok();
        });
        if (!written) ::_exit(4);
        const std::string line = name + "\n";
        // Less than PIPE_BUF: lines of different threads do not mix.
        if (::write(STDOUT_FILENO, line.data(), line.size()) < 0) ::_exit(5);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

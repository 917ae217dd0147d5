#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <set>
#include <sstream>

#include "store/sqlite.h"
#include "tests/store/temp_folder.h"

namespace curfew::store {
namespace {

// A process that writes to a database. Killed at the end at the latest.
class Child {
 public:
  Child(const std::string& database, const std::string& prefix) {
    const std::string program =
        std::filesystem::read_symlink("/proc/self/exe").parent_path().string() +
        "/store_crash_child";
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      ::execl(program.c_str(), program.c_str(), database.c_str(), prefix.c_str(), nullptr);
      ::_exit(127);
    }
    ::close(ends[1]);
    out_ = ends[0];
  }
  ~Child() {
    kill();
    ::close(out_);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // Reads acknowledgements until there are `lines` of them or the child has ended.
  void read_lines(std::size_t lines) {
    std::array<char, 4096> buffer{};
    while (static_cast<std::size_t>(std::count(text_.begin(), text_.end(), '\n')) < lines) {
      const ssize_t length = ::read(out_, buffer.data(), buffer.size());
      if (length <= 0) return;
      text_.append(buffer.data(), static_cast<std::size_t>(length));
    }
  }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  // All acknowledgements, what was in the pipe when it died included.
  std::set<std::string> acknowledged() {
    read_lines(std::string::npos);
    std::set<std::string> names;
    std::istringstream lines(text_);
    for (std::string line; std::getline(lines, line);) {
      if (!lines.eof()) names.insert(line);
    }
    return names;
  }

 private:
  ::pid_t pid_ = 0;
  int out_ = -1;
  std::string text_;
};

TEST(Crash, KilledProcessLosesNoAcknowledgedWriteAndNoHalfOfOne) {
  const TempFolder folder;
  const std::string path = folder.file("curfew.db");
  const std::unique_ptr<Log> log = make_null_log();
  std::set<std::string> acknowledged;
  for (int round = 0; round < 6; ++round) {
    Child child(path, "r" + std::to_string(round));
    // At another point each time, the first before it can have written much.
    child.read_lines(static_cast<std::size_t>(round * 61 + 1));
    child.kill();
    const auto more = child.acknowledged();
    ASSERT_FALSE(more.empty()) << "the child did not write; is store_crash_child built?";
    acknowledged.insert(more.begin(), more.end());

    // The lock went with the process.
    auto database = open_sqlite(path, {}, *log);
    ASSERT_TRUE(database) << database.error().message;
    std::set<std::string> halves;
    ASSERT_TRUE((*database)->read([&](const Reader& reader) -> Status {
      ASSIGN_OR_RETURN(const auto rows, reader.query("SELECT name FROM meta"));
      for (const Row& row : rows) halves.insert(row.text(0));
      return ok();
    }));
    for (const std::string& name : acknowledged) {
      ASSERT_TRUE(halves.contains(name + "/a")) << name;
      ASSERT_TRUE(halves.contains(name + "/b")) << name;
    }
    for (const std::string& half : halves) {
      const std::string name = half.substr(0, half.size() - 2);
      ASSERT_TRUE(halves.contains(name + "/a") && halves.contains(name + "/b")) << half;
    }
  }
}

TEST(Crash, DatabaseOfALivingProcessIsRefused) {
  const TempFolder folder;
  const std::string path = folder.file("curfew.db");
  const std::unique_ptr<Log> log = make_null_log();
  Child child(path, "r");
  child.read_lines(1);
  const auto refused = open_sqlite(path, {}, *log);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kUnavailable);
  child.kill();
  EXPECT_TRUE(open_sqlite(path, {}, *log));
}

}  // namespace
}  // namespace curfew::store

#pragma once

#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "cli/run.h"

namespace curfew::cli::testing {

// A directory of its own, removed with everything in it at the end.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  std::string path(const std::string& name = {}) const;
  // Makes a file and gives its path.
  std::string file(const std::string& name, const std::string& contents) const;

 private:
  std::filesystem::path path_;
};

struct CliResult {
  int code = -1;
  std::string out;
  std::string err;
};

// Runs commands in surroundings that a test chooses. HOME is an empty directory.
class CliRunner {
 public:
  CliRunner();

  CliResult run(const std::vector<std::string>& words);

  std::map<std::string, std::string> environment;
  std::string input;  // standard input of each run
  bool in_is_terminal = false;
  bool out_is_terminal = false;
  std::string typed = "";            // what is typed at hidden prompts; "" gives up
  std::vector<std::string> prompts;  // that were shown
  std::vector<Millis> slept;
  TemporaryDirectory home;

 private:
  int runs_ = 0;
};

std::string read_text(const std::string& path);

}  // namespace curfew::cli::testing

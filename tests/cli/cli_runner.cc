#include "tests/cli/cli_runner.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <stdexcept>

namespace curfew::cli::testing {

TemporaryDirectory::TemporaryDirectory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "curfew-cli-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary directory");
  path_ = pattern;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryDirectory::path(const std::string& name) const {
  return name.empty() ? path_.string() : (path_ / name).string();
}

std::string TemporaryDirectory::file(const std::string& name, const std::string& contents) const {
  std::ofstream(path(name), std::ios::binary) << contents;
  return path(name);
}

CliRunner::CliRunner() {
  environment["HOME"] = home.path();
}

CliResult CliRunner::run(const std::vector<std::string>& words) {
  std::istringstream in(input);
  std::ostringstream out;
  std::ostringstream err;
  Surroundings around{
      .environment = [this](const std::string& name) -> std::optional<std::string> {
        const auto found = environment.find(name);
        return found == environment.end() ? std::nullopt : std::optional(found->second);
      },
      .in = in,
      .out = out,
      .err = err,
      .in_is_terminal = in_is_terminal,
      .out_is_terminal = out_is_terminal,
      .ask_secret = [this](std::string_view prompt) -> Result<Secret> {
        prompts.emplace_back(prompt);
        if (typed.empty()) return Error{Errc::kInvalidArgument, "nothing was entered"};
        return Secret(typed);
      },
      .sleep = [this](Millis time) { slept.push_back(time); },
      .unique_text = [this] { return "key-of-run-" + std::to_string(++runs_); },
  };
  CliOptions options;
  options.version = "1.2.3";
  CliResult result;
  result.code = run_cli(words, options, around);
  result.out = out.str();
  result.err = err.str();
  return result;
}

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace curfew::cli::testing

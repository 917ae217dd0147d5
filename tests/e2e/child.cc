#include "tests/e2e/child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace curfew::e2e {
namespace {

constexpr std::chrono::milliseconds kPause{10};

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> out;
  for (std::string& word : words) out.push_back(word.data());
  out.push_back(nullptr);
  return out;
}

}  // namespace

pid_t start_child(const std::vector<std::string>& words, const Environment& environment,
                  const std::string& in, const std::string& out, const std::string& err) {
  // All memory is had before the fork: the child may do little between it and exec.
  std::vector<std::string> argument_texts = words;
  std::vector<std::string> variable_texts;
  for (const auto& [name, value] : environment) variable_texts.push_back(name + "=" + value);
  const std::vector<char*> arguments = pointers(argument_texts);
  const std::vector<char*> variables = pointers(variable_texts);
  const pid_t process = ::fork();
  if (process < 0) throw std::runtime_error("cannot fork");
  if (process > 0) return process;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int in_fd = ::open(in.c_str(), O_RDONLY | O_CLOEXEC);
  const int out_fd = ::open(out.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const int err_fd = ::open(err.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (::dup2(in_fd, 0) < 0 || ::dup2(out_fd, 1) < 0 || ::dup2(err_fd, 2) < 0) ::_exit(126);
  ::execve(arguments[0], arguments.data(), variables.data());
  ::_exit(127);
}

int wait_for_exit(pid_t process) {
  int status = 0;
  const bool ended = eventually([&] { return ::waitpid(process, &status, WNOHANG) == process; });
  if (!ended) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

Outcome run_cli(const std::vector<std::string>& arguments, const Environment& environment,
                const std::string& input) {
  const std::string folder = make_folder();
  Environment whole{{"PATH", "/usr/bin:/bin"}, {"HOME", folder}};
  for (const auto& [name, value] : environment) whole[name] = value;
  std::vector<std::string> words{curfew_program()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  write_file(folder + "/in", input);
  const pid_t process = start_child(words, whole, folder + "/in", folder + "/out", folder + "/err");
  Outcome outcome;
  outcome.exit = wait_for_exit(process);
  if (outcome.exit == -1) {
    ::kill(process, SIGKILL);
    ::waitpid(process, nullptr, 0);
  }
  outcome.out = read_file(folder + "/out");
  outcome.err = read_file(folder + "/err");
  std::filesystem::remove_all(folder);
  return outcome;
}

std::string curfew_program() {
  return CURFEW_PROGRAM;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  if (!(file << text).flush()) throw std::runtime_error("cannot write " + path);
}

std::string make_folder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "curfew-e2e.XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
  return pattern;
}

bool eventually(const std::function<bool()>& condition, int seconds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(kPause);
  }
  return true;
}

}  // namespace curfew::e2e

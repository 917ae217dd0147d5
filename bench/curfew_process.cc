#include "bench/curfew_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <thread>

#include "bench/http_client.h"
#include "bench/load.h"

namespace curfew::bench {
namespace {

constexpr std::chrono::seconds kStartMax{60};

std::string executable() {
  const std::string beside = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  return environment("CURFEW_BIN", beside + "/curfew");
}

// A port that nobody listens on at the moment.
int free_port() {
  std::random_device chance;
  for (;;) {
    const int port = 33000 + static_cast<int>(chance() % 20000);
    if (!HttpClient::can_connect(port)) return port;
  }
}

// The folders that are there: fail() ends the program without destructors, and they must go all the
// same.
std::set<std::string>& folders() {
  static std::set<std::string> all;
  return all;
}

void remove_folders() {
  std::error_code ignored;
  for (const std::string& path : folders()) std::filesystem::remove_all(path, ignored);
}

}  // namespace

Folder::Folder() : path_(environment("CURFEW_BENCH_DIR", "/var/tmp") + "/curfew-bench.XXXXXX") {
  if (::mkdtemp(path_.data()) == nullptr) fail("cannot make the folder " + path_);
  if (folders().empty()) std::atexit(remove_folders);
  folders().insert(path_);
}

Folder::~Folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
  folders().erase(path_);
}

CurfewProcess::CurfewProcess(const std::string& folder) : folder_(folder), port_(free_port()) {
  std::ofstream(folder_ + "/curfew.hcl") << fmt::format(
      R"(listener "tcp" {{
  address = "127.0.0.1:{}"
  tls_disable = true
}}
storage "sqlite" {{ path = "{}" }}
seal "file" {{ path = "{}" }}
log_level = "warn"
)",
      port_, database_path(), seal_path());
}

CurfewProcess::~CurfewProcess() {
  stop();
}

double CurfewProcess::start() {
  const std::string program = executable();
  const std::string option = "-config=" + folder_ + "/curfew.hcl";
  const std::string log = folder_ + "/server.log";
  const auto began = std::chrono::steady_clock::now();
  process_ = ::fork();
  if (process_ < 0) fail("cannot start a process");
  if (process_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(out, STDERR_FILENO);
    ::execl(program.c_str(), program.c_str(), "server", option.c_str(), nullptr);
    ::_exit(127);
  }
  while (!HttpClient::can_connect(port_)) {
    if (::waitpid(process_, nullptr, WNOHANG) != 0) {
      process_ = -1;
      fail("the server " + program + " did not start; its log is " + log);
    }
    if (std::chrono::steady_clock::now() - began > kStartMax) fail("the server does not listen");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  HttpClient(port_, token_).call("GET", token_.empty() ? "sys/seal-status" : "sys/mounts");
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began)
      .count();
}

void CurfewProcess::stop() {
  if (process_ < 0) return;
  ::kill(process_, SIGTERM);
  ::waitpid(process_, nullptr, 0);
  process_ = -1;
}

void CurfewProcess::initialize() {
  const Json made = HttpClient(port_, "").json("PUT", "sys/init", "{}");
  token_ = made.at("root_token").get<std::string>();
}

double CurfewProcess::memory_mib() const {
  std::ifstream status(fmt::format("/proc/{}/status", process_));
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return std::strtod(line.c_str() + 6, nullptr) / 1024;
  fail("the server's memory cannot be read");
}

}  // namespace curfew::bench

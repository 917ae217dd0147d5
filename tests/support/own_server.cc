#include <dirent.h>
#include <fcntl.h>
#include <pwd.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "base/random.h"
#include "tests/support/postgres.h"

extern char** environ;

namespace curfew::test {
namespace {

namespace fs = std::filesystem;

std::string postgres_folder() {
  if (const char* folder = std::getenv("PGBIN"); folder != nullptr) return folder;
  throw std::runtime_error("PGBIN is not set; run this test under tools/with-postgres");
}

// The server refuses to run as root.
std::vector<std::string> as_server_user() {
  if (geteuid() != 0) return {};
  return {"setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"};
}

// Standard output and error go to the end of `log`.
pid_t spawn(std::vector<std::string> words, const std::string& log) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t process = 0;
  const int failed =
      posix_spawnp(&process, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) throw std::runtime_error("cannot start " + words[0]);
  return process;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void give_to_server(const fs::path& path) {
  if (geteuid() != 0) return;
  const passwd* user = getpwnam("postgres");
  if (user == nullptr || chown(path.c_str(), user->pw_uid, user->pw_gid) != 0)
    throw std::runtime_error("cannot give " + path.string() + " to the user postgres");
}

// All processes whose parent is `parent`.
std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::string status = read_file(entry.path() / "status");
    if (status.find("\nPPid:\t" + std::to_string(parent) + "\n") != std::string::npos)
      found.push_back(static_cast<pid_t>(std::stol(name)));
  }
  return found;
}

}  // namespace

OwnServer::OwnServer(std::vector<std::string> settings, std::vector<File> files) {
  std::string pattern = (fs::temp_directory_path() / "curfew-own-pg.XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
  folder_ = pattern;
  give_to_server(folder_);
  address_ = {"127.0.0.1", "", "postgres", unique_name("pw")};
  {
    std::ofstream(folder_ + "/password") << address_.password << '\n';
    give_to_server(folder_ + "/password");
  }
  std::vector<std::string> command = as_server_user();
  for (const char* word : {"/initdb", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8",
                           "--no-sync", "--auth-local=trust", "--auth-host=scram-sha-256"})
    command.push_back(word[0] == '/' ? postgres_folder() + word : word);
  command.push_back("--pwfile=" + folder_ + "/password");
  command.push_back(folder_ + "/data");
  int status = 0;
  const pid_t made = spawn(command, folder_ + "/log");
  if (waitpid(made, &status, 0) != made || status != 0)
    throw std::runtime_error("initdb failed: " + log());
  for (const File& file : files) {
    const std::string path = folder_ + "/data/" + file.name;
    std::ofstream(path) << file.contents;
    chmod(path.c_str(), 0600);
    give_to_server(path);
  }
  std::ofstream conf(folder_ + "/data/postgresql.conf", std::ios::app);
  conf << "listen_addresses = '127.0.0.1'\nfsync = off\nunix_socket_directories = ''\n"
          "max_connections = 60\ntimezone = 'UTC'\n";
  for (const std::string& line : settings) conf << line << '\n';
  conf.close();
  start();
}

OwnServer::~OwnServer() {
  if (process_ != 0) {
    thaw();
    stop_immediately();
  }
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

void OwnServer::start() {
  SystemRandom random;
  for (int attempt = 0; attempt < 10; ++attempt) {
    // The same port after a restart; another one while none has worked yet.
    const std::string port = address_.port.empty()
                                 ? std::to_string(20'000 + random_below(random, 12'000))
                                 : address_.port;
    std::vector<std::string> command = as_server_user();
    for (const std::string& word : {std::string("setpriv"), std::string("--pdeathsig"),
                                    std::string("KILL"), postgres_folder() + "/postgres",
                                    std::string("-D"), folder_ + "/data", std::string("-p"), port})
      command.push_back(word);
    process_ = spawn(command, folder_ + "/log");
    PgAddress candidate = address_;
    candidate.port = port;
    for (int look = 0; look < 400; ++look) {
      if (waitpid(process_, nullptr, WNOHANG) != 0) break;
      if (can_log_in(candidate.url())) {
        address_ = candidate;
        return;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(25));
    }
    process_ = 0;
  }
  throw std::runtime_error("the server did not start: " + log());
}

void OwnServer::stop_immediately() {
  if (process_ == 0) return;
  kill(process_, SIGQUIT);
  waitpid(process_, nullptr, 0);
  process_ = 0;
}

void OwnServer::signal_all(int signal_number) const {
  // The postmaster first, so that it makes no new children meanwhile.
  kill(process_, signal_number);
  for (const pid_t child : children_of(process_)) kill(child, signal_number);
}

void OwnServer::freeze() {
  signal_all(SIGSTOP);
  frozen_ = true;
}

void OwnServer::thaw() {
  if (frozen_) signal_all(SIGCONT);
  frozen_ = false;
}

std::string OwnServer::log() const {
  return read_file(folder_ + "/log");
}

}  // namespace curfew::test

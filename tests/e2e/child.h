#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

// Programs that a test starts, and what it waits for. Failures of the test's own means are thrown.
namespace curfew::e2e {

using Environment = std::map<std::string, std::string>;

// Starts `words` with this environment and nothing else. Standard output and error go to the end of
// the two files; standard input is `in`, a file. The child dies with the calling thread.
pid_t start_child(const std::vector<std::string>& words, const Environment& environment,
                  const std::string& in, const std::string& out, const std::string& err);

// The exit status, 128 + the signal that ended it, or -1 when it still runs after 30 s.
int wait_for_exit(pid_t process);

// What a program that has ended said.
struct Outcome {
  int exit = -1;
  std::string out, err;
};

// The real program with these arguments. `environment` is added to a PATH and a HOME of its own.
Outcome run_cli(const std::vector<std::string>& arguments, const Environment& environment = {},
                const std::string& input = "");

// The path of the program.
std::string curfew_program();

// The whole file, or "" when there is none.
std::string read_file(const std::string& path);
void write_file(const std::string& path, const std::string& text);

// A new folder that only this user can read.
std::string make_folder();

// Polls until the condition holds; false when it does not within `seconds`.
bool eventually(const std::function<bool()>& condition, int seconds = 30);

}  // namespace curfew::e2e

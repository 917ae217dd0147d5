// Hidden prompts, on a terminal that the test plays.
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "cli/surroundings.h"

namespace curfew::cli {
namespace {

struct PromptResult {
  int exit_code = -1;
  std::string screen;
  bool echo_after = false;
};

bool echoes(int terminal) {
  termios settings{};
  return ::tcgetattr(terminal, &settings) == 0 && (settings.c_lflag & ECHO) != 0;
}

// Runs a prompt in a child process and types `keys` when it shows. The child exits with the length
// of what it got, or 99 if it got nothing.
PromptResult prompt_and_type(const std::string& keys) {
  int terminal = -1;
  const pid_t child = ::forkpty(&terminal, nullptr, nullptr, nullptr);
  if (child == 0) {
    const Result<Secret> answer = system_surroundings().ask_secret("Key? ");
    ::_exit(answer ? static_cast<int>(answer->reveal().size()) : 99);
  }
  PromptResult result;
  bool typed = false;
  char buffer[256];
  pollfd ready{.fd = terminal, .events = POLLIN, .revents = 0};
  while (::poll(&ready, 1, 10'000) > 0) {
    const ssize_t got = ::read(terminal, buffer, sizeof buffer);
    if (got <= 0) break;
    result.screen.append(buffer, static_cast<std::size_t>(got));
    if (!typed && result.screen.find("Key? ") != std::string::npos) {
      EXPECT_FALSE(echoes(terminal));
      EXPECT_EQ(::write(terminal, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
      typed = true;
    }
  }
  result.echo_after = echoes(terminal);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  ::close(terminal);
  return result;
}

TEST(Prompt, ReadsALineWithoutShowingIt) {
  const PromptResult result = prompt_and_type("hunter2\n");
  EXPECT_EQ(result.exit_code, 7);
  EXPECT_EQ(result.screen.find("hunter2"), std::string::npos);
  EXPECT_TRUE(result.echo_after);
}

TEST(Prompt, KnowsBackspaceAndEraseLine) {
  EXPECT_EQ(prompt_and_type("abc\x7f\x7fx\n").exit_code, 2);
  EXPECT_EQ(prompt_and_type("wrong\x15right!\n").exit_code, 6);
}

TEST(Prompt, CtrlCAndCtrlDGiveUpAndTheTerminalIsAsBefore) {
  for (const char* key : {"ab\x03", "\x04"}) {
    const PromptResult result = prompt_and_type(key);
    EXPECT_EQ(result.exit_code, 99);
    EXPECT_TRUE(result.echo_after);
  }
}

}  // namespace
}  // namespace curfew::cli

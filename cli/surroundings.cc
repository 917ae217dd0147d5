#include "cli/surroundings.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <thread>

#include "base/random.h"

namespace curfew::cli {

namespace {

constexpr std::size_t kSecretBytesMax = 64 * 1024;

// Keys are read one by one with signals off, so that there is no moment at which Ctrl-C could end
// the process and leave the terminal without echo.
class QuietTerminal {
 public:
  explicit QuietTerminal(int fd) : fd_(fd) {
    if (tcgetattr(fd_, &before_) != 0) return;
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON | ISIG);
    quiet.c_cc[VMIN] = 1;
    quiet.c_cc[VTIME] = 0;
    active_ = tcsetattr(fd_, TCSAFLUSH, &quiet) == 0;
  }
  QuietTerminal(const QuietTerminal&) = delete;
  QuietTerminal& operator=(const QuietTerminal&) = delete;
  ~QuietTerminal() {
    if (active_) tcsetattr(fd_, TCSAFLUSH, &before_);
  }

  bool active() const { return active_; }

 private:
  int fd_;
  bool active_ = false;
  termios before_{};
};

void put(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

Result<Secret> read_hidden_line(int fd) {
  constexpr char kInterrupt = 3, kEndOfInput = 4, kEraseLine = 21, kDelete = 127;
  std::string line;
  line.reserve(512);
  while (true) {
    char key = 0;
    const ssize_t got = ::read(fd, &key, 1);
    if (got <= 0 || key == kInterrupt || (key == kEndOfInput && line.empty())) {
      zero(line);
      return Error{Errc::kInvalidArgument, "nothing was entered"};
    }
    if (key == '\n' || key == '\r' || key == kEndOfInput) return Secret(std::move(line));
    if (key == kDelete || key == '\b') {
      if (!line.empty()) line.pop_back();
    } else if (key == kEraseLine) {
      zero(line);
    } else if (line.size() < kSecretBytesMax) {
      line.push_back(key);
    }
  }
}

Result<Secret> ask_terminal(std::string_view prompt) {
  const int fd = ::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) {
    return Error{Errc::kInvalidArgument,
                 "there is no terminal to ask for it: give the value as an argument, or '-' to "
                 "read it from standard input"};
  }
  Result<Secret> answer = Error{Errc::kInvalidArgument, "the terminal cannot hide what is typed"};
  {
    const QuietTerminal quiet(fd);
    put(fd, prompt);
    if (quiet.active()) answer = read_hidden_line(fd);
    put(fd, "\n");
  }
  ::close(fd);
  return answer;
}

}  // namespace

Surroundings system_surroundings() {
  return Surroundings{
      .environment = [](const std::string& name) -> std::optional<std::string> {
        const char* value = std::getenv(name.c_str());
        if (value == nullptr) return std::nullopt;
        return std::string(value);
      },
      .in = std::cin,
      .out = std::cout,
      .err = std::cerr,
      .in_is_terminal = ::isatty(STDIN_FILENO) == 1,
      .out_is_terminal = ::isatty(STDOUT_FILENO) == 1,
      .ask_secret = ask_terminal,
      .sleep = [](Millis time) { std::this_thread::sleep_for(time); },
      .unique_text =
          [] {
            SystemRandom random;
            return random_uuid(random);
          },
  };
}

std::string first_set(const Surroundings& around, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    std::optional<std::string> value = around.environment(name);
    if (value && !value->empty()) return *std::move(value);
  }
  return {};
}

}  // namespace curfew::cli

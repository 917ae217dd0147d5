#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>
#include <sstream>

#include "cli/help.h"
#include "tests/cli/cli_runner.h"

namespace curfew::cli {
namespace {

// What bash offers after the words `typed`, the last of which is being typed.
std::string bash_offers(const std::string& typed) {
  const testing::TemporaryDirectory directory;
  const std::string script = completion_script(make_command_table({}), "bash") + "COMP_WORDS=(" +
                             typed + ")\n" +
                             "COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n"
                             "compopt() { :; }\n"
                             "_curfew\n"
                             "echo \"${COMPREPLY[@]}\"\n";
  const std::string path = directory.file("script", script);
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], STDOUT_FILENO);
    ::dup2(ends[1], STDERR_FILENO);
    ::execlp("bash", "bash", path.c_str(), nullptr);
    ::_exit(127);
  }
  ::close(ends[1]);
  std::string out;
  char buffer[512];
  for (ssize_t got = 0; (got = ::read(ends[0], buffer, sizeof buffer)) > 0;) {
    out.append(buffer, static_cast<std::size_t>(got));
  }
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  return out;
}

TEST(Completion, BashOffersCommandsAndFlags) {
  EXPECT_EQ(bash_offers("curfew k"), "kv\n");
  EXPECT_EQ(bash_offers("curfew kv g"), "get\n");
  EXPECT_EQ(bash_offers("curfew -format=json kv metadata p"), "patch put\n");
  EXPECT_EQ(bash_offers("curfew kv get -ver"), "-version=\n");
  EXPECT_EQ(bash_offers("curfew lease revoke some/lease -s"), "-sync -session=\n");
  EXPECT_EQ(bash_offers("curfew nonsense x"), "\n");
}

TEST(Completion, EveryShellKnowsEveryCommand) {
  const CommandTable table = make_command_table({});
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const std::string script = completion_script(table, shell);
    for (const Command& command : table.commands) {
      EXPECT_NE(script.find(command.path), std::string::npos) << shell << " " << command.path;
    }
  }
  EXPECT_EQ(completion_script(table, "cmd.exe"), "");
}

TEST(CommandTable, IsWhole) {
  const CommandTable table = make_command_table({});
  std::set<std::string> paths;
  for (const Command& command : table.commands) {
    EXPECT_TRUE(paths.insert(command.path).second) << command.path << " is there twice";
    EXPECT_TRUE(command.run != nullptr) << command.path;
    EXPECT_FALSE(command.summary.empty()) << command.path;
    EXPECT_LE(command.words.min, command.words.max) << command.path;
    const std::size_t blank = command.path.rfind(' ');
    if (blank != std::string::npos) {
      EXPECT_NE(table.find_group(command.path.substr(0, blank)), nullptr) << command.path;
    }
    // No name stands for two flags, but for -session: in commands that look for leases it means
    // theirs.
    std::set<std::string> names = {"h", "help"};
    std::vector<Flag> flags = command.flags;
    for (const Flag& flag : common_flags(command.local)) flags.push_back(flag);
    for (const Flag& flag : flags) {
      EXPECT_FALSE(flag.description.empty()) << command.path;
      for (const std::string& name : flag.names) {
        const bool of_leases = name == "session" && names.contains("of-session");
        EXPECT_TRUE(names.insert(name).second || of_leases) << command.path << " -" << name;
      }
    }
  }
  EXPECT_GE(table.commands.size(), 50U);
}

TEST(Help, IsPrintedForEveryCommandAndGroup) {
  testing::CliRunner cli;
  const CommandTable table = make_command_table({});
  for (const Command& command : table.commands) {
    std::vector<std::string> words = {"help"};
    std::istringstream path(command.path);
    for (std::string word; path >> word;) words.push_back(word);
    const testing::CliResult result = cli.run(words);
    EXPECT_EQ(result.code, 0);
    EXPECT_NE(result.out.find("Usage: curfew " + command.path), std::string::npos);
    words.erase(words.begin());
    words.push_back("-h");
    EXPECT_EQ(cli.run(words).out, result.out);
  }
  EXPECT_NE(cli.run({"help", "kv"}).out.find("kv get"), std::string::npos);
  EXPECT_NE(cli.run({"kv", "-help"}).out.find("kv get"), std::string::npos);
  EXPECT_NE(cli.run({"kv", "metadata", "-h"}).out.find("kv metadata patch"), std::string::npos);
  EXPECT_NE(cli.run({"--help"}).out.find("operator"), std::string::npos);
  EXPECT_EQ(cli.run({"help", "nonsense"}).code, 1);
}

TEST(Version, IsTheProgramsOwn) {
  testing::CliRunner cli;
  EXPECT_EQ(cli.run({"version"}).out, "Curfew 1.2.3\n");
  EXPECT_EQ(cli.run({"-version"}).out, "Curfew 1.2.3\n");
  EXPECT_EQ(cli.run({"version", "-format=json"}).out, "{\n  \"version\": \"1.2.3\"\n}\n");
}

TEST(MoreCommands, AreListedAndRunLikeTheOthers) {
  CliOptions options;
  options.more_commands.push_back(
      {.path = "server",
       .summary = "Runs the server",
       .words = {0, 1},
       .local = true,
       .run = [](Call& call) -> Result<int> { return static_cast<int>(call.word_count()) + 40; }});
  std::istringstream in;
  std::ostringstream out;
  Surroundings around{.environment = [](const std::string&) { return std::nullopt; },
                      .in = in,
                      .out = out,
                      .err = out,
                      .ask_secret = {},
                      .sleep = {}};
  EXPECT_EQ(run_cli({"server", "x"}, options, around), 41);
  EXPECT_EQ(run_cli({"help"}, options, around), 0);
  EXPECT_NE(out.str().find("Runs the server"), std::string::npos);
}

}  // namespace
}  // namespace curfew::cli

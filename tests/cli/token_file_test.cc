#include "cli/token_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/cli/cli_runner.h"

namespace curfew::cli {
namespace {

TEST(TokenFile, KeepsATokenForItsOwnerOnly) {
  const testing::TemporaryDirectory home;
  const std::string path = token_file_path(home.path());
  EXPECT_EQ(path, home.path(".curfew-token"));
  EXPECT_TRUE(load_token(path)->empty());
  ASSERT_TRUE(store_token(path, Secret("hvs.first")).has_value());
  ASSERT_TRUE(store_token(path, Secret("hvs.second")).has_value());
  EXPECT_EQ(load_token(path)->reveal(), "hvs.second");
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST(TokenFile, ALineBreakAtTheEndDoesNotCount) {
  const testing::TemporaryDirectory home;
  const std::string path = home.file(".curfew-token", "hvs.x\r\n");
  ::chmod(path.c_str(), 0600);
  EXPECT_EQ(load_token(path)->reveal(), "hvs.x");
}

TEST(TokenFile, AFileThatOthersMayReadIsRefused) {
  const testing::TemporaryDirectory home;
  const std::string path = home.file(".curfew-token", "hvs.x");
  ::chmod(path.c_str(), 0644);
  const Result<Secret> token = load_token(path);
  ASSERT_FALSE(token.has_value());
  EXPECT_NE(token.error().message.find("chmod 600"), std::string::npos);
  EXPECT_EQ(token.error().message.find("hvs.x"), std::string::npos);
}

TEST(TokenFile, WhatIsNoTokenFileIsRefused) {
  const testing::TemporaryDirectory home;
  EXPECT_FALSE(load_token(home.path()).has_value());
  const std::string large = home.file("large", std::string(70'000, 'x'));
  ::chmod(large.c_str(), 0600);
  EXPECT_FALSE(load_token(large).has_value());
  EXPECT_FALSE(store_token(home.path("no/such/place"), Secret("x")).has_value());
  EXPECT_FALSE(store_token("", Secret("x")).has_value());
}

TEST(TokenFile, ALinkInTheWayOfTheNewFileIsNotFollowed) {
  const testing::TemporaryDirectory home;
  const std::string victim = home.file("victim", "untouched");
  const std::string path = token_file_path(home.path());
  std::filesystem::create_symlink(victim, path + ".new");
  ASSERT_TRUE(store_token(path, Secret("hvs.x")).has_value());
  EXPECT_EQ(testing::read_text(victim), "untouched");
  EXPECT_EQ(load_token(path)->reveal(), "hvs.x");
}

}  // namespace
}  // namespace curfew::cli

#include "store/seal_key.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/encoding.h"
#include "tests/fakes/seeded_random.h"
#include "tests/store/temp_folder.h"

namespace curfew::store {
namespace {

class SealKeyTest : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text, ::mode_t mode) {
    const std::string path = folder_.file(name);
    std::ofstream(path, std::ios::binary) << text;
    EXPECT_EQ(::chmod(path.c_str(), mode), 0);
    return path;
  }
  static std::string contents(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream out;
    out << file.rdbuf();
    return out.str();
  }

  const TempFolder folder_;
  fakes::SeededRandom random_;
  const std::string key_ = random_bytes(random_, kSealKeyBytes);
};

TEST_F(SealKeyTest, CreatesAFileForTheOwnerAloneAndReadsItAgain) {
  const std::string path = folder_.file("seal.key");
  ::umask(0);
  const auto made = read_or_create_key_file(path, random_);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->reveal().size(), kSealKeyBytes);
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  EXPECT_EQ(read_key_file(path).value(), *made);
  EXPECT_EQ(read_or_create_key_file(path, random_).value(), *made);
}

TEST_F(SealKeyTest, ReadsBase64AndHexadecimal) {
  EXPECT_EQ(read_key_file(write("a", base64_encode(key_) + "\n", 0600)).value(), Secret(key_));
  EXPECT_EQ(read_key_file(write("b", "  " + hex_encode(key_) + "\r\n", 0400)).value(),
            Secret(key_));
}

TEST_F(SealKeyTest, FileThatOthersCanReadIsRefused) {
  for (const ::mode_t mode : {0640u, 0604u, 0620u, 0660u, 0644u, 0601u}) {
    const auto key = read_key_file(write("open", base64_encode(key_), mode));
    ASSERT_FALSE(key);
    EXPECT_EQ(key.error().code, Errc::kPreconditionFailed);
    EXPECT_NE(key.error().message.find("chmod 600"), std::string::npos);
  }
}

TEST_F(SealKeyTest, WhatIsNoOrdinaryFileIsRefused) {
  EXPECT_EQ(read_key_file(folder_.path()).error().code, Errc::kPreconditionFailed);
  const std::string pipe = folder_.file("pipe");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(read_key_file(pipe).error().code, Errc::kPreconditionFailed);
  EXPECT_EQ(read_key_file("/dev/zero").error().code, Errc::kPreconditionFailed);
}

TEST_F(SealKeyTest, MissingFileIsNamed) {
  const auto key = read_key_file(folder_.file("gone"));
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().code, Errc::kUnavailable);
  EXPECT_NE(key.error().message.find("gone"), std::string::npos);
  EXPECT_FALSE(read_or_create_key_file(folder_.file("no/such/folder"), random_));
}

TEST_F(SealKeyTest, UnrelatedFileIsRefusedAndLeftAlone) {
  for (const std::string& text :
       {std::string("a diary"), std::string(), base64_encode(std::string(31, 'x')),
        base64_encode(std::string(33, 'x')), std::string(100'000, 'A'), std::string("\0\0", 2)}) {
    const std::string path = write("diary", text, 0600);
    const auto key = read_or_create_key_file(path, random_);
    ASSERT_FALSE(key);
    EXPECT_EQ(key.error().code, Errc::kInvalidArgument);
    EXPECT_EQ(contents(path), text);
  }
}

TEST_F(SealKeyTest, MessagesHoldNothingOfTheFile) {
  const auto key = read_key_file(write("bad", "almost-a-key-0123456789", 0600));
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().message.find("almost"), std::string::npos);
  EXPECT_EQ(key.error().detail.find("almost"), std::string::npos);
}

TEST_F(SealKeyTest, TakesTheKeyOutOfTheEnvironment) {
  ASSERT_EQ(::setenv("CURFEW_TEST_KEY", base64_encode(key_).c_str(), 1), 0);
  const char* const place = std::getenv("CURFEW_TEST_KEY");
  EXPECT_EQ(take_environment_key("CURFEW_TEST_KEY").value(), Secret(key_));
  EXPECT_EQ(std::getenv("CURFEW_TEST_KEY"), nullptr);
  EXPECT_EQ(std::string(place), "");  // where it stood it stands no more
  EXPECT_EQ(take_environment_key("CURFEW_TEST_KEY").error().code, Errc::kPreconditionFailed);
}

TEST_F(SealKeyTest, BadKeyInTheEnvironmentIsTakenOutTooAndNotRepeated) {
  ASSERT_EQ(::setenv("CURFEW_TEST_KEY", "swordfish", 1), 0);
  const auto key = take_environment_key("CURFEW_TEST_KEY");
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().code, Errc::kInvalidArgument);
  EXPECT_EQ(key.error().message.find("swordfish"), std::string::npos);
  EXPECT_EQ(std::getenv("CURFEW_TEST_KEY"), nullptr);
}

}  // namespace
}  // namespace curfew::store

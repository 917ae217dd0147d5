#include "store/seal.h"

#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <thread>

#include "base/encoding.h"
#include "tests/fakes/faulty_database.h"
#include "tests/store/store_fixture.h"
#include "tests/store/temp_folder.h"

namespace curfew::store {
namespace {

constexpr const char* kVariable = "CURFEW_TEST_SEAL_KEY";

// A server's part of the seal: ends and starts again over the same database.
class SealTest : public StoreTest {
 protected:
  void start(SealKind kind) {
    seal_.reset();
    keyring_ = std::make_unique<Keyring>("root", random_, clock_);
    auto opened = Seal::open(db(), *keyring_, options(kind), random_, *log_);
    ASSERT_TRUE(opened) << opened.error().message;
    seal_ = std::move(*opened);
  }
  SealOptions options(SealKind kind) {
    return {.kind = kind, .key_file = folder_.file("seal.key"), .environment = kVariable};
  }
  static void set_environment(const std::string& key) {
    ASSERT_EQ(::setenv(kVariable, key.c_str(), 1), 0);
  }
  static Secret hex(const Secret& share) { return Secret(hex_encode(share.reveal())); }

  const TempFolder folder_;
  std::unique_ptr<Keyring> keyring_;
  std::unique_ptr<Seal> seal_;
};

TEST_F(SealTest, BeginsUninitialized) {
  start(SealKind::kShamir);
  const auto status = seal_->status().value();
  EXPECT_FALSE(status.initialized);
  EXPECT_TRUE(status.sealed);
  EXPECT_EQ(status.shares, 0);
  EXPECT_EQ(seal_->unseal(Secret(std::string(66, 'a'))).error().code, Errc::kNotInitialized);
  EXPECT_FALSE(seal_->auto_unseal().value());
  EXPECT_EQ(seal_->store_id().value(), "");
}

TEST_F(SealTest, SharesUnsealOneByOne) {
  start(SealKind::kShamir);
  const auto shares = seal_->initialize(5, 3);
  ASSERT_TRUE(shares) << shares.error().message;
  ASSERT_EQ(shares->size(), 5u);
  for (const Secret& share : *shares) EXPECT_EQ(share.reveal().size(), 33u);
  EXPECT_TRUE(seal_->status()->initialized);
  EXPECT_TRUE(seal_->status()->sealed);

  auto status = seal_->unseal(hex((*shares)[4])).value();
  EXPECT_EQ(status.progress, 1);
  EXPECT_FALSE(status.nonce.empty());
  const std::string nonce = status.nonce;
  // The other form of a share, and the same one again.
  status = seal_->unseal(Secret(base64_encode((*shares)[4].reveal()))).value();
  EXPECT_EQ(status.progress, 1);
  status = seal_->unseal(Secret(base64_encode((*shares)[0].reveal()))).value();
  EXPECT_EQ(status.progress, 2);
  EXPECT_EQ(status.nonce, nonce);
  EXPECT_TRUE(status.sealed);
  status = seal_->unseal(hex((*shares)[2])).value();
  EXPECT_FALSE(status.sealed);
  EXPECT_EQ(status.progress, 0);
  EXPECT_EQ(status.nonce, "");
  EXPECT_EQ(status.shares, 5);
  EXPECT_EQ(status.threshold, 3);
  EXPECT_TRUE(keyring_->is_unlocked());
  // More shares are harmless.
  EXPECT_FALSE(seal_->unseal(hex((*shares)[1]))->sealed);
  EXPECT_EQ(seal_->status()->progress, 0);
}

TEST_F(SealTest, ValuesSurviveSealingAndRestart) {
  start(SealKind::kShamir);
  std::string sealed;
  const auto shares = seal_->initialize(2, 2, [&](Writer&, const Barrier& barrier) -> Status {
    ASSIGN_OR_RETURN(sealed, barrier.seal("c", "text"));
    return ok();
  });
  ASSERT_TRUE(shares);
  EXPECT_FALSE(keyring_->is_unlocked());
  const std::string id = seal_->store_id().value();
  EXPECT_EQ(id.size(), 36u);
  for (int round = 0; round < 2; ++round) {
    for (const Secret& share : *shares) ASSERT_TRUE(seal_->unseal(hex(share)));
    EXPECT_EQ(keyring_->open("c", sealed).value(), "text");
    seal_->seal();
    EXPECT_EQ(keyring_->open("c", sealed).error().code, Errc::kSealed);
    EXPECT_TRUE(seal_->status()->sealed);
    start(SealKind::kShamir);
    EXPECT_EQ(seal_->store_id().value(), id);
  }
}

TEST_F(SealTest, WrongSharesBeginAgain) {
  start(SealKind::kShamir);
  const auto shares = seal_->initialize(3, 2).value();
  Secret wrong = shares[1];
  std::string bytes = wrong.reveal();
  bytes[7] = static_cast<char>(bytes[7] ^ 1);
  ASSERT_TRUE(seal_->unseal(hex(shares[0])));
  const auto failed = seal_->unseal(hex(Secret(bytes)));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Errc::kInvalidArgument);
  EXPECT_EQ(seal_->status()->progress, 0);
  EXPECT_TRUE(seal_->status()->sealed);
  ASSERT_TRUE(seal_->unseal(hex(shares[2])));
  EXPECT_FALSE(seal_->unseal(hex(shares[0]))->sealed);
}

TEST_F(SealTest, TwoSharesOfOneNumberBeginAgain) {
  start(SealKind::kShamir);
  const auto shares = seal_->initialize(3, 3).value();
  std::string bytes = shares[0].reveal();
  bytes[0] = static_cast<char>(bytes[0] ^ 1);
  ASSERT_TRUE(seal_->unseal(hex(shares[0])));
  EXPECT_EQ(seal_->unseal(hex(Secret(bytes))).error().code, Errc::kInvalidArgument);
  EXPECT_EQ(seal_->status()->progress, 0);
}

TEST_F(SealTest, WhatIsNoShareIsRefusedAndKeepsTheProgress) {
  start(SealKind::kShamir);
  const auto shares = seal_->initialize(3, 3).value();
  ASSERT_TRUE(seal_->unseal(hex(shares[0])));
  for (const std::string& text :
       {std::string(), std::string("abc"), std::string(66, 'g'), std::string(64, 'a'),
        std::string(66, '0'), std::string(1'000'000, 'a'), base64_encode(std::string(32, 'x'))}) {
    const auto status = seal_->unseal(Secret(text));
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, Errc::kInvalidArgument);
  }
  EXPECT_EQ(seal_->status()->progress, 1);
  seal_->reset();
  EXPECT_EQ(seal_->status()->progress, 0);
  EXPECT_EQ(seal_->status()->nonce, "");
}

TEST_F(SealTest, OneShareIsEnoughWhenThereIsOne) {
  start(SealKind::kShamir);
  const auto shares = seal_->initialize(1, 1).value();
  ASSERT_EQ(shares.size(), 1u);
  EXPECT_FALSE(seal_->unseal(hex(shares[0]))->sealed);
}

TEST_F(SealTest, ParametersOutOfRangeInitializeNothing) {
  start(SealKind::kShamir);
  for (const auto& [n, t] :
       std::vector<std::pair<int, int>>{{0, 0}, {3, 4}, {256, 3}, {3, 0}, {-1, -1}, {3, 1}}) {
    EXPECT_EQ(seal_->initialize(n, t).error().code, Errc::kInvalidArgument) << n << " " << t;
  }
  EXPECT_FALSE(seal_->status()->initialized);
}

TEST_F(SealTest, InitializesOnce) {
  start(SealKind::kShamir);
  ASSERT_TRUE(seal_->initialize(1, 1));
  EXPECT_EQ(seal_->initialize(1, 1).error().code, Errc::kInvalidArgument);
  start(SealKind::kShamir);
  EXPECT_EQ(seal_->initialize(1, 1).error().code, Errc::kInvalidArgument);
}

TEST_F(SealTest, OneOfTwoAtOnceInitializes) {
  start(SealKind::kShamir);
  Keyring other_keyring("root", random_, clock_);
  auto other = Seal::open(db(), other_keyring, options(SealKind::kShamir), random_, *log_).value();
  std::atomic<int> done{0};
  std::thread first([&] { done += seal_->initialize(1, 1).has_value() ? 1 : 0; });
  std::thread second([&] { done += other->initialize(1, 1).has_value() ? 1 : 0; });
  first.join();
  second.join();
  EXPECT_EQ(done, 1);
  EXPECT_TRUE(other->status()->initialized);
  EXPECT_TRUE(seal_->status()->initialized);
}

TEST_F(SealTest, FailedInitializationLeavesNothing) {
  fakes::FaultyDatabase faulty(db());
  Keyring keyring("root", random_, clock_);
  auto seal = Seal::open(faulty, keyring, options(SealKind::kShamir), random_, *log_).value();
  faulty.fail_write(1);
  EXPECT_EQ(seal->initialize(1, 1).error().code, Errc::kUnavailable);
  EXPECT_FALSE(seal->status()->initialized);
  const auto refused = seal->initialize(1, 1, [](Writer&, const Barrier&) -> Status {
    return Error{Errc::kOverloaded, "no"};
  });
  EXPECT_EQ(refused.error().code, Errc::kOverloaded);
  EXPECT_FALSE(seal->status()->initialized);
  EXPECT_EQ(integer("SELECT count(*) FROM meta"), 0);
  EXPECT_EQ(integer("SELECT count(*) FROM keyring"), 0);
  EXPECT_TRUE(seal->initialize(1, 1));
}

TEST_F(SealTest, DatabaseThatIsDownIsReported) {
  fakes::FaultyDatabase faulty(db());
  Keyring keyring("root", random_, clock_);
  auto seal = Seal::open(faulty, keyring, options(SealKind::kShamir), random_, *log_).value();
  faulty.set_down(true);
  EXPECT_EQ(seal->status().error().code, Errc::kUnavailable);
  EXPECT_EQ(seal->initialize(1, 1).error().code, Errc::kUnavailable);
}

TEST_F(SealTest, KeyFileUnsealsAtEveryStart) {
  start(SealKind::kFile);
  EXPECT_FALSE(seal_->auto_unseal().value());
  const auto shares = seal_->initialize(0, 0);
  ASSERT_TRUE(shares) << shares.error().message;
  EXPECT_TRUE(shares->empty());
  EXPECT_FALSE(seal_->status()->sealed);
  EXPECT_EQ(seal_->status()->shares, 0);
  const std::string sealed = keyring_->seal("c", "text").value();

  start(SealKind::kFile);
  EXPECT_TRUE(seal_->status()->sealed);
  EXPECT_TRUE(seal_->auto_unseal().value());
  EXPECT_EQ(keyring_->open("c", sealed).value(), "text");
  seal_->seal();
  EXPECT_TRUE(seal_->status()->sealed);
  EXPECT_EQ(seal_->unseal(Secret(std::string(66, 'a'))).error().code, Errc::kInvalidArgument);
  EXPECT_TRUE(seal_->auto_unseal().value());
}

TEST_F(SealTest, KeyFileThatIsGoneOpenOrWrongIsRefused) {
  start(SealKind::kFile);
  ASSERT_TRUE(seal_->initialize(0, 0));
  const std::string path = folder_.file("seal.key");
  start(SealKind::kFile);
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  EXPECT_EQ(seal_->auto_unseal().error().code, Errc::kPreconditionFailed);
  ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  std::ofstream(path) << base64_encode(std::string(32, 'x'));
  EXPECT_EQ(seal_->auto_unseal().error().code, Errc::kCorrupt);
  std::filesystem::remove(path);
  EXPECT_EQ(seal_->auto_unseal().error().code, Errc::kUnavailable);
  EXPECT_FALSE(std::filesystem::exists(path));  // a new key would be of no use
}

TEST_F(SealTest, UnrelatedKeyFileInitializesNothing) {
  const std::string path = folder_.file("seal.key");
  std::ofstream(path) << "a diary";
  ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  start(SealKind::kFile);
  EXPECT_EQ(seal_->initialize(0, 0).error().code, Errc::kInvalidArgument);
  EXPECT_FALSE(seal_->status()->initialized);
}

TEST_F(SealTest, KeyFileOfAFailedInitializationServesTheNext) {
  fakes::FaultyDatabase faulty(db());
  Keyring keyring("root", random_, clock_);
  auto seal = Seal::open(faulty, keyring, options(SealKind::kFile), random_, *log_).value();
  faulty.fail_write(1);
  EXPECT_FALSE(seal->initialize(0, 0));
  EXPECT_TRUE(seal->initialize(0, 0));
  EXPECT_FALSE(seal->status()->sealed);
}

TEST_F(SealTest, EnvironmentKeyUnsealsOncePerProcess) {
  const std::string key = base64_encode(random_bytes(random_, 32));
  set_environment(key);
  start(SealKind::kEnv);
  EXPECT_EQ(std::getenv(kVariable), nullptr);
  ASSERT_TRUE(seal_->initialize(0, 0));
  EXPECT_FALSE(seal_->status()->sealed);

  set_environment(key);
  start(SealKind::kEnv);
  EXPECT_TRUE(seal_->auto_unseal().value());
  seal_->seal();
  EXPECT_EQ(seal_->auto_unseal().error().code, Errc::kSealed);

  set_environment(base64_encode(std::string(32, 'x')));
  start(SealKind::kEnv);
  EXPECT_EQ(seal_->auto_unseal().error().code, Errc::kCorrupt);
  EXPECT_TRUE(seal_->status()->sealed);
}

TEST_F(SealTest, MissingEnvironmentKeyIsNamed) {
  Keyring keyring("root", random_, clock_);
  const auto seal = Seal::open(db(), keyring, options(SealKind::kEnv), random_, *log_);
  ASSERT_FALSE(seal);
  EXPECT_EQ(seal.error().code, Errc::kPreconditionFailed);
  EXPECT_NE(seal.error().message.find(kVariable), std::string::npos);
}

TEST_F(SealTest, AnotherKindThanTheDatabasesIsRefused) {
  start(SealKind::kShamir);
  ASSERT_TRUE(seal_->initialize(1, 1));
  Keyring keyring("root", random_, clock_);
  const auto seal = Seal::open(db(), keyring, options(SealKind::kFile), random_, *log_);
  ASSERT_FALSE(seal);
  EXPECT_EQ(seal.error().code, Errc::kPreconditionFailed);
  EXPECT_NE(seal.error().message.find("shamir"), std::string::npos);
}

TEST_F(SealTest, KeyFileSealNeedsAPath) {
  Keyring keyring("root", random_, clock_);
  EXPECT_FALSE(Seal::open(db(), keyring, {.kind = SealKind::kFile}, random_, *log_));
}

TEST_F(SealTest, EditedDescriptionIsFound) {
  start(SealKind::kShamir);
  const auto shares = seal_->initialize(3, 2).value();
  // A lower threshold must not be had by editing the database.
  execute("UPDATE meta SET value = $1 WHERE name = 'seal'",
          {Blob{R"({"kind":"shamir","shares":3,"threshold":3})"}});
  start(SealKind::kShamir);
  ASSERT_TRUE(seal_->unseal(hex(shares[0])));
  ASSERT_TRUE(seal_->unseal(hex(shares[1])));
  EXPECT_FALSE(seal_->unseal(hex(shares[2])));

  for (const char* value : {"", "[]", "{}", R"({"kind":"none","shares":1,"threshold":1})",
                            R"({"kind":"shamir","shares":300,"threshold":1})",
                            R"({"kind":"shamir","shares":2,"threshold":3})",
                            R"({"kind":"shamir","shares":2,"threshold":0})",
                            R"({"kind":"shamir","shares":"x","threshold":0})"}) {
    execute("UPDATE meta SET value = $1 WHERE name = 'seal'", {Blob{value}});
    Keyring keyring("root", random_, clock_);
    const auto seal = Seal::open(db(), keyring, options(SealKind::kShamir), random_, *log_);
    ASSERT_FALSE(seal) << value;
    EXPECT_EQ(seal.error().code, Errc::kCorrupt);
  }
  execute("DELETE FROM meta WHERE name = 'seal'");
  Keyring keyring("root", random_, clock_);
  EXPECT_EQ(Seal::open(db(), keyring, options(SealKind::kShamir), random_, *log_).error().code,
            Errc::kCorrupt);
}

TEST_F(SealTest, SwappedKeyringIsReportedAsDamageAndNotAsWrongShares) {
  start(SealKind::kShamir);
  const auto shares = seal_->initialize(1, 1).value();
  execute("UPDATE keyring SET sealed = x'0100' WHERE version = 0");
  const auto status = seal_->unseal(hex(shares[0]));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Errc::kCorrupt);
}

TEST_F(SealTest, NothingSecretStandsInTheDatabase) {
  start(SealKind::kShamir);
  const auto shares = seal_->initialize(1, 1).value();
  const std::string seal_key = shares[0].reveal().substr(0, 32);
  const std::string stored = blob("SELECT value FROM meta WHERE name = 'root_key'");
  EXPECT_EQ(stored.find(seal_key), std::string::npos);
  EXPECT_EQ(stored.size(), 1u + 12 + 32 + 16);
}

}  // namespace
}  // namespace curfew::store

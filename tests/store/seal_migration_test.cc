#include <cstdlib>

#include "base/encoding.h"
#include "store/seal.h"
#include "tests/fakes/faulty_database.h"
#include "tests/fakes/faulty_vfs.h"
#include "tests/store/store_fixture.h"
#include "tests/store/temp_folder.h"

namespace curfew::store {
namespace {

constexpr const char* kVariable = "CURFEW_TEST_MIGRATION_KEY";

Secret hex(const Secret& share) {
  return Secret(hex_encode(share.reveal()));
}

// A store whose server starts with one seal, and then with another and the first one as the old.
class SealMigrationTest : public StoreTest {
 protected:
  Status start(SealKind kind, std::optional<SealKind> old = std::nullopt) {
    std::optional<SealOptions> from;
    if (old) from = options(*old);
    return start_with(options(kind), from);
  }
  Status start_with(const SealOptions& now, const std::optional<SealOptions>& old = std::nullopt) {
    seal_.reset();
    ::setenv(kVariable, base64_encode(std::string(32, 'e')).c_str(), 1);
    keyring_ = std::make_unique<Keyring>("root", random_, clock_);
    auto opened = Seal::open(*faulty_, *keyring_, now, random_, *log_, old);
    if (!opened) return opened.error();
    seal_ = std::move(*opened);
    return ok();
  }
  SealOptions options(SealKind kind) const {
    return {.kind = kind, .key_file = folder_.file("seal.key"), .environment = kVariable};
  }
  void initialize(SealKind kind, int shares, int threshold) {
    ASSERT_TRUE(start(kind));
    auto made = seal_->initialize(shares, threshold);
    ASSERT_TRUE(made) << made.error().message;
    shares_ = std::move(*made);
    if (kind == SealKind::kShamir) {
      ASSERT_TRUE(opens_by_shares(false));
    }
    sealed_ = keyring_->seal("here", "a secret").value();
  }
  bool opens_by_shares(bool migrate) {
    for (const Secret& share : shares_) {
      const auto status = seal_->unseal(hex(share), migrate);
      if (!status) {
        last_error_ = status.error();
        return false;
      }
      if (!status->sealed) return sealed_.empty() || is_whole();
    }
    return false;
  }
  bool is_whole() const {
    const auto opened = keyring_->open("here", sealed_);
    return opened && *opened == "a secret";
  }

  void SetUp() override {
    StoreTest::SetUp();
    faulty_ = std::make_unique<fakes::FaultyDatabase>(db());
  }

  const TempFolder folder_;
  std::unique_ptr<fakes::FaultyDatabase> faulty_;
  std::unique_ptr<Keyring> keyring_;
  std::unique_ptr<Seal> seal_;
  std::vector<Secret> shares_;
  std::string sealed_;
  Error last_error_{Errc::kInternal, ""};
};

TEST_F(SealMigrationTest, SharesBecomeRecoveryKeysAndBack) {
  initialize(SealKind::kShamir, 3, 2);
  ASSERT_TRUE(start(SealKind::kFile, SealKind::kShamir));
  auto status = seal_->status().value();
  EXPECT_TRUE(status.migration);
  EXPECT_EQ(status.kind, SealKind::kShamir);
  EXPECT_FALSE(seal_->auto_unseal().value()) << "it waits for the shares";
  EXPECT_EQ(seal_->unseal(hex(shares_[0])).error().code, Errc::kInvalidArgument)
      << "without saying migrate";
  ASSERT_TRUE(opens_by_shares(true)) << last_error_.message;
  status = seal_->status().value();
  EXPECT_FALSE(status.migration);
  EXPECT_EQ(status.kind, SealKind::kFile);
  EXPECT_TRUE(status.recovery);
  EXPECT_EQ(status.shares, 3);
  EXPECT_EQ(status.threshold, 2);

  // The shares unseal no more, and the old seal may stay in the configuration or not.
  for (const auto& old : {std::optional(SealKind::kShamir), std::optional<SealKind>()}) {
    ASSERT_TRUE(start(SealKind::kFile, old));
    EXPECT_FALSE(seal_->status()->migration);
    EXPECT_EQ(seal_->unseal(hex(shares_[0])).error().code, Errc::kInvalidArgument);
    EXPECT_EQ(seal_->unseal(hex(shares_[0]), true).error().code, Errc::kInvalidArgument);
    ASSERT_TRUE(seal_->auto_unseal().value());
    EXPECT_TRUE(is_whole());
  }
  EXPECT_EQ(start(SealKind::kShamir).error().code, Errc::kPreconditionFailed);

  ASSERT_TRUE(start(SealKind::kShamir, SealKind::kFile));
  EXPECT_TRUE(seal_->status()->migration);
  ASSERT_TRUE(opens_by_shares(true)) << last_error_.message;
  EXPECT_FALSE(seal_->status()->recovery);
  ASSERT_TRUE(start(SealKind::kShamir));
  EXPECT_TRUE(opens_by_shares(false));
  EXPECT_EQ(integer("SELECT count(*) FROM meta WHERE name LIKE 'recovery%'"), 0);
}

TEST_F(SealMigrationTest, AnyKindThatOpensByItselfToAnyOther) {
  initialize(SealKind::kFile, 2, 2);
  ASSERT_TRUE(start(SealKind::kEnv, SealKind::kFile));
  EXPECT_FALSE(seal_->auto_unseal().value());
  ASSERT_TRUE(opens_by_shares(true)) << last_error_.message;
  ASSERT_TRUE(start(SealKind::kEnv));
  ASSERT_TRUE(seal_->auto_unseal().value());
  EXPECT_TRUE(is_whole());
  EXPECT_TRUE(seal_->status()->recovery);
  ASSERT_TRUE(start(SealKind::kFile, SealKind::kEnv));
  ASSERT_TRUE(opens_by_shares(true)) << last_error_.message;
  ASSERT_TRUE(start(SealKind::kFile));
  EXPECT_TRUE(seal_->auto_unseal().value());
}

TEST_F(SealMigrationTest, AKeyFileIsReplacedByAnother) {
  initialize(SealKind::kFile, 0, 0);
  SealOptions next = options(SealKind::kFile);
  next.key_file = folder_.file("next.key");
  ASSERT_TRUE(start_with(next, options(SealKind::kFile)));
  EXPECT_TRUE(seal_->status()->migration);
  EXPECT_FALSE(seal_->auto_unseal().value());
  // Nobody holds shares, so none is asked for.
  ASSERT_FALSE(seal_->unseal(Secret(), true)->sealed);
  EXPECT_TRUE(is_whole());
  for (const auto& old : {std::optional(options(SealKind::kFile)), std::optional<SealOptions>()}) {
    ASSERT_TRUE(start_with(next, old));
    EXPECT_FALSE(seal_->status()->migration);
    EXPECT_TRUE(seal_->auto_unseal().value());
  }
  ASSERT_TRUE(start(SealKind::kFile));
  EXPECT_EQ(seal_->auto_unseal().error().code, Errc::kCorrupt) << "the old key opens nothing";
}

TEST_F(SealMigrationTest, WhatCannotBeMigratedIsSaid) {
  initialize(SealKind::kFile, 0, 0);
  const Status no_shares = start(SealKind::kShamir, SealKind::kFile);
  EXPECT_EQ(no_shares.error().code, Errc::kPreconditionFailed);
  EXPECT_NE(no_shares.error().message.find("-target=recovery"), std::string::npos);
  EXPECT_EQ(start(SealKind::kShamir, SealKind::kEnv).error().code, Errc::kPreconditionFailed);
  EXPECT_EQ(start(SealKind::kEnv).error().code, Errc::kPreconditionFailed);
  ASSERT_TRUE(start(SealKind::kFile, SealKind::kShamir)) << "done already";
  EXPECT_TRUE(seal_->auto_unseal().value());
}

TEST_F(SealMigrationTest, TwoSealsOfSharesAreNoMigration) {
  initialize(SealKind::kShamir, 1, 1);
  const Status refused = start(SealKind::kShamir, SealKind::kShamir);
  EXPECT_EQ(refused.error().code, Errc::kPreconditionFailed);
  EXPECT_NE(refused.error().message.find("rekey"), std::string::npos);
}

TEST_F(SealMigrationTest, WrongSharesMigrateNothing) {
  initialize(SealKind::kShamir, 2, 2);
  ASSERT_TRUE(start(SealKind::kFile, SealKind::kShamir));
  std::string wrong = shares_[1].reveal();
  wrong[0] = static_cast<char>(wrong[0] ^ 1);
  ASSERT_TRUE(seal_->unseal(hex(shares_[0]), true));
  EXPECT_EQ(seal_->unseal(hex(Secret(wrong)), true).error().code, Errc::kInvalidArgument);
  EXPECT_TRUE(seal_->status()->migration);
  EXPECT_EQ(seal_->status()->progress, 0);
  ASSERT_TRUE(start(SealKind::kShamir)) << "the change is taken back";
  EXPECT_TRUE(opens_by_shares(false));
}

TEST_F(SealMigrationTest, AFailedWriteLeavesTheOldSealAndALostAnswerTheNewOne) {
  initialize(SealKind::kShamir, 2, 2);
  ASSERT_TRUE(start(SealKind::kFile, SealKind::kShamir));
  faulty_->fail_write(1);
  EXPECT_FALSE(opens_by_shares(true));
  EXPECT_EQ(last_error_.code, Errc::kUnavailable);
  EXPECT_TRUE(seal_->status()->migration);
  EXPECT_TRUE(seal_->status()->sealed);
  faulty_->fail_write(1, fakes::FaultyDatabase::Moment::kAfter);
  EXPECT_FALSE(opens_by_shares(true));
  EXPECT_FALSE(seal_->status()->migration) << "it is done, though nobody was told";
  EXPECT_TRUE(seal_->auto_unseal().value());
  EXPECT_TRUE(is_whole());
}

TEST_F(SealMigrationTest, WhatFailsAfterTheMigrationIsTriedAgainWithoutARestart) {
  initialize(SealKind::kShamir, 1, 1);
  ASSERT_TRUE(start(SealKind::kFile, SealKind::kShamir));
  faulty_->fail_read(1);
  EXPECT_FALSE(opens_by_shares(true));
  EXPECT_EQ(last_error_.code, Errc::kUnavailable);
  EXPECT_FALSE(seal_->status()->migration) << "that part is done";
  EXPECT_TRUE(seal_->status()->sealed);
  const auto again = seal_->unseal(hex(shares_[0]), true);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_FALSE(again->sealed);
  EXPECT_TRUE(is_whole());
  // What somebody sealed stays sealed.
  seal_->seal();
  EXPECT_EQ(seal_->unseal(hex(shares_[0])).error().code, Errc::kInvalidArgument);
  EXPECT_TRUE(seal_->status()->sealed);
}

// The disk fails at each change of a file in turn, and the process dies with it.
TEST(SealMigrationCrash, OneSealOpensTheStoreWhereverItStops) {
  fakes::FaultyVfs vfs;
  const std::unique_ptr<Log> log = make_null_log();
  fakes::SeededRandom random;
  fakes::ManualClock clock;
  const SqliteOptions sqlite{.vfs = vfs.name()};
  int old_ones = 0, new_ones = 0;
  for (int fault = 1; fault < 30; ++fault) {
    const TempFolder folder;
    const std::string path = folder.file("curfew.db");
    const SealOptions file{.kind = SealKind::kFile, .key_file = folder.file("seal.key")};
    const SealOptions people;
    Secret share;
    {
      auto database = open_sqlite(path, sqlite, *log).value();
      Keyring keyring("root", random, clock);
      auto seal = Seal::open(*database, keyring, people, random, *log).value();
      share = hex(seal->initialize(1, 1).value()[0]);
      seal = Seal::open(*database, keyring, file, random, *log, people).value();
      vfs.fail_change(fault, true);
      (void)seal->unseal(share, true);
      seal.reset();
      database.reset();
      vfs.heal();
    }
    auto database = open_sqlite(path, sqlite, *log).value();
    Keyring keyring("root", random, clock);
    auto seal = Seal::open(*database, keyring, file, random, *log, people).value();
    if (seal->status()->migration) {
      ++old_ones;
      EXPECT_FALSE(seal->unseal(share, true)->sealed) << fault;
    } else {
      ++new_ones;
      EXPECT_TRUE(seal->auto_unseal().value()) << fault;
    }
    EXPECT_TRUE(keyring.is_unlocked());
  }
  EXPECT_GT(old_ones, 0);
  EXPECT_GT(new_ones, 0);
}

}  // namespace
}  // namespace curfew::store

#include "store/rekey.h"

#include <algorithm>

#include "base/encoding.h"
#include "tests/fakes/faulty_database.h"
#include "tests/fakes/faulty_vfs.h"
#include "tests/store/store_fixture.h"
#include "tests/store/temp_folder.h"

namespace curfew::store {
namespace {

Secret hex(const Secret& share) {
  return Secret(hex_encode(share.reveal()));
}

// A store that was initialized and unsealed, and that can be opened again.
class RekeyTest : public StoreTest {
 protected:
  void begin(SealKind kind, int shares, int threshold) {
    kind_ = kind;
    open();
    auto made = seal_->initialize(shares, threshold);
    ASSERT_TRUE(made) << made.error().message;
    shares_ = std::move(*made);
    if (kind == SealKind::kShamir) {
      ASSERT_FALSE(unseal(shares_).sealed);
    }
    sealed_ = keyring_->seal("here", "a secret").value();
  }
  void open() {
    rekey_.reset();
    seal_.reset();
    keyring_ = std::make_unique<Keyring>("root", random_, clock_);
    auto opened = Seal::open(faulty_ ? static_cast<Database&>(*faulty_) : db(), *keyring_,
                             {.kind = kind_, .key_file = folder_.file("seal.key")}, random_, *log_);
    ASSERT_TRUE(opened) << opened.error().message;
    seal_ = std::move(*opened);
    rekey_ = std::make_unique<Rekey>(*seal_, random_, *log_);
  }
  // Gives shares until they unseal or there are no more.
  SealStatus unseal(const std::vector<Secret>& shares) {
    SealStatus status;
    for (const Secret& share : shares) {
      auto given = seal_->unseal(hex(share));
      if (!given) return status;
      status = *given;
      if (!status.sealed) break;
    }
    return status;
  }
  bool opens_with(const std::vector<Secret>& shares) {
    open();
    if (unseal(shares).sealed) return false;
    const auto opened = keyring_->open("here", sealed_);
    return opened && *opened == "a secret";
  }
  // All shares but those beyond the threshold.
  Result<Rekey::Given> give(const std::vector<Secret>& shares) {
    const std::string nonce = rekey_->progress()->nonce;
    Rekey::Given given;
    for (const Secret& share : shares) {
      ASSIGN_OR_RETURN(given, rekey_->give(nonce, hex(share)));
      if (given.shares) break;
    }
    return given;
  }

  const TempFolder folder_;
  SealKind kind_ = SealKind::kShamir;
  std::unique_ptr<fakes::FaultyDatabase> faulty_;
  std::unique_ptr<Keyring> keyring_;
  std::unique_ptr<Seal> seal_;
  std::unique_ptr<Rekey> rekey_;
  std::vector<Secret> shares_;
  std::string sealed_;
};

TEST_F(RekeyTest, NewSharesOpenTheStoreAndTheOldOnesDoNot) {
  begin(SealKind::kShamir, 3, 2);
  const std::string before = blob("SELECT value FROM meta WHERE name = 'root_key'");
  auto progress = rekey_->progress().value();
  EXPECT_FALSE(progress.started);
  EXPECT_EQ(progress.required, 2);
  progress = rekey_->begin({5, 3}, false).value();
  EXPECT_TRUE(progress.started);
  EXPECT_EQ(progress.nonce.size(), 36u);
  EXPECT_EQ(progress.wanted, (ShareNumbers{5, 3}));
  ASSERT_FALSE(rekey_->give(progress.nonce, hex(shares_[2]))->shares);
  EXPECT_EQ(rekey_->progress()->progress, 1);
  ASSERT_FALSE(rekey_->give(progress.nonce, hex(shares_[2]))->shares) << "the same again";
  EXPECT_EQ(rekey_->progress()->progress, 1);
  const auto given = rekey_->give(progress.nonce, hex(shares_[0]));
  ASSERT_TRUE(given) << given.error().message;
  ASSERT_TRUE(given->shares);
  EXPECT_EQ(given->shares->size(), 5u);
  EXPECT_EQ(given->verification_nonce, "");
  EXPECT_FALSE(rekey_->progress()->started);
  EXPECT_EQ(seal_->status()->shares, 5);
  EXPECT_EQ(seal_->status()->threshold, 3);
  EXPECT_EQ(keyring_->open("here", sealed_).value(), "a secret") << "it stays unsealed";
  EXPECT_NE(blob("SELECT value FROM meta WHERE name = 'root_key'"), before);

  EXPECT_FALSE(opens_with(shares_));
  EXPECT_TRUE(opens_with(*given->shares));
}

TEST_F(RekeyTest, VerificationPutsTheNewSharesInForceWhenEnoughWereGivenBack) {
  begin(SealKind::kShamir, 2, 2);
  ASSERT_TRUE(rekey_->begin({3, 2}, true));
  const auto given = give(shares_);
  ASSERT_TRUE(given && given->shares) << given.error().message;
  const auto& fresh = *given->shares;
  EXPECT_FALSE(given->verification_nonce.empty());
  auto progress = rekey_->progress().value();
  EXPECT_TRUE(progress.started);
  EXPECT_EQ(progress.verification_nonce, given->verification_nonce);
  EXPECT_EQ(seal_->status()->shares, 2) << "not in force yet";
  EXPECT_FALSE(rekey_->give(progress.nonce, hex(shares_[0]))) << "no more shares are wanted";

  EXPECT_EQ(rekey_->verify("another", hex(fresh[0])).error().code, Errc::kInvalidArgument);
  EXPECT_FALSE(rekey_->verify(given->verification_nonce, hex(fresh[0])).value());
  EXPECT_EQ(rekey_->progress()->verified, 1);
  ASSERT_TRUE(rekey_->restart_verification());
  const std::string nonce = rekey_->progress()->verification_nonce;
  EXPECT_NE(nonce, given->verification_nonce);
  EXPECT_EQ(rekey_->progress()->verified, 0);
  // Shares of the old key are no new ones; the verification goes on.
  EXPECT_FALSE(rekey_->verify(nonce, hex(shares_[0])).value());
  EXPECT_EQ(rekey_->verify(nonce, hex(shares_[1])).error().code, Errc::kInvalidArgument);
  EXPECT_FALSE(rekey_->verify(nonce, hex(fresh[2])).value());
  EXPECT_TRUE(rekey_->verify(nonce, hex(fresh[1])).value());
  EXPECT_FALSE(rekey_->progress()->started);
  EXPECT_FALSE(opens_with(shares_));
  EXPECT_TRUE(opens_with(fresh));
}

TEST_F(RekeyTest, WhatWasNotVerifiedWasNothing) {
  begin(SealKind::kShamir, 2, 2);
  ASSERT_TRUE(rekey_->begin({3, 2}, true));
  ASSERT_TRUE(give(shares_)->shares);
  rekey_->cancel();
  EXPECT_FALSE(rekey_->progress()->started);
  EXPECT_EQ(rekey_->restart_verification().error().code, Errc::kInvalidArgument);
  EXPECT_TRUE(opens_with(shares_));
}

TEST_F(RekeyTest, WrongSharesChangeNothingAndTheAttemptGoesOn) {
  begin(SealKind::kShamir, 3, 2);
  ASSERT_TRUE(rekey_->begin({1, 1}, false));
  const std::string nonce = rekey_->progress()->nonce;
  std::string wrong = shares_[1].reveal();
  wrong[3] = static_cast<char>(wrong[3] ^ 1);
  ASSERT_TRUE(rekey_->give(nonce, hex(shares_[0])));
  const auto refused = rekey_->give(nonce, hex(Secret(wrong)));
  EXPECT_EQ(refused.error().code, Errc::kInvalidArgument);
  EXPECT_EQ(rekey_->progress()->progress, 0);
  EXPECT_EQ(rekey_->progress()->nonce, nonce);
  EXPECT_EQ(rekey_->give(nonce, Secret("junk")).error().code, Errc::kInvalidArgument);
  EXPECT_EQ(rekey_->give("other", hex(shares_[0])).error().code, Errc::kInvalidArgument);
  EXPECT_EQ(rekey_->begin({1, 1}, false).error().code, Errc::kInvalidArgument) << "one at a time";
  rekey_->cancel();
  EXPECT_EQ(rekey_->give(nonce, hex(shares_[0])).error().code, Errc::kInvalidArgument);
  for (const ShareNumbers& numbers :
       {ShareNumbers{0, 0}, ShareNumbers{3, 1}, ShareNumbers{2, 3}, ShareNumbers{256, 2}})
    EXPECT_EQ(rekey_->begin(numbers, false).error().code, Errc::kInvalidArgument);
  EXPECT_TRUE(opens_with(shares_));
}

TEST_F(RekeyTest, RecoverySharesAreReplacedAndTheSealOpensByItselfAsBefore) {
  begin(SealKind::kFile, 3, 2);
  EXPECT_TRUE(seal_->status()->recovery);
  EXPECT_EQ(seal_->status()->threshold, 2);
  ASSERT_TRUE(rekey_->begin({1, 1}, false));
  const auto given = give(shares_);
  ASSERT_TRUE(given && given->shares) << given.error().message;
  EXPECT_EQ(seal_->status()->shares, 1);
  ASSERT_TRUE(rekey_->begin({2, 2}, false));
  EXPECT_EQ(give({shares_[0]}).error().code, Errc::kInvalidArgument) << "an old share";
  ASSERT_TRUE(give(*given->shares)->shares);
  open();
  EXPECT_TRUE(seal_->auto_unseal().value());
  EXPECT_EQ(keyring_->open("here", sealed_).value(), "a secret");
  EXPECT_EQ(seal_->status()->shares, 2);
}

TEST_F(RekeyTest, RecoveryKeysAreMadeOnceForAStoreThatHasNone) {
  begin(SealKind::kFile, 0, 0);
  EXPECT_FALSE(seal_->status()->recovery);
  EXPECT_EQ(rekey_->progress()->required, 0);
  EXPECT_EQ(rekey_->begin({3, 2}, false).error().code, Errc::kPreconditionFailed);
  EXPECT_EQ(seal_->make_recovery_keys({3, 1}).error().code, Errc::kInvalidArgument);
  const auto shares = seal_->make_recovery_keys({3, 2});
  ASSERT_TRUE(shares) << shares.error().message;
  EXPECT_EQ(seal_->make_recovery_keys({3, 2}).error().code, Errc::kPreconditionFailed);
  ASSERT_TRUE(rekey_->begin({1, 1}, false));
  EXPECT_TRUE(give(*shares)->shares);
}

TEST_F(RekeyTest, EditedRecoveryNumbersAreFound) {
  begin(SealKind::kFile, 3, 3);
  execute("UPDATE meta SET value = $1 WHERE name = 'recovery'",
          {Blob{R"({"shares":3,"threshold":1})"}});
  open();
  ASSERT_TRUE(seal_->auto_unseal().value());
  ASSERT_TRUE(rekey_->begin({1, 1}, false));
  EXPECT_EQ(give(shares_).error().code, Errc::kInvalidArgument);
  for (const char* value : {"", "[]", R"({"shares":0,"threshold":0})"}) {
    execute("UPDATE meta SET value = $1 WHERE name = 'recovery'", {Blob{value}});
    Keyring keyring("root", random_, clock_);
    const auto seal =
        Seal::open(db(), keyring, {.kind = SealKind::kFile, .key_file = folder_.file("seal.key")},
                   random_, *log_);
    EXPECT_EQ(seal.error().code, Errc::kCorrupt) << value;
  }
  execute("DELETE FROM meta WHERE name = 'recovery'");
  Keyring keyring("root", random_, clock_);
  EXPECT_EQ(
      Seal::open(db(), keyring, {.kind = SealKind::kFile, .key_file = folder_.file("seal.key")},
                 random_, *log_)
          .error()
          .code,
      Errc::kCorrupt);
}

TEST_F(RekeyTest, AFailedWriteLeavesTheOldSharesInForceAndALostAnswerTheNewOnes) {
  faulty_ = std::make_unique<fakes::FaultyDatabase>(db());
  begin(SealKind::kShamir, 2, 2);
  ASSERT_TRUE(rekey_->begin({3, 3}, true));
  auto given = give(shares_);
  ASSERT_TRUE(given && given->shares);
  faulty_->fail_write(1);
  const std::string nonce = rekey_->progress()->verification_nonce;
  for (const Secret& share : *given->shares) {
    const auto verified = rekey_->verify(nonce, hex(share));
    if (!verified) {
      EXPECT_EQ(verified.error().code, Errc::kUnavailable);
    }
  }
  EXPECT_FALSE(rekey_->progress()->started) << "the attempt is over";
  EXPECT_EQ(seal_->status()->shares, 2);

  ASSERT_TRUE(rekey_->begin({3, 3}, true));
  given = give(shares_);
  ASSERT_TRUE(given && given->shares);
  faulty_->fail_write(1, fakes::FaultyDatabase::Moment::kAfter);
  const std::string again = rekey_->progress()->verification_nonce;
  for (const Secret& share : *given->shares) {
    const auto verified = rekey_->verify(again, hex(share));
    if (!verified) {
      EXPECT_EQ(verified.error().code, Errc::kUnavailable);
    }
  }
  EXPECT_EQ(seal_->status()->shares, 3) << "read again from the database";
  EXPECT_FALSE(opens_with(shares_));
  EXPECT_TRUE(opens_with(*given->shares));
}

TEST_F(RekeyTest, SharesThatWereReplacedMeanwhileAreNoBasis) {
  begin(SealKind::kShamir, 1, 1);
  Secret key(shares_[0].reveal().substr(0, 32));
  const auto first = seal_->make_shares(key, {1, 1});
  const auto second = seal_->make_shares(key, {2, 2});
  ASSERT_TRUE(first && second);
  ASSERT_TRUE(seal_->replace_shares(first->before, first->after));
  EXPECT_EQ(seal_->replace_shares(second->before, second->after).error().code, Errc::kConflict);
  EXPECT_EQ(seal_->status()->shares, 1);
}

// The disk fails at each change of a file in turn, and the process dies with it: one set of shares
// opens the store afterwards, and never both.
TEST(RekeyCrash, OneSetOfSharesOpensTheStoreWhereverItStops) {
  fakes::FaultyVfs vfs;
  const std::unique_ptr<Log> log = make_null_log();
  fakes::SeededRandom random;
  fakes::ManualClock clock;
  const SqliteOptions options{.vfs = vfs.name()};
  int old_ones = 0, new_ones = 0;
  for (int fault = 1; fault < 30; ++fault) {
    const TempFolder folder;
    const std::string path = folder.file("curfew.db");
    std::vector<Secret> before, after;
    {
      auto database = open_sqlite(path, options, *log).value();
      Keyring keyring("root", random, clock);
      auto seal = Seal::open(*database, keyring, {}, random, *log).value();
      before = seal->initialize(1, 1).value();
      ASSERT_TRUE(seal->unseal(hex(before[0])));
      auto made = seal->make_shares(Secret(before[0].reveal().substr(0, 32)), {1, 1}).value();
      after = made.shares;
      vfs.fail_change(fault, true);
      (void)seal->replace_shares(made.before, made.after);
      seal.reset();
      database.reset();
      vfs.heal();
    }
    auto database = open_sqlite(path, options, *log).value();
    Keyring keyring("root", random, clock);
    auto seal = Seal::open(*database, keyring, {}, random, *log).value();
    const bool by_old = seal->unseal(hex(before[0])).has_value();
    seal->seal();
    const bool by_new = seal->unseal(hex(after[0])).has_value();
    EXPECT_NE(by_old, by_new) << fault;
    (by_old ? old_ones : new_ones) += 1;
  }
  EXPECT_GT(old_ones, 0);
  EXPECT_GT(new_ones, 0);
}

}  // namespace
}  // namespace curfew::store

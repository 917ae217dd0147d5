#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <future>
#include <thread>

#include "base/encoding.h"
#include "store/pkcs11_holder.h"
#include "store/seal.h"
#include "tests/store/soft_hsm.h"
#include "tests/store/store_fixture.h"

namespace curfew::store {
namespace {

class Pkcs11Test : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    hsm_.make_token("curfew", "1234");
  }
  Result<KeyHolder::Made> make(const Pkcs11Options& options) {
    ASSIGN_OR_RETURN(const auto holder, make_pkcs11_holder(options, random_));
    return holder->make();
  }
  Result<Secret> get(const Pkcs11Options& options, const std::string& stored) {
    ASSIGN_OR_RETURN(const auto holder, make_pkcs11_holder(options, random_));
    return holder->get(stored);
  }
  void open_seal(const SealOptions& options, const std::optional<SealOptions>& old = std::nullopt) {
    seal_.reset();
    keyring_ = std::make_unique<Keyring>("root", random_, clock_);
    auto opened = Seal::open(db(), *keyring_, options, random_, *log_, old);
    ASSERT_TRUE(opened) << opened.error().message;
    seal_ = std::move(*opened);
  }
  SealOptions sealed_by_hsm() const {
    return {.kind = SealKind::kPkcs11, .pkcs11 = hsm_.options()};
  }

  const SoftHsm hsm_;
  std::unique_ptr<Keyring> keyring_;
  std::unique_ptr<Seal> seal_;
};

TEST_F(Pkcs11Test, TheTokenGivesTheKeyAgainAndTheStoredBytesAloneDoNot) {
  for (const char* mechanism : {"aes-gcm", "aes-cbc-pad"}) {
    Pkcs11Options options = hsm_.options();
    options.mechanism = mechanism;
    const auto made = make(options);
    ASSERT_TRUE(made) << made.error().message << " " << made.error().detail;
    EXPECT_EQ(made->key.reveal().size(), 32u);
    EXPECT_EQ(made->stored.find(made->key.reveal()), std::string::npos);
    const auto again = get(options, made->stored);
    ASSERT_TRUE(again) << again.error().message << " " << again.error().detail;
    EXPECT_EQ(*again, made->key);
    // The stored bytes say by which mechanism, whatever is configured now.
    options.mechanism = "aes-gcm";
    EXPECT_EQ(get(options, made->stored).value(), made->key);
    EXPECT_NE(make(options)->key, made->key);
  }
}

TEST_F(Pkcs11Test, ChangedBytesGiveAnErrorOrAnotherKey) {
  const auto made = make(hsm_.options()).value();
  for (std::size_t i = 0; i < made.stored.size(); ++i) {
    std::string changed = made.stored;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    const auto key = get(hsm_.options(), changed);
    ASSERT_FALSE(key) << i;
    EXPECT_EQ(key.error().code, Errc::kCorrupt) << i << key.error().message;
  }
  for (const std::size_t length : {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{13}})
    EXPECT_EQ(get(hsm_.options(), made.stored.substr(0, length)).error().code, Errc::kCorrupt);
}

TEST_F(Pkcs11Test, EveryKindOfWrongSettingHasItsOwnWords) {
  const auto stored = make(hsm_.options())->stored;
  const auto fails = [&](auto change, Errc code, const std::string& words) {
    Pkcs11Options options = hsm_.options();
    change(options);
    const auto key = get(options, stored);
    ASSERT_FALSE(key) << words;
    EXPECT_EQ(key.error().code, code) << key.error().message;
    EXPECT_NE(key.error().message.find(words), std::string::npos) << key.error().message;
    EXPECT_EQ(key.error().message.find("4321"), std::string::npos) << "a PIN is no text to print";
    EXPECT_EQ(key.error().detail.find("4321"), std::string::npos);
  };
  fails([](Pkcs11Options& o) { o.pin = Secret("4321"); }, Errc::kPreconditionFailed,
        "refuses the PIN");
  fails([](Pkcs11Options& o) { o.pin = Secret("4"); }, Errc::kPreconditionFailed,
        "refuses the PIN");
  fails([](Pkcs11Options& o) { o.token_label = "other"; }, Errc::kUnavailable,
        "no token with the label \"other\" (present: \"curfew\" in slot ");
  fails(
      [](Pkcs11Options& o) {
        o.token_label = "";
        o.slot = 77;
      },
      Errc::kUnavailable, "no token in slot 77");
  fails([](Pkcs11Options& o) { o.key_label = "none"; }, Errc::kPreconditionFailed,
        "no AES key with the label \"none\"");
  fails([](Pkcs11Options& o) { o.library = "/nowhere/lib.so"; }, Errc::kPreconditionFailed,
        "cannot load the PKCS#11 module /nowhere/lib.so");
  fails([](Pkcs11Options& o) { o.library = "libc.so.6"; }, Errc::kPreconditionFailed,
        "no PKCS#11 module");
  fails([](Pkcs11Options& o) { o.library = ""; }, Errc::kPreconditionFailed, "lib");
  fails([](Pkcs11Options& o) { o.token_label = ""; }, Errc::kPreconditionFailed, "token_label");
  fails([](Pkcs11Options& o) { o.key_label = ""; }, Errc::kPreconditionFailed, "key_label");
  fails([](Pkcs11Options& o) { o.pin = Secret(); }, Errc::kPreconditionFailed, "CURFEW_PKCS11_PIN");
  fails([](Pkcs11Options& o) { o.mechanism = "rot13"; }, Errc::kPreconditionFailed, "mechanism");
}

TEST_F(Pkcs11Test, AKeyIsMadeOnlyWhereThatIsAskedFor) {
  Pkcs11Options options = hsm_.options();
  options.generate_key = false;
  EXPECT_EQ(make(options).error().code, Errc::kPreconditionFailed);
  ASSERT_TRUE(make(hsm_.options()));
  EXPECT_TRUE(make(options)) << "it is there now";
  // Two of one name: the id tells them apart.
  Pkcs11Options other = hsm_.options();
  other.key_id = "\x01";
  ASSERT_TRUE(make(other));
  const auto several = make(hsm_.options());
  EXPECT_EQ(several.error().code, Errc::kPreconditionFailed);
  EXPECT_NE(several.error().message.find("several"), std::string::npos);
  EXPECT_TRUE(make(other));
}

TEST_F(Pkcs11Test, AnotherKeyOfTheTokenDoesNotOpenIt) {
  const auto made = make(hsm_.options()).value();
  Pkcs11Options other = hsm_.options();
  other.key_label = "other";
  ASSERT_TRUE(make(other));
  EXPECT_EQ(get(other, made.stored).error().code, Errc::kCorrupt);
}

TEST_F(Pkcs11Test, ThePinComesFromAFileOrTheEnvironmentToo) {
  const auto made = make(hsm_.options()).value();
  const TempFolder folder;
  Pkcs11Options options = hsm_.options();
  options.pin = Secret();
  options.pin_file = folder.file("pin");
  EXPECT_EQ(get(options, made.stored).error().code, Errc::kUnavailable);
  std::ofstream(options.pin_file) << "1234\n";
  ASSERT_EQ(::chmod(options.pin_file.c_str(), 0644), 0);
  EXPECT_EQ(get(options, made.stored).error().code, Errc::kPreconditionFailed);
  ASSERT_EQ(::chmod(options.pin_file.c_str(), 0600), 0);
  EXPECT_EQ(get(options, made.stored).value(), made.key);

  options.pin_file = "";
  ASSERT_EQ(::setenv(kPkcs11PinVariable, "1234", 1), 0);
  const char* const place = std::getenv(kPkcs11PinVariable);
  EXPECT_EQ(get(options, made.stored).value(), made.key);
  EXPECT_EQ(std::getenv(kPkcs11PinVariable), nullptr);
  EXPECT_EQ(std::string(place), "");
}

TEST_F(Pkcs11Test, AnHsmThatIsAwayIsUnavailableAndOneThatIsBackOpens) {
  open_seal(sealed_by_hsm());
  const auto shares = seal_->initialize(2, 2);
  ASSERT_TRUE(shares) << shares.error().message << shares.error().detail;
  EXPECT_FALSE(seal_->status()->sealed);
  const std::string sealed = keyring_->seal("here", "text").value();

  hsm_.take_away();
  open_seal(sealed_by_hsm());
  for (int attempt = 0; attempt < 2; ++attempt)
    EXPECT_EQ(seal_->auto_unseal().error().code, Errc::kUnavailable);
  hsm_.bring_back();
  const auto opened = seal_->auto_unseal();
  ASSERT_TRUE(opened) << opened.error().message << opened.error().detail;
  EXPECT_TRUE(*opened);
  EXPECT_EQ(keyring_->open("here", sealed).value(), "text");
  seal_->seal();
  EXPECT_TRUE(seal_->auto_unseal().value()) << "the PIN is kept";
}

TEST_F(Pkcs11Test, SealsMigrateToTheHsmAndFromOneThatIsLost) {
  const SealOptions people;
  open_seal(people);
  const auto shares = seal_->initialize(2, 2).value();
  const auto give = [&](bool migrate) {
    for (const Secret& share : shares) {
      const auto status = seal_->unseal(Secret(hex_encode(share.reveal())), migrate);
      ASSERT_TRUE(status) << status.error().message << status.error().detail;
    }
  };
  give(false);
  const std::string sealed = keyring_->seal("here", "text").value();
  open_seal(sealed_by_hsm(), people);
  give(true);
  EXPECT_EQ(keyring_->open("here", sealed).value(), "text");
  open_seal(sealed_by_hsm());
  ASSERT_TRUE(seal_->auto_unseal().value());
  EXPECT_TRUE(seal_->status()->recovery);

  hsm_.take_away();
  open_seal(people, sealed_by_hsm());
  EXPECT_TRUE(seal_->status()->migration);
  give(true);
  EXPECT_EQ(keyring_->open("here", sealed).value(), "text");
  hsm_.bring_back();
  open_seal(people);
  give(false);
  EXPECT_EQ(keyring_->open("here", sealed).value(), "text");
}

TEST_F(Pkcs11Test, OneTokensKeyIsReplacedByAnother) {
  open_seal(sealed_by_hsm());
  ASSERT_TRUE(seal_->initialize(0, 0));
  SealOptions next = sealed_by_hsm();
  next.pkcs11.key_label = "next";
  ASSERT_TRUE(make(next.pkcs11)) << "the key is there";
  open_seal(next, sealed_by_hsm());
  EXPECT_FALSE(seal_->auto_unseal().value());
  EXPECT_TRUE(seal_->status()->migration);
  ASSERT_FALSE(seal_->unseal(Secret(), true)->sealed);
  open_seal(next);
  EXPECT_TRUE(seal_->auto_unseal().value());
  open_seal(sealed_by_hsm());
  EXPECT_EQ(seal_->auto_unseal().error().code, Errc::kCorrupt);
}

TEST_F(Pkcs11Test, AnHsmThatHangsHoldsUpNoQuestionAboutTheSeal) {
  SealOptions options = sealed_by_hsm();
  options.pkcs11.library = SoftHsm::flaky_library();
  open_seal(options);
  ASSERT_TRUE(seal_->initialize(2, 2));
  const std::string id = seal_->store_id().value();
  open_seal(options);
  hsm_.set_hanging(true);
  auto unsealing = std::async(std::launch::async, [&] { return seal_->auto_unseal(); });
  // Until the operation is under way the questions are answered anyway.
  for (int question = 0; question < 200; ++question) {
    const auto status = seal_->status();
    ASSERT_TRUE(status);
    EXPECT_TRUE(status->initialized);
    EXPECT_TRUE(status->sealed);
    EXPECT_EQ(status->threshold, 2);
    EXPECT_EQ(seal_->store_id().value(), id);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(unsealing.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  hsm_.set_hanging(false);
  EXPECT_TRUE(unsealing.get().value());
  EXPECT_FALSE(seal_->status()->sealed);

  // Sealing zeroes the keys before the token answers.
  open_seal(options);
  ASSERT_TRUE(seal_->auto_unseal().value());
  hsm_.set_hanging(true);
  auto asking = std::async(std::launch::async, [&] { return seal_->make_recovery_keys({1, 1}); });
  auto sealing = std::async(std::launch::async, [&] { seal_->seal(); });
  while (keyring_->is_unlocked()) std::this_thread::yield();
  hsm_.set_hanging(false);
  sealing.get();
  (void)asking.get();
  EXPECT_TRUE(seal_->status()->sealed);
}

TEST_F(Pkcs11Test, AFailingTokenIsToldFromAWrongKey) {
  SealOptions options = sealed_by_hsm();
  options.pkcs11.library = SoftHsm::flaky_library();
  open_seal(options);
  ASSERT_TRUE(seal_->initialize(0, 0));
  open_seal(options);
  hsm_.set_failing(true);
  const auto failed = seal_->auto_unseal();
  EXPECT_EQ(failed.error().code, Errc::kUnavailable);
  EXPECT_NE(failed.error().message.find("the token fails"), std::string::npos);
  hsm_.set_failing(false);
  EXPECT_TRUE(seal_->auto_unseal().value());
}

TEST_F(Pkcs11Test, BetweenTwoTokensKeysAnHsmThatIsAwayIsNoReasonToMigrate) {
  open_seal(sealed_by_hsm());
  ASSERT_TRUE(seal_->initialize(0, 0));
  SealOptions next = sealed_by_hsm();
  next.pkcs11.key_label = "next";
  ASSERT_TRUE(make(next.pkcs11));
  // The store has the new key's seal already, or not yet: nobody can tell while the HSM is away.
  for (const bool migrated : {false, true}) {
    hsm_.take_away();
    open_seal(next, sealed_by_hsm());
    EXPECT_FALSE(seal_->status()->migration);
    const auto away = seal_->auto_unseal();
    EXPECT_EQ(away.error().code, Errc::kUnavailable);
    EXPECT_NE(away.error().message.find("not known whether"), std::string::npos);
    EXPECT_EQ(seal_->unseal(Secret(), true).error().code, Errc::kUnavailable);
    hsm_.bring_back();
    EXPECT_EQ(seal_->auto_unseal().value(), migrated);
    EXPECT_EQ(seal_->status()->migration, !migrated);
    if (!migrated) {
      ASSERT_FALSE(seal_->unseal(Secret(), true)->sealed);
    }
  }
}

TEST_F(Pkcs11Test, TwoTokensTakeTheirPinsFromTheEnvironment) {
  hsm_.make_token("next", "5678");
  SealOptions now = sealed_by_hsm();
  now.pkcs11.pin = Secret();
  ASSERT_EQ(::setenv(kPkcs11PinVariable, "1234", 1), 0);
  open_seal(now);
  ASSERT_TRUE(seal_->initialize(0, 0));

  // Another key of the same token: one PIN for both.
  SealOptions other_key = now;
  other_key.pkcs11.key_label = "other";
  ASSERT_EQ(::setenv(kPkcs11PinVariable, "1234", 1), 0);
  ASSERT_TRUE(make(other_key.pkcs11));
  ASSERT_EQ(::setenv(kPkcs11PinVariable, "1234", 1), 0);
  open_seal(other_key, now);
  const auto same = seal_->unseal(Secret(), true);
  ASSERT_TRUE(same) << same.error().message;
  EXPECT_FALSE(same->sealed);

  // Another token, with its own.
  SealOptions next = now;
  next.pkcs11.token_label = "next";
  ASSERT_EQ(::setenv(kPkcs11PinVariable, "5678", 1), 0);
  ASSERT_TRUE(make(next.pkcs11));
  ASSERT_EQ(::setenv(kPkcs11PinVariable, "5678", 1), 0);
  ASSERT_EQ(::setenv(kPkcs11OldPinVariable, "1234", 1), 0);
  open_seal(next, other_key);
  EXPECT_EQ(std::getenv(kPkcs11PinVariable), nullptr);
  EXPECT_EQ(std::getenv(kPkcs11OldPinVariable), nullptr);
  const auto moved = seal_->unseal(Secret(), true);
  ASSERT_TRUE(moved) << moved.error().message;
  EXPECT_FALSE(moved->sealed);
}

}  // namespace
}  // namespace curfew::store

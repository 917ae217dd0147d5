#include "store/keyring.h"

#include <atomic>
#include <thread>
#include <tuple>

#include "base/encoding.h"
#include "tests/fakes/faulty_database.h"
#include "tests/store/store_fixture.h"

namespace curfew::store {
namespace {

class KeyringTest : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    root_key_ = make_root_key(random_);
    ASSERT_TRUE(db().write([&](Writer& writer) { return keyring_.create(writer, root_key_); }));
  }

  Status unlock(Keyring& keyring, const Secret& root_key) {
    return db().read([&](const Reader& reader) { return keyring.unlock(reader, root_key); });
  }

  Secret root_key_;
  Keyring keyring_{"root", random_, clock_};
};

TEST_F(KeyringTest, OpensWhatItSealed) {
  const auto sealed = keyring_.seal("here", "a secret");
  ASSERT_TRUE(sealed);
  EXPECT_EQ(sealed->find("a secret"), std::string::npos);
  EXPECT_EQ(keyring_.open("here", *sealed).value(), "a secret");
}

TEST_F(KeyringTest, AnotherContextDoesNotOpen) {
  const auto sealed = keyring_.seal(row_context("t", {"a", "bc"}), "x").value();
  for (const std::string& context :
       {row_context("t", {"ab", "c"}), row_context("t", {"a", "bc", ""}), row_context("t", {"a"}),
        row_context("u", {"a", "bc"}), std::string()}) {
    const auto opened = keyring_.open(context, sealed);
    ASSERT_FALSE(opened) << context;
    EXPECT_EQ(opened.error().code, Errc::kCorrupt);
  }
}

TEST_F(KeyringTest, AnyChangedByteIsFoundAndNothingCrashes) {
  const auto sealed = keyring_.seal("here", "a secret").value();
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    for (const int flip : {1, 0x80}) {
      std::string changed = sealed;
      changed[i] = static_cast<char>(changed[i] ^ flip);
      const auto opened = keyring_.open("here", changed);
      ASSERT_FALSE(opened) << i;
      EXPECT_EQ(opened.error().code, Errc::kCorrupt);
    }
    EXPECT_FALSE(keyring_.open("here", std::string_view(sealed).substr(0, i)));
  }
}

TEST_F(KeyringTest, LockedItDoesNothing) {
  const auto sealed = keyring_.seal("here", "x").value();
  keyring_.lock();
  EXPECT_FALSE(keyring_.is_unlocked());
  EXPECT_EQ(keyring_.seal("here", "x").error().code, Errc::kSealed);
  EXPECT_EQ(keyring_.open("here", sealed).error().code, Errc::kSealed);
  EXPECT_EQ(keyring_.keyed_hash("p", "x").error().code, Errc::kSealed);
  EXPECT_EQ(keyring_.key_status().error().code, Errc::kSealed);
  EXPECT_EQ(keyring_.rotate(db()).error().code, Errc::kSealed);
  EXPECT_EQ(keyring_.record_usage(db()).error().code, Errc::kSealed);
  EXPECT_FALSE(keyring_.is_rotation_due());
  ASSERT_TRUE(unlock(keyring_, root_key_));
  EXPECT_EQ(keyring_.open("here", sealed).value(), "x");
}

TEST_F(KeyringTest, OldValuesOpenAfterRotationAndRestart) {
  const auto first = keyring_.seal("here", "first").value();
  const auto hash = keyring_.keyed_hash("token", "s.abc").value();
  clock_.advance(Millis{60'000});
  ASSERT_TRUE(keyring_.rotate(db()));
  const auto second = keyring_.seal("here", "second").value();
  EXPECT_EQ(first.substr(0, 5), std::string("\x01\0\0\0\x01", 5));
  EXPECT_EQ(second.substr(0, 5), std::string("\x01\0\0\0\x02", 5));

  Keyring restarted("root", random_, clock_);
  ASSERT_TRUE(unlock(restarted, root_key_));
  for (const Keyring* keyring : {&keyring_, &restarted}) {
    EXPECT_EQ(keyring->open("here", first).value(), "first");
    EXPECT_EQ(keyring->open("here", second).value(), "second");
    EXPECT_EQ(keyring->keyed_hash("token", "s.abc").value(), hash);
    EXPECT_EQ(keyring->key_status()->term, 2);
    EXPECT_EQ(keyring->key_status()->installed_at, clock_.wall());
  }
}

TEST_F(KeyringTest, RotationsAtOnceMakeAVersionEach) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) threads.emplace_back([&] { EXPECT_TRUE(keyring_.rotate(db())); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(keyring_.key_status()->term, 9);
  Keyring restarted("root", random_, clock_);
  ASSERT_TRUE(unlock(restarted, root_key_));
  EXPECT_EQ(restarted.open("here", keyring_.seal("here", "x").value()).value(), "x");
}

TEST_F(KeyringTest, FailedRotationChangesNothing) {
  fakes::FaultyDatabase faulty(db());
  faulty.fail_write(1);
  EXPECT_EQ(keyring_.rotate(faulty).error().code, Errc::kUnavailable);
  EXPECT_EQ(keyring_.key_status()->term, 1);
  EXPECT_TRUE(keyring_.rotate(faulty));
  EXPECT_EQ(keyring_.key_status()->term, 2);
}

TEST_F(KeyringTest, RotationWhoseAnswerWasLostIsFoundAtTheNextStart) {
  fakes::FaultyDatabase faulty(db());
  faulty.fail_write(1, fakes::FaultyDatabase::Moment::kAfter);
  EXPECT_FALSE(keyring_.rotate(faulty));
  Keyring restarted("root", random_, clock_);
  ASSERT_TRUE(unlock(restarted, root_key_));
  EXPECT_EQ(restarted.key_status()->term, 2);
  EXPECT_TRUE(restarted.rotate(db()));
}

TEST_F(KeyringTest, HashesDifferByPurposeValueAndStore) {
  const auto hash = keyring_.keyed_hash("token", "s.abc").value();
  EXPECT_EQ(hash.size(), 64u);
  EXPECT_EQ(keyring_.keyed_hash("token", "s.abc").value(), hash);
  EXPECT_NE(keyring_.keyed_hash("audit", "s.abc").value(), hash);
  EXPECT_NE(keyring_.keyed_hash("token", "s.abd").value(), hash);
  EXPECT_NE(keyring_.keyed_hash("tokens.", "abc").value(), hash);
  Keyring other("other", random_, clock_);
  ASSERT_TRUE(db().write([&](Writer& writer) { return other.create(writer, root_key_); }));
  EXPECT_NE(other.keyed_hash("token", "s.abc").value(), hash);
}

TEST_F(KeyringTest, NamespacesDoNotOpenEachOthersValues) {
  Keyring other("other", random_, clock_);
  ASSERT_TRUE(db().write([&](Writer& writer) { return other.create(writer, root_key_); }));
  const auto sealed = keyring_.seal("here", "x").value();
  EXPECT_EQ(other.open("here", sealed).error().code, Errc::kCorrupt);
  // Nor do their keys fit when the rows are exchanged.
  execute(
      "UPDATE keyring SET sealed = (SELECT sealed FROM keyring WHERE namespace = 'root' AND "
      "version = 0) WHERE namespace = 'other' AND version = 0");
  EXPECT_EQ(unlock(other, root_key_).error().code, Errc::kCorrupt);
}

TEST_F(KeyringTest, NamespaceWithoutKeysIsNotInitialized) {
  Keyring other("other", random_, clock_);
  EXPECT_EQ(unlock(other, root_key_).error().code, Errc::kNotInitialized);
}

TEST_F(KeyringTest, WrongRootKeyIsRefusedWithAReason) {
  Keyring restarted("root", random_, clock_);
  const Status unlocked = unlock(restarted, make_root_key(random_));
  ASSERT_FALSE(unlocked);
  EXPECT_EQ(unlocked.error().code, Errc::kCorrupt);
  EXPECT_NE(unlocked.error().message.find("not the database"), std::string::npos);
  EXPECT_FALSE(restarted.is_unlocked());
  EXPECT_FALSE(unlock(restarted, Secret("short")));
}

TEST_F(KeyringTest, ChangedKeyringRowsAreFound) {
  ASSERT_TRUE(keyring_.rotate(db()));
  const char* const changes[] = {
      "UPDATE keyring SET created_at = created_at + 1 WHERE version = 0",
      "UPDATE keyring SET created_at = created_at + 1 WHERE version = 1",
      "UPDATE keyring SET sealed = (SELECT sealed FROM keyring k WHERE k.version = 2) "
      "WHERE version = 1",
      "UPDATE keyring SET sealed = x'' WHERE version = 2",
      "UPDATE keyring SET sealed = x'0100000000' WHERE version = 0",
      "DELETE FROM keyring WHERE version = 1",
      "DELETE FROM keyring WHERE version = 0",
      "DELETE FROM keyring WHERE version > 0",
  };
  for (const char* change : changes) {
    Keyring restarted("root", random_, clock_);
    const Status written = db().write([&](Writer& writer) -> Status {
      RETURN_IF_ERROR(writer.execute(change));
      const Status unlocked = restarted.unlock(writer, root_key_);
      EXPECT_FALSE(unlocked) << change;
      if (!unlocked) {
        EXPECT_EQ(unlocked.error().code, Errc::kCorrupt) << change;
      }
      return Error{Errc::kConflict, "undo"};
    });
    EXPECT_EQ(written.error().message, "undo");
  }
  Keyring restarted("root", random_, clock_);
  EXPECT_TRUE(unlock(restarted, root_key_));
}

TEST_F(KeyringTest, ValueOfAKeyThatIsMissingIsCorrupt) {
  ASSERT_TRUE(keyring_.rotate(db()));
  const auto sealed = keyring_.seal("here", "x").value();
  execute("DELETE FROM keyring WHERE version = 2");
  Keyring restarted("root", random_, clock_);
  ASSERT_TRUE(unlock(restarted, root_key_));
  const auto opened = restarted.open("here", sealed);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::kCorrupt);
  EXPECT_NE(opened.error().detail.find("data key 2"), std::string::npos);
}

TEST_F(KeyringTest, CreatingTwiceIsAConflict) {
  Keyring again("root", random_, clock_);
  const Status created =
      db().write([&](Writer& writer) { return again.create(writer, root_key_); });
  EXPECT_EQ(created.error().code, Errc::kConflict);
}

TEST_F(KeyringTest, CountsWhatItSealsAcrossRestarts) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(keyring_.seal("here", "x"));
  EXPECT_EQ(keyring_.key_status()->encryptions, 3u);
  ASSERT_TRUE(keyring_.record_usage(db()));
  ASSERT_TRUE(keyring_.seal("here", "x"));
  EXPECT_EQ(keyring_.key_status()->encryptions, 4u);
  ASSERT_TRUE(keyring_.record_usage(db()));
  Keyring restarted("root", random_, clock_);
  ASSERT_TRUE(unlock(restarted, root_key_));
  EXPECT_EQ(restarted.key_status()->encryptions, 4u);
  ASSERT_TRUE(restarted.rotate(db()));
  EXPECT_EQ(restarted.key_status()->encryptions, 0u);
}

TEST_F(KeyringTest, RotationIsDueLongBeforeNoncesRunOut) {
  ASSERT_TRUE(keyring_.seal("here", "x"));
  ASSERT_TRUE(keyring_.record_usage(db()));
  EXPECT_FALSE(keyring_.is_rotation_due());
  execute("UPDATE meta SET value = $1 WHERE name = 'key_usage/root/1'",
          {Blob{std::to_string(std::uint64_t{1} << 30)}});
  Keyring restarted("root", random_, clock_);
  ASSERT_TRUE(unlock(restarted, root_key_));
  EXPECT_TRUE(restarted.is_rotation_due());
  ASSERT_TRUE(restarted.rotate(db()));
  EXPECT_FALSE(restarted.is_rotation_due());
}

TEST_F(KeyringTest, RotatingAndLockingDisturbNobody) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      while (!stop) {
        const auto sealed = keyring_.seal("here", "text");
        if (!sealed) {
          EXPECT_EQ(sealed.error().code, Errc::kSealed);
          continue;
        }
        const auto opened = keyring_.open("here", *sealed);
        if (opened) {
          EXPECT_EQ(*opened, "text");
        }
        if (!opened) {
          EXPECT_EQ(opened.error().code, Errc::kSealed);
        }
      }
    });
  }
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(keyring_.rotate(db()));
    keyring_.lock();
    EXPECT_TRUE(unlock(keyring_, root_key_));
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(keyring_.key_status()->term, 21);
}

// What an earlier version stored must open for ever: these bytes, which another program made from
// the description in docs/storage.md, are never to be edited.
TEST(KeyringFormat, StaysReadable) {
  const std::unique_ptr<Log> log = make_null_log();
  fakes::SeededRandom random;
  fakes::ManualClock clock;
  auto database = open_sqlite("", {}, *log).value();
  const std::int64_t at = 1'800'000'000'000;
  const std::tuple<std::int64_t, std::int64_t, const char*> rows[] = {
      {0, at,
       "01000000006e6f6e63652d6e6f6e636530d3e0e8d7f58b9d2a5b03579e841cd5a4dd121485059afc01e16ee2435"
       "a"
       "7eb71a0751fa8e38c819f3701254e0f0d9b3482294f8ec278c2fd7c79d7c1bb4927cf2976ce8ac33cc772bea8b4"
       "6"
       "8437876f27"},
      {1, at,
       "01000000006e6f6e63652d6e6f6e6365314f12ca460d4136ee65fb7bd261abdc0b023d0b320db751675054af78c"
       "9"
       "530d67e87fc9373e66af29719d94ea99f5c6dd"},
      {2, at + 1'000,
       "01000000006e6f6e63652d6e6f6e636532f1ba46e9486695b10e4489a9910618dec2db4b0edda8f60f0cb90a063"
       "5"
       "ef767b828a436440145161539700eaca5bac8c"},
  };
  Keyring keyring("root", random, clock);
  ASSERT_TRUE(database->write([&](Writer& writer) -> Status {
    for (const auto& [version, created_at, sealed] : rows)
      RETURN_IF_ERROR(writer.execute("INSERT INTO keyring VALUES ('root', $1, $2, $3)",
                                     {version, created_at, Blob{hex_decode(sealed).value()}}));
    return keyring.unlock(writer, Secret(std::string(32, 'r')));
  }));
  EXPECT_EQ(keyring.key_status()->term, 2);
  const std::string sealed =
      hex_decode("01000000016e6f6e63652d6e6f6e63653347309ed43f5191d1708d407600f60e170e52453b")
          .value();
  EXPECT_EQ(keyring.open(row_context("records", {"root", "policy", "a"}), sealed).value(), "text");
  EXPECT_EQ(keyring.keyed_hash("token", "s.abc").value(),
            "232adca660be0d380915c682ae08aab9e667b89642fc80c5a35fcfeffc284eb3");
}

}  // namespace
}  // namespace curfew::store

#include "store/namespace_keyrings.h"

#include <fstream>
#include <iterator>
#include <thread>

#include "tests/fakes/faulty_database.h"
#include "tests/fakes/faulty_vfs.h"
#include "tests/store/store_fixture.h"
#include "tests/store/temp_folder.h"

namespace curfew::store {
namespace {

constexpr const char* kTenant = "acme";

// All that stands in the files of the database at `path`.
std::string files_of(const std::string& path) {
  std::string bytes;
  for (const char* suffix : {"", "-wal"}) {
    std::ifstream file(path + suffix, std::ios::binary);
    bytes.append(std::istreambuf_iterator<char>(file), {});
  }
  return bytes;
}

class NamespaceKeyringsTest : public StoreTest {
 protected:
  void SetUp() override {
    open(folder_.file("curfew.db"));
    root_key_ = make_root_key(random_);
    ASSERT_TRUE(db().write([&](Writer& writer) { return root_.create(writer, root_key_); }));
    ASSERT_TRUE(keyrings_->unlock_all());
  }
  void open(const std::string& path, const SqliteOptions& options = {}) {
    keyrings_.reset();
    database_.reset();
    auto opened = open_sqlite(path, options, *log_);
    ASSERT_TRUE(opened) << opened.error().message;
    database_ = std::move(*opened);
    keyrings_ = std::make_unique<NamespaceKeyrings>(db(), root_, random_, clock_, *log_);
  }
  // As a new process that was unsealed.
  void restart() {
    open(folder_.file("curfew.db"));
    root_.lock();
    ASSERT_TRUE(db().read([&](const Reader& reader) { return root_.unlock(reader, root_key_); }));
    ASSERT_TRUE(keyrings_->unlock_all());
  }
  std::shared_ptr<Keyring> make(const std::string& name) {
    auto made = keyrings_->create(name);
    EXPECT_TRUE(made) << made.error().message;
    return made.value();
  }
  std::string sealed_key(const std::string& name) {
    return blob("SELECT sealed FROM keyring WHERE version = 0 AND namespace = '" + name + "'");
  }

  const TempFolder folder_;
  Secret root_key_;
  Keyring root_{"root", random_, clock_};
  std::unique_ptr<NamespaceKeyrings> keyrings_;
};

TEST_F(NamespaceKeyringsTest, EachNamespaceHasKeysOfItsOwnThatSurviveARestart) {
  const auto acme = make(kTenant);
  const auto other = make("other");
  const std::string sealed = acme->seal("here", "a secret").value();
  const std::string hash = acme->keyed_hash("token", "s.abc").value();
  EXPECT_EQ(other->open("here", sealed).error().code, Errc::kCorrupt);
  EXPECT_EQ(root_.open("here", sealed).error().code, Errc::kCorrupt);
  EXPECT_NE(other->keyed_hash("token", "s.abc").value(), hash);
  ASSERT_TRUE(acme->rotate(db()));
  EXPECT_EQ(acme->key_status()->term, 2);
  EXPECT_EQ(other->key_status()->term, 1) << "each is rotated alone";
  EXPECT_EQ(root_.key_status()->term, 1);

  restart();
  EXPECT_EQ(keyrings_->names().value(), (std::vector<std::string>{kTenant, "other"}));
  const auto again = keyrings_->get(kTenant).value();
  EXPECT_EQ(again->open("here", sealed).value(), "a secret");
  EXPECT_EQ(again->keyed_hash("token", "s.abc").value(), hash);
  EXPECT_EQ(again->key_status()->term, 2);
}

TEST_F(NamespaceKeyringsTest, MakesNoKeysWhereTheRestOfTheTransactionFails) {
  const auto failed = keyrings_->create(kTenant, [](Writer&, const Barrier& barrier) -> Status {
    EXPECT_TRUE(barrier.seal("here", "x"));
    return Error{Errc::kQuotaExceeded, "no"};
  });
  EXPECT_EQ(failed.error().code, Errc::kQuotaExceeded);
  EXPECT_EQ(keyrings_->get(kTenant).error().code, Errc::kNotFound);
  EXPECT_EQ(integer("SELECT count(*) FROM keyring WHERE namespace <> 'root'"), 0);
  std::string sealed;
  const auto made = keyrings_->create(kTenant, [&](Writer&, const Barrier& barrier) -> Status {
    ASSIGN_OR_RETURN(sealed, barrier.seal("here", "first"));
    return ok();
  });
  ASSERT_TRUE(made);
  EXPECT_EQ((*made)->open("here", sealed).value(), "first");
}

TEST_F(NamespaceKeyringsTest, RefusesWhatIsThereAlreadyAndBadNames) {
  make(kTenant);
  EXPECT_EQ(keyrings_->create(kTenant).error().code, Errc::kConflict);
  EXPECT_EQ(keyrings_->create("root").error().code, Errc::kConflict);
  for (const std::string& name : {std::string(), std::string("a/1"), std::string("a\0b", 3)})
    EXPECT_EQ(keyrings_->create(name).error().code, Errc::kInvalidArgument) << name;
  EXPECT_EQ(keyrings_->get("root").error().code, Errc::kNotFound);
  EXPECT_EQ(keyrings_->destroy("root").error().code, Errc::kNotFound);
  EXPECT_EQ(keyrings_->destroy("nobody").error().code, Errc::kNotFound);
}

TEST_F(NamespaceKeyringsTest, SealedNobodyHasKeys) {
  const auto acme = make(kTenant);
  const std::string sealed = acme->seal("here", "x").value();
  keyrings_->lock_all();
  EXPECT_FALSE(acme->is_unlocked()) << "held by somebody, and yet zeroed";
  EXPECT_EQ(acme->open("here", sealed).error().code, Errc::kSealed);
  EXPECT_EQ(keyrings_->get(kTenant).error().code, Errc::kSealed);
  EXPECT_EQ(keyrings_->names().error().code, Errc::kSealed);
  root_.lock();
  EXPECT_EQ(keyrings_->create("more").error().code, Errc::kSealed);
  EXPECT_EQ(keyrings_->unlock_all().error().code, Errc::kSealed);
}

TEST_F(NamespaceKeyringsTest, NoRootKeyIsNeededWhileTheOuterKeyringIsUnlocked) {
  make(kTenant);
  keyrings_->lock_all();
  root_key_ = Secret();
  ASSERT_TRUE(keyrings_->unlock_all());
  EXPECT_TRUE(keyrings_->get(kTenant).value()->is_unlocked());
}

TEST_F(NamespaceKeyringsTest, DestroyedKeysLeaveNoiseInTheFilesAndInEveryCopy) {
  const auto acme = make(kTenant);
  const auto other = make("other");
  ASSERT_TRUE(acme->rotate(db()));
  const std::string sealed = acme->seal("here", "a secret").value();
  ASSERT_TRUE(acme->record_usage(db()));
  std::vector<std::string> keys;
  ASSERT_TRUE(db().read([&](const Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto rows,
                     reader.query("SELECT sealed FROM keyring WHERE namespace = 'acme'"));
    for (const Row& row : rows) keys.push_back(row.blob(0).substr(5));
    return ok();
  }));
  ASSERT_EQ(keys.size(), 3u);
  const std::string before = files_of(folder_.file("curfew.db"));
  for (const std::string& key : keys) EXPECT_NE(before.find(key), std::string::npos);

  ASSERT_TRUE(keyrings_->destroy(kTenant));
  const std::string after = files_of(folder_.file("curfew.db"));
  for (const std::string& key : keys) EXPECT_EQ(after.find(key), std::string::npos);
  EXPECT_NE(after.find(sealed_key("other").substr(5)), std::string::npos);
  EXPECT_EQ(integer("SELECT count(*) FROM meta WHERE name LIKE 'key_usage/acme/%'"), 0);
  EXPECT_EQ(acme->open("here", sealed).error().code, Errc::kSealed);
  EXPECT_EQ(acme->rotate(db()).error().code, Errc::kSealed);
  EXPECT_EQ(keyrings_->get(kTenant).error().code, Errc::kNotFound);
  EXPECT_TRUE(other->is_unlocked());

  restart();
  EXPECT_EQ(keyrings_->get(kTenant).error().code, Errc::kNotFound);
  EXPECT_TRUE(keyrings_->get("other"));
  // The same name again is another namespace: nothing of the old one opens.
  EXPECT_EQ(make(kTenant)->open("here", sealed).error().code, Errc::kCorrupt);
}

TEST_F(NamespaceKeyringsTest, AKeyringOfDestroyedKeysMakesNoNewOnes) {
  make(kTenant);
  Keyring second(kTenant, random_, clock_);
  ASSERT_TRUE(db().read([&](const Reader& reader) { return second.unlock_under(reader, root_); }));
  ASSERT_TRUE(keyrings_->destroy(kTenant));
  EXPECT_EQ(second.rotate(db()).error().code, Errc::kNotFound);
  EXPECT_EQ(integer("SELECT count(*) FROM keyring WHERE namespace = 'acme'"), 0);
}

TEST_F(NamespaceKeyringsTest, AFailedDestructionDestroysNothing) {
  const auto acme = make(kTenant);
  const std::string sealed = acme->seal("here", "x").value();
  const Status failed = keyrings_->destroy(kTenant, [](Writer&) -> Status {
    return Error{Errc::kConflict, "not empty"};
  });
  EXPECT_EQ(failed.error().code, Errc::kConflict);
  EXPECT_EQ(keyrings_->get(kTenant).value()->open("here", sealed).value(), "x");
  restart();
  EXPECT_EQ(keyrings_->get(kTenant).value()->open("here", sealed).value(), "x");
}

TEST_F(NamespaceKeyringsTest, ReadersThatNeverEndHoldUpNoDestruction) {
  const auto acme = make(kTenant);
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      while (!stop) {
        const Status read = db().read([](const Reader& reader) -> Status {
          return reader.query("SELECT count(*) FROM keyring").has_value() ? ok() : ok();
        });
        EXPECT_TRUE(read);
      }
    });
  }
  const std::string key = sealed_key(kTenant).substr(5);
  EXPECT_TRUE(keyrings_->destroy(kTenant));
  EXPECT_EQ(files_of(folder_.file("curfew.db")).find(key), std::string::npos);
  stop = true;
  for (std::thread& thread : threads) thread.join();
}

TEST_F(NamespaceKeyringsTest, ForgettingWaitsForAReaderAndSaysWhenItCannot) {
  make(kTenant);
  const std::string key = sealed_key(kTenant).substr(5);
  Status forgotten = ok();
  ASSERT_TRUE(db().read([&](const Reader& reader) -> Status {
    EXPECT_TRUE(reader.query("SELECT 1 FROM keyring"));
    EXPECT_TRUE(keyrings_->destroy(kTenant)) << "it is destroyed, though not yet overwritten";
    forgotten = db().forget_deleted();
    return ok();
  }));
  EXPECT_EQ(forgotten.error().code, Errc::kUnavailable);
  EXPECT_TRUE(db().forget_deleted());
  EXPECT_EQ(files_of(folder_.file("curfew.db")).find(key), std::string::npos);
}

TEST_F(NamespaceKeyringsTest, ChangedRowsCloseTheirOwnNamespaceAlone) {
  make(kTenant);
  make("other");
  const std::pair<const char*, const char*> changes[] = {
      {"a byte", "UPDATE keyring SET sealed = x'01000000aa' WHERE namespace = 'acme'"},
      {"the keys of another namespace",
       "UPDATE keyring SET sealed = (SELECT sealed FROM keyring k WHERE k.namespace = 'other' AND "
       "k.version = keyring.version) WHERE namespace = 'acme'"},
      {"the keys of the first namespace",
       "UPDATE keyring SET sealed = (SELECT sealed FROM keyring k WHERE k.namespace = 'root' AND "
       "k.version = keyring.version) WHERE namespace = 'acme'"},
      {"the date", "UPDATE keyring SET created_at = 1 WHERE namespace = 'acme' AND version = 0"},
      {"no data key", "DELETE FROM keyring WHERE namespace = 'acme' AND version = 1"},
      {"no keys that wrap", "DELETE FROM keyring WHERE namespace = 'acme' AND version = 0"},
  };
  for (const auto& [what, change] : changes) {
    execute("CREATE TABLE kept AS SELECT * FROM keyring");
    execute(change);
    restart();
    const auto acme = keyrings_->get(kTenant);
    ASSERT_FALSE(acme) << what;
    EXPECT_EQ(acme.error().code, Errc::kCorrupt) << what;
    EXPECT_TRUE(keyrings_->get("other")) << what;
    execute("DELETE FROM keyring");
    execute("INSERT INTO keyring SELECT * FROM kept");
    execute("DROP TABLE kept");
  }
  restart();
  EXPECT_TRUE(keyrings_->get(kTenant));
}

TEST_F(NamespaceKeyringsTest, AStoreThatCannotBeReadIsNoDamage) {
  make(kTenant);
  fakes::FaultyDatabase faulty(db());
  NamespaceKeyrings keyrings(faulty, root_, random_, clock_, *log_);
  faulty.fail_read(1);
  EXPECT_EQ(keyrings.unlock_all().error().code, Errc::kUnavailable);
  EXPECT_EQ(keyrings.get(kTenant).error().code, Errc::kSealed);
  ASSERT_TRUE(keyrings.unlock_all());
  EXPECT_TRUE(keyrings.get(kTenant));
}

// The disk fails at each change of a file in turn, and the process dies with it.
TEST(NamespaceKeyringsCrash, ADestructionIsWholeOrNothingWhereverItStops) {
  fakes::FaultyVfs vfs;
  const std::unique_ptr<Log> log = make_null_log();
  fakes::SeededRandom random;
  fakes::ManualClock clock;
  const SqliteOptions options{.vfs = vfs.name()};
  int whole = 0, nothing = 0;
  for (int fault = 1; fault < 60; ++fault) {
    const TempFolder folder;
    const std::string path = folder.file("curfew.db");
    Keyring root("root", random, clock);
    std::string sealed, key;
    bool destroyed = false;
    {
      auto database = open_sqlite(path, options, *log).value();
      NamespaceKeyrings keyrings(*database, root, random, clock, *log);
      ASSERT_TRUE(database->write(
          [&](Writer& writer) { return root.create(writer, Secret(std::string(32, 'r'))); }));
      ASSERT_TRUE(keyrings.unlock_all());
      sealed = keyrings.create(kTenant).value()->seal("here", "x").value();
      vfs.fail_change(fault, true);
      destroyed = keyrings.destroy(kTenant).has_value();
      database.reset();
      vfs.heal();
    }
    auto database = open_sqlite(path, options, *log).value();
    NamespaceKeyrings keyrings(*database, root, random, clock, *log);
    ASSERT_TRUE(keyrings.unlock_all());
    const auto acme = keyrings.get(kTenant);
    if (acme) {
      ++whole;
      EXPECT_FALSE(destroyed) << fault;
      EXPECT_EQ((*acme)->open("here", sealed).value(), "x") << fault;
    } else {
      ++nothing;
      EXPECT_EQ(acme.error().code, Errc::kNotFound) << fault;
    }
  }
  EXPECT_GT(whole, 0);
  EXPECT_GT(nothing, 0);
}

}  // namespace
}  // namespace curfew::store

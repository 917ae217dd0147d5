#include "store/records.h"

#include "store/keyring.h"
#include "tests/store/store_fixture.h"

namespace curfew::store {
namespace {

using Names = std::vector<std::string>;

class RecordsTest : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    const Secret root_key = make_root_key(random_);
    ASSERT_TRUE(db().write([&](Writer& writer) { return keyring_.create(writer, root_key); }));
  }

  Status put(const std::string& scope, const std::string& name, const Json& value) {
    return db().write([&](Writer& writer) { return records_.put(writer, scope, name, value); });
  }
  Result<std::optional<Json>> get(const std::string& scope, const std::string& name) {
    Result<std::optional<Json>> value = std::optional<Json>{};
    const Status read = db().read([&](const Reader& reader) -> Status {
      value = records_.get(reader, scope, name);
      return ok();
    });
    EXPECT_TRUE(read);
    return value;
  }
  Names list(const std::string& scope, const std::string& prefix) {
    Names names;
    const Status read = db().read([&](const Reader& reader) -> Status {
      ASSIGN_OR_RETURN(names, records_.list(reader, scope, prefix));
      return ok();
    });
    EXPECT_TRUE(read);
    return names;
  }

  Keyring keyring_{"root", random_, clock_};
  Records records_{keyring_};
};

TEST_F(RecordsTest, KeepsReplacesAndRemoves) {
  EXPECT_FALSE(get("policy", "a").value().has_value());
  ASSERT_TRUE(put("policy", "a", {{"n", 1}}));
  EXPECT_EQ(get("policy", "a").value(), Json({{"n", 1}}));
  ASSERT_TRUE(put("policy", "a", {{"n", 2}}));
  EXPECT_EQ(get("policy", "a").value(), Json({{"n", 2}}));
  EXPECT_FALSE(get("other", "a").value().has_value());
  ASSERT_TRUE(db().write([&](Writer& writer) -> Status {
    ASSIGN_OR_RETURN(const bool removed, records_.remove(writer, "policy", "a"));
    EXPECT_TRUE(removed);
    ASSIGN_OR_RETURN(const bool again, records_.remove(writer, "policy", "a"));
    EXPECT_FALSE(again);
    return ok();
  }));
  EXPECT_FALSE(get("policy", "a").value().has_value());
}

TEST_F(RecordsTest, StoresNothingInTheClear) {
  ASSERT_TRUE(put("policy", "a", "swordfish"));
  EXPECT_EQ(blob("SELECT sealed FROM records").find("swordfish"), std::string::npos);
}

TEST_F(RecordsTest, EditedMovedAndSwappedRowsAreFound) {
  ASSERT_TRUE(put("policy", "weak", "deny"));
  ASSERT_TRUE(put("policy", "strong", "allow"));
  const char* const changes[] = {
      "UPDATE records SET sealed = x'01' WHERE name = 'weak'",
      "UPDATE records SET sealed = x'' WHERE name = 'weak'",
      "UPDATE records SET sealed = (SELECT sealed FROM records r WHERE r.name = 'strong') "
      "WHERE name = 'weak'",
      "UPDATE records SET name = 'strange' WHERE name = 'weak'",
      "UPDATE records SET scope = 'mount' WHERE name = 'weak'",
  };
  for (const char* change : changes) {
    const Status written = db().write([&](Writer& writer) -> Status {
      RETURN_IF_ERROR(writer.execute(change));
      for (const char* scope : {"policy", "mount"}) {
        for (const char* name : {"weak", "strange"}) {
          const auto value = records_.get(writer, scope, name);
          if (value) {
            EXPECT_FALSE(value->has_value()) << change;
          }
          if (!value) {
            EXPECT_EQ(value.error().code, Errc::kCorrupt) << change;
          }
        }
      }
      return Error{Errc::kConflict, "undo"};
    });
    EXPECT_EQ(written.error().message, "undo") << change;
  }
  EXPECT_EQ(get("policy", "weak").value(), Json("deny"));
}

// The same keys under another name: nothing but the name keeps the rows apart.
class Renamed final : public Barrier {
 public:
  Renamed(const Barrier& keys, std::string name) : keys_(keys), name_(std::move(name)) {}
  const std::string& name_space() const override { return name_; }
  Result<std::string> seal(std::string_view context, std::string_view plaintext) const override {
    return keys_.seal(context, plaintext);
  }
  Result<std::string> open(std::string_view context, std::string_view sealed) const override {
    return keys_.open(context, sealed);
  }
  Result<std::string> keyed_hash(std::string_view purpose, std::string_view value) const override {
    return keys_.keyed_hash(purpose, value);
  }

 private:
  const Barrier& keys_;
  const std::string name_;
};

TEST_F(RecordsTest, RowOfAnotherNamespaceDoesNotOpen) {
  ASSERT_TRUE(put("policy", "a", "x"));
  execute("UPDATE records SET namespace = 'team'");
  const Renamed keys(keyring_, "team");
  const Records team(keys);
  ASSERT_TRUE(db().read([&](const Reader& reader) -> Status {
    const auto value = team.get(reader, "policy", "a");
    EXPECT_FALSE(value);
    return ok();
  }));
}

TEST_F(RecordsTest, ListsTheNextElements) {
  for (const char* name : {"a", "a/b", "a/c/d", "a/c/e", "a-b", "a0", "b/x", "z"})
    ASSERT_TRUE(put("s", name, 1));
  ASSERT_TRUE(put("t", "elsewhere", 1));
  EXPECT_EQ(list("s", ""), (Names{"a", "a-b", "a/", "a0", "b/", "z"}));
  EXPECT_EQ(list("s", "a/"), (Names{"b", "c/"}));
  EXPECT_EQ(list("s", "a/c/"), (Names{"d", "e"}));
  EXPECT_EQ(list("s", "nothing/"), Names{});
  EXPECT_EQ(list("s", "b/"), Names{"x"});
  EXPECT_EQ(list("nowhere", ""), Names{});
}

TEST_F(RecordsTest, ListsOddNames) {
  for (const char* name : {"/", "//", "/a", "a//b", "b/", "\xc3\xa4/\xc3\xb6", "%_", "A'\""})
    ASSERT_TRUE(put("s", name, 1));
  EXPECT_EQ(list("s", ""), (Names{"%_", "/", "A'\"", "a/", "b/", "\xc3\xa4/"}));
  EXPECT_EQ(list("s", "/"), (Names{"/", "a"}));
  EXPECT_EQ(list("s", "a/"), (Names{"/"}));
  EXPECT_EQ(list("s", "b/"), Names{});  // the name of the folder itself is nothing in it
}

TEST_F(RecordsTest, ListsMoreThanOnePage) {
  ASSERT_TRUE(db().write([&](Writer& writer) -> Status {
    for (int i = 0; i < 350; ++i) {
      char name[16];
      std::snprintf(name, sizeof name, "n%03d", i);
      RETURN_IF_ERROR(records_.put(writer, "leaves", name, i));
      RETURN_IF_ERROR(records_.put(writer, "folders", std::string(name) + "/x", i));
      RETURN_IF_ERROR(records_.put(writer, "folders", std::string(name) + "/y", i));
      RETURN_IF_ERROR(records_.put(writer, "deep", std::string("big/") + name, i));
    }
    return records_.put(writer, "deep", "last", 1);
  }));
  EXPECT_EQ(list("leaves", "").size(), 350u);
  EXPECT_EQ(list("folders", "").size(), 350u);
  EXPECT_EQ(list("folders", "").back(), "n349/");
  EXPECT_EQ(list("deep", ""), (Names{"big/", "last"}));
  EXPECT_EQ(list("deep", "big/").size(), 350u);
}

TEST_F(RecordsTest, FolderToListEndsInASlash) {
  ASSERT_TRUE(db().read([&](const Reader& reader) -> Status {
    EXPECT_EQ(records_.list(reader, "s", "a").error().code, Errc::kInvalidArgument);
    return ok();
  }));
}

TEST_F(RecordsTest, GivesNamesAndAllValuesOfAScope) {
  ASSERT_TRUE(put("s", "b/c", 2));
  ASSERT_TRUE(put("s", "a", 1));
  ASSERT_TRUE(put("s", "b/d", 3));
  ASSERT_TRUE(put("t", "z", 4));
  ASSERT_TRUE(db().read([&](const Reader& reader) -> Status {
    EXPECT_EQ(records_.names(reader, "s").value(), (Names{"a", "b/c", "b/d"}));
    const auto all = records_.all(reader, "s").value();
    EXPECT_EQ(all.size(), 3u);
    EXPECT_EQ(all.front().first, "a");
    EXPECT_EQ(all.front().second, Json(1));
    const auto below = records_.all(reader, "s", "b/").value();
    EXPECT_EQ(below.size(), 2u);
    return ok();
  }));
}

TEST_F(RecordsTest, GivesPagesAndCountsFolders) {
  for (const char* name : {"g/1", "g/2", "g/3", "g0", "h/1"})
    ASSERT_TRUE(put("s", name, {{"n", 1}}));
  ASSERT_TRUE(put("t", "g/4", {{"n", 1}}));
  ASSERT_TRUE(db().read([&](const Reader& reader) -> Status {
    Names names;
    std::string after;
    for (;;) {
      ASSIGN_OR_RETURN(const auto page, records_.page(reader, "s", after, 2));
      for (const auto& [name, value] : page) names.push_back(name);
      if (page.size() < 2) break;
      after = page.back().first;
    }
    EXPECT_EQ(names, Names({"g/1", "g/2", "g/3", "g0", "h/1"}));
    ASSIGN_OR_RETURN(const std::int64_t in_g, records_.count(reader, "s", "g/"));
    EXPECT_EQ(in_g, 3);
    ASSIGN_OR_RETURN(const std::int64_t in_none, records_.count(reader, "s", "x/"));
    EXPECT_EQ(in_none, 0);
    EXPECT_FALSE(records_.count(reader, "s", "g").has_value());
    return ok();
  }));
}

TEST_F(RecordsTest, RemovesAScopeAndNothingElse) {
  ASSERT_TRUE(put("s", "a", 1));
  ASSERT_TRUE(put("s", "b", 1));
  ASSERT_TRUE(put("s2", "a", 1));
  ASSERT_TRUE(db().write([&](Writer& writer) -> Status {
    ASSIGN_OR_RETURN(const auto count, records_.remove_scope(writer, "s"));
    EXPECT_EQ(count, 2);
    return ok();
  }));
  EXPECT_EQ(list("s2", ""), Names{"a"});
}

TEST_F(RecordsTest, SealedItGivesNothing) {
  ASSERT_TRUE(put("s", "a", 1));
  keyring_.lock();
  EXPECT_EQ(get("s", "a").error().code, Errc::kSealed);
  EXPECT_EQ(put("s", "a", 2).error().code, Errc::kSealed);
}

}  // namespace
}  // namespace curfew::store

#include "engines/kv/secret_path.h"
#include "tests/engines/kv/kv_fixture.h"

namespace curfew::engines::kv {
namespace {

TEST(SecretPath, takes_what_people_write) {
  for (const char* path : {"a", "a/b/c", "Team A/key", "a.b-c_d", "ünï", "...", "a..b", "%2e"})
    EXPECT_TRUE(check_secret_path(path).has_value()) << path;
  EXPECT_TRUE(check_secret_path(std::string(kPathBytesMax, 'a')).has_value());
}

TEST(SecretPath, refuses_what_cannot_be_listed_or_read_back) {
  const std::string bad[] = {"",
                             "/",
                             "a/",
                             "/a",
                             "a//b",
                             "..",
                             "a/.",
                             "a/..",
                             "../a",
                             std::string("a\0b", 3),
                             "a\n",
                             "\x7f",
                             std::string(kPathBytesMax + 1, 'a')};
  for (const std::string& path : bad) {
    const Status status = check_secret_path(path);
    ASSERT_FALSE(status.has_value()) << path;
    EXPECT_EQ(status.error().code, Errc::kInvalidArgument);
    EXPECT_FALSE(status.error().message.empty());
  }
}

TEST(ListPage, pages_through_all_names_once) {
  const std::vector<std::string> names{"a", "b/", "c", "d", "e/"};
  std::vector<std::string> seen;
  std::string after;
  for (;;) {
    const auto page = list_page(names, {{"after", after}, {"limit", "2"}});
    if (!page) {
      EXPECT_EQ(page.error().code, Errc::kNotFound);
      break;
    }
    ASSERT_LE((*page)["keys"].size(), 2u);
    for (const Json& name : (*page)["keys"]) seen.push_back(name);
    after = seen.back();
  }
  EXPECT_EQ(seen, names);
}

TEST(ListPage, after_need_not_exist_and_bad_limits_are_named) {
  EXPECT_EQ(list_page({"a", "c"}, {{"after", "b"}}).value(), Json({{"keys", {"c"}}}));
  EXPECT_EQ(list_page({"a", "c"}, {{"limit", -1}}).value(), Json({{"keys", {"a", "c"}}}));
  const auto bad = list_page({"a"}, {{"limit", "many"}});
  ASSERT_FALSE(bad.has_value());
  EXPECT_THAT(bad.error().message, ::testing::HasSubstr("limit"));
}

}  // namespace
}  // namespace curfew::engines::kv

#include "policy/path_index.h"

#include <algorithm>
#include <random>
#include <tuple>

#include "tests/policy/support.h"

namespace curfew::policy {
namespace {

TEST(PrefixIndex, FindsTheLongest) {
  PrefixIndex index;
  const std::vector<std::string> prefixes = {"secret/", "",         "secret/ab", "secret/abc/d",
                                             "sec",     "secret/b", "zz"};
  for (RuleIndex i = 0; i < prefixes.size(); ++i) index.add(prefixes[i], i);
  index.finish();
  EXPECT_EQ(index.longest("secret/abc/x"), 2u);
  EXPECT_EQ(index.longest("secret/abc/dx"), 3u);
  EXPECT_EQ(index.longest("secret/abc/d"), 3u);
  EXPECT_EQ(index.longest("secret/"), 0u);
  EXPECT_EQ(index.longest("secrets"), 4u);
  EXPECT_EQ(index.longest("zy"), 1u);
  EXPECT_EQ(index.longest("zzz"), 6u);
  EXPECT_EQ(index.longest(""), 1u);
  EXPECT_EQ(index.longest("\xFF"), 1u);
}

TEST(PrefixIndex, EmptyFindsNothing) {
  PrefixIndex index;
  index.finish();
  EXPECT_EQ(index.longest("a"), kNoRuleIndex);
}

// The rules of precedence once more, in the slowest and plainest way.
std::vector<std::string> split(std::string_view path) {
  std::vector<std::string> out(1);
  for (const char c : path) {
    if (c == '/')
      out.emplace_back();
    else
      out.back() += c;
  }
  return out;
}

bool has_plus(const std::string& pattern) {
  return pattern == "+" || pattern.starts_with("+/") || pattern.find("/+") != std::string::npos;
}

bool fits(std::string pattern, const std::string& path) {
  const bool open = pattern.ends_with('*');
  if (open) pattern.pop_back();
  if (!has_plus(pattern)) return open ? path.starts_with(pattern) : path == pattern;
  const auto wanted = split(pattern), given = split(path);
  if (open ? given.size() < wanted.size() : given.size() != wanted.size()) return false;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] == "+" || wanted[i] == given[i]) continue;
    if (!(open && i + 1 == wanted.size() && given[i].starts_with(wanted[i]))) return false;
  }
  return true;
}

auto precedence(std::string pattern) {
  const bool open = pattern.ends_with('*');
  if (open) pattern.pop_back();
  const bool exact = !open && !has_plus(pattern);
  const auto parts = split(pattern);
  const std::size_t first = has_plus(pattern) ? pattern.find('+') : pattern.size();
  return std::tuple(exact, first, !open, -std::count(parts.begin(), parts.end(), "+"),
                    pattern.size(), pattern);
}

std::string expected_rule(const std::vector<std::string>& patterns, const std::string& path) {
  std::string best;
  bool found = false;
  for (const std::string& pattern : patterns) {
    if (!fits(pattern, path)) continue;
    if (!found || precedence(best) < precedence(pattern)) best = pattern;
    found = true;
  }
  return found ? best : "none";
}

class Paths {
 public:
  explicit Paths(unsigned seed) : random_(seed) {}
  int below(int bound) { return std::uniform_int_distribution<int>(0, bound - 1)(random_); }
  std::string make(const std::vector<std::string>& segments, int length_max) {
    std::string out = segments[static_cast<std::size_t>(below(static_cast<int>(segments.size())))];
    for (int i = below(length_max); i > 0; --i)
      out += "/" + segments[static_cast<std::size_t>(below(static_cast<int>(segments.size())))];
    return out;
  }

 private:
  std::mt19937 random_;
};

TEST(Acl, AgreesWithThePlainReadingOfTheRules) {
  for (unsigned seed = 1; seed <= 300; ++seed) {
    Paths paths(seed);
    std::vector<std::string> patterns;
    std::string text;
    for (int i = paths.below(60); i >= 0; --i) {
      std::string pattern = paths.make({"a", "b", "ab", "+", "+", "", "a+", "+b"}, 4);
      if (paths.below(3) == 0) pattern += "*";
      pattern.erase(0, std::min(pattern.find_first_not_of('/'), pattern.size()));
      if (pattern.find("+*") != std::string::npos) continue;
      text += "path \"" + pattern + "\" { capabilities = [\"read\"] }\n";
      patterns.push_back(std::move(pattern));
    }
    if (text.empty()) continue;
    const Acl acl = acl_of({text});
    for (int i = 0; i < 200; ++i) {
      std::string path = paths.make({"a", "b", "ab", "abc", "", "c", "+", "+b", "a+"}, 5);
      path.erase(0, std::min(path.find_first_not_of('/'), path.size()));
      const Decision decision = ask(acl, Operation::kRead, path);
      ASSERT_EQ(decision.rule == nullptr ? "none" : decision.rule->path,
                expected_rule(patterns, path))
          << "seed " << seed << ", path " << path << "\n"
          << text;
    }
  }
}

TEST(Acl, LargePoliciesWithManyWildcardsStayRight) {
  std::string text;
  for (int i = 0; i < 5'000; ++i)
    text += "path \"+/+/" + std::to_string(i) + "/+/*\" { capabilities = [\"read\"] }\n";
  text += "path \"" + std::string(1000, '/') + "\" {}\n";
  std::string deep = "+";
  for (int i = 0; i < 500; ++i) deep += "/+";
  text += "path \"" + deep + "\" { capabilities = [\"list\"] }\n";
  const Acl acl = acl_of({text});
  EXPECT_EQ(granted(acl, "x/y/4321/z/w/v"), "read");
  EXPECT_EQ(granted(acl, "x/y/5000/z/w"), "deny");
  EXPECT_EQ(granted(acl, std::string(500, '/')), "deny");
  std::string path = "a";
  for (int i = 0; i < 500; ++i) path += "/b";
  EXPECT_EQ(granted(acl, path), "list");
}

}  // namespace
}  // namespace curfew::policy

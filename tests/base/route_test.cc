#include "base/route.h"

#include <gtest/gtest.h>

namespace curfew {
namespace {

using Table = RouteTable<int>;

std::optional<RouteParams> matched(const char* pattern, std::string_view path) {
  RouteParams params;
  if (!route_internal::match(pattern, path, params)) return std::nullopt;
  return params;
}

TEST(RoutePattern, matches_segments_names_and_rests) {
  using P = RouteParams;
  struct Case {
    const char* pattern;
    const char* path;
    std::optional<RouteParams> params;
  };
  const Case cases[] = {
      {"config", "config", P{}},
      {"config", "config/", std::nullopt},
      {"config", "config/x", std::nullopt},
      {"config", "", std::nullopt},
      {"config", "configs", std::nullopt},
      {"", "", P{}},
      {"roles/{name}", "roles/a", P{{"name", "a"}}},
      {"roles/{name}", "roles/a.b-c_d1", P{{"name", "a.b-c_d1"}}},
      {"roles/{name}", "roles/_", P{{"name", "_"}}},
      {"roles/{name}", "roles/", std::nullopt},
      {"roles/{name}", "roles", std::nullopt},
      {"roles/{name}", "roles/a/b", std::nullopt},
      {"roles/{name}", "roles/a b", std::nullopt},
      {"roles/{name}", "roles/-a", std::nullopt},
      {"roles/{name}", "roles/a.", std::nullopt},
      {"roles/{name}", "roles/..", std::nullopt},
      {"roles/{name}", "roles/a@1", std::nullopt},
      {"roles/{name}", "roles/\xc3\xa4", std::nullopt},
      {"users/{name@}", "users/ana@example.com", P{{"name", "ana@example.com"}}},
      {"users/{name@}", "users/@ana", std::nullopt},
      {"users/{name@}", "users/a b", std::nullopt},
      {"keys/{name}/rotate", "keys/k/rotate", P{{"name", "k"}}},
      {"keys/{name}/rotate", "keys/k", std::nullopt},
      {"keys/{name}/rotate", "keys//rotate", std::nullopt},
      {"{a}/{b}", "x/y", P{{"a", "x"}, {"b", "y"}}},
      {"data/{path...}", "data/a/b c/", P{{"path", "a/b c/"}}},
      {"data/{path...}", "data/", P{{"path", ""}}},
      {"data/{path...}", "data", P{{"path", ""}}},
      {"data/{path...}", "database", std::nullopt},
      {"{path...}", "", P{{"path", ""}}},
      {"{path...}", "/a", P{{"path", "/a"}}},
  };
  for (const Case& item : cases)
    EXPECT_EQ(matched(item.pattern, item.path), item.params)
        << item.pattern << " against " << item.path;
}

Table::Route route(const char* pattern, std::map<Operation, int> handlers, bool issues = false) {
  return {RouteSpec{.pattern = pattern, .summary = "", .issues_lease = issues},
          std::move(handlers)};
}

TEST(RouteTable, the_first_pattern_that_has_the_operation_wins) {
  const Table table({route("roles/{name}", {{Operation::kRead, 1}}),
                     route("roles/special", {{Operation::kUpdate, 2}}),
                     route("{path...}", {{Operation::kRead, 3}, {Operation::kDelete, 4}})});
  const auto pattern = [&](std::string_view path, Operation operation) {
    return table.match(path, operation)->route->pattern;
  };
  EXPECT_EQ(pattern("roles/special", Operation::kRead), "roles/{name}");
  EXPECT_EQ(pattern("roles/special", Operation::kUpdate), "roles/special");
  EXPECT_EQ(pattern("roles/special", Operation::kDelete), "{path...}");
  EXPECT_EQ(pattern("roles/special", Operation::kPatch), "roles/{name}");
  EXPECT_EQ(pattern("elsewhere", Operation::kPatch), "{path...}");
}

TEST(RouteTable, what_fits_no_pattern_is_nothing) {
  const Table table({route("config", {{Operation::kRead, 1}})});
  EXPECT_FALSE(table.match("other", Operation::kRead).has_value());
  EXPECT_FALSE(Table().match("config", Operation::kRead).has_value());
}

TEST(RouteTable, a_list_is_matched_without_its_last_slash) {
  const Table table({route("roles", {{Operation::kList, 1}})});
  EXPECT_TRUE(table.match("roles/", Operation::kList).has_value());
  EXPECT_TRUE(table.match("roles", Operation::kList).has_value());
  EXPECT_FALSE(table.match("roles//", Operation::kList).has_value());
  EXPECT_FALSE(table.match("roles/", Operation::kRead).has_value());
}

TEST(RouteTable, creates_are_served_as_updates_and_leases_as_reads) {
  const auto update = route("a", {{Operation::kUpdate, 1}});
  EXPECT_TRUE(Table::serves(update, Operation::kCreate));
  EXPECT_FALSE(Table::serves(update, Operation::kPatch));
  EXPECT_FALSE(Table::serves(update, Operation::kRead));
  EXPECT_TRUE(Table::serves(route("a", {}, true), Operation::kRead));
  EXPECT_FALSE(Table::serves(route("a", {}, true), Operation::kUpdate));
}

TEST(Operation, has_the_names_of_policies) {
  EXPECT_STREQ(operation_name(Operation::kCreate), "create");
  EXPECT_STREQ(operation_name(Operation::kRead), "read");
  EXPECT_STREQ(operation_name(Operation::kUpdate), "update");
  EXPECT_STREQ(operation_name(Operation::kPatch), "patch");
  EXPECT_STREQ(operation_name(Operation::kDelete), "delete");
  EXPECT_STREQ(operation_name(Operation::kList), "list");
}

}  // namespace
}  // namespace curfew

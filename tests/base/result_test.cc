#include "base/result.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <set>
#include <string>

namespace curfew {
namespace {

Result<int> half(int number) {
  if (number % 2 != 0) return Error{Errc::kInvalidArgument, "odd"};
  return number / 2;
}

Result<int> quarter(int number) {
  ASSIGN_OR_RETURN(const int once, half(number));
  ASSIGN_OR_RETURN(const int twice, half(once));
  return twice;
}

Status run(const std::function<Status()>& body) {
  return body();
}

TEST(Result, is_a_value_or_an_error) {
  EXPECT_EQ(quarter(8).value(), 2);
  EXPECT_EQ(quarter(6).error().message, "odd");
  EXPECT_TRUE(ok().has_value());
  const Result<std::unique_ptr<int>> moved = std::make_unique<int>(7);
  EXPECT_EQ(**moved, 7);
}

TEST(Result, the_early_returns_nest) {
  const auto outer = [](int number) -> Result<int> {
    int found = 0;
    RETURN_IF_ERROR(run([&]() -> Status {
      RETURN_IF_ERROR(run([&]() -> Status {
        ASSIGN_OR_RETURN(found, half(number));
        return ok();
      }));
      return ok();
    }));
    return found;
  };
  EXPECT_EQ(outer(4).value(), 2);
  EXPECT_EQ(outer(5).error().code, Errc::kInvalidArgument);
}

TEST(Result, reading_what_is_not_there_stops_the_program) {
  EXPECT_DEATH((void)half(1).value(), "");
  EXPECT_DEATH((void)half(2).error(), "");
}

TEST(Errc, every_code_has_a_name_of_its_own) {
  std::set<std::string> names;
  const int last = static_cast<int>(Errc::kInternal);
  for (int i = 0; i <= last; ++i) names.insert(errc_name(static_cast<Errc>(i)));
  EXPECT_EQ(names.size(), static_cast<std::size_t>(last) + 1);
}

}  // namespace
}  // namespace curfew

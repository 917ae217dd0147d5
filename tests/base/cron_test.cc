#include "base/cron.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/duration.h"

namespace curfew {
namespace {

using ::testing::HasSubstr;

WallTime at(const std::string& text) {
  return parse_rfc3339(text).value();
}

struct Vector {
  const char* schedule;
  const char* after;
  const char* next;
};

TEST(CronTest, the_next_time_is_as_in_the_table) {
  const std::vector<Vector> table = {
      {"* * * * *", "2026-11-20T07:59:59.999Z", "2026-11-20T08:00:00Z"},
      {"* * * * *", "2026-11-20T08:00:00Z", "2026-11-20T08:01:00Z"},
      {"0 3 * * *", "2026-11-20T02:59:00Z", "2026-11-20T03:00:00Z"},
      {"0 3 * * *", "2026-11-20T03:00:00Z", "2026-11-21T03:00:00Z"},
      {"*/15 * * * *", "2026-11-20T08:31:00Z", "2026-11-20T08:45:00Z"},
      {"5/20 * * * *", "2026-11-20T08:46:00Z", "2026-11-20T09:05:00Z"},
      {"10-40/10 * * * *", "2026-11-20T08:31:00Z", "2026-11-20T08:40:00Z"},
      {"10-40/10 * * * *", "2026-11-20T08:40:00Z", "2026-11-20T09:10:00Z"},
      {"7,3,59 1,23 * * *", "2026-11-20T01:08:00Z", "2026-11-20T01:59:00Z"},
      {"7,3,59 1,23 * * *", "2026-11-20T01:59:00Z", "2026-11-20T23:03:00Z"},
      // Month ends, and the end of the year.
      {"0 0 31 * *", "2026-01-31T00:00:00Z", "2026-03-31T00:00:00Z"},
      {"0 0 30 * *", "2026-01-30T00:00:00Z", "2026-03-30T00:00:00Z"},
      {"59 23 31 12 *", "2026-12-31T23:58:59Z", "2026-12-31T23:59:00Z"},
      {"0 0 1 1 *", "2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z"},
      {"0 0 1 JAN-mar/2 *", "2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z"},
      // Leap days, also over a century without one.
      {"0 12 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T12:00:00Z"},
      {"0 12 29 2 *", "2096-02-29T12:00:00Z", "2104-02-29T12:00:00Z"},
      {"0 0 28-29 FEB *", "2027-02-28T00:00:00Z", "2028-02-28T00:00:00Z"},
      // Days of the week: 20 November 2026 is a Friday.
      {"0 3 * * SAT", "2026-11-20T00:00:00Z", "2026-11-21T03:00:00Z"},
      {"0 3 * * 0", "2026-11-20T00:00:00Z", "2026-11-22T03:00:00Z"},
      {"0 3 * * 7", "2026-11-20T00:00:00Z", "2026-11-22T03:00:00Z"},
      {"0 3 * * 5-7", "2026-11-21T03:00:00Z", "2026-11-22T03:00:00Z"},
      {"0 3 * * mon-fri", "2026-11-20T03:00:00Z", "2026-11-23T03:00:00Z"},
      {"0 3 ? * ?", "2026-11-20T03:00:00Z", "2026-11-21T03:00:00Z"},
      // Either kind of day, where both are restricted; both, where one begins with a star.
      {"0 0 13 * FRI", "2026-11-20T00:00:00Z", "2026-11-27T00:00:00Z"},
      {"0 0 13 * FRI", "2026-12-11T00:00:00Z", "2026-12-13T00:00:00Z"},
      {"0 0 */10 * MON", "2026-11-20T00:00:00Z", "2026-12-21T00:00:00Z"},
      // An hour that clocks skip or repeat elsewhere comes once.
      {"30 2 * * *", "2026-03-28T02:30:00Z", "2026-03-29T02:30:00Z"},
      {"30 2 * * *", "2026-03-29T02:30:00Z", "2026-03-30T02:30:00Z"},
      {"30 2 * * *", "2026-10-25T02:30:00Z", "2026-10-26T02:30:00Z"},
      {" 0\t3  * * * ", "2026-11-20T00:00:00Z", "2026-11-20T03:00:00Z"},
      // Before 1970 as well.
      {"0 0 * * *", "1969-12-30T12:00:00Z", "1969-12-31T00:00:00Z"},
  };
  for (const auto& [text, after, next] : table) {
    const auto schedule = CronSchedule::parse(text);
    ASSERT_TRUE(schedule.has_value()) << text << ": " << schedule.error().message;
    const auto found = schedule->next(at(after));
    ASSERT_TRUE(found.has_value()) << text;
    EXPECT_EQ(format_rfc3339(*found), next) << text << " after " << after;
  }
}

TEST(CronTest, the_latest_time_is_the_other_direction) {
  for (const char* text : {"* * * * *", "*/7 3-5 * * *", "0 0 31 * *", "0 12 29 2 *",
                           "15 4 1,15 * SUN", "59 23 31 12 *"}) {
    const CronSchedule schedule = CronSchedule::parse(text).value();
    WallTime time = at("2027-03-01T10:20:30Z");
    for (int i = 0; i < 50; ++i) {
      const WallTime next = schedule.next(time).value();
      EXPECT_EQ(schedule.latest(next).value(), next) << text;
      EXPECT_EQ(schedule.latest(next + Millis{59'999}).value(), next) << text;
      EXPECT_LE(schedule.latest(next - Millis{1}).value(), time) << text;
      time = next;
    }
  }
}

TEST(CronTest, errors_name_the_field_and_what_was_expected) {
  const std::vector<std::pair<const char*, const char*>> table = {
      {"", "five fields"},
      {"* * * *", "five fields"},
      {"* * * * * *", "five fields"},
      {"@daily", "five fields"},
      {"60 * * * *", "minute: \"60\": expected values from 0 to 59"},
      {"-1 * * * *", "minute"},
      {"* 24 * * *", "hour"},
      {"* * 0 * *", "day of the month: \"0\": expected values from 1 to 31"},
      {"* * 32 * *", "day of the month"},
      {"* * * 13 *", "month"},
      {"* * * JANUARY *", "month"},
      {"* * * * 8", "day of the week"},
      {"*/0 * * * *", "a step is a number from 1"},
      {"*/x * * * *", "a step is a number from 1"},
      {"40-10 * * * *", "ends before it begins"},
      {"1,,2 * * * *", "minute: \"\""},
      {"1- * * * *", "minute: \"1-\""},
      {"0 0 30 2 *", "no such day"},
      {"0 0 31 4,6,9,11 *", "no such day"},
      {"99999999999999999999 * * * *", "minute"},
  };
  for (const auto& [text, message] : table) {
    const auto schedule = CronSchedule::parse(text);
    ASSERT_FALSE(schedule.has_value()) << text;
    EXPECT_EQ(schedule.error().code, Errc::kInvalidArgument);
    EXPECT_THAT(schedule.error().message, HasSubstr(message)) << text;
  }
}

}  // namespace
}  // namespace curfew

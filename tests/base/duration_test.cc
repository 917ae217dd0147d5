#include "base/duration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace curfew {
namespace {

using ::testing::HasSubstr;

TEST(ParseDuration, takes_what_gos_clients_send) {
  struct Case {
    const char* text;
    std::int64_t millis;
  };
  const Case cases[] = {{"", 0},
                        {"0", 0},
                        {"0s", 0},
                        {"90", 90'000},
                        {"90s", 90'000},
                        {"1.5", 1'500},
                        {"1.5h", 5'400'000},
                        {"1h30m", 5'400'000},
                        {"1h0m0s", 3'600'000},
                        {"2d", 172'800'000},
                        {"1d12h", 129'600'000},
                        {"500ms", 500},
                        {"1500us", 2},
                        {"1500µs", 2},
                        {"400us", 0},
                        {"1000000ns", 1},
                        {".5s", 500},
                        {"-1s", -1'000},
                        {"-90", -90'000},
                        {"+5s", 5'000},
                        {"768h", 2'764'800'000},
                        {"2540400h", 9'145'440'000'000}};
  for (const Case& item : cases) {
    const auto parsed = parse_duration(item.text);
    ASSERT_TRUE(parsed.has_value()) << item.text;
    EXPECT_EQ(parsed->count(), item.millis) << item.text;
  }
}

TEST(ParseDuration, refuses_everything_else) {
  for (const char* text : {" ",
                           "s",
                           "-",
                           "+",
                           "--1s",
                           "-+1s",
                           "1h30",
                           "1 h",
                           "1h ",
                           "1x",
                           "1hh",
                           "1,5h",
                           "1e3",
                           "1e3s",
                           "inf",
                           "infs",
                           "nan",
                           "nanm",
                           ".",
                           ".s",
                           "1..5s",
                           "1.2.3",
                           "0x10",
                           "1h-30m",
                           "1w",
                           "forty",
                           "1S",
                           "2600000h",
                           "99999999999999999999d"}) {
    const auto parsed = parse_duration(text);
    ASSERT_FALSE(parsed.has_value()) << text;
    EXPECT_EQ(parsed.error().code, Errc::kInvalidArgument);
    EXPECT_THAT(parsed.error().message, HasSubstr("\"15m\""));
  }
  EXPECT_FALSE(parse_duration(std::string_view("1s\0", 3)).has_value());
}

TEST(ParseDuration, a_long_text_is_not_repeated_whole) {
  const auto parsed = parse_duration(std::string(100'000, 'x'));
  ASSERT_FALSE(parsed.has_value());
  EXPECT_LT(parsed.error().message.size(), 300u);
}

TEST(FormatDuration, as_go_and_without_zeros) {
  struct Case {
    std::int64_t millis;
    const char* go;
    const char* brief;
  };
  const Case cases[] = {{0, "0s", "0s"},
                        {1, "1ms", "1ms"},
                        {90, "90ms", "90ms"},
                        {1'000, "1s", "1s"},
                        {1'500, "1.5s", "1s500ms"},
                        {1'050, "1.05s", "1s50ms"},
                        {60'000, "1m0s", "1m"},
                        {90'000, "1m30s", "1m30s"},
                        {3'600'000, "1h0m0s", "1h"},
                        {5'400'000, "1h30m0s", "1h30m"},
                        {3'600'001, "1h0m0.001s", "1h1ms"},
                        {86'400'000, "24h0m0s", "24h"},
                        {2'764'800'000, "768h0m0s", "768h"},
                        {-1'000, "-1s", "-1s"},
                        {-5'400'000, "-1h30m0s", "-1h30m"}};
  for (const Case& item : cases) {
    EXPECT_EQ(format_duration(Millis{item.millis}), item.go);
    EXPECT_EQ(format_duration_short(Millis{item.millis}), item.brief);
    EXPECT_EQ(parse_duration(item.go).value(), Millis{item.millis});
    EXPECT_EQ(parse_duration(item.brief).value(), Millis{item.millis});
  }
}

TEST(Rfc3339, is_written_in_utc_without_trailing_zeros) {
  struct Case {
    std::int64_t millis;
    const char* text;
  };
  const Case cases[] = {{0, "1970-01-01T00:00:00Z"},
                        {1, "1970-01-01T00:00:00.001Z"},
                        {100, "1970-01-01T00:00:00.1Z"},
                        {-1, "1969-12-31T23:59:59.999Z"},
                        {1'795'139'664'928, "2026-11-20T01:54:24.928Z"},
                        {1'709'164'800'000, "2024-02-29T00:00:00Z"},
                        {253'402'300'799'000, "9999-12-31T23:59:59Z"}};
  for (const Case& item : cases) {
    EXPECT_EQ(format_rfc3339(from_unix_millis(item.millis)), item.text);
    EXPECT_EQ(to_unix_millis(parse_rfc3339(item.text).value()), item.millis);
  }
}

TEST(Rfc3339, takes_offsets_and_finer_fractions) {
  const std::int64_t expected = 1'795'139'664'928;
  for (const char* text :
       {"2026-11-20T01:54:24.928Z", "2026-11-20T01:54:24.928123456Z", "2026-11-20T01:54:24.9289Z",
        "2026-11-20T02:54:24.928+01:00", "2026-11-19T20:24:24.928-05:30",
        "2026-11-20T01:54:24.928+00:00", "2026-11-20T01:54:24.928-00:00"})
    EXPECT_EQ(to_unix_millis(parse_rfc3339(text).value()), expected) << text;
  EXPECT_EQ(parse_rfc3339("2026-11-20T01:54:60Z").value(),
            parse_rfc3339("2026-11-20T01:55:00Z").value());
}

TEST(Rfc3339, refuses_everything_else) {
  const std::string bad[] = {"",
                             "2026-11-20",
                             "2026-11-20T01:54:24",
                             "2026-11-20T01:54Z",
                             "2026-11-20 01:54:24Z",
                             "2026-11-20t01:54:24z",
                             "2026-02-29T00:00:00Z",
                             "2026-13-01T00:00:00Z",
                             "2026-00-01T00:00:00Z",
                             "2026-11-31T00:00:00Z",
                             "2026-11-20T24:00:00Z",
                             "2026-11-20T01:60:00Z",
                             "2026-11-20T01:54:61Z",
                             "2026-11-20T01:54:24.Z",
                             "2026-11-20T01:54:24,5Z",
                             "2026-11-20T01:54:24+0100",
                             "2026-11-20T01:54:24+24:00",
                             "2026-11-20T01:54:24+01:60",
                             "2026-11-20T01:54:24ZZ",
                             "2026-11-20T01:54:24Z ",
                             " 2026-11-20T01:54:24Z",
                             "2026-11-20T 1:54:24Z",
                             "2026-11-20T+1:54:24Z",
                             "2026-1-20T01:54:24Z",
                             "26-11-20T01:54:24Z",
                             "-026-11-20T01:54:24Z",
                             "2026--1-20T01:54:24Z",
                             "1795139664",
                             "2026-11-20T01:54:24." + std::string(43, '0') + "Zjunk"};
  for (const std::string& text : bad) {
    const auto parsed = parse_rfc3339(text);
    ASSERT_FALSE(parsed.has_value()) << text;
    EXPECT_EQ(parsed.error().code, Errc::kInvalidArgument);
    EXPECT_THAT(parsed.error().message, HasSubstr("RFC 3339"));
  }
}

}  // namespace
}  // namespace curfew

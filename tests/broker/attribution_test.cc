#include "broker/attribution.h"

#include <gtest/gtest.h>

namespace curfew::broker {
namespace {

TEST(CleanTextTest, keeps_what_people_write) {
  EXPECT_EQ(clean_text("weekly report für Grüße 日本 🙂", 200),
            "weekly report für Grüße 日本 🙂");
}

TEST(CleanTextTest, drops_what_misleads_the_eye_or_breaks_lines) {
  EXPECT_EQ(clean_text("a\nb\r\tc\x1b[31md\x7f", 100), "abc[31md");
  EXPECT_EQ(clean_text("pay \u202Eevil\u202C \u2066x\u2069 \u200Bz\uFEFF", 100), "pay evil x z");
  EXPECT_EQ(clean_text("line\u2028break", 100), "linebreak");
}

TEST(CleanTextTest, drops_bytes_that_are_not_utf8) {
  EXPECT_EQ(clean_text("a\xff\xc3"
                       "b\xe2\x82",
                       100),
            "ab");
  EXPECT_EQ(clean_text("\xc0\xafx\xed\xa0\x80y", 100), "xy");
}

TEST(CleanTextTest, cuts_at_the_end_of_a_character) {
  EXPECT_EQ(clean_text("aaa\u20ac\u20ac", 6), "aaa\u20ac");
  EXPECT_EQ(clean_text("aaa\u20ac", 5), "aaa");
}

TEST(TraceIdTest, reads_a_valid_header_and_ignores_others) {
  const std::string id = "0af7651916cd43dd8448eb211c80319c";
  EXPECT_EQ(trace_id_of("00-" + id + "-b7ad6b7169203331-01"), id);
  EXPECT_EQ(trace_id_of("01-" + id + "-b7ad6b7169203331-01-more"), id);
  for (const std::string& bad :
       {std::string(), "00-" + id, "00-" + id + "-b7ad6b7169203331-01-more",
        "ff-" + id + "-b7ad6b7169203331-01", "00-" + std::string(32, '0') + "-b7ad6b7169203331-01",
        "00-" + std::string(32, 'A') + "-b7ad6b7169203331-01"})
    EXPECT_EQ(trace_id_of(bad), "") << bad;
}

}  // namespace
}  // namespace curfew::broker

#include "cli/text_output.h"

#include <gtest/gtest.h>

namespace curfew::cli {
namespace {

TEST(TextOutput, ColumnsLineUpUnderALine) {
  EXPECT_EQ(table_text({{"Key", "Value"}, {"lease_id", "a/b"}, {"x", ""}}),
            "Key         Value\n"
            "---         -----\n"
            "lease_id    a/b\n"
            "x           n/a\n");
  // Characters are counted, not bytes; a short row is filled up.
  EXPECT_EQ(table_text({{"Name", "V"}, {"größe", "1"}, {"∞"}}),
            "Name     V\n"
            "----     -\n"
            "größe    1\n"
            "∞        n/a\n");
}

TEST(TextOutput, ValuesLookAsVaultShowsThem) {
  EXPECT_EQ(value_text("text"), "text");
  EXPECT_EQ(value_text(nullptr), "<nil>");
  EXPECT_EQ(value_text(true), "true");
  EXPECT_EQ(value_text(12), "12");
  EXPECT_EQ(value_text(Json::array({"a", 1, nullptr})), "[a 1 <nil>]");
  EXPECT_EQ(value_text(Json{{"b", 1}, {"a", Json::array({"x"})}}), "map[a:[x] b:1]");
  EXPECT_EQ(quoted_list(Json::array({"agent", "default"})), R"(["agent" "default"])");
  EXPECT_EQ(quoted_list(nullptr), "[]");
}

TEST(TextOutput, DurationsAreShortAndOnlyWhereTheNameSaysSo) {
  EXPECT_EQ(duration_text(3600), "1h");
  EXPECT_EQ(duration_text(3599), "59m59s");
  EXPECT_EQ(duration_text(2764800), "768h");
  EXPECT_EQ(duration_text(0), "0s");
  EXPECT_EQ(duration_text(-90), "-1m30s");
  EXPECT_EQ(duration_text("1h0m0s"), "1h");
  EXPECT_EQ(duration_text("whenever"), "whenever");
  EXPECT_EQ(duration_text(INT64_MAX), "9223372036854775807");
  for (const char* name : {"ttl", "creation_ttl", "period", "token_period", "lease_duration"}) {
    EXPECT_TRUE(names_duration(name)) << name;
  }
  for (const char* name : {"battle", "title", "ttls", "username", "throttl"}) {
    EXPECT_FALSE(names_duration(name)) << name;
  }
}

TEST(TextOutput, ControlCharactersAreSpelledOut) {
  EXPECT_EQ(printable("a\x1b[31mb\x07\x7f"), "a\\x1b[31mb\\x07\\x7f");
  EXPECT_EQ(printable("two\nlines\tand a tab"), "two\nlines\tand a tab");
  EXPECT_EQ(printable("\xC2\x9B"), "\\x9b");
  EXPECT_EQ(printable("größe ∞"), "größe ∞");
}

TEST(TextOutput, WhatTurnsOrHidesTextIsSpelledOut) {
  EXPECT_EQ(printable("a\u202eb\u2066c\u200bd\ufeff"), "a\\u{202e}b\\u{2066}c\\u{200b}d\\u{feff}");
  EXPECT_EQ(printable("\xff\xe2\x80"), "\xff\xe2\x80") << "no UTF-8 stays as it is";
}

TEST(TextOutput, OneLineStaysOne) {
  EXPECT_EQ(one_line("a\nb\tc\r"), "a\\nb\\tc\\x0d");
}

TEST(TextOutput, PlainTextIsWhatIsLeft) {
  EXPECT_EQ(plain_text("a\x1b[1m\u202eb\nc\td\xff\u2028é"), "a[1mb\ncdé");
}

TEST(TextOutput, JsonKeepsTheOrderAndNeverFails) {
  OrderedJson value = OrderedJson::object();
  value["z"] = 1;
  value["a"] = "\xff";
  EXPECT_EQ(json_text(value), "{\n  \"z\": 1,\n  \"a\": \"\xEF\xBF\xBD\"\n}\n");
}

TEST(TextOutput, YamlNestsAndQuotesWhatCouldBeTakenForSomethingElse) {
  const OrderedJson value = OrderedJson::parse(R"({
    "plain": "agent-readonly", "path": "database/creds/ro", "number": 3, "none": null,
    "yes": "no", "digits": "123", "colon": "a: b", "lines": "a\nb", "empty": "",
    "list": ["x", {"k": "v", "l": [1, 2]}, []], "object": {}})");
  EXPECT_EQ(yaml_text(value),
            "plain: agent-readonly\n"
            "path: database/creds/ro\n"
            "number: 3\n"
            "none: null\n"
            "\"yes\": \"no\"\n"
            "digits: \"123\"\n"
            "colon: \"a: b\"\n"
            "lines: \"a\\nb\"\n"
            "empty: \"\"\n"
            "list:\n"
            "  - x\n"
            "  - k: v\n"
            "    l:\n"
            "      - 1\n"
            "      - 2\n"
            "  - []\n"
            "object: {}\n");
  EXPECT_EQ(yaml_text(OrderedJson::array({"a", "b"})), "- a\n- b\n");
  EXPECT_EQ(yaml_text(OrderedJson("x")), "x\n");
}

TEST(TextOutput, PrettyIndentsWhatIsNested) {
  const Json value = Json::parse(R"({
    "lease_id": "a/b", "ttl": 90, "gone": true, "error": null,
    "phases": [{"phase": "lock_out", "at": "12:00"}, {"phase": "drop", "at": "12:01"}],
    "checks": {"sessions": 0}, "databases": ["app", "log"], "left": []})");
  EXPECT_EQ(pretty_text(value),
            "checks:\n"
            "  sessions    0\n"
            "databases:\n"
            "  - app\n"
            "  - log\n"
            "error       -\n"
            "gone        true\n"
            "lease_id    a/b\n"
            "left        -\n"
            "phases:\n"
            "  - at       12:00\n"
            "    phase    lock_out\n"
            "  - at       12:01\n"
            "    phase    drop\n"
            "ttl         1m30s\n");
}

}  // namespace
}  // namespace curfew::cli

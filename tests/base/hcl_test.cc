#include "base/hcl.h"

#include <gtest/gtest.h>

namespace curfew::hcl {
namespace {

Value parsed(std::string_view text) {
  auto result = parse(text);
  EXPECT_TRUE(result) << (result ? "" : result.error().message);
  return result ? *result : Value{};
}

std::string json(std::string_view text) {
  return to_json(parsed(text)).dump();
}

std::string error(std::string_view text, const Limits& limits = {}) {
  const auto result = parse(text, limits);
  return result ? "no error: " + to_json(*result).dump() : result.error().message;
}

TEST(Hcl, EmptyTextIsAnEmptyObject) {
  EXPECT_EQ(json(""), "{}");
  EXPECT_EQ(json(" \r\n\t "), "{}");
  EXPECT_EQ(json("# nothing\n// here\n/* at\n all */"), "{}");
}

TEST(Hcl, ReadsEveryKindOfValue) {
  EXPECT_EQ(
      json(R"(a = "x" b = 12 c = -3 d = 1.5 e = true f = false g = ["x", 1, [2]] h = { i = 1 })"),
      R"({"a":"x","b":12,"c":-3,"d":1.5,"e":true,"f":false,"g":["x",1,[2]],"h":{"i":1}})");
  EXPECT_EQ(json("a = 0x1F b = -0x10 c = 1e3 d = 2.5E-1"),
            R"({"a":31,"b":-16,"c":1000.0,"d":0.25})");
  EXPECT_EQ(json("a = 18446744073709551615 b = -9223372036854775807 c = 0"),
            R"({"a":18446744073709551615,"b":-9223372036854775807,"c":0})");
}

TEST(Hcl, BlocksNestUnderTheirNames) {
  EXPECT_EQ(json("path \"a/b\" { x = 1 }\npath \"c\" { }\nlistener tcp { port = 1, host = \"h\" }"),
            R"({"listener":{"tcp":{"host":"h","port":1}},"path":{"a/b":{"x":1},"c":{}}})");
  const Value root = parsed("path \"a\" { x = 1 }");
  ASSERT_EQ(root.items.size(), 1u);
  ASSERT_EQ(root.items[0].keys.size(), 2u);
  EXPECT_EQ(root.items[0].keys[1].text, "a");
}

TEST(Hcl, ItemsNeedNoSeparator) {
  EXPECT_EQ(json("x { a = [1,] b = 2, c = 3 } y = 1"), R"({"x":{"a":[1],"b":2,"c":3},"y":1})");
}

TEST(Hcl, NamesMayHoldDashesAndDots) {
  EXPECT_EQ(json("min-chars = 1 a.b = 2 _c9 = 3 \"with space\" = 4"),
            R"({"_c9":3,"a.b":2,"min-chars":1,"with space":4})");
}

TEST(Hcl, CommentsStandAnywhere) {
  EXPECT_EQ(json("a # x\n= /* y \" */ [ // z\n 1, /**/ 2 ] # end"), R"({"a":[1,2]})");
  EXPECT_EQ(json("a = \"# not // a /* comment\""), R"({"a":"# not // a /* comment"})");
}

TEST(Hcl, ResolvesEscapes) {
  const Value root = parsed(R"(a = "\"\\\/\n\r\t\b\f\a\v\x41\u00e9\U0001F600\uD83D\uDE00")");
  EXPECT_EQ(root.items[0].value.text,
            "\"\\/\n\r\t\b\f\a\v"
            "A\xC3\xA9\xF0\x9F\x98\x80\xF0\x9F\x98\x80");
}

TEST(Hcl, DollarBraceHasNoMeaning) {
  EXPECT_EQ(json("a = \"!@#${\" b = \"${x}\""), "{\"a\":\"!@#${\",\"b\":\"${x}\"}");
}

TEST(Hcl, HeredocKeepsItsLines) {
  EXPECT_EQ(json("a = <<END\n  x \"y\"\n\nz\\n\nEND\nb = 1"),
            R"({"a":"  x \"y\"\n\nz\\n\n","b":1})");
  EXPECT_EQ(json("a = <<END\nEND"), R"({"a":""})");
  EXPECT_EQ(json("a = [<<A\nx\nA\n, <<B\ny\nB\n]"), R"({"a":["x\n","y\n"]})");
}

TEST(Hcl, IndentedHeredocLosesTheIndentOfItsMarker) {
  EXPECT_EQ(json("a = <<-END\n    one\n\n      two\n    END\n"), R"({"a":"one\n\n  two\n"})");
  // A line that is indented less keeps all lines as they are.
  EXPECT_EQ(json("a = <<-END\n    one\n two\n    END\n"), R"({"a":"    one\n two\n"})");
  EXPECT_EQ(json("a = <<END\n  one\n  END\n"), R"({"a":"  one\n"})");
}

TEST(Hcl, EveryNodeKnowsItsPlace) {
  const Value root =
      parsed("# \xC3\xA9\npath \"\xC3\xA9\" {\n  caps = [\"read\",\n    \"x\"]\n}\n");
  const Item& path = root.items[0];
  EXPECT_EQ(path.keys[0].at, (Position{2, 1}));
  EXPECT_EQ(path.keys[1].at, (Position{2, 6}));
  EXPECT_EQ(path.value.at, (Position{2, 10}));
  const Item& caps = path.value.items[0];
  EXPECT_EQ(caps.keys[0].at, (Position{3, 3}));
  EXPECT_EQ(caps.value.at, (Position{3, 10}));
  EXPECT_EQ(caps.value.list[0].at, (Position{3, 11}));
  EXPECT_EQ(caps.value.list[1].at, (Position{4, 5}));
}

TEST(Hcl, JsonGivesTheSameTree) {
  EXPECT_EQ(json(" {\"a\": {\"b\": [1, true, \"x\\u0041\\/\"], \"c\": -1.5e1}}"),
            R"({"a":{"b":[1,true,"xA/"],"c":-15.0}})");
  EXPECT_EQ(json("{}"), "{}");
  const Value root = parsed("{\n  \"a\":\n   1}");
  EXPECT_EQ(root.items[0].keys[0].at, (Position{2, 3}));
  EXPECT_EQ(root.items[0].value.at, (Position{3, 4}));
}

TEST(Hcl, JsonKeepsRepeatedKeys) {
  EXPECT_EQ(parsed(R"({"a":1,"a":2})").items.size(), 2u);
}

TEST(Hcl, JsonIsReadStrictly) {
  EXPECT_EQ(error("{\"a\":1,}"), "line 1, column 8: expected a key in quotes, got \"}\"");
  EXPECT_EQ(error("{\"a\" 1}"), "line 1, column 6: expected \":\" behind a key, got \"1\"");
  EXPECT_EQ(error("{\"a\" = 1}"), "line 1, column 6: expected \":\" behind a key, got \"=\"");
  EXPECT_EQ(error("{a: 1}"), "line 1, column 2: expected a key in quotes, got \"a\"");
  EXPECT_EQ(error("{\"a\":[1,]}"), "line 1, column 9: expected a value, got \"]\"");
  EXPECT_EQ(error("{\"a\":1 \"b\":2}"),
            "line 1, column 8: expected \",\" or \"}\" in an object, got a string");
  EXPECT_EQ(error("{\"a\":null}"),
            "line 1, column 6: expected a value other than null, got a bare word");
  EXPECT_EQ(error("{} {}"), "line 1, column 4: expected the end of the text, got \"{\"");
  EXPECT_NE(error("{ # no\n}").find("line 1, column 3"), std::string::npos);
  EXPECT_NE(error("{\"a\": 0x10}").find("line 1, column 7"), std::string::npos);
}

TEST(Hcl, ErrorsSayWhereAndWhatWasExpected) {
  EXPECT_EQ(error("path \"x\" {\n  capabilities = [\"read\"\n}"),
            "line 3, column 1: expected \",\" or \"]\" in a list, got \"}\"");
  EXPECT_EQ(error("path \"x\" {\n a = 1\n"),
            "line 3, column 1: expected \"}\" for the \"{\" of line 1, column 10, got the end of "
            "the text");
  EXPECT_EQ(error("a = "), "line 1, column 5: expected a value, got the end of the text");
  EXPECT_EQ(error("a"),
            "line 1, column 2: expected \"=\", \"{\" or a block's name, got the end of the text");
  EXPECT_EQ(error("a \"b\" = 1"),
            "line 1, column 7: expected \"{\" behind the names of a block, got \"=\"");
  EXPECT_EQ(error("a \"b\" 1"), "line 1, column 7: expected \"{\" or a block's name, got \"1\"");
  EXPECT_EQ(error("a: 1"), "line 1, column 2: expected \"=\" behind a name, got \":\"");
  EXPECT_EQ(error("a = \"x"),
            "line 1, column 5: expected a closing '\"' for this string, got the end of the text");
  EXPECT_EQ(error("a = \"x\nb\""),
            "line 1, column 5: expected a closing '\"' for this string, got the end of the line");
  EXPECT_EQ(error("}"), "line 1, column 1: expected a name, got \"}\"");
  EXPECT_EQ(error("a = 1\n\xC3\xA9 = 2"),
            "line 2, column 1: expected a name, a value or a closing bracket, got \"\xC3\xA9\"");
  EXPECT_EQ(error("a = 1 /* x"),
            "line 1, column 7: expected \"*/\" to end this comment, got the end of the text");
  EXPECT_EQ(error("a = <<END\nx\n"),
            "line 1, column 5: expected \"END\" alone on a line to end this text, got the end of "
            "the text");
  EXPECT_NE(error("a = <<\nx\n").find("line 1, column 5: expected a text such as <<END"),
            std::string::npos);
  EXPECT_NE(error("a = <<E D\nx\nE").find("line 1, column 5"), std::string::npos);
}

TEST(Hcl, RefusesNumbersThatMeanDifferentThingsToDifferentReaders) {
  for (const char* text : {"a = 010", "a = 1x", "a = 1.2.3", "a = -", "a = 0x", "a = 1e", "a = --1",
                           "a = 1e999", "a = 0x1G", "a = 1-2"})
    EXPECT_NE(error(text).find("line 1, column 5: expected a number"), std::string::npos) << text;
}

TEST(Hcl, RefusesBadEscapes) {
  for (const char* text : {R"(a = "\q")", R"(a = "\x80")", R"(a = "\x0")", R"(a = "\u12")",
                           R"(a = "\uD800")", R"(a = "\uDC00")", R"(a = "\uD800\u0041")",
                           R"(a = "\U00110000")", R"(a = "\u0000")", R"(a = "\x+1")", R"(a = "\)"})
    EXPECT_NE(error(text).find("line 1, column "), std::string::npos) << text;
  EXPECT_EQ(error("a = \"ab\\q\"").substr(0, 42), "line 1, column 8: expected an escape: one ");
}

TEST(Hcl, RefusesWhatIsNoText) {
  EXPECT_NE(error("a = \"\xFF\"").find("line 1, column 6: expected UTF-8"), std::string::npos);
  EXPECT_NE(error(std::string_view("a = 1\n\0b", 8)).find("line 2, column 1"), std::string::npos);
  EXPECT_NE(error("a = \"\xC0\x80\"").find("UTF-8"), std::string::npos);      // overlong
  EXPECT_NE(error("a = \"\xED\xA0\x80\"").find("UTF-8"), std::string::npos);  // a surrogate
  EXPECT_NE(error("a = \"\xE2\x82").find("UTF-8"), std::string::npos);        // cut short
  EXPECT_EQ(json("\xEF\xBB\xBF"
                 "a = 1"),
            R"({"a":1})");
}

TEST(Hcl, ErrorsShowNoUnquotedSecret) {
  EXPECT_EQ(error("password = hunter2").find("hunter2"), std::string::npos);
  EXPECT_EQ(error("password = 123hunter2").find("hunter2"), std::string::npos);
  EXPECT_EQ(error("password = \"hunter2\" \"hunter2\" 1").find("hunter2"), std::string::npos);
}

TEST(Hcl, DepthIsBounded) {
  const auto nested = [](int depth, char open, char close) {
    return "a = " + std::string(static_cast<std::size_t>(depth), open) +
           std::string(static_cast<std::size_t>(depth), close);
  };
  EXPECT_TRUE(parse(nested(32, '[', ']')));
  const auto deep = parse(nested(33, '[', ']'));
  ASSERT_FALSE(deep);
  EXPECT_EQ(deep.error().code, Errc::kTooLarge);
  EXPECT_NE(
      deep.error().message.find("line 1, column 37: lists and objects are nested deeper than 32"),
      std::string::npos);
  EXPECT_FALSE(parse(nested(1'000'000, '[', ']')));
  std::string blocks;
  for (int i = 0; i < 200'000; ++i) blocks += "a {";
  EXPECT_FALSE(parse(blocks));
  std::string objects = "{";
  for (int i = 0; i < 100'000; ++i) objects += "\"a\":{";
  EXPECT_FALSE(parse(objects));
}

TEST(Hcl, SizeIsBounded) {
  const auto large = parse(std::string((std::size_t{1} << 20) + 1, ' '));
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, Errc::kTooLarge);
  std::string many = "a = [";
  for (int i = 0; i < 100'001; ++i) many += "1,";
  const auto values = parse(many + "]");
  ASSERT_FALSE(values);
  EXPECT_EQ(values.error().code, Errc::kTooLarge);
  EXPECT_NE(error("a = [1,2,3]", {.values_max = 3}).find("more than 3 values"), std::string::npos);
  EXPECT_NE(error("a b c d e f g h i {}").find("more than 8 names"), std::string::npos);
}

TEST(Hcl, ReadsAFullSizedTextFast) {
  std::string text;
  while (text.size() < 900'000)
    text += "path \"secret/data/team/x\" { capabilities = [\"read\", \"list\"] }\n";
  const auto result = parse(text);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_GT(result->items.size(), 10'000u);
}

}  // namespace
}  // namespace curfew::hcl

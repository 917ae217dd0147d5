#include "base/hcl_section.h"

#include <gtest/gtest.h>

namespace curfew::hcl {
namespace {

Value parsed(std::string_view text) {
  auto result = parse(text);
  EXPECT_TRUE(result) << (result ? "" : result.error().message);
  return result ? *result : Value{};
}

template <class T>
std::string message(const Result<T>& result) {
  return result ? "no error" : result.error().message;
}

TEST(HclSection, ReadsEveryType) {
  const Value root = parsed(R"(
    text = "x"  count = 12  hex = 0x10  text_count = "7"  on = true  off = "false"
    ttl = "1h30m"  seconds = 90  names = ["a", "b"]  port = 8200)");
  Section section(root, "");
  EXPECT_EQ(**section.text("text"), "x");
  EXPECT_EQ(**section.integer("count"), 12);
  EXPECT_EQ(**section.integer("hex"), 16);
  EXPECT_EQ(**section.integer("text_count"), 7);
  EXPECT_TRUE(**section.boolean("on"));
  EXPECT_FALSE(**section.boolean("off"));
  EXPECT_EQ(**section.duration("ttl"), Millis{5'400'000});
  EXPECT_EQ(**section.duration("seconds"), Millis{90'000});
  EXPECT_EQ(**section.text_list("names"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(**section.text("port"), "8200");
  EXPECT_EQ(**section.text("on"), "true");
  EXPECT_TRUE(section.finish());
}

TEST(HclSection, AbsentMembersGiveNothingOrTheDefault) {
  const Value root = parsed("");
  Section section(root, "");
  EXPECT_FALSE(section.text("a")->has_value());
  EXPECT_FALSE(section.integer("a")->has_value());
  EXPECT_FALSE(section.boolean("a")->has_value());
  EXPECT_FALSE(section.duration("a")->has_value());
  EXPECT_FALSE(section.text_list("a")->has_value());
  EXPECT_FALSE(section.block("a")->has_value());
  EXPECT_EQ(*section.value("a"), nullptr);
  EXPECT_EQ(*section.text_or("a", "d"), "d");
  EXPECT_EQ(*section.integer_or("a", 5), 5);
  EXPECT_EQ(*section.boolean_or("a", true), true);
  EXPECT_EQ(*section.duration_or("a", Millis{7}), Millis{7});
  EXPECT_TRUE(section.blocks("a")->empty());
  EXPECT_TRUE(section.labelled_blocks("a")->empty());
  EXPECT_TRUE(section.finish());
}

TEST(HclSection, WrongTypesAreNamedWithTheirPlace) {
  const Value root = parsed("a = [1]\nb = \"x\"\nc = {}\nd = \"-5s\"\ne = 1.5\nf = \"\"\ng = []");
  Section section(root, "listener");
  EXPECT_EQ(message(section.text("a")),
            "listener: line 1, column 5: a: expected a string, got a list");
  EXPECT_EQ(message(section.integer("b")),
            "listener: line 2, column 5: b: expected a whole number");
  EXPECT_EQ(message(section.integer("c")),
            "listener: line 3, column 5: c: expected a whole number, got an object");
  EXPECT_EQ(message(section.integer("e")),
            "listener: line 5, column 5: e: expected a whole number");
  EXPECT_EQ(message(section.boolean("b")), "listener: line 2, column 5: b: expected true or false");
  EXPECT_NE(message(section.duration("d")).find("line 4, column 5: d: expected a duration"),
            std::string::npos);
  EXPECT_NE(message(section.duration("f")).find("line 6"), std::string::npos);
  EXPECT_NE(message(section.duration("c")).find("got an object"), std::string::npos);
  EXPECT_EQ(message(section.text_list("b")),
            "listener: line 2, column 5: b: expected a list of strings, got a string");
  EXPECT_EQ(message(section.text_list("a")),
            "listener: line 1, column 6: a: expected a list of strings, got a number");
  EXPECT_EQ(message(section.block("g")),
            "listener: line 7, column 5: g: expected an object, got a list");
  EXPECT_EQ(message(section.block("b")),
            "listener: line 2, column 5: b: expected an object, got a string");
}

TEST(HclSection, AMemberSetTwiceIsAnError) {
  const Value root = parsed("a = 1\na = 2\nb {}\nb {}\nc \"x\" {}");
  Section section(root, "");
  EXPECT_EQ(message(section.integer("a")),
            "line 2, column 1: a is set twice; it is first set at line 1, column 1");
  EXPECT_EQ(message(section.block("b")),
            "line 4, column 1: b is set twice; it is first set at line 3, column 1");
  EXPECT_NE(message(section.text("c")).find("line 5, column 3: expected \"=\""), std::string::npos);
  EXPECT_NE(message(section.blocks("c")).find("line 5, column 3: expected \"{\""),
            std::string::npos);
  EXPECT_EQ(section.blocks("b")->size(), 2u);
}

TEST(HclSection, FinishRefusesWhatNobodyAskedFor) {
  const Value root = parsed("good = 1\n  bogus = 2");
  Section section(root, "path \"x\"");
  EXPECT_TRUE(section.integer("good"));
  EXPECT_TRUE(section.integer("other"));
  EXPECT_EQ(message(section.finish()),
            "path \"x\": invalid key \"bogus\" on line 2, column 3: expected one of good, other");
}

std::string labels(const Value& root, std::string_view name) {
  Section section(root, "");
  const auto blocks = section.labelled_blocks(name);
  if (!blocks) return blocks.error().message;
  std::string out;
  for (const Block& block : *blocks)
    out += block.label + to_json(*block.body).dump() + "@" + std::to_string(block.at.column) + " ";
  return out;
}

TEST(HclSection, LabelledBlocksComeInEveryForm) {
  EXPECT_EQ(labels(parsed(R"(p "a" { x = 1 } p "b" {} p "a" {})"), "p"),
            R"(a{"x":1}@3 b{}@19 a{}@28 )");
  EXPECT_EQ(labels(parsed(R"(p = { "a" = { x = 1 } b {} })"), "p"), R"(a{"x":1}@7 b{}@23 )");
  EXPECT_EQ(labels(parsed(R"({"p":{"a":{"x":1},"b":{}}})"), "p"), R"(a{"x":1}@7 b{}@19 )");
  EXPECT_EQ(labels(parsed(R"({"p":[{"a":{"x":1}},{"b":[{},{"y":2}]}]})"), "p"),
            R"(a{"x":1}@8 b{}@22 b{"y":2}@22 )");
}

TEST(HclSection, LabelledBlocksThatAreNoneSayWhatIsExpected) {
  EXPECT_EQ(labels(parsed("p = 1"), "p"),
            "line 1, column 5: p: expected a block of the form p \"…\" { … }, got a number");
  EXPECT_NE(labels(parsed("p { a = 1 }"), "p").find("line 1, column 9"), std::string::npos);
  EXPECT_NE(labels(parsed("p { a = [1] }"), "p").find("line 1, column 10"), std::string::npos);
  EXPECT_NE(labels(parsed("p { a = [] }"), "p").find("line 1, column 9"), std::string::npos);
  EXPECT_NE(labels(parsed("p = []"), "p").find("line 1, column 5"), std::string::npos);
  EXPECT_NE(labels(parsed("p = [1]"), "p").find("line 1, column 6"), std::string::npos);
  EXPECT_NE(labels(parsed("p \"a\" \"b\" {}"), "p").find("line 1, column 7"), std::string::npos);
  EXPECT_NE(labels(parsed("p { a \"b\" {} }"), "p").find("line 1, column 7"), std::string::npos);
}

TEST(HclSection, PlacesOfMembers) {
  const Value root = parsed("a = 1\n b = 2");
  const Section section(root, "it");
  EXPECT_EQ(section.position("b"), (Position{2, 2}));
  EXPECT_EQ(section.error("b", "is odd").message, "it: line 2, column 2: is odd");
  EXPECT_EQ(section.error("c", "is missing").message, "it: line 1, column 1: is missing");
}

}  // namespace
}  // namespace curfew::hcl

#include "base/encoding.h"

#include <gtest/gtest.h>

namespace curfew {
namespace {

std::string all_bytes() {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  return bytes;
}

TEST(Hex, goes_both_ways) {
  EXPECT_EQ(hex_encode(""), "");
  EXPECT_EQ(hex_encode(std::string("\x00\x0f\xff", 3)), "000fff");
  EXPECT_EQ(hex_decode("000FfF"), std::string("\x00\x0f\xff", 3));
  EXPECT_EQ(hex_decode(hex_encode(all_bytes())), all_bytes());
  for (const char* text : {"0", "0g", "0x00", " 00", "00 ", "\xc3\xa4"})
    EXPECT_EQ(hex_decode(text), std::nullopt) << text;
}

TEST(Base64, known_values) {
  struct Case {
    const char* plain;
    const char* text;
  };
  // RFC 4648, section 10.
  for (const Case& item :
       {Case{"", ""}, Case{"f", "Zg=="}, Case{"fo", "Zm8="}, Case{"foo", "Zm9v"},
        Case{"foob", "Zm9vYg=="}, Case{"fooba", "Zm9vYmE="}, Case{"foobar", "Zm9vYmFy"}}) {
    EXPECT_EQ(base64_encode(item.plain), item.text);
    EXPECT_EQ(base64_decode(item.text), item.plain);
  }
}

TEST(Base64, takes_both_alphabets_with_and_without_padding) {
  const std::string bytes("\xfb\xff\xfe\x3f", 4);
  for (const char* text : {"+//+Pw==", "+//+Pw", "-__-Pw==", "-__-Pw"})
    EXPECT_EQ(base64_decode(text), bytes) << text;
  for (std::size_t length = 0; length <= 256; ++length) {
    const std::string part = all_bytes().substr(0, length);
    EXPECT_EQ(base64_decode(base64_encode(part)), part);
  }
}

TEST(Base64, refuses_everything_else) {
  for (const char* text : {"A", "Zg=", "Zg===", "Zg====", "=", "==", "====", "Zm9v=", "Z=g=",
                           "Zm9v\n", "Zm 9v", "Zm9v!", "=Zm9", "Zh==", "Zh", "Zm9=", "Zm8=Zm8="})
    EXPECT_EQ(base64_decode(text), std::nullopt) << text;
}

TEST(Percent, goes_both_ways) {
  EXPECT_EQ(percent_encode("aZ09-._~"), "aZ09-._~");
  EXPECT_EQ(percent_encode("a b/c%"), "a%20b%2fc%25");
  EXPECT_EQ(percent_decode("a%20b%2Fc%25"), "a b/c%");
  EXPECT_EQ(percent_decode("a+b"), "a+b");
  EXPECT_EQ(percent_decode(percent_encode(all_bytes())), all_bytes());
  for (const char* text : {"%", "%2", "a%2", "%zz", "%2g", "100%", "%%20"})
    EXPECT_EQ(percent_decode(text), std::nullopt) << text;
}

}  // namespace
}  // namespace curfew

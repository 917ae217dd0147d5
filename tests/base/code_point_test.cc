#include "base/code_point.h"

#include <gtest/gtest.h>

namespace curfew {
namespace {

TEST(CodePoint, ReadsOneCharacter) {
  EXPECT_EQ(first_code_point("ab").value, 'a');
  EXPECT_EQ(first_code_point("ab").length, 1u);
  EXPECT_EQ(first_code_point("\u00e9x").value, 0xe9u);
  EXPECT_EQ(first_code_point("\u20ac").length, 3u);
  EXPECT_EQ(first_code_point("\U0001f600").value, 0x1f600u);
}

TEST(CodePoint, WhatIsNotUtf8HasNoLength) {
  for (const char* bad :
       {"\xff", "\xc3", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80"})
    EXPECT_EQ(first_code_point(bad).length, 0u);
}

TEST(CodePoint, SomeMislead) {
  for (const std::uint32_t c : {0x00u, 0x1bu, 0x0au, 0x7fu, 0x9bu, 0x61cu, 0x200bu, 0x200eu,
                                0x2028u, 0x202eu, 0x2069u, 0xfeffu, 0xe0041u})
    EXPECT_TRUE(misleads(c)) << c;
  for (const std::uint32_t c : {0x20u, 0x61u, 0xe9u, 0x20acu, 0x200du, 0x1f600u})
    EXPECT_FALSE(misleads(c)) << c;
}

}  // namespace
}  // namespace curfew

#include "base/secret.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <new>
#include <sstream>

namespace curfew {
namespace {

// The object's own bytes: where libstdc++ keeps texts of up to 15 characters.
struct Place {
  alignas(Secret) std::array<std::byte, sizeof(Secret)> bytes{};

  std::string_view view() const {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  bool holds(std::string_view text) const { return view().find(text) != std::string_view::npos; }
};

TEST(Secret, prints_as_redacted) {
  std::ostringstream out;
  out << Secret("hunter2");
  EXPECT_EQ(out.str(), "[redacted]");
  EXPECT_EQ(::testing::PrintToString(Secret("hunter2")), "[redacted]");
}

TEST(Secret, compares_by_value) {
  EXPECT_EQ(Secret("a"), Secret("a"));
  EXPECT_FALSE(Secret("a") == Secret("b"));
  EXPECT_FALSE(Secret("a") == Secret("aa"));
  EXPECT_EQ(Secret(), Secret(""));
  EXPECT_TRUE(Secret().empty());
  EXPECT_TRUE(constant_time_equal("", std::string_view()));
  EXPECT_FALSE(constant_time_equal(std::string_view("a\0b", 3), std::string_view("a\0c", 3)));
}

TEST(Secret, destruction_leaves_no_characters) {
  Place place;
  auto* secret = new (place.bytes.data()) Secret("hunter2");
  ASSERT_TRUE(place.holds("hunter2"));
  secret->~Secret();
  EXPECT_FALSE(place.holds("hunter2"));
  EXPECT_FALSE(place.holds("unter2"));
}

TEST(Secret, moving_leaves_no_characters) {
  Place place;
  auto* secret = new (place.bytes.data()) Secret("hunter2");
  const Secret taken(std::move(*secret));
  EXPECT_EQ(taken.reveal(), "hunter2");
  EXPECT_TRUE(secret->empty());
  EXPECT_FALSE(place.holds("unter2"));
  *secret = Secret("hunter3");
  Secret assigned("other");
  assigned = std::move(*secret);
  EXPECT_EQ(assigned.reveal(), "hunter3");
  EXPECT_FALSE(place.holds("unter3"));
  secret->~Secret();
}

TEST(Secret, assignment_leaves_no_longer_value_behind) {
  Place place;
  auto* secret = new (place.bytes.data()) Secret("hunter2-abc");
  *secret = Secret("x");
  EXPECT_FALSE(place.holds("ter2-abc"));
  const Secret other("hunter4-abc");
  *secret = other;
  EXPECT_EQ(secret->reveal(), "hunter4-abc");
  *secret = Secret();
  EXPECT_FALSE(place.holds("ter4-abc"));
  secret->~Secret();
}

TEST(Secret, survives_assignment_to_itself) {
  Secret secret("hunter2, which is longer than fifteen characters");
  Secret& same = secret;
  secret = same;
  EXPECT_EQ(secret.reveal(), "hunter2, which is longer than fifteen characters");
  secret = std::move(same);
  EXPECT_EQ(secret.reveal(), "hunter2, which is longer than fifteen characters");
}

TEST(Zero, overwrites_the_whole_capacity) {
  std::string text(100, 'x');
  text.resize(10);
  const char* const data = text.data();
  const std::size_t capacity = text.capacity();
  zero(text);
  EXPECT_TRUE(text.empty());
  ASSERT_EQ(text.data(), data);
  // Seen through the string itself, which still owns the memory.
  for (std::size_t i = 0; i < capacity; ++i) ASSERT_EQ(std::memchr(data + i, 'x', 1), nullptr);
}

}  // namespace
}  // namespace curfew

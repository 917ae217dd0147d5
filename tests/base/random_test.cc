#include "base/random.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <map>
#include <set>

#include "tests/fakes/seeded_random.h"

namespace curfew {
namespace {

// Gives the bytes it was made with, over and over.
class FixedRandom final : public Random {
 public:
  explicit FixedRandom(std::string bytes) : bytes_(std::move(bytes)) {}
  void fill(std::span<std::byte> out) override {
    for (std::byte& byte : out) byte = static_cast<std::byte>(bytes_[next_++ % bytes_.size()]);
  }

 private:
  const std::string bytes_;
  std::size_t next_ = 0;
};

std::string as_bytes(std::uint32_t value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

TEST(RandomBelow, draws_every_number_equally_often) {
  fakes::SeededRandom random(7);
  std::array<int, 10> counts{};
  for (int i = 0; i < 100'000; ++i) ++counts[random_below(random, 10)];
  double chi_square = 0;
  for (const int count : counts) chi_square += (count - 10'000) * (count - 10'000) / 10'000.0;
  EXPECT_LT(chi_square, 33.7);  // 9 degrees of freedom: above it once in 10,000 seeds
}

TEST(RandomBelow, draws_again_where_a_remainder_would_be_uneven) {
  // 2^32 is 3 * 1431655765 + 1: the last number alone would make 0 more likely.
  FixedRandom last(as_bytes(0xffffffffu) + as_bytes(5));
  EXPECT_EQ(random_below(last, 3), 2u);
  FixedRandom before(as_bytes(0xfffffffeu));
  EXPECT_EQ(random_below(before, 3), 2u);
  // Of 2^32 numbers nearly half are drawn again for this bound.
  FixedRandom half(as_bytes(0x80000001u) + as_bytes(0x80000000u));
  EXPECT_EQ(random_below(half, 0x80000001u), 0x80000000u);
}

TEST(RandomBelow, bounds) {
  fakes::SeededRandom random;
  for (int i = 0; i < 100; ++i) EXPECT_EQ(random_below(random, 1), 0u);
  FixedRandom greatest(as_bytes(0xfffffffeu));
  EXPECT_EQ(random_below(greatest, 0xffffffffu), 0xfffffffeu);
}

TEST(RandomText, draws_every_character_equally_often) {
  fakes::SeededRandom random(11);
  const std::string text = random_base62(random, 62'000);
  std::map<char, int> counts;
  for (const char c : text) ++counts[c];
  ASSERT_EQ(counts.size(), 62u);
  double chi_square = 0;
  for (const auto& [c, count] : counts) chi_square += (count - 1000) * (count - 1000) / 1000.0;
  EXPECT_LT(chi_square, 110);  // 61 degrees of freedom: above it once in 10,000 seeds
}

TEST(RandomText, drops_bytes_that_would_be_uneven) {
  // 256 is 2 * 100 + 56: bytes from 200 on are not used.
  std::string alphabet;
  for (int i = 0; i < 100; ++i) alphabet += static_cast<char>(i);
  FixedRandom random(std::string("\xc8\xff\xc7\x63", 4));
  EXPECT_EQ(random_text(random, alphabet, 2), std::string("\x63\x63", 2));
}

TEST(RandomText, lengths_and_alphabets_at_their_bounds) {
  fakes::SeededRandom random;
  EXPECT_EQ(random_text(random, "x", 0), "");
  EXPECT_EQ(random_text(random, "x", 5), "xxxxx");
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  const std::string text = random_text(random, all, 20'000);
  EXPECT_EQ(text.size(), 20'000u);
  EXPECT_EQ(std::set<char>(text.begin(), text.end()).size(), 256u);
}

TEST(RandomUuid, is_of_version_four) {
  fakes::SeededRandom random;
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string uuid = random_uuid(random);
    EXPECT_THAT(uuid, ::testing::MatchesRegex(
                          "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
    seen.insert(uuid);
  }
  EXPECT_EQ(seen.size(), 1000u);
}

TEST(SystemRandom, gives_other_bytes_every_time) {
  SystemRandom random;
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) seen.insert(random_bytes(random, 16));
  EXPECT_EQ(seen.size(), 100u);
  EXPECT_EQ(random_bytes(random, 0), "");
}

}  // namespace
}  // namespace curfew

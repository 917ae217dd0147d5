#include "store/shamir.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/encoding.h"
#include "tests/fakes/seeded_random.h"

namespace curfew::store {
namespace {

// Gives the bytes it was told, in order.
class ScriptedRandom final : public Random {
 public:
  explicit ScriptedRandom(std::string bytes) : bytes_(std::move(bytes)) {}
  void fill(std::span<std::byte> out) override {
    ASSERT_LE(next_ + out.size(), bytes_.size());
    for (std::byte& byte : out) byte = static_cast<std::byte>(bytes_[next_++]);
  }

 private:
  std::string bytes_;
  std::size_t next_ = 0;
};

std::string from_hex(std::string_view text) {
  return hex_decode(text).value();
}

// The shares that an implementation with logarithm tables gives for the same polynomials.
const char* const kKnownShares[] = {"337660009401", "aa6c7a071002", "991b49f82303", "52e12660bb04",
                                    "6196159f8805"};

TEST(Shamir, SplitsAsAnotherImplementationDoes) {
  ScriptedRandom random(from_hex("112233445566778899aa"));
  const auto shares = shamir_split(Secret(from_hex("000153ffa7")), 5, 3, random);
  ASSERT_TRUE(shares);
  ASSERT_EQ(shares->size(), 5u);
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(hex_encode((*shares)[i].reveal()), kKnownShares[i]);
}

TEST(Shamir, CombinesSharesOfAnotherImplementation) {
  const auto secret =
      shamir_combine({Secret(from_hex(kKnownShares[4])), Secret(from_hex(kKnownShares[0])),
                      Secret(from_hex(kKnownShares[2]))});
  ASSERT_TRUE(secret);
  EXPECT_EQ(hex_encode(secret->reveal()), "000153ffa7");
}

TEST(Shamir, EverySubsetOfTheThresholdGivesTheSecretAndNoSmallerOneDoes) {
  fakes::SeededRandom random(7);
  const Secret secret(random_bytes(random, 32));
  for (int n = 1; n <= 6; ++n) {
    for (int t = 1; t <= n; ++t) {
      const auto shares = shamir_split(secret, n, t, random);
      ASSERT_TRUE(shares);
      for (unsigned subset = 1; subset < (1u << n); ++subset) {
        std::vector<Secret> some;
        for (int i = 0; i < n; ++i) {
          if ((subset >> i & 1u) != 0) some.push_back((*shares)[static_cast<std::size_t>(i)]);
        }
        const auto combined = shamir_combine(some);
        ASSERT_TRUE(combined);
        EXPECT_EQ(*combined == secret, static_cast<int>(some.size()) >= t)
            << n << " shares, threshold " << t << ", subset " << subset;
      }
    }
  }
}

TEST(Shamir, OrderDoesNotMatter) {
  fakes::SeededRandom random;
  const Secret secret("correct horse");
  auto shares = shamir_split(secret, 5, 5, random).value();
  std::reverse(shares.begin(), shares.end());
  EXPECT_EQ(shamir_combine(shares).value(), secret);
}

TEST(Shamir, EveryByteAndTheMostSharesWork) {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  fakes::SeededRandom random;
  const auto shares = shamir_split(Secret(all), 255, 255, random);
  ASSERT_TRUE(shares);
  EXPECT_EQ(shares->back().reveal().size(), 257u);
  EXPECT_EQ(shamir_combine(*shares).value(), Secret(all));
}

TEST(Shamir, SingleShareOfOneIsTheSecretAndItsNumber) {
  fakes::SeededRandom random;
  const auto shares = shamir_split(Secret("key"), 1, 1, random);
  ASSERT_TRUE(shares);
  EXPECT_EQ(shares->front().reveal(), "key\x01");
}

TEST(Shamir, ParametersOutOfRangeAreRefused) {
  fakes::SeededRandom random;
  const Secret secret("key");
  for (const auto& [n, t] : std::vector<std::pair<int, int>>{
           {0, 0}, {1, 0}, {0, 1}, {2, 3}, {256, 2}, {256, 256}, {-1, -1}, {5, -3}}) {
    const auto shares = shamir_split(secret, n, t, random);
    ASSERT_FALSE(shares) << n << " " << t;
    EXPECT_EQ(shares.error().code, Errc::kInvalidArgument);
  }
  EXPECT_FALSE(shamir_split(Secret(), 2, 2, random));
}

TEST(Shamir, SharesThatDoNotBelongTogetherAreRefused) {
  const Secret one(std::string("ab\x01"));
  EXPECT_FALSE(shamir_combine({}));
  EXPECT_FALSE(shamir_combine({one, one}));
  EXPECT_FALSE(shamir_combine({one, Secret(std::string("abc\x02"))}));
  EXPECT_FALSE(shamir_combine({one, Secret(std::string("ab\0", 3))}));
  EXPECT_FALSE(shamir_combine({Secret(std::string("\x01"))}));
  EXPECT_FALSE(shamir_combine({Secret()}));
}

}  // namespace
}  // namespace curfew::store

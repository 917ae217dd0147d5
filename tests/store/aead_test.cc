#include "store/aead.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "base/encoding.h"
#include "tests/fakes/seeded_random.h"

namespace curfew::store {
namespace {

class FixedRandom final : public Random {
 public:
  explicit FixedRandom(std::string bytes) : bytes_(std::move(bytes)) {}
  void fill(std::span<std::byte> out) override {
    ASSERT_EQ(out.size(), bytes_.size());
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::byte>(bytes_[i]);
  }

 private:
  std::string bytes_;
};

std::string from_hex(std::string_view text) {
  return hex_decode(text).value();
}

// Test case 16 of the specification of GCM (McGrew and Viega).
TEST(Aead, GivesWhatTheSpecificationSays) {
  const std::string key =
      from_hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
  const std::string nonce = from_hex("cafebabefacedbaddecaf888");
  const std::string text = from_hex(
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6"
      "b5"
      "25b16aedf5aa0de657ba637b39");
  const std::string associated = from_hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
  FixedRandom random(nonce);
  const auto sealed = aead_seal(key, random, associated, text);
  ASSERT_TRUE(sealed);
  EXPECT_EQ(
      hex_encode(*sealed),
      "cafebabefacedbaddecaf888"
      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056"
      "828838c5f61e6393ba7a0abcc9f662"
      "76fc6ece0f4e1768cddf8853bb2d551b");
  EXPECT_EQ(aead_open(key, associated, *sealed).value(), text);
}

class AeadRoundTrip : public testing::Test {
 protected:
  fakes::SeededRandom random_{3};
  const std::string key_ = random_bytes(random_, kAeadKeyBytes);
};

TEST_F(AeadRoundTrip, EverySizeComesBack) {
  for (const std::size_t size : {0u, 1u, 15u, 16u, 17u, 4096u, 1'000'000u}) {
    const std::string text = random_bytes(random_, size);
    const auto sealed = aead_seal(key_, random_, "context", text);
    ASSERT_TRUE(sealed);
    EXPECT_EQ(sealed->size(), kAeadNonceBytes + size + kAeadTagBytes);
    EXPECT_EQ(aead_open(key_, "context", *sealed).value(), text);
  }
}

TEST_F(AeadRoundTrip, AnyChangedByteIsFound) {
  const auto sealed = aead_seal(key_, random_, "context", "a secret");
  ASSERT_TRUE(sealed);
  for (std::size_t i = 0; i < sealed->size(); ++i) {
    std::string changed = *sealed;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    const auto opened = aead_open(key_, "context", changed);
    ASSERT_FALSE(opened) << i;
    EXPECT_EQ(opened.error().code, Errc::kCorrupt);
  }
}

TEST_F(AeadRoundTrip, AnyCutIsFound) {
  const auto sealed = aead_seal(key_, random_, "context", "a secret");
  ASSERT_TRUE(sealed);
  for (std::size_t size = 0; size < sealed->size(); ++size)
    EXPECT_FALSE(aead_open(key_, "context", std::string_view(*sealed).substr(0, size)));
  EXPECT_FALSE(aead_open(key_, "context", *sealed + "x"));
}

TEST_F(AeadRoundTrip, OtherKeyOrContextDoesNotOpen) {
  const auto sealed = aead_seal(key_, random_, "context", "a secret");
  ASSERT_TRUE(sealed);
  EXPECT_FALSE(aead_open(random_bytes(random_, kAeadKeyBytes), "context", *sealed));
  EXPECT_FALSE(aead_open(key_, "contexT", *sealed));
  EXPECT_FALSE(aead_open(key_, "", *sealed));
  // A failure leaves nothing behind that disturbs the next use.
  EXPECT_EQ(aead_open(key_, "context", *sealed).value(), "a secret");
}

TEST_F(AeadRoundTrip, EqualTextsLookDifferent) {
  EXPECT_NE(aead_seal(key_, random_, "", "x").value(), aead_seal(key_, random_, "", "x").value());
}

TEST_F(AeadRoundTrip, TooLargeIsRefused) {
  const std::string text(kAeadTextBytesMax + 1, 'x');
  const auto sealed = aead_seal(key_, random_, "", text);
  ASSERT_FALSE(sealed);
  EXPECT_EQ(sealed.error().code, Errc::kTooLarge);
}

TEST_F(AeadRoundTrip, ThreadsDoNotDisturbEachOther) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const std::string key = random_bytes(random_, kAeadKeyBytes);
      for (int i = 0; i < 500; ++i) {
        const std::string text = std::to_string(t) + ":" + std::to_string(i);
        const auto sealed = aead_seal(key, random_, "c", text);
        EXPECT_EQ(aead_open(key, "c", *sealed).value(), text);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace curfew::store

#include "broker/auth/password_hasher.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

namespace curfew::broker {
namespace {

constexpr HashCost kCheap{.memory_kib = 64, .passes = 1};

class PasswordHasherTest : public ::testing::Test {
 protected:
  Json hash(const PasswordHasher& hasher, const std::string& password) {
    auto made = hasher.hash(Secret(password), random_);
    if (!made) throw std::runtime_error(made.error().message);
    return *made;
  }
  static bool right(const PasswordHasher& hasher, const Json& stored, const std::string& password) {
    const auto verdict = hasher.verify(stored, Secret(password));
    EXPECT_TRUE(verdict) << verdict.error().message;
    return verdict && *verdict;
  }

  SystemRandom random_;
};

TEST_F(PasswordHasherTest, knows_the_password_again_and_no_other) {
  const PasswordHasher hasher;
  const Json stored = hash(hasher, "correct horse");
  EXPECT_TRUE(right(hasher, stored, "correct horse"));
  EXPECT_FALSE(right(hasher, stored, "correct horse "));
  EXPECT_FALSE(right(hasher, stored, ""));
  EXPECT_EQ(stored.dump().find("horse"), std::string::npos);
}

TEST_F(PasswordHasherTest, costs_what_is_recommended) {
  const Json stored = hash(PasswordHasher(), "x");
  EXPECT_EQ(stored.at("kind"), "argon2id");
  EXPECT_EQ(stored.at("memory_kib"), 19 * 1024);
  EXPECT_EQ(stored.at("passes"), 2);
}

TEST_F(PasswordHasherTest, equal_passwords_have_different_hashes) {
  const PasswordHasher hasher({.cost = kCheap});
  EXPECT_NE(hash(hasher, "same").at("hash"), hash(hasher, "same").at("hash"));
}

// RFC 9106 has no vector without a secret and associated data; this one is of the reference
// program: echo -n password | argon2 somesaltsomesalt -id -t 2 -k 65536 -p 1 -l 32
TEST_F(PasswordHasherTest, is_the_argon2id_that_others_have) {
  const PasswordHasher hasher;
  const Json stored{{"kind", "argon2id"},
                    {"memory_kib", 65536},
                    {"passes", 2},
                    {"salt", "c29tZXNhbHRzb21lc2FsdA=="},
                    {"hash", "/DO3gTkjHTS3Fia9YkXB1y76GQrWBcPYFmpyrc7fosI="}};
  EXPECT_TRUE(right(hasher, stored, "password"));
}

TEST_F(PasswordHasherTest, an_older_cost_is_still_good_and_seen) {
  const PasswordHasher before({.cost = kCheap});
  const PasswordHasher now({.cost = {.memory_kib = 128, .passes = 2}});
  const Json stored = hash(before, "x");
  EXPECT_TRUE(right(now, stored, "x"));
  EXPECT_TRUE(now.is_outdated(stored));
  EXPECT_FALSE(now.is_outdated(hash(now, "x")));
}

TEST_F(PasswordHasherTest, nobody_has_the_password_of_a_user_that_is_not_there) {
  const PasswordHasher hasher({.cost = kCheap});
  EXPECT_FALSE(right(hasher, Json(), ""));
  EXPECT_FALSE(right(hasher, Json(), "x"));
}

// Else the time that a login takes would tell who exists.
TEST_F(PasswordHasherTest, a_user_that_is_not_there_is_as_much_work_as_one_that_is) {
  const PasswordHasher hasher({.cost = kCheap});
  const Json stored = hash(hasher, "x");
  const std::int64_t before = hasher.work();
  EXPECT_FALSE(right(hasher, stored, "y"));
  const std::int64_t known = hasher.work() - before;
  EXPECT_GT(known, 0);
  EXPECT_FALSE(right(hasher, Json(), "y"));
  EXPECT_EQ(hasher.work() - before, 2 * known);
}

TEST_F(PasswordHasherTest, what_is_no_hash_is_an_error_and_allocates_nothing) {
  const PasswordHasher hasher({.cost = kCheap});
  const Json good = hash(hasher, "x");
  const std::vector<std::pair<std::string, Json>> changes = {
      {"kind", "md5"}, {"memory_kib", 1LL << 40}, {"memory_kib", 0}, {"passes", 1 << 20},
      {"passes", 0},   {"salt", "AAAA"},          {"hash", "!"},
  };
  for (const auto& [member, value] : changes) {
    Json bad = good;
    bad[member] = value;
    const auto verdict = hasher.verify(bad, Secret("x"));
    ASSERT_FALSE(verdict) << member;
    EXPECT_EQ(verdict.error().code, Errc::kCorrupt) << member;
  }
}

TEST_F(PasswordHasherTest, callers_beyond_the_bound_are_turned_away_at_once) {
  const PasswordHasher hasher({.cost = {}, .at_once = 1, .waiting_max = 1});
  const Json stored = hash(hasher, "x");
  std::atomic<int> done = 0, refused = 0;
  std::vector<std::thread> callers;
  for (int i = 0; i < 12; ++i) {
    callers.emplace_back([&] {
      const auto verdict = hasher.verify(stored, Secret("x"));
      if (verdict) {
        ++done;
      } else {
        EXPECT_EQ(verdict.error().code, Errc::kOverloaded);
        ++refused;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_GE(done, 1);
  EXPECT_GE(refused, 1);
  // Nothing is left taken.
  EXPECT_TRUE(right(hasher, stored, "x"));
}

}  // namespace
}  // namespace curfew::broker

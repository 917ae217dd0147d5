#include "engines/postgres/verifier_stock.h"

#include <algorithm>

#include "base/contained.h"
#include "engines/postgres/scram.h"

namespace curfew::engines::postgres {
namespace {

// Configurations with other counts share the room of the ones seen first.
constexpr std::size_t kKindsMax = 8;

}  // namespace

VerifierStock::VerifierStock(PasswordMaker& passwords, Random& random, Log& log,
                             std::size_t ready_max)
    : passwords_(passwords), random_(random), log_(log), ready_max_(ready_max) {}

VerifierStock::~VerifierStock() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Result<PasswordPair> VerifierStock::take(std::string_view policy, int iterations) {
  if (policy.empty() && ready_max_ > 0) {
    const std::scoped_lock lock(mutex_);
    if (ready_.size() < kKindsMax || ready_.contains(iterations)) {
      if (!thread_.joinable() && !stopping_) thread_ = std::thread([this] { refill(); });
      making_fails_ = false;
      std::deque<PasswordPair>& pairs = ready_[iterations];
      wake_.notify_one();
      if (!pairs.empty()) {
        PasswordPair pair = std::move(pairs.front());
        pairs.pop_front();
        return pair;
      }
    }
  }
  return make(policy, iterations);
}

std::size_t VerifierStock::ready() const {
  const std::scoped_lock lock(mutex_);
  std::size_t count = 0;
  for (const auto& [iterations, pairs] : ready_) count += pairs.size();
  return count;
}

Result<PasswordPair> VerifierStock::make(std::string_view policy, int iterations) {
  ASSIGN_OR_RETURN(Secret password, passwords_.make(policy));
  if (!is_plain_password(password.reveal()))
    return Error{Errc::kInvalidArgument,
                 "password policy \"" + std::string(policy) +
                     "\" makes passwords with characters that are not printable ASCII, which "
                     "PostgreSQL's clients read in different ways; change its charsets"};
  std::string verifier =
      scram_verifier(password.reveal(), random_bytes(random_, kScramSaltBytes), iterations);
  return PasswordPair{std::move(password), std::move(verifier)};
}

void VerifierStock::refill() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const auto wanting = std::find_if(ready_.begin(), ready_.end(), [this](const auto& entry) {
      return entry.second.size() < ready_max_;
    });
    if (wanting == ready_.end() || making_fails_) {
      wake_.wait(lock);
      continue;
    }
    const int iterations = wanting->first;
    lock.unlock();
    auto pair = contained(log_, "making a password", [&] { return make("", iterations); });
    lock.lock();
    if (pair) {
      ready_[iterations].push_back(std::move(pair).value());
    } else {
      making_fails_ = true;
      log_.warn("no password could be made ahead of time", {{"error", pair.error().message}});
    }
  }
}

}  // namespace curfew::engines::postgres

#include "store/share_attempt.h"

#include <utility>

#include "base/encoding.h"
#include "store/seal_key.h"
#include "store/shamir.h"

namespace curfew::store {
namespace {

constexpr std::size_t kShareBytes = kSealKeyBytes + 1;

}  // namespace

Result<Secret> parse_share(const Secret& text) {
  const std::string& given = text.reveal();
  std::optional<std::string> bytes =
      given.size() == 2 * kShareBytes ? hex_decode(given) : base64_decode(given);
  Secret share(bytes ? std::move(*bytes) : std::string());
  if (share.reveal().size() != kShareBytes || share.reveal().back() == '\0')
    return Error{Errc::kInvalidArgument,
                 "this is not a key share: 66 hexadecimal digits or 44 characters of base64 are "
                 "expected, as they were given out"};
  return share;
}

void ShareAttempt::begin(Random& random) {
  clear();
  nonce_ = random_uuid(random);
}

void ShareAttempt::end() {
  clear();
  nonce_.clear();
}

Result<std::optional<Secret>> ShareAttempt::add(const Secret& text, int threshold) {
  ASSIGN_OR_RETURN(Secret share, parse_share(text));
  for (const Secret& earlier : given_) {
    if (earlier == share) return std::optional<Secret>{};
    if (earlier.reveal().back() != share.reveal().back()) continue;
    clear();
    return Error{Errc::kInvalidArgument,
                 "two different key shares with one number were given, so one of them is wrong; "
                 "begin again with the first share"};
  }
  given_.push_back(std::move(share));
  if (progress() < threshold) return std::optional<Secret>{};
  auto key = shamir_combine(given_);
  clear();
  if (!key) return std::move(key).error();
  return std::optional<Secret>{std::move(*key)};
}

}  // namespace curfew::store

#include "store/shamir.h"

#include <bitset>
#include <cstdint>
#include <string>

namespace curfew::store {
namespace {

// No branch and no table index depends on the factors: they are parts of keys.
std::uint8_t multiply(std::uint8_t a, std::uint8_t b) {
  unsigned product = 0;
  unsigned factor = a;
  for (int bit = 0; bit < 8; ++bit) {
    product ^= factor & (0u - (b >> bit & 1u));
    // x^8 = x^4 + x^3 + x + 1
    factor = (factor << 1 ^ (0x11bu & (0u - (factor >> 7 & 1u)))) & 0xffu;
  }
  return static_cast<std::uint8_t>(product);
}

// a^254, which is 1/a; 0 for 0.
std::uint8_t invert(std::uint8_t a) {
  std::uint8_t power = a;
  std::uint8_t result = 1;
  for (int bit = 1; bit < 8; ++bit) {
    power = multiply(power, power);
    result = multiply(result, power);
  }
  return result;
}

std::uint8_t byte_at(const std::string& text, std::size_t i) {
  return static_cast<std::uint8_t>(text[i]);
}

// For each share, what its bytes are multiplied by to give the polynomial's value at 0.
std::vector<std::uint8_t> weights_at_zero(const std::vector<std::uint8_t>& xs) {
  std::vector<std::uint8_t> weights;
  for (const std::uint8_t own : xs) {
    std::uint8_t weight = 1;
    for (const std::uint8_t other : xs) {
      // In this field minus is plus: (0 - other) / (own - other).
      if (other != own)
        weight = multiply(weight, multiply(other, invert(static_cast<std::uint8_t>(own ^ other))));
    }
    weights.push_back(weight);
  }
  return weights;
}

}  // namespace

Result<std::vector<Secret>> shamir_split(const Secret& secret, int shares, int threshold,
                                         Random& random) {
  if (threshold < 1 || threshold > shares || shares > kSharesMax)
    return Error{Errc::kInvalidArgument,
                 "the number of key shares must be 1 to 255, and the threshold 1 to that number"};
  if (secret.empty()) return Error{Errc::kInvalidArgument, "there is no secret to share"};
  const std::string& text = secret.reveal();
  const std::size_t length = text.size();
  std::vector<std::string> out(static_cast<std::size_t>(shares), std::string(length + 1, '\0'));
  for (std::size_t s = 0; s < out.size(); ++s) out[s][length] = static_cast<char>(s + 1);

  // Of each byte's polynomial: the coefficients of x^1 and up.
  std::string coefficients;
  for (std::size_t i = 0; i < length; ++i) {
    coefficients = random_bytes(random, static_cast<std::size_t>(threshold - 1));
    for (std::string& share : out) {
      const std::uint8_t x = byte_at(share, length);
      std::uint8_t value = 0;
      for (std::size_t c = coefficients.size(); c-- > 0;)
        value = multiply(static_cast<std::uint8_t>(value ^ byte_at(coefficients, c)), x);
      share[i] = static_cast<char>(value ^ byte_at(text, i));
    }
    zero(coefficients);
  }
  std::vector<Secret> secrets;
  secrets.reserve(out.size());
  for (std::string& share : out) {
    secrets.emplace_back(share);
    zero(share);
  }
  return secrets;
}

Result<Secret> shamir_combine(const std::vector<Secret>& shares) {
  if (shares.empty() || shares.size() > kSharesMax)
    return Error{Errc::kInvalidArgument, "the number of key shares must be 1 to 255"};
  const std::size_t length = shares.front().reveal().size();
  std::vector<std::uint8_t> xs;
  std::bitset<256> seen;
  for (const Secret& share : shares) {
    const std::string& text = share.reveal();
    if (text.size() != length || length < 2)
      return Error{Errc::kInvalidArgument, "the key shares do not belong together"};
    const std::uint8_t x = byte_at(text, length - 1);
    if (x == 0 || seen[x])
      return Error{Errc::kInvalidArgument, "the key shares do not belong together"};
    seen[x] = true;
    xs.push_back(x);
  }
  const std::vector<std::uint8_t> weights = weights_at_zero(xs);
  std::string secret(length - 1, '\0');
  for (std::size_t i = 0; i + 1 < length; ++i) {
    std::uint8_t value = 0;
    for (std::size_t s = 0; s < shares.size(); ++s)
      value =
          static_cast<std::uint8_t>(value ^ multiply(byte_at(shares[s].reveal(), i), weights[s]));
    secret[i] = static_cast<char>(value);
  }
  return Secret(std::move(secret));
}

}  // namespace curfew::store

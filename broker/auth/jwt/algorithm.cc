#include "broker/auth/jwt/algorithm.h"

#include <array>

namespace curfew::broker::jwt {
namespace {

// In the order of the enumeration.
constexpr std::array<std::string_view, 10> kNames = {"RS256", "RS384", "RS512", "PS256", "PS384",
                                                     "PS512", "ES256", "ES384", "ES512", "EdDSA"};

}  // namespace

std::string_view algorithm_name(Algorithm algorithm) {
  return kNames[static_cast<std::size_t>(algorithm)];
}

std::optional<Algorithm> parse_algorithm(std::string_view name) {
  for (const Algorithm algorithm : all_algorithms())
    if (algorithm_name(algorithm) == name) return algorithm;
  return std::nullopt;
}

const std::vector<Algorithm>& all_algorithms() {
  using enum Algorithm;
  static const std::vector<Algorithm> all = {kRs256, kRs384, kRs512, kPs256, kPs384,
                                             kPs512, kEs256, kEs384, kEs512, kEdDsa};
  return all;
}

}  // namespace curfew::broker::jwt

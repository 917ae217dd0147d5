#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace curfew::broker::jwt {

// The signature algorithms of RFC 7518 and RFC 8037 that a token may be signed with. The set is
// closed: none of them works without a key or with one that both sides share ("none", HS256 …), so
// that no public key can be taken for a shared secret.
enum class Algorithm : std::uint8_t {
  kRs256,
  kRs384,
  kRs512,
  kPs256,
  kPs384,
  kPs512,
  kEs256,
  kEs384,
  kEs512,
  kEdDsa,
};

// "RS256", …
std::string_view algorithm_name(Algorithm algorithm);

// nullopt: not one of the above. Case counts.
std::optional<Algorithm> parse_algorithm(std::string_view name);

const std::vector<Algorithm>& all_algorithms();

}  // namespace curfew::broker::jwt

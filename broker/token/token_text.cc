#include "broker/token/token_text.h"

#include "broker/tenant/namespace_entry.h"

namespace curfew::broker {
namespace {

constexpr std::size_t kTokenCharacters = 26;  // 154 bits
constexpr std::size_t kAccessorCharacters = 24;

}  // namespace

std::string token_mark(std::string_view name_space) {
  return name_space == kFirstNamespace ? std::string() : "." + std::string(name_space);
}

std::string_view namespace_in(const Secret& token) {
  const std::string_view text = token.reveal();
  const bool ours = text.starts_with(kServicePrefix) || text.starts_with(kBatchPrefix);
  const auto dot = text.rfind('.');
  if (!ours || dot < kServicePrefix.size()) return {};
  return text.substr(dot + 1);
}

Secret make_service_token(Random& random, std::string_view name_space) {
  return Secret(std::string(kServicePrefix) + random_base62(random, kTokenCharacters) +
                token_mark(name_space));
}

std::string make_accessor(Random& random) {
  return random_base62(random, kAccessorCharacters);
}

std::size_t root_token_length() {
  return kServicePrefix.size() + kTokenCharacters;
}

}  // namespace curfew::broker

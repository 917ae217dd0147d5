#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/random.h"
#include "base/secret.h"

// What tokens look like: "cfs." (service) or "cfb." (batch), what makes them unguessable, and the
// mark of the namespace that they belong to.
namespace curfew::broker {

inline constexpr std::string_view kServicePrefix = "cfs.";
inline constexpr std::string_view kBatchPrefix = "cfb.";

// What every token of a namespace ends in: ".<id>"; "" in the first one.
std::string token_mark(std::string_view name_space);

// The id in a token's mark; "" where it has none.
std::string_view namespace_in(const Secret& token);

// A random service token of a namespace, and a random accessor.
Secret make_service_token(Random& random, std::string_view name_space);
std::string make_accessor(Random& random);

// Characters of a service token of the first namespace.
std::size_t root_token_length();

}  // namespace curfew::broker

#pragma once

#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"

namespace curfew::store {

// Shamir's secret sharing over GF(2^8) (the field of AES), byte by byte. A share is the bytes of
// the secret's polynomials at the share's x, followed by x itself (1 to 255): one byte more than
// the secret. Takes the same time whatever the secret is. Thread-safe.

inline constexpr int kSharesMax = 255;

// `shares` shares of which any `threshold` give the secret and fewer say nothing about it.
// kInvalidArgument: not 1 <= threshold <= shares <= 255, or an empty secret.
Result<std::vector<Secret>> shamir_split(const Secret& secret, int shares, int threshold,
                                         Random& random);

// The secret, if these are at least `threshold` true shares of it; with fewer or others, bytes that
// mean nothing: only its use can tell. kInvalidArgument: no shares, shares of different lengths or
// without content, or two for the same x.
Result<Secret> shamir_combine(const std::vector<Secret>& shares);

}  // namespace curfew::store

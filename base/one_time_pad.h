#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"

// A secret for transport in the open: XORed with as many random bytes that only its receiver knows.
namespace curfew {

// A pad of `length` bytes: the text itself if it is so long, or the base64 of so many bytes.
// kInvalidArgument: neither.
Result<Secret> parse_pad(const Secret& text, std::size_t length);

// secret XOR pad, as base64 without padding. REQUIRES: both are equally long.
std::string encode_with_pad(const Secret& secret, const Secret& pad);

// What encode_with_pad() was given; `pad` as parse_pad() takes it. kInvalidArgument: not base64, or
// not of the pad's length.
Result<Secret> decode_with_pad(std::string_view encoded, const Secret& pad);

}  // namespace curfew

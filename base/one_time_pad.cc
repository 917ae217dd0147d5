#include "base/one_time_pad.h"

#include <optional>
#include <utility>

#include "base/encoding.h"

namespace curfew {
namespace {

std::string exclusive_or(std::string_view a, std::string_view b) {
  std::string out(a);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<char>(out[i] ^ b[i]);
  return out;
}

}  // namespace

Result<Secret> parse_pad(const Secret& text, std::size_t length) {
  if (text.reveal().size() == length) return text;
  std::optional<std::string> bytes = base64_decode(text.reveal());
  Secret pad(bytes ? std::move(*bytes) : std::string());
  if (pad.reveal().size() == length) return pad;
  return Error{Errc::kInvalidArgument,
               "the one-time password has the wrong length: " + std::to_string(length) +
                   " characters, or the base64 of so many bytes, are expected"};
}

std::string encode_with_pad(const Secret& secret, const Secret& pad) {
  std::string out = base64_encode(exclusive_or(secret.reveal(), pad.reveal()));
  while (out.ends_with('=')) out.pop_back();
  return out;
}

Result<Secret> decode_with_pad(std::string_view encoded, const Secret& pad) {
  const auto bytes = base64_decode(encoded);
  if (!bytes || bytes->empty())
    return Error{Errc::kInvalidArgument, "the encoded token is not base64"};
  ASSIGN_OR_RETURN(const Secret whole, parse_pad(pad, bytes->size()));
  return Secret(exclusive_or(*bytes, whole.reveal()));
}

}  // namespace curfew

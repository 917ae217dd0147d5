#include "broker/token/token_certificate.h"

#include <algorithm>

#include "base/encoding.h"

namespace curfew::broker {
namespace {

constexpr std::size_t kThumbprintBytes = 32;

}  // namespace

Result<std::string> read_thumbprint(std::string_view text) {
  std::string plain(text);
  std::erase(plain, ':');
  for (const auto& bytes : {hex_decode(plain), base64_decode(text)})
    if (bytes && bytes->size() == kThumbprintBytes) return hex_encode(*bytes);
  return Error{Errc::kInvalidArgument,
               "expected the SHA-256 of a certificate's DER: 64 hexadecimal digits (openssl x509 "
               "-noout -fingerprint -sha256), or base64 (x5t#S256 of RFC 8705)"};
}

std::string x5t_s256(std::string_view hex) {
  std::string text = base64_encode(hex_decode(hex).value_or(""));
  while (text.ends_with('=')) text.pop_back();
  std::replace(text.begin(), text.end(), '+', '-');
  std::replace(text.begin(), text.end(), '/', '_');
  return text;
}

Result<std::string> certificate_of_child(std::string_view asked, const std::string& parent) {
  if (asked.empty()) return parent;
  auto wanted = read_thumbprint(asked);
  if (!wanted)
    return Error{Errc::kInvalidArgument, "field \"bound_certificate\": " + wanted.error().message};
  if (!parent.empty() && *wanted != parent)
    return Error{Errc::kInvalidArgument,
                 "field \"bound_certificate\": the calling token is tied to another certificate, "
                 "and so is what it makes"};
  return wanted;
}

}  // namespace curfew::broker

#include "broker/auth/jwt/jws.h"

#include <algorithm>
#include <array>

#include "base/encoding.h"

namespace curfew::broker::jwt {
namespace {

constexpr std::size_t kKidBytesMax = 512;

Error malformed(const std::string& why) {
  return {Errc::kInvalidArgument, "error validating token: malformed JWT: " + why};
}

// RFC 7515 knows one alphabet and no padding; the general decoder takes more.
std::optional<std::string> base64url_decode(std::string_view text) {
  const bool foreign =
      text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") !=
      std::string_view::npos;
  return foreign ? std::nullopt : base64_decode(text);
}

Result<std::array<std::string_view, 3>> parts_of(std::string_view token) {
  const std::size_t first = token.find('.');
  const std::size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos)
    return malformed("expected three parts with dots between them");
  return std::array<std::string_view, 3>{token.substr(0, first),
                                         token.substr(first + 1, second - first - 1),
                                         token.substr(second + 1)};
}

Result<Json> object_of(std::string_view encoded, const JsonLimits& limits, const char* part) {
  const auto text = base64url_decode(encoded);
  if (!text) return malformed(std::string("the ") + part + " is not base64url");
  auto value = parse_json(*text, limits);
  if (!value) return malformed(std::string("the ") + part + ": " + value.error().message);
  if (!value->is_object()) return malformed(std::string("the ") + part + " is no JSON object");
  return std::move(*value);
}

Result<Algorithm> algorithm_of(const Json& header) {
  const auto it = header.find("alg");
  if (it == header.end() || !it->is_string()) return malformed("the header has no \"alg\"");
  const auto algorithm = parse_algorithm(it->get_ref<const std::string&>());
  if (!algorithm)
    return malformed(
        "its algorithm is not accepted; tokens must be signed with a public key: RS, PS or ES with "
        "256, 384 or 512, or EdDSA");
  return *algorithm;
}

Result<std::string> kid_of(const Json& header) {
  const auto it = header.find("kid");
  if (it == header.end() || it->is_null()) return std::string{};
  if (!it->is_string()) return malformed("\"kid\" is no string");
  const auto& kid = it->get_ref<const std::string&>();
  if (kid.size() > kKidBytesMax) return malformed("\"kid\" is longer than 512 bytes");
  return kid;
}

}  // namespace

Result<Jws> Jws::parse(std::string_view token, const JwsLimits& limits) {
  if (token.size() > limits.token_bytes_max)
    return malformed("it is larger than " + std::to_string(limits.token_bytes_max) + " bytes");
  ASSIGN_OR_RETURN(const auto parts, parts_of(token));
  if (parts[0].size() > limits.header_bytes_max)
    return malformed("its header is larger than " + std::to_string(limits.header_bytes_max) +
                     " bytes");
  ASSIGN_OR_RETURN(const Json header, object_of(parts[0], limits.header_json, "header"));
  Jws jws;
  ASSIGN_OR_RETURN(jws.algorithm_, algorithm_of(header));
  ASSIGN_OR_RETURN(jws.kid_, kid_of(header));
  // RFC 7515 section 4.1.11: who does not know what is critical must refuse. "b64" is one of these.
  if (header.contains("crit")) return malformed("its header has critical extensions");
  if (header.contains("b64")) return malformed("its header has the extension \"b64\"");
  ASSIGN_OR_RETURN(jws.claims_, object_of(parts[1], limits.claims_json, "claims"));
  auto signature = base64url_decode(parts[2]);
  if (!signature || signature->empty()) return malformed("the signature is not base64url");
  jws.signature_ = std::move(*signature);
  jws.signed_text_ = token.substr(0, parts[0].size() + 1 + parts[1].size());
  return jws;
}

bool Jws::names_one_of(const Keys& keys) const {
  return kid_.empty() || std::any_of(keys.begin(), keys.end(),
                                     [&](const NamedKey& key) { return key.kid == kid_; });
}

Result<Json> Jws::verify(const Keys& keys, const std::vector<Algorithm>& allowed) const {
  if (std::find(allowed.begin(), allowed.end(), algorithm_) == allowed.end())
    return Error{Errc::kInvalidArgument, "error validating token: the algorithm " +
                                             std::string(algorithm_name(algorithm_)) +
                                             " is not among this mount's jwt_supported_algs"};
  for (const NamedKey& named : keys) {
    if (!kid_.empty() && !named.kid.empty() && named.kid != kid_) continue;
    if (named.only_for && *named.only_for != algorithm_) continue;
    if (named.key.verify(algorithm_, signed_text_, signature_)) return claims_;
  }
  return Error{Errc::kUnauthenticated,
               "error validating token: no known key has signed this token"};
}

}  // namespace curfew::broker::jwt

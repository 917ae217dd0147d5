#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

// Tokens that are tied to a client certificate, as RFC 8705 ties access tokens: what is compared is
// the SHA-256 of the certificate's DER.
namespace curfew::broker {

// Lower-case hexadecimal of a thumbprint that was given in hexadecimal (colons between the bytes
// are taken, as OpenSSL prints it) or in base64 (RFC 8705's x5t#S256). kInvalidArgument: neither.
Result<std::string> read_thumbprint(std::string_view text);

// The same in RFC 8705's way. REQUIRES: `hex` came from read_thumbprint() or a PeerCertificate.
std::string x5t_s256(std::string_view hex);

// What a new token is tied to: `parent` (hexadecimal, or empty) stays, whatever is asked for.
// kInvalidArgument: `asked` is no thumbprint, or another one than the parent's.
Result<std::string> certificate_of_child(std::string_view asked, const std::string& parent);

}  // namespace curfew::broker

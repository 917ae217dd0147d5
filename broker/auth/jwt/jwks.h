#pragma once

#include <string_view>

#include "base/result.h"
#include "broker/auth/jwt/jws.h"

namespace curfew::broker::jwt {

// The keys of a JSON Web Key Set (RFC 7517) that verify signatures of tokens. Left out are, as the
// RFC asks, keys of kinds that are not known here, and keys for other uses: encryption, shared
// secrets, the X.509 part of a SPIFFE bundle. kInvalidArgument: no such set, more than 100 keys, or
// none that can be used; the message says of the first one why.
Result<Keys> parse_jwks(std::string_view text);

}  // namespace curfew::broker::jwt

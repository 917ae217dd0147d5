#include "broker/auth/jwt/key_source.h"

namespace curfew::broker::jwt {

Result<Json> RemoteKeys::verify(const Jws& jws, const std::vector<Algorithm>& allowed) {
  ASSIGN_OR_RETURN(const auto keys, keys_.get());
  auto claims = jws.verify(*keys, allowed);
  if (claims || claims.error().code != Errc::kUnauthenticated) return claims;
  // The issuer may sign with a new key, also under an old name.
  const auto newer = keys_.newer_than(keys);
  if (!newer) return jws.names_one_of(*keys) ? std::move(claims) : newer.error();
  return *newer == keys ? std::move(claims) : jws.verify(**newer, allowed);
}

}  // namespace curfew::broker::jwt

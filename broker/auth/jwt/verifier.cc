#include "broker/auth/jwt/verifier.h"

#include "base/digest.h"
#include "base/encoding.h"

namespace curfew::broker::jwt {
namespace {

// A login makes up to three calls: provider, code, keys.
constexpr Millis kCallTimeout{3'000};
constexpr Millis kConnectTimeout{2'000};

std::string base64url(std::string_view bytes) {
  std::string text = base64_encode(bytes);
  while (text.ends_with('=')) text.pop_back();
  for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return text;
}

Keys static_keys(const JwtConfig& config) {
  Keys keys;
  for (const std::string& pem : config.validation_pubkeys) {
    auto key = PublicKey::from_pem(pem);
    if (key) keys.push_back(NamedKey{.key = std::move(*key)});  // was checked when it was written
  }
  return keys;
}

Error refused(std::string why) {
  return {Errc::kUnauthenticated, std::move(why)};
}

// OpenID Connect Core 1.0 section 3.1.3.7.
Status check_id_token(const Json& claims, const Provider& provider, const JwtConfig& config,
                      const OidcRequest& request) {
  RETURN_IF_ERROR(check_issuer(claims, provider.issuer));
  if (!has_audience(claims, config.client_id))
    return refused("error validating claims: the ID token is for another client");
  const Json* audience = find_claim(claims, "aud");
  const Json* party = find_claim(claims, "azp");
  const bool several = audience != nullptr && audience->is_array() && audience->size() > 1;
  if ((party != nullptr || several) && (party == nullptr || *party != Json(config.client_id)))
    return refused("error validating claims: the ID token was issued to another client (azp)");
  const Json* nonce = find_claim(claims, "nonce");
  if (nonce == nullptr || *nonce != Json(request.nonce))
    return refused("error validating claims: the ID token belongs to another login (nonce)");
  return ok();
}

}  // namespace

Verifier::Verifier(JwtConfig config, const Clock& clock, Log& log)
    : config_(std::move(config)),
      log_(log),
      client_(
          {.ca_pem = config_.discovery_url.empty() ? config_.jwks_ca_pem : config_.discovery_ca_pem,
           .timeout = kCallTimeout,
           .connect_timeout = kConnectTimeout}) {
  if (!config_.discovery_url.empty())
    provider_ = std::make_unique<RemoteValue<Provider>>(
        [this] { return discover(client_, config_.discovery_url); }, clock);
  if (!config_.validation_pubkeys.empty())
    keys_ = std::make_unique<StaticKeys>(static_keys(config_));
  else
    keys_ = std::make_unique<RemoteKeys>([this] { return fetch(); }, clock);
}

Result<Keys> Verifier::fetch() const {
  if (!provider_) return fetch_keys(client_, config_.jwks_url);
  ASSIGN_OR_RETURN(const auto found, provider_->get());
  return fetch_keys(client_, found->jwks_uri);
}

Status Verifier::probe() const {
  if (!config_.validation_pubkeys.empty()) return ok();
  const auto keys = fetch();
  if (keys) return ok();
  const char* what =
      provider_ ? "error checking oidc discovery URL: " : "error checking jwks URL: ";
  return Error{Errc::kInvalidArgument, what + keys.error().message};
}

Error Verifier::for_strangers(const Error& error) const {
  if (error.code == Errc::kOverloaded) return error;
  log_.warn("an identity provider could not be asked", {{"error", error.message}});
  return {Errc::kUnavailable,
          "the identity provider cannot be asked now, so nobody can be believed; try again later. "
          "The server's log has the reason"};
}

Result<Json> Verifier::believe(const std::string& token) const {
  ASSIGN_OR_RETURN(const Jws jws, Jws::parse(token));
  auto claims = keys_->verify(jws, config_.login_algorithms());
  if (!claims && claims.error().code != Errc::kUnauthenticated &&
      claims.error().code != Errc::kInvalidArgument)
    return for_strangers(claims.error());
  if (!claims) return claims;
  RETURN_IF_ERROR(check_issuer(*claims, config_.bound_issuer));
  return claims;
}

Result<std::shared_ptr<const Provider>> Verifier::provider() const {
  if (!provider_ || !config_.has_client())
    return Error{Errc::kInvalidArgument,
                 "this mount has no OIDC client: logins through the browser need "
                 "'oidc_discovery_url', 'oidc_client_id' and 'oidc_client_secret'"};
  auto found = provider_->get();
  if (!found) return for_strangers(found.error());
  if ((*found)->authorization_endpoint.empty() || (*found)->token_endpoint.empty())
    return for_strangers({Errc::kUnavailable, "the provider names no endpoints for logins"});
  return found;
}

Result<std::string> Verifier::authorization_url(const JwtRole& role,
                                                const OidcRequests::Begun& begun) const {
  ASSIGN_OR_RETURN(const auto provider, this->provider());
  std::string scopes = "openid";
  for (const std::string& scope : role.oidc_scopes)
    if (scope != "openid") scopes += " " + scope;
  std::string url = provider->authorization_endpoint;
  char separator = url.find('?') == std::string::npos ? '?' : '&';
  const auto append = [&](std::string_view name, std::string_view value) {
    url += separator + std::string(name) + "=" + percent_encode(value);
    separator = '&';
  };
  append("client_id", config_.client_id);
  append("code_challenge", base64url(sha256(begun.request.code_verifier.reveal())));
  append("code_challenge_method", "S256");
  if (role.claims.max_age > Seconds{0})
    append("max_age", std::to_string(role.claims.max_age.count()));
  append("nonce", begun.request.nonce);
  append("redirect_uri", begun.request.redirect_uri);
  append("response_type", "code");
  append("scope", scopes);
  append("state", begun.state);
  return url;
}

Result<Json> Verifier::claims_for_code(const OidcRequest& request, const Secret& code) const {
  ASSIGN_OR_RETURN(const auto provider, this->provider());
  const auto token = exchange_code(client_, *provider,
                                   {.client_id = config_.client_id,
                                    .client_secret = config_.client_secret,
                                    .code = code,
                                    .redirect_uri = request.redirect_uri,
                                    .code_verifier = request.code_verifier});
  if (!token)
    return token.error().code == Errc::kUnauthenticated ? token.error()
                                                        : for_strangers(token.error());
  ASSIGN_OR_RETURN(const Jws jws, Jws::parse(token->reveal()));
  auto claims = keys_->verify(jws, config_.id_token_algorithms());
  if (!claims)
    return claims.error().code == Errc::kUnavailable ? for_strangers(claims.error())
                                                     : std::move(claims);
  RETURN_IF_ERROR(check_id_token(*claims, *provider, config_, request));
  return claims;
}

}  // namespace curfew::broker::jwt

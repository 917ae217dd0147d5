#include "broker/auth/jwt/provider.h"

#include <algorithm>

#include "base/encoding.h"
#include "broker/auth/jwt/jwks.h"

namespace curfew::broker::jwt {
namespace {

constexpr JsonLimits kLimits{.depth_max = 16, .values_max = 10'000};

Error unusable(const std::string& url, const std::string& why) {
  return {Errc::kUnavailable, "the answer of " + url + " cannot be used: " + why};
}

Result<std::string> get(const HttpsClient& client, const std::string& url) {
  ASSIGN_OR_RETURN(auto answer, client.send({.url = url}));
  if (answer.status != 200) return unusable(url, "HTTP status " + std::to_string(answer.status));
  return std::move(answer.body);
}

std::string text_of(const Json& object, const char* name) {
  const auto it = object.find(name);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string{};
}

// Where the provider says nothing, both ways are open (section 3 of the discovery specification).
bool takes_secret_only_in_body(const Json& configuration) {
  const auto it = configuration.find("token_endpoint_auth_methods_supported");
  if (it == configuration.end() || !it->is_array()) return false;
  const auto has = [&](const char* method) {
    return std::find(it->begin(), it->end(), Json(method)) != it->end();
  };
  return has("client_secret_post") && !has("client_secret_basic");
}

void append(std::string& form, std::string_view name, std::string_view value) {
  if (!form.empty()) form += '&';
  form += std::string(name) + "=" + percent_encode(value);
}

HttpsRequest token_request(const Provider& provider, const CodeExchange& exchange) {
  std::string form;
  append(form, "grant_type", "authorization_code");
  append(form, "code", exchange.code.reveal());
  append(form, "redirect_uri", exchange.redirect_uri);
  append(form, "code_verifier", exchange.code_verifier.reveal());
  HttpsRequest request{.url = provider.token_endpoint,
                       .content_type = "application/x-www-form-urlencoded"};
  if (provider.secret_in_body) {
    append(form, "client_id", exchange.client_id);
    append(form, "client_secret", exchange.client_secret.reveal());
  } else {
    request.user = percent_encode(exchange.client_id);
    request.password = Secret(percent_encode(exchange.client_secret.reveal()));
  }
  request.body = Secret(std::move(form));
  return request;
}

}  // namespace

Result<Provider> discover(const HttpsClient& client, const std::string& url) {
  std::string base = url;
  while (base.ends_with('/')) base.pop_back();
  const std::string address = base + "/.well-known/openid-configuration";
  ASSIGN_OR_RETURN(const std::string text, get(client, address));
  const auto configuration = parse_json(text, kLimits);
  if (!configuration || !configuration->is_object())
    return unusable(address, "it is no JSON object");
  Provider provider{.issuer = text_of(*configuration, "issuer"),
                    .jwks_uri = text_of(*configuration, "jwks_uri"),
                    .authorization_endpoint = text_of(*configuration, "authorization_endpoint"),
                    .token_endpoint = text_of(*configuration, "token_endpoint"),
                    .secret_in_body = takes_secret_only_in_body(*configuration)};
  if (provider.issuer != url && provider.issuer != base)
    return unusable(address, "its issuer is not the address that was configured");
  if (!check_https_url("jwks_uri", provider.jwks_uri))
    return unusable(address, "its \"jwks_uri\" is no https:// address");
  for (const std::string* endpoint : {&provider.authorization_endpoint, &provider.token_endpoint})
    if (!endpoint->empty() && !check_https_url("endpoint", *endpoint))
      return unusable(address, "one of its endpoints is no https:// address");
  return provider;
}

Result<Keys> fetch_keys(const HttpsClient& client, const std::string& url) {
  ASSIGN_OR_RETURN(const std::string text, get(client, url));
  auto keys = parse_jwks(text);
  if (!keys) return unusable(url, keys.error().message);
  return keys;
}

Result<Secret> exchange_code(const HttpsClient& client, const Provider& provider,
                             const CodeExchange& exchange) {
  ASSIGN_OR_RETURN(auto answer, client.send(token_request(provider, exchange)));
  const auto body = parse_json(answer.body, kLimits);
  zero(answer.body);
  // RFC 6749 section 5.2: 400, or 401 where it does not know the client.
  if (answer.status == 400 || answer.status == 401)
    return Error{Errc::kUnauthenticated,
                 "the provider does not take the authorization code; log in again",
                 "the token endpoint answered with status " + std::to_string(answer.status)};
  if (answer.status != 200 || !body || !body->is_object())
    return unusable(provider.token_endpoint, "HTTP status " + std::to_string(answer.status));
  Secret token(text_of(*body, "id_token"));
  if (token.empty()) return unusable(provider.token_endpoint, "it holds no \"id_token\"");
  return token;
}

}  // namespace curfew::broker::jwt

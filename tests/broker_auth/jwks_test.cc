#include "broker/auth/jwt/jwks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/token_signer.h"

namespace curfew::broker::jwt {
namespace {

using test::jwks_text;
using test::TokenSigner;
using ::testing::HasSubstr;

std::string set_of(const std::vector<Json>& keys) {
  return Json{{"keys", keys}}.dump();
}

TEST(Jwks, KeysKeepNameAndAlgorithm) {
  const TokenSigner rsa("RS384", "a"), curve("ES256", "b"), edwards("EdDSA", "c");
  const auto keys = parse_jwks(jwks_text({&rsa, &curve, &edwards}));
  ASSERT_TRUE(keys) << keys.error().message;
  ASSERT_EQ(keys->size(), 3U);
  EXPECT_EQ((*keys)[0].kid, "a");
  EXPECT_EQ((*keys)[0].only_for, Algorithm::kRs384);
  EXPECT_TRUE((*keys)[2].key.fits(Algorithm::kEdDsa));
  EXPECT_TRUE(Jws::parse(curve.sign({{"sub", "x"}}))->verify(*keys, all_algorithms()));
}

TEST(Jwks, KeysForOtherUsesAndOfUnknownKindsAreLeftOut) {
  const TokenSigner good("ES256", "good");
  Json encryption = TokenSigner("RS256", "enc").jwk();
  encryption["use"] = "enc";
  Json wrapping = TokenSigner("RS256", "wrap").jwk();
  wrapping["key_ops"] = Json::array({"wrapKey"});
  Json oaep = TokenSigner("RS256", "oaep").jwk();
  oaep["alg"] = "RSA-OAEP";
  const Json shared = {{"kty", "oct"}, {"k", "c2VjcmV0"}, {"alg", "HS256"}, {"kid", "shared"}};
  const Json unknown = {{"kty", "QUANTUM"}, {"kid", "unknown"}};
  const auto keys =
      parse_jwks(set_of({encryption, wrapping, oaep, shared, unknown, 7, good.jwk()}));
  ASSERT_TRUE(keys) << keys.error().message;
  ASSERT_EQ(keys->size(), 1U);
  EXPECT_EQ(keys->front().kid, "good");
}

// As SPIRE serves it: X.509 authorities and JWT authorities in one set.
TEST(Jwks, ASpiffeTrustBundleIsAKeySet) {
  const TokenSigner authority("ES256", "C6vs25welZOx6WksNYfbMfiw9l96pMnD");
  Json jwt = authority.jwk();
  jwt["use"] = "jwt-svid";
  jwt.erase("alg");
  Json x509 = TokenSigner("RS256", "").jwk();
  x509["use"] = "x509-svid";
  x509["x5c"] = Json::array({"MIIBkjCCATmgAwIBAgIUe"});
  const auto keys = parse_jwks(
      Json{{"keys", {x509, jwt}}, {"spiffe_sequence", 1}, {"spiffe_refresh_hint", 300}}.dump());
  ASSERT_TRUE(keys) << keys.error().message;
  ASSERT_EQ(keys->size(), 1U);
  EXPECT_TRUE(Jws::parse(authority.sign({{"sub", "spiffe://example.org/agent"}}))
                  ->verify(*keys, all_algorithms()));
}

TEST(Jwks, WhatIsNoSetIsAnError) {
  for (const char* text : {"", "null", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[]}", "<html>",
                           "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}"}) {
    const auto keys = parse_jwks(text);
    ASSERT_FALSE(keys) << text;
    EXPECT_EQ(keys.error().code, Errc::kInvalidArgument);
  }
  const auto none = parse_jwks("{\"keys\":[{\"kty\":\"RSA\",\"e\":\"AQAB\"}]}");
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("no member \"n\""));
}

TEST(Jwks, SizesAreBounded) {
  const Json key = TokenSigner("ES256").jwk();
  EXPECT_TRUE(parse_jwks(set_of(std::vector<Json>(100, key))));
  EXPECT_FALSE(parse_jwks(set_of(std::vector<Json>(101, key))));
  EXPECT_FALSE(parse_jwks(std::string(600'000, ' ')));
}

}  // namespace
}  // namespace curfew::broker::jwt

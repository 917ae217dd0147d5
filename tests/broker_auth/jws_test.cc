#include "broker/auth/jwt/jws.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/token_signer.h"

namespace curfew::broker::jwt {
namespace {

using test::base64url;
using test::TokenSigner;
using test::unsigned_or_shared;
using ::testing::HasSubstr;
using ::testing::Not;

const Json kClaims = {{"sub", "agent-7"}, {"exp", 1'800'000'060}};

Keys keys_of(const TokenSigner& signer, const std::string& kid = "") {
  return {NamedKey{.key = PublicKey::from_pem(signer.public_pem()).value(), .kid = kid}};
}

Result<Json> verified(const std::string& token, const Keys& keys,
                      const std::vector<Algorithm>& allowed = all_algorithms()) {
  ASSIGN_OR_RETURN(const Jws jws, Jws::parse(token));
  return jws.verify(keys, allowed);
}

Errc code_of(const Result<Json>& result) {
  return result ? Errc::kInternal : result.error().code;
}

class EveryAlgorithm : public ::testing::TestWithParam<const char*> {};

TEST_P(EveryAlgorithm, SignaturesOfTheKeyAreBelievedAndOthersAreNot) {
  const TokenSigner signer(GetParam()), other(GetParam());
  const std::string token = signer.sign(kClaims);
  const auto claims = verified(token, keys_of(signer));
  ASSERT_TRUE(claims) << claims.error().message;
  EXPECT_EQ(*claims, kClaims);
  EXPECT_EQ(code_of(verified(token, keys_of(other))), Errc::kUnauthenticated);

  std::string changed = token;
  changed[changed.find('.') + 3] ^= 1;  // other claims, or none
  EXPECT_FALSE(verified(changed, keys_of(signer)));
  EXPECT_FALSE(verified(token.substr(0, token.size() - 4), keys_of(signer)));
  const std::string unsigned_part = token.substr(0, token.rfind('.') + 1);
  EXPECT_FALSE(verified(unsigned_part, keys_of(signer)));
  EXPECT_FALSE(verified(unsigned_part + base64url(std::string(64, '\0')), keys_of(signer)));
}

TEST_P(EveryAlgorithm, JwkAndCertificateHoldTheSameKeyAsThePem) {
  const TokenSigner signer(GetParam());
  const std::string token = signer.sign(kClaims);
  const auto from_jwk = PublicKey::from_jwk(signer.jwk());
  ASSERT_TRUE(from_jwk) << from_jwk.error().message;
  EXPECT_TRUE(verified(token, {NamedKey{.key = *from_jwk}}));
  const auto from_certificate = PublicKey::from_pem(signer.certificate_pem());
  ASSERT_TRUE(from_certificate) << from_certificate.error().message;
  EXPECT_TRUE(verified(token, {NamedKey{.key = *from_certificate}}));
}

TEST_P(EveryAlgorithm, IsRefusedWhereTheMountDoesNotAllowIt) {
  const TokenSigner signer(GetParam());
  std::vector<Algorithm> others = all_algorithms();
  std::erase(others, *parse_algorithm(GetParam()));
  EXPECT_EQ(code_of(verified(signer.sign(kClaims), keys_of(signer), others)),
            Errc::kInvalidArgument);
}

// The header names another algorithm than the one that the signature was made with.
TEST_P(EveryAlgorithm, MustFitKeyAndSignature) {
  const TokenSigner signer(GetParam());
  for (const Algorithm other : all_algorithms()) {
    if (algorithm_name(other) == GetParam()) continue;
    const std::string token = signer.sign(kClaims, {{"alg", algorithm_name(other)}});
    EXPECT_EQ(code_of(verified(token, keys_of(signer))), Errc::kUnauthenticated)
        << algorithm_name(other);
  }
}

INSTANTIATE_TEST_SUITE_P(Jws, EveryAlgorithm,
                         ::testing::Values("RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
                                           "ES256", "ES384", "ES512", "EdDSA"));

TEST(Jws, NoneIsNoAlgorithm) {
  const TokenSigner signer;
  for (const char* name :
       {"none", "None", "NONE", "nOnE", "", "rs256", "HS256", "HS384", "HS512"}) {
    const auto result = Jws::parse(signer.sign(kClaims, {{"alg", name}}));
    ASSERT_FALSE(result) << name;
    EXPECT_EQ(result.error().code, Errc::kInvalidArgument);
  }
  EXPECT_FALSE(Jws::parse(unsigned_or_shared(kClaims, "", Json::object())));
  EXPECT_FALSE(Jws::parse(signer.sign(kClaims, {{"alg", nullptr}})));
  EXPECT_FALSE(Jws::parse(signer.sign(kClaims, {{"alg", Json::array({"RS256"})}})));
}

TEST(Jws, AnEmptySignatureIsNone) {
  EXPECT_FALSE(Jws::parse(unsigned_or_shared(kClaims, "", {{"alg", "RS256"}})));
}

// The public key, which everybody has, as the secret of an HMAC.
TEST(Jws, APublicKeyIsNeverASharedSecret) {
  const TokenSigner signer;
  for (const std::string& secret : {signer.public_pem(), signer.jwk().dump()}) {
    EXPECT_FALSE(verified(unsigned_or_shared(kClaims, secret, Json::object()), keys_of(signer)));
    EXPECT_FALSE(
        verified(unsigned_or_shared(kClaims, secret, {{"alg", "RS256"}}), keys_of(signer)));
  }
}

TEST(Jws, KeysInTheHeaderAreNotLookedAt) {
  const TokenSigner honest, forger;
  const Json header = {{"jwk", forger.jwk()},
                       {"jku", "https://forger.example/keys"},
                       {"x5u", "https://forger.example/chain"},
                       {"x5c", Json::array({"MIIB"})}};
  EXPECT_EQ(code_of(verified(forger.sign(kClaims, header), keys_of(honest))),
            Errc::kUnauthenticated);
}

TEST(Jws, AKidChoosesTheKey) {
  const TokenSigner first("ES256", "first"), second("ES256", "second");
  Keys keys = keys_of(first, "first");
  keys.push_back(keys_of(second, "second")[0]);
  EXPECT_TRUE(verified(second.sign(kClaims), keys));
  // The right key under another name is not tried; without a name all are.
  EXPECT_FALSE(verified(second.sign(kClaims, {{"kid", "first"}}), keys));
  EXPECT_TRUE(verified(second.sign(kClaims, {{"kid", nullptr}}), keys));
  EXPECT_TRUE(Jws::parse(second.sign(kClaims))->names_one_of(keys));
  EXPECT_FALSE(Jws::parse(second.sign(kClaims, {{"kid", "third"}}))->names_one_of(keys));
  // Keys without a name, as from PEM, are for all tokens.
  EXPECT_TRUE(verified(second.sign(kClaims), keys_of(second)));
}

TEST(Jws, AKeyForOneAlgorithmIsForNoOther) {
  const TokenSigner signer("PS256");
  Keys keys = keys_of(signer);
  keys[0].only_for = Algorithm::kRs256;
  EXPECT_FALSE(verified(signer.sign(kClaims), keys));
}

TEST(Jws, CriticalExtensionsAreRefused) {
  const TokenSigner signer("ES256");
  EXPECT_FALSE(Jws::parse(signer.sign(kClaims, {{"crit", Json::array({"exp"})}})));
  EXPECT_FALSE(Jws::parse(signer.sign(kClaims, {{"b64", false}})));
}

TEST(Jws, MalformedTokensAreRefusedWithoutTheirText) {
  const TokenSigner signer("ES256");
  const std::string good = signer.sign(kClaims);
  const std::string head = good.substr(0, good.find('.'));
  const std::string tail = good.substr(good.find('.'));
  const std::vector<std::string> bad = {
      "",
      ".",
      "..",
      "...",
      "geheim",
      "geheim.geheim",
      good + ".",
      good + "." + head,
      " " + good,
      good + "\n",
      good + "=",
      good.substr(0, good.size() - 1) + "+",
      base64url("[]") + tail,
      base64url("\"geheim\"") + tail,
      base64url("{\"alg\":\"ES256\"") + tail,
      signer.sign_text("geheim"),
      signer.sign_text("[\"geheim\"]"),
      signer.sign_text(std::string("{}\0", 3)),
      signer.sign(kClaims, {{"kid", 7}}),
  };
  for (const std::string& token : bad) {
    const auto result = Jws::parse(token);
    ASSERT_FALSE(result) << token;
    EXPECT_EQ(result.error().code, Errc::kInvalidArgument);
    EXPECT_THAT(result.error().message, HasSubstr("malformed JWT"));
    EXPECT_THAT(result.error().message, Not(HasSubstr("geheim")));
  }
}

TEST(Jws, SizesAreBounded) {
  const TokenSigner signer("ES256");
  EXPECT_TRUE(Jws::parse(signer.sign({{"pad", std::string(20'000, 'x')}})));
  EXPECT_FALSE(Jws::parse(signer.sign({{"pad", std::string(40'000, 'x')}})));
  EXPECT_FALSE(Jws::parse(signer.sign(kClaims, {{"pad", std::string(5'000, 'x')}})));
  EXPECT_FALSE(Jws::parse(signer.sign(kClaims, {{"kid", std::string(600, 'x')}})));
  std::string deep = "1";
  for (int i = 0; i < 20; ++i) deep = "{\"a\":" + deep + "}";
  EXPECT_FALSE(Jws::parse(signer.sign_text(deep)));
  EXPECT_FALSE(Jws::parse(signer.sign({{"many", Json(std::vector<int>(5'000, 1))}})));
}

TEST(PublicKey, WeakAndOtherKeysAreRefused) {
  EXPECT_FALSE(PublicKey::from_pem(TokenSigner("RS256", "", 1024).public_pem()));
  EXPECT_FALSE(PublicKey::from_pem("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"));
  EXPECT_FALSE(PublicKey::from_pem(""));
  EXPECT_FALSE(PublicKey::from_pem("no key"));
  EXPECT_FALSE(PublicKey::from_pem(std::string(100'000, 'x')));

  Json even = TokenSigner("RS256").jwk();
  for (const char* exponent : {"AQ", "Ag", "AA", ""}) {  // 1, 2, 0, nothing
    even["e"] = exponent;
    EXPECT_FALSE(PublicKey::from_jwk(even)) << exponent;
  }
  // A point that does not lie on the curve.
  Json off = TokenSigner("ES256").jwk();
  off["y"] = TokenSigner("ES256").jwk()["y"];
  EXPECT_FALSE(PublicKey::from_jwk(off));
  Json renamed = TokenSigner("ES256").jwk();
  renamed["crv"] = "P-384";
  EXPECT_FALSE(PublicKey::from_jwk(renamed));
  renamed["crv"] = "secp256k1";
  EXPECT_FALSE(PublicKey::from_jwk(renamed));
  EXPECT_FALSE(PublicKey::from_jwk({{"kty", "oct"}, {"k", "AAAA"}}));
  EXPECT_FALSE(PublicKey::from_jwk({{"kty", "OKP"}, {"crv", "Ed25519"}, {"x", "AAAA"}}));
}

}  // namespace
}  // namespace curfew::broker::jwt

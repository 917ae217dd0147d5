#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/encoding.h"
#include "broker/auth/jwt/claims.h"
#include "broker/auth/jwt/jwks.h"

namespace {

using namespace curfew::broker::jwt;

void require(bool condition) {
  if (!condition) std::abort();
}

// A key that nobody has the other half of.
const Keys& foreign_keys() {
  static const Keys keys = parse_jwks(
                               R"({"keys":[{"kty":"OKP","crv":"Ed25519",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},{"kty":"EC","crv":"P-256",
        "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]})")
                               .value();
  return keys;
}

void check_claims(const curfew::Json& claims) {
  const ClaimRules rules{.bound_audiences = {"a"},
                         .bound_claims = {{"/a/b", {"x*"}}, {"sub", {1, true}}},
                         .globs = true,
                         .user_claim = "/a/0",
                         .user_claim_is_pointer = true,
                         .groups_claim = "groups",
                         .claim_mappings = {{"/a", "a"}, {"b", "b"}},
                         .max_age = curfew::Seconds{60}};
  (void)check_times(claims, rules, curfew::from_unix_millis(1'800'000'000'000));
  (void)check_issuer(claims, "x");
  (void)check_audience(claims, rules, Audience::kBoundByRole);
  (void)check_bound(claims, rules);
  if (const auto subject = subject_of(claims, rules)) {
    require(!subject->name.empty() && subject->name.size() <= 512);
    require(subject->groups && subject->groups->size() <= 1'000);
  }
}

}  // namespace

// What a caller that nobody knows sends, and what a key server answers: nothing crashes, and
// nothing is believed that no key has signed.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (const auto jws = Jws::parse(text)) {
    check_claims(jws->unverified_claims());
    // Its keys' other halves are published; nobody signs with them here.
    (void)jws->verify(foreign_keys(), all_algorithms());
  }
  // The claims alone, which need no encoding.
  if (const auto claims = curfew::parse_json(text, JwsLimits{}.claims_json);
      claims && claims->is_object())
    check_claims(*claims);
  if (const auto keys = parse_jwks(text)) {
    require(!keys->empty() && keys->size() <= 100);
    for (const NamedKey& named : *keys)
      for (const Algorithm algorithm : all_algorithms())
        require(!named.key.verify(algorithm, "data", "signature"));
  }
  (void)PublicKey::from_pem(text);
  return 0;
}

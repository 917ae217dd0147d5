#include "tests/support/token_signer.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <stdexcept>

#include "base/digest.h"
#include "base/encoding.h"

namespace curfew::test {
namespace {

[[noreturn]] void fail(const char* what) {
  throw std::runtime_error(std::string("token signer: ") + what);
}

const char* curve_of(const std::string& algorithm) {
  if (algorithm == "ES256") return "P-256";
  if (algorithm == "ES384") return "P-384";
  if (algorithm == "ES512") return "P-521";
  return nullptr;
}

const EVP_MD* digest_of(const std::string& algorithm) {
  if (algorithm == "EdDSA") return nullptr;
  if (algorithm.ends_with("256")) return EVP_sha256();
  return algorithm.ends_with("384") ? EVP_sha384() : EVP_sha512();
}

EVP_PKEY* make_key(const std::string& algorithm, unsigned rsa_bits) {
  if (algorithm == "EdDSA") return EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  if (const char* curve = curve_of(algorithm)) return EVP_EC_gen(curve);
  return EVP_RSA_gen(rsa_bits);
}

std::string text_of(BIO* memory) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory, &data);
  std::string text(data, static_cast<std::size_t>(size));
  BIO_free_all(memory);
  return text;
}

std::string number(const EVP_PKEY* key, const char* name, std::size_t length = 0) {
  BIGNUM* value = nullptr;
  if (EVP_PKEY_get_bn_param(key, name, &value) != 1) fail("a number of the key");
  std::string out(length != 0 ? length : static_cast<std::size_t>(BN_num_bytes(value)), '\0');
  BN_bn2binpad(value, reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(out.size()));
  BN_free(value);
  return out;
}

std::string der_to_jose(const std::string& der, std::size_t half) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  ECDSA_SIG* pair = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size()));
  if (pair == nullptr) fail("the signature");
  std::string out(2 * half, '\0');
  auto* to = reinterpret_cast<unsigned char*>(out.data());
  BN_bn2binpad(ECDSA_SIG_get0_r(pair), to, static_cast<int>(half));
  BN_bn2binpad(ECDSA_SIG_get0_s(pair), to + half, static_cast<int>(half));
  ECDSA_SIG_free(pair);
  return out;
}

std::size_t half_of(const std::string& algorithm) {
  return algorithm == "ES256" ? 32 : algorithm == "ES384" ? 48 : 66;
}

}  // namespace

std::string base64url(std::string_view bytes) {
  std::string text = base64_encode(bytes);
  while (text.ends_with('=')) text.pop_back();
  for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return text;
}

TokenSigner::TokenSigner(std::string algorithm, std::string kid, unsigned rsa_bits)
    : algorithm_(std::move(algorithm)),
      kid_(std::move(kid)),
      key_(make_key(algorithm_, rsa_bits), EVP_PKEY_free) {
  if (!key_) fail("no key");
}

std::string TokenSigner::sign(const Json& claims, const Json& header) const {
  return sign_text(claims.dump(), header);
}

std::string TokenSigner::sign_text(std::string_view payload, const Json& header) const {
  Json whole = {{"alg", algorithm_}, {"typ", "JWT"}};
  if (!kid_.empty()) whole["kid"] = kid_;
  whole.merge_patch(header);
  const std::string text = base64url(whole.dump()) + "." + base64url(payload);
  return text + "." + base64url(signature(text));
}

std::string TokenSigner::signature(std::string_view text) const {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  EVP_PKEY_CTX* key_context = nullptr;
  const EVP_MD* digest = digest_of(algorithm_);
  if (EVP_DigestSignInit(context, &key_context, digest, nullptr, key_.get()) != 1) fail("signing");
  if (algorithm_.starts_with("PS")) {
    EVP_PKEY_CTX_set_rsa_padding(key_context, RSA_PKCS1_PSS_PADDING);
    EVP_PKEY_CTX_set_rsa_pss_saltlen(key_context, RSA_PSS_SALTLEN_DIGEST);
  }
  std::size_t length = 0;
  const auto* data = reinterpret_cast<const unsigned char*>(text.data());
  EVP_DigestSign(context, nullptr, &length, data, text.size());
  std::string out(length, '\0');
  if (EVP_DigestSign(context, reinterpret_cast<unsigned char*>(out.data()), &length, data,
                     text.size()) != 1)
    fail("signing");
  out.resize(length);
  EVP_MD_CTX_free(context);
  return algorithm_.starts_with("ES") ? der_to_jose(out, half_of(algorithm_)) : out;
}

std::string TokenSigner::public_pem() const {
  BIO* memory = BIO_new(BIO_s_mem());
  PEM_write_bio_PUBKEY(memory, key_.get());
  return text_of(memory);
}

std::string TokenSigner::certificate_pem() const {
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 86'400);
  X509_set_pubkey(certificate, key_.get());
  if (X509_sign(certificate, key_.get(), digest_of(algorithm_)) == 0) fail("a certificate");
  BIO* memory = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(memory, certificate);
  X509_free(certificate);
  return text_of(memory);
}

Json TokenSigner::jwk() const {
  Json out = {{"use", "sig"}, {"alg", algorithm_}};
  if (!kid_.empty()) out["kid"] = kid_;
  if (const char* curve = curve_of(algorithm_)) {
    out["kty"] = "EC";
    out["crv"] = curve;
    const std::size_t half = half_of(algorithm_);
    out["x"] = base64url(number(key_.get(), OSSL_PKEY_PARAM_EC_PUB_X, half));
    out["y"] = base64url(number(key_.get(), OSSL_PKEY_PARAM_EC_PUB_Y, half));
  } else if (algorithm_ == "EdDSA") {
    std::string raw(32, '\0');
    std::size_t length = raw.size();
    EVP_PKEY_get_raw_public_key(key_.get(), reinterpret_cast<unsigned char*>(raw.data()), &length);
    out.update({{"kty", "OKP"}, {"crv", "Ed25519"}, {"x", base64url(raw)}});
  } else {
    out["kty"] = "RSA";
    out["n"] = base64url(number(key_.get(), OSSL_PKEY_PARAM_RSA_N));
    out["e"] = base64url(number(key_.get(), OSSL_PKEY_PARAM_RSA_E));
  }
  return out;
}

std::string jwks_text(const std::vector<const TokenSigner*>& signers) {
  Json keys = Json::array();
  for (const TokenSigner* signer : signers) keys.push_back(signer->jwk());
  return Json{{"keys", keys}}.dump();
}

std::string unsigned_or_shared(const Json& claims, std::string_view secret, const Json& header) {
  Json whole = {{"alg", secret.empty() ? "none" : "HS256"}, {"typ", "JWT"}};
  whole.merge_patch(header);
  const std::string text = base64url(whole.dump()) + "." + base64url(claims.dump());
  return text + "." + (secret.empty() ? "" : base64url(hmac_sha256(secret, text)));
}

}  // namespace curfew::test

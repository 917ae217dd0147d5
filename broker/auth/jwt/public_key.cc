#include "broker/auth/jwt/public_key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <array>

#include "base/encoding.h"

namespace curfew::broker::jwt {
namespace {

template <class T, void (*Free)(T*)>
struct Freer {
  void operator()(T* object) const { Free(object); }
};
template <class T, void (*Free)(T*)>
using Owned = std::unique_ptr<T, Freer<T, Free>>;
using Memory = Owned<BIO, BIO_free_all>;
using Number = Owned<BIGNUM, BN_free>;
using Builder = Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free>;
using Params = Owned<OSSL_PARAM, OSSL_PARAM_free>;
using KeyContext = Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;
using DigestContext = Owned<EVP_MD_CTX, EVP_MD_CTX_free>;
using EcdsaSignature = Owned<ECDSA_SIG, ECDSA_SIG_free>;
using KeyHandle = std::shared_ptr<EVP_PKEY>;

constexpr int kRsaBitsMin = 2048;
constexpr int kRsaBitsMax = 8192;  // a signature by a larger one would cost a caller's thread
constexpr std::size_t kPemBytesMax = 32 * 1024;

const unsigned char* bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data() == nullptr ? "" : text.data());
}

// OpenSSL's queue of errors belongs to the thread: nobody else shall find ours in it.
struct QuietErrors {
  QuietErrors() { ERR_clear_error(); }
  ~QuietErrors() { ERR_clear_error(); }
  QuietErrors(const QuietErrors&) = delete;
  QuietErrors& operator=(const QuietErrors&) = delete;
};

KeyHandle owned(EVP_PKEY* key) {
  return key == nullptr ? KeyHandle{} : KeyHandle(key, EVP_PKEY_free);
}

Error unusable(std::string why) {
  return {Errc::kInvalidArgument, std::move(why)};
}

// An exponent that is even or 1 makes every signature, or none, a valid one.
bool sane_exponent(const EVP_PKEY* key) {
  BIGNUM* raw = nullptr;
  if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &raw) != 1) return false;
  const Number exponent(raw);
  return BN_is_odd(exponent.get()) && !BN_is_one(exponent.get()) &&
         BN_num_bits(exponent.get()) <= 64;
}

std::string curve_of(const EVP_PKEY* key) {
  std::array<char, 64> name{};
  std::size_t length = 0;
  if (EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, name.data(), name.size(),
                                     &length) != 1)
    return {};
  return std::string(name.data(), length);
}

Result<std::string> jwk_bytes(const Json& jwk, const char* name) {
  const auto it = jwk.find(name);
  if (it == jwk.end() || !it->is_string())
    return unusable(std::string("the key has no member \"") + name + "\"");
  auto decoded = base64_decode(it->get_ref<const std::string&>());
  if (!decoded || decoded->empty() || decoded->size() > kRsaBitsMax / 8 + 1)
    return unusable(std::string("the key's member \"") + name + "\" is not a number in base64url");
  return std::move(*decoded);
}

std::string jwk_text(const Json& jwk, const char* name) {
  const auto it = jwk.find(name);
  return it != jwk.end() && it->is_string() ? it->get<std::string>() : std::string{};
}

KeyHandle from_params(const char* type, OSSL_PARAM_BLD* builder) {
  const Params params(OSSL_PARAM_BLD_to_param(builder));
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!params || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1)
    return {};
  return owned(key);
}

Result<KeyHandle> rsa_from_jwk(const Json& jwk) {
  ASSIGN_OR_RETURN(const std::string modulus, jwk_bytes(jwk, "n"));
  ASSIGN_OR_RETURN(const std::string exponent, jwk_bytes(jwk, "e"));
  const Number n(BN_bin2bn(bytes(modulus), static_cast<int>(modulus.size()), nullptr));
  const Number e(BN_bin2bn(bytes(exponent), static_cast<int>(exponent.size()), nullptr));
  const Builder builder(OSSL_PARAM_BLD_new());
  if (!n || !e || !builder ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1)
    return KeyHandle{};
  return from_params("RSA", builder.get());
}

struct Curve {
  std::string_view jwk_name;
  const char* group;
  std::size_t bytes;
};
constexpr std::array<Curve, 3> kCurves = {
    Curve{"P-256", "prime256v1", 32}, {"P-384", "secp384r1", 48}, {"P-521", "secp521r1", 66}};

Result<KeyHandle> ec_from_jwk(const Json& jwk) {
  const std::string name = jwk_text(jwk, "crv");
  for (const Curve& curve : kCurves) {
    if (curve.jwk_name != name) continue;
    ASSIGN_OR_RETURN(const std::string x, jwk_bytes(jwk, "x"));
    ASSIGN_OR_RETURN(const std::string y, jwk_bytes(jwk, "y"));
    if (x.size() != curve.bytes || y.size() != curve.bytes)
      return unusable("the key's point has not the length that its curve asks for");
    const std::string point = "\x04" + x + y;
    const Builder builder(OSSL_PARAM_BLD_new());
    if (!builder ||
        OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, curve.group,
                                        0) != 1 ||
        OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                         point.size()) != 1)
      return KeyHandle{};
    return from_params("EC", builder.get());
  }
  return unusable("the key's curve is none of P-256, P-384 and P-521");
}

Result<KeyHandle> okp_from_jwk(const Json& jwk) {
  if (jwk_text(jwk, "crv") != "Ed25519") return unusable("the key's curve is not Ed25519");
  ASSIGN_OR_RETURN(const std::string x, jwk_bytes(jwk, "x"));
  return owned(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes(x), x.size()));
}

KeyHandle read_pem(std::string_view pem) {
  const Memory memory(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  if (!memory) return {};
  if (pem.find("BEGIN CERTIFICATE") != std::string_view::npos) {
    const Owned<X509, X509_free> certificate(
        PEM_read_bio_X509(memory.get(), nullptr, nullptr, nullptr));
    return certificate ? owned(X509_get_pubkey(certificate.get())) : KeyHandle{};
  }
  return owned(PEM_read_bio_PUBKEY(memory.get(), nullptr, nullptr, nullptr));
}

const EVP_MD* digest_of(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::kRs256:
    case Algorithm::kPs256:
    case Algorithm::kEs256: return EVP_sha256();
    case Algorithm::kRs384:
    case Algorithm::kPs384:
    case Algorithm::kEs384: return EVP_sha384();
    case Algorithm::kRs512:
    case Algorithm::kPs512:
    case Algorithm::kEs512: return EVP_sha512();
    case Algorithm::kEdDsa: return nullptr;
  }
  return nullptr;
}

bool is_pss(Algorithm algorithm) {
  return algorithm == Algorithm::kPs256 || algorithm == Algorithm::kPs384 ||
         algorithm == Algorithm::kPs512;
}

// RFC 7518 section 3.4 has both numbers in full length, one after the other; OpenSSL wants DER.
// Empty: the length is wrong.
std::string to_der(std::string_view signature, std::size_t number_bytes) {
  if (signature.size() != 2 * number_bytes) return {};
  const int half = static_cast<int>(number_bytes);
  Number r(BN_bin2bn(bytes(signature), half, nullptr));
  Number s(BN_bin2bn(bytes(signature.substr(number_bytes)), half, nullptr));
  const EcdsaSignature pair(ECDSA_SIG_new());
  if (!r || !s || !pair || ECDSA_SIG_set0(pair.get(), r.get(), s.get()) != 1) return {};
  (void)r.release();
  (void)s.release();
  unsigned char* der = nullptr;
  const int length = i2d_ECDSA_SIG(pair.get(), &der);
  if (length <= 0) return {};
  std::string out(reinterpret_cast<char*>(der), static_cast<std::size_t>(length));
  OPENSSL_free(der);
  return out;
}

// RFC 7518 section 3.5: the salt is as long as the hash, and the mask uses the same hash.
bool set_pss(EVP_PKEY_CTX* context, const EVP_MD* digest) {
  return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1 &&
         EVP_PKEY_CTX_set_rsa_mgf1_md(context, digest) == 1;
}

}  // namespace

Result<PublicKey> PublicKey::checked(Handle key) {
  if (!key) return unusable("the key cannot be read");
  switch (EVP_PKEY_get_base_id(key.get())) {
    case EVP_PKEY_RSA: {
      const int bits = EVP_PKEY_get_bits(key.get());
      if (bits < kRsaBitsMin || bits > kRsaBitsMax)
        return unusable("an RSA key must have 2048 to 8192 bits; this one has " +
                        std::to_string(bits));
      if (!sane_exponent(key.get())) return unusable("the RSA key's exponent is not a usable one");
      return PublicKey(std::move(key), Kind::kRsa);
    }
    case EVP_PKEY_EC: {
      const std::string curve = curve_of(key.get());
      if (curve == kCurves[0].group) return PublicKey(std::move(key), Kind::kP256);
      if (curve == kCurves[1].group) return PublicKey(std::move(key), Kind::kP384);
      if (curve == kCurves[2].group) return PublicKey(std::move(key), Kind::kP521);
      return unusable("the key's curve is none of P-256, P-384 and P-521");
    }
    case EVP_PKEY_ED25519: return PublicKey(std::move(key), Kind::kEd25519);
    default: return unusable("the key is neither RSA nor on P-256, P-384, P-521 or Ed25519");
  }
}

Result<PublicKey> PublicKey::from_pem(std::string_view pem) {
  const QuietErrors quiet;
  if (pem.size() > kPemBytesMax) return unusable("the key is larger than 32 KiB");
  if (pem.find("PRIVATE KEY") != std::string_view::npos)
    return unusable("this is a private key; give the public key or the certificate");
  Handle key = read_pem(pem);
  if (!key) return unusable("this is no public key and no certificate in PEM");
  return checked(std::move(key));
}

Result<PublicKey> PublicKey::from_jwk(const Json& jwk) {
  const QuietErrors quiet;
  const std::string type = jwk_text(jwk, "kty");
  if (type == "RSA") {
    ASSIGN_OR_RETURN(auto key, rsa_from_jwk(jwk));
    return checked(std::move(key));
  }
  if (type == "EC") {
    ASSIGN_OR_RETURN(auto key, ec_from_jwk(jwk));
    return checked(std::move(key));
  }
  if (type == "OKP") {
    ASSIGN_OR_RETURN(auto key, okp_from_jwk(jwk));
    return checked(std::move(key));
  }
  return unusable("the key's type is none of RSA, EC and OKP");
}

bool PublicKey::fits(Algorithm algorithm) const {
  switch (algorithm) {
    case Algorithm::kEs256: return kind_ == Kind::kP256;
    case Algorithm::kEs384: return kind_ == Kind::kP384;
    case Algorithm::kEs512: return kind_ == Kind::kP521;
    case Algorithm::kEdDsa: return kind_ == Kind::kEd25519;
    default: return kind_ == Kind::kRsa;
  }
}

bool PublicKey::verify(Algorithm algorithm, std::string_view data,
                       std::string_view signature) const {
  if (!fits(algorithm)) return false;
  const QuietErrors quiet;
  std::string der;
  for (std::size_t i = 0; i < kCurves.size(); ++i) {
    if (kind_ != static_cast<Kind>(static_cast<std::size_t>(Kind::kP256) + i)) continue;
    der = to_der(signature, kCurves[i].bytes);
    if (der.empty()) return false;
    signature = der;
  }
  const EVP_MD* digest = digest_of(algorithm);
  const DigestContext context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* key_context = nullptr;
  if (!context ||
      EVP_DigestVerifyInit(context.get(), &key_context, digest, nullptr, key_.get()) != 1)
    return false;
  if (is_pss(algorithm) && !set_pss(key_context, digest)) return false;
  return EVP_DigestVerify(context.get(), bytes(signature), signature.size(), bytes(data),
                          data.size()) == 1;
}

}  // namespace curfew::broker::jwt

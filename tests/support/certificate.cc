#include "tests/support/certificate.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <memory>
#include <stdexcept>

namespace curfew::test {
namespace {

template <class T, void (*Free)(T*)>
struct Freer {
  void operator()(T* object) const { Free(object); }
};
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY, EVP_PKEY_free>>;
using Cert = std::unique_ptr<X509, Freer<X509, X509_free>>;
using Memory = std::unique_ptr<BIO, Freer<BIO, BIO_free_all>>;

std::string text_of(BIO* memory) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory, &data);
  return std::string(data, static_cast<std::size_t>(size));
}

}  // namespace

Certificate make_certificate() {
  const Key key(EVP_EC_gen("P-256"));
  const Cert cert(X509_new());
  if (!key || !cert) throw std::runtime_error("no key");
  X509_set_version(cert.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(cert.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(cert.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(cert.get()), 86'400);
  X509_set_pubkey(cert.get(), key.get());
  X509_NAME* name = X509_get_subject_name(cert.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
  X509_set_issuer_name(cert.get(), name);
  for (const auto& [kind, value] : {std::pair{NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1"},
                                    std::pair{NID_basic_constraints, "critical,CA:TRUE"}}) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value);
    X509_add_ext(cert.get(), extension, -1);
    X509_EXTENSION_free(extension);
  }
  if (X509_sign(cert.get(), key.get(), EVP_sha256()) == 0) throw std::runtime_error("not signed");
  const Memory cert_text(BIO_new(BIO_s_mem())), key_text(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(cert_text.get(), cert.get());
  PEM_write_bio_PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return {text_of(cert_text.get()), text_of(key_text.get())};
}

namespace {

void set_time(ASN1_TIME* into, std::int64_t wanted, std::int64_t seconds_from_now) {
  if (wanted == 0) wanted = std::time(nullptr) + seconds_from_now;
  ASN1_TIME_set(into, wanted);
}

void add_name(X509_NAME* name, const char* kind, const std::string& value) {
  X509_NAME_add_entry_by_txt(name, kind, MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(value.data()),
                             static_cast<int>(value.size()), -1, 0);
}

void add_extension(X509* cert, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, cert, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
  if (extension == nullptr) throw std::runtime_error("no extension " + value);
  X509_add_ext(cert, extension, -1);
  X509_EXTENSION_free(extension);
}

void add_text_extension(X509* cert, const std::string& oid, const std::string& text) {
  ASN1_OBJECT* object = OBJ_txt2obj(oid.c_str(), 1);
  ASN1_STRING* string = ASN1_STRING_type_new(V_ASN1_UTF8STRING);
  ASN1_STRING_set(string, text.data(), static_cast<int>(text.size()));
  unsigned char* der = nullptr;
  const int size = i2d_ASN1_UTF8STRING(string, &der);
  ASN1_OCTET_STRING* data = ASN1_OCTET_STRING_new();
  ASN1_OCTET_STRING_set(data, der, size);
  X509_EXTENSION* extension = X509_EXTENSION_create_by_OBJ(nullptr, object, 0, data);
  X509_add_ext(cert, extension, -1);
  X509_EXTENSION_free(extension);
  ASN1_OCTET_STRING_free(data);
  OPENSSL_free(der);
  ASN1_STRING_free(string);
  ASN1_OBJECT_free(object);
}

std::string pem_of(X509* cert) {
  const Memory text(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(text.get(), cert);
  return text_of(text.get());
}

std::string pem_of(EVP_PKEY* key) {
  const Memory text(BIO_new(BIO_s_mem()));
  PEM_write_bio_PrivateKey(text.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return text_of(text.get());
}

// Not signed yet.
Cert begin(EVP_PKEY* key, std::int64_t begins, std::int64_t ends) {
  Cert cert(X509_new());
  X509_set_version(cert.get(), 2);
  unsigned char serial[8];
  RAND_bytes(serial, sizeof serial);
  BIGNUM* number = BN_bin2bn(serial, sizeof serial, nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert.get()));
  BN_free(number);
  set_time(X509_getm_notBefore(cert.get()), begins, -3600);
  set_time(X509_getm_notAfter(cert.get()), ends, 86'400);
  X509_set_pubkey(cert.get(), key);
  return cert;
}

Cert fill(EVP_PKEY* key, const CertificateWish& wish, X509* issuer) {
  Cert cert = begin(key, wish.begins, wish.ends);
  X509_NAME* subject = X509_get_subject_name(cert.get());
  if (!wish.common_name.empty()) add_name(subject, "CN", wish.common_name);
  for (const std::string& unit : wish.units) add_name(subject, "OU", unit);
  X509* const parent = issuer == nullptr ? cert.get() : issuer;
  X509_set_issuer_name(cert.get(), X509_get_subject_name(parent));
  add_extension(cert.get(), parent, NID_basic_constraints, "critical,CA:FALSE");
  add_extension(cert.get(), parent, NID_subject_key_identifier, "hash");
  if (issuer != nullptr)
    add_extension(cert.get(), parent, NID_authority_key_identifier, "keyid:always");
  if (!wish.usages.empty()) add_extension(cert.get(), parent, NID_ext_key_usage, wish.usages);
  if (!wish.alternative_names.empty())
    add_extension(cert.get(), parent, NID_subject_alt_name, wish.alternative_names);
  for (const auto& [oid, text] : wish.extensions) add_text_extension(cert.get(), oid, text);
  return cert;
}

}  // namespace

struct CertificateAuthority::Parts {
  Key key{EVP_EC_gen("P-256")};
  Cert cert;
  std::string pem;

  Parts(const std::string& name, const Parts* issuer, std::int64_t begins, std::int64_t ends)
      : cert(begin(key.get(), begins, ends)) {
    add_name(X509_get_subject_name(cert.get()), "CN", name);
    X509* const parent = issuer == nullptr ? cert.get() : issuer->cert.get();
    X509_set_issuer_name(cert.get(), X509_get_subject_name(parent));
    add_extension(cert.get(), parent, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(cert.get(), parent, NID_key_usage, "critical,keyCertSign,cRLSign");
    add_extension(cert.get(), parent, NID_subject_key_identifier, "hash");
    X509_sign(cert.get(), issuer == nullptr ? key.get() : issuer->key.get(), EVP_sha256());
    pem = pem_of(cert.get());
  }
};

CertificateAuthority::CertificateAuthority(const std::string& name, std::int64_t begins,
                                           std::int64_t ends)
    : parts_(std::make_shared<const Parts>(name, nullptr, begins, ends)) {}

const std::string& CertificateAuthority::certificate() const {
  return parts_->pem;
}

Certificate CertificateAuthority::issue(const CertificateWish& wish) const {
  const Key key(EVP_EC_gen("P-256"));
  const Cert cert = fill(key.get(), wish, parts_->cert.get());
  X509_sign(cert.get(), parts_->key.get(), EVP_sha256());
  return {pem_of(cert.get()), pem_of(key.get())};
}

CertificateAuthority CertificateAuthority::issue_authority(const std::string& name,
                                                           std::int64_t begins,
                                                           std::int64_t ends) const {
  CertificateAuthority made;
  made.parts_ = std::make_shared<const Parts>(name, parts_.get(), begins, ends);
  return made;
}

std::string CertificateAuthority::revocation_list(const std::vector<std::string>& revoked,
                                                  std::int64_t updated, std::int64_t next) const {
  X509_CRL* list = X509_CRL_new();
  X509_CRL_set_version(list, 1);
  X509_CRL_set_issuer_name(list, X509_get_subject_name(parts_->cert.get()));
  ASN1_TIME* time = ASN1_TIME_new();
  set_time(time, updated, -3600);
  X509_CRL_set1_lastUpdate(list, time);
  for (const std::string& pem : revoked) {
    const Memory text(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    const Cert cert(PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr));
    X509_REVOKED* entry = X509_REVOKED_new();
    X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(cert.get()));
    X509_REVOKED_set_revocationDate(entry, time);
    X509_CRL_add0_revoked(list, entry);
  }
  set_time(time, next, 86'400);
  X509_CRL_set1_nextUpdate(list, time);
  ASN1_TIME_free(time);
  X509_CRL_sort(list);
  X509_CRL_sign(list, parts_->key.get(), EVP_sha256());
  const Memory text(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509_CRL(text.get(), list);
  X509_CRL_free(list);
  return text_of(text.get());
}

Certificate make_self_signed(const CertificateWish& wish) {
  const Key key(EVP_EC_gen("P-256"));
  const Cert cert = fill(key.get(), wish, nullptr);
  X509_sign(cert.get(), key.get(), EVP_sha256());
  return {pem_of(cert.get()), pem_of(key.get())};
}

std::string der_of(const std::string& pem) {
  const Memory text(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const Cert cert(PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr));
  if (cert == nullptr) throw std::runtime_error("no certificate");
  unsigned char* bytes = nullptr;
  const int size = i2d_X509(cert.get(), &bytes);
  std::string der(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
  OPENSSL_free(bytes);
  return der;
}

}  // namespace curfew::test

#include "broker/auth/cert/certificate.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>

#include "base/encoding.h"

namespace curfew::broker::cert {
namespace {

constexpr std::size_t kPemBytesMax = std::size_t{256} << 10;
constexpr std::size_t kCrlBytesMax = std::size_t{4} << 20;
constexpr std::size_t kCertificatesMax = 64;
constexpr std::size_t kNameBytesMax = 512;

template <class T, void (*Free)(T*)>
struct Freer {
  void operator()(T* object) const { Free(object); }
};
using Memory = std::unique_ptr<BIO, Freer<BIO, BIO_vfree>>;
using Names = std::unique_ptr<GENERAL_NAMES, Freer<GENERAL_NAMES, GENERAL_NAMES_free>>;
using Object = std::unique_ptr<ASN1_OBJECT, Freer<ASN1_OBJECT, ASN1_OBJECT_free>>;
using Any = std::unique_ptr<ASN1_TYPE, Freer<ASN1_TYPE, ASN1_TYPE_free>>;

Error invalid(std::string message) {
  ERR_clear_error();
  return {Errc::kInvalidArgument, std::move(message)};
}

CertificatePointer owned(X509* certificate) {
  return {certificate, [](X509* object) { X509_free(object); }};
}

Memory reader_of(std::string_view bytes) {
  return Memory(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
}

// A name that seems to end early would be another one to whoever reads it.
Result<std::string> clean_name(std::string text) {
  const bool odd =
      std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  if (odd) return invalid("the certificate has a name with control characters");
  if (text.size() > kNameBytesMax) return invalid("the certificate has a name of over 512 bytes");
  return text;
}

Result<std::string> text_of(const ASN1_STRING* string) {
  unsigned char* bytes = nullptr;
  const int size = ASN1_STRING_to_UTF8(&bytes, string);
  if (size < 0) return invalid("the certificate has a name that is no text");
  std::string text(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
  OPENSSL_free(bytes);
  return clean_name(std::move(text));
}

std::string raw_text(const ASN1_STRING* string) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(string)),
          static_cast<std::size_t>(ASN1_STRING_length(string))};
}

// Of the kinds of names that are in ASCII.
Result<std::string> ascii_text(const ASN1_STRING* string) {
  std::string text = raw_text(string);
  if (std::any_of(text.begin(), text.end(), [](unsigned char c) { return c >= 0x80; }))
    return invalid("the certificate has a name that is not in ASCII where it has to be");
  return clean_name(std::move(text));
}

Result<std::vector<std::string>> subject_parts(const X509* certificate, int kind) {
  std::vector<std::string> parts;
  const X509_NAME* subject = X509_get_subject_name(certificate);
  for (int at = -1; (at = X509_NAME_get_index_by_NID(subject, kind, at)) >= 0;) {
    ASSIGN_OR_RETURN(std::string part,
                     text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at))));
    parts.push_back(std::move(part));
  }
  return parts;
}

Status read_alternative_names(const X509* certificate, CertificateFacts& facts) {
  int state = 0;
  const Names names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, &state, nullptr)));
  if (names == nullptr && state == -1) return ok();
  if (names == nullptr) return invalid("the certificate's alternative names cannot be read");
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    std::vector<std::string>* into = name->type == GEN_DNS     ? &facts.dns_names
                                     : name->type == GEN_EMAIL ? &facts.emails
                                     : name->type == GEN_URI   ? &facts.uris
                                                               : nullptr;
    if (into == nullptr) continue;
    ASSIGN_OR_RETURN(std::string text, ascii_text(name->d.ia5));
    into->push_back(std::move(text));
  }
  return ok();
}

std::string decimal(const ASN1_INTEGER* integer) {
  BIGNUM* number = ASN1_INTEGER_to_BN(integer, nullptr);
  char* text = number == nullptr ? nullptr : BN_bn2dec(number);
  std::string out = text == nullptr ? "" : text;
  OPENSSL_free(text);
  BN_free(number);
  return out;
}

std::string with_colons(const ASN1_OCTET_STRING* bytes) {
  if (bytes == nullptr) return {};
  const std::string hex = hex_encode(raw_text(bytes));
  std::string out;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    if (i > 0) out += ':';
    out += hex.substr(i, 2);
  }
  return out;
}

WallTime wall_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return {};
  return from_unix_millis(std::int64_t{timegm(&parts)} * 1000);
}

}  // namespace

Result<CertificatePointer> certificate_from_der(std::string_view der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const auto* end = at + der.size();
  X509* certificate = d2i_X509(nullptr, &at, static_cast<long>(der.size()));
  if (certificate == nullptr) return invalid("not an X.509 certificate");
  CertificatePointer out = owned(certificate);
  if (at != end) return invalid("something follows the certificate");
  return out;
}

Result<std::vector<CertificatePointer>> certificates_from_pem(const std::string& pem) {
  if (pem.size() > kPemBytesMax) return invalid("more than 256 KiB");
  std::vector<CertificatePointer> out;
  const Memory reader = reader_of(pem);
  while (X509* certificate = PEM_read_bio_X509(reader.get(), nullptr, nullptr, nullptr)) {
    out.push_back(owned(certificate));
    if (out.size() > kCertificatesMax) return invalid("more than 64 certificates");
  }
  const unsigned long reason = ERR_peek_last_error();
  const bool at_end =
      ERR_GET_LIB(reason) == ERR_LIB_PEM && ERR_GET_REASON(reason) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (out.empty() || !at_end) return invalid("failed to parse certificate: expected PEM");
  return out;
}

Result<CrlPointer> crl_from_pem(const std::string& pem) {
  if (pem.size() > kCrlBytesMax) return invalid("more than 4 MiB");
  const Memory reader = reader_of(pem);
  X509_CRL* list = PEM_read_bio_X509_CRL(reader.get(), nullptr, nullptr, nullptr);
  if (list == nullptr) return invalid("failed to parse CRL: expected PEM");
  CrlPointer out(list, [](X509_CRL* object) { X509_CRL_free(object); });
  if (X509_CRL_get_ext_by_NID(list, NID_delta_crl, -1) >= 0)
    return invalid("a delta CRL, which says nothing by itself: expected a complete one");
  ERR_clear_error();
  return out;
}

Result<CertificateFacts> read_facts(const CertificatePointer& certificate) {
  X509* const raw = certificate.get();
  CertificateFacts facts;
  ASSIGN_OR_RETURN(const auto names, subject_parts(raw, NID_commonName));
  if (names.size() > 1) return invalid("the certificate has more than one common name");
  if (!names.empty()) facts.common_name = names.front();
  ASSIGN_OR_RETURN(facts.organizational_units, subject_parts(raw, NID_organizationalUnitName));
  RETURN_IF_ERROR(read_alternative_names(raw, facts));
  facts.serial_number = decimal(X509_get0_serialNumber(raw));
  facts.subject_key_id = with_colons(X509_get0_subject_key_id(raw));
  facts.authority_key_id = with_colons(X509_get0_authority_key_id(raw));
  return facts;
}

std::optional<std::string> extension_text(const CertificatePointer& certificate,
                                          const std::string& oid) {
  const Object object(OBJ_txt2obj(oid.c_str(), 1));
  if (object == nullptr) return std::nullopt;
  const int at = X509_get_ext_by_OBJ(certificate.get(), object.get(), -1);
  if (at < 0 || X509_get_ext_by_OBJ(certificate.get(), object.get(), at) >= 0) return std::nullopt;
  const ASN1_OCTET_STRING* data = X509_EXTENSION_get_data(X509_get_ext(certificate.get(), at));
  const unsigned char* bytes = ASN1_STRING_get0_data(data);
  const unsigned char* const end = bytes + ASN1_STRING_length(data);
  const Any value(d2i_ASN1_TYPE(nullptr, &bytes, ASN1_STRING_length(data)));
  ERR_clear_error();
  if (value == nullptr || bytes != end) return std::nullopt;
  const int kind = ASN1_TYPE_get(value.get());
  if (kind != V_ASN1_UTF8STRING && kind != V_ASN1_PRINTABLESTRING && kind != V_ASN1_IA5STRING &&
      kind != V_ASN1_T61STRING && kind != V_ASN1_BMPSTRING && kind != V_ASN1_NUMERICSTRING)
    return std::nullopt;
  auto text = text_of(value->value.asn1_string);
  if (!text) return std::nullopt;
  return *std::move(text);
}

bool is_authority(const CertificatePointer& certificate) {
  return X509_check_ca(certificate.get()) == 1;
}

bool is_for_clients(const CertificatePointer& certificate) {
  return (X509_get_extended_key_usage(certificate.get()) & (XKU_SSL_CLIENT | XKU_ANYEKU)) != 0;
}

bool same_certificate(const CertificatePointer& a, const CertificatePointer& b) {
  return X509_cmp(a.get(), b.get()) == 0;
}

CrlFacts read_facts(const CrlPointer& list, std::size_t serials_max) {
  CrlFacts facts;
  const Memory text(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(text.get(), X509_CRL_get_issuer(list.get()), 0, XN_FLAG_RFC2253);
  char* data = nullptr;
  const long size = BIO_get_mem_data(text.get(), &data);
  if (size > 0) facts.issuer.assign(data, static_cast<std::size_t>(size));
  facts.updated = wall_of(X509_CRL_get0_lastUpdate(list.get()));
  if (const ASN1_TIME* next = X509_CRL_get0_nextUpdate(list.get()))
    facts.next_update = wall_of(next);
  STACK_OF(X509_REVOKED)* revoked = X509_CRL_get_REVOKED(list.get());
  facts.revoked = static_cast<std::size_t>(std::max(0, sk_X509_REVOKED_num(revoked)));
  for (std::size_t i = 0; i < std::min(facts.revoked, serials_max); ++i)
    facts.serial_numbers.push_back(decimal(
        X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(revoked, static_cast<int>(i)))));
  return facts;
}

bool is_oid(const std::string& text) {
  const bool ok = Object(OBJ_txt2obj(text.c_str(), 1)) != nullptr;
  ERR_clear_error();
  return ok;
}

}  // namespace curfew::broker::cert

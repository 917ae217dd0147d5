#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

struct x509_st;
struct X509_crl_st;

// X.509, as OpenSSL reads it.
namespace curfew::broker::cert {

// Never changed once it is made, so that several threads may use it.
using CertificatePointer = std::shared_ptr<x509_st>;
using CrlPointer = std::shared_ptr<X509_crl_st>;

// kInvalidArgument: not exactly one certificate.
Result<CertificatePointer> certificate_from_der(std::string_view der);
// At least one. kInvalidArgument: none, too many, or something in it is no certificate.
Result<std::vector<CertificatePointer>> certificates_from_pem(const std::string& pem);
// Exactly one, complete (no delta). kInvalidArgument says what is wrong.
Result<CrlPointer> crl_from_pem(const std::string& pem);

// What a certificate says of its holder. Texts are UTF-8 without control characters.
struct CertificateFacts {
  std::string common_name;  // empty: none
  std::vector<std::string> organizational_units;
  std::vector<std::string> dns_names, emails, uris;  // subject alternative names
  std::string serial_number;                         // decimal
  std::string subject_key_id, authority_key_id;      // "ab:cd:…"; empty: none
};
// kInvalidArgument: it says something in two ways, or in characters that could deceive.
Result<CertificateFacts> read_facts(const CertificatePointer& certificate);

// The text of an extension that holds one string; nullopt: it is not there, or not that.
std::optional<std::string> extension_text(const CertificatePointer& certificate,
                                          const std::string& oid);

// Whether it may sign others (basicConstraints says so).
bool is_authority(const CertificatePointer& certificate);
// Whether its extended key usage, if it has one, allows it to clients.
bool is_for_clients(const CertificatePointer& certificate);
bool same_certificate(const CertificatePointer& a, const CertificatePointer& b);

// What a revocation list says of itself, and whom it revokes (decimal, at most so many).
struct CrlFacts {
  std::string issuer;
  WallTime updated;
  std::optional<WallTime> next_update;
  std::size_t revoked = 0;
  std::vector<std::string> serial_numbers;
};
CrlFacts read_facts(const CrlPointer& list, std::size_t serials_max);

bool is_oid(const std::string& text);

}  // namespace curfew::broker::cert

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace curfew::test {

// A self-signed certificate for localhost and 127.0.0.1, valid for a day, and its key; both PEM.
struct Certificate {
  std::string certificate, key;
};
Certificate make_certificate();

// What a certificate is to say.
struct CertificateWish {
  std::string common_name = "client";
  std::vector<std::string> units = {};  // organizational units
  std::string alternative_names = {};   // "DNS:a.example,URI:spiffe://b,email:c@d.example"
  std::string usages = "clientAuth";    // extended key usage; empty: none is named
  std::int64_t begins = 0;              // Unix seconds; 0: an hour ago
  std::int64_t ends = 0;                // likewise; 0: in a day
  std::vector<std::pair<std::string, std::string>> extensions = {};  // OID, UTF-8 text
};

// An authority with a key of its own. Cheap to copy.
class CertificateAuthority {
 public:
  // A root. `begins`, `ends`: as in a wish.
  explicit CertificateAuthority(const std::string& name, std::int64_t begins = 0,
                                std::int64_t ends = 0);

  const std::string& certificate() const;  // PEM
  Certificate issue(const CertificateWish& wish = {}) const;
  CertificateAuthority issue_authority(const std::string& name, std::int64_t begins = 0,
                                       std::int64_t ends = 0) const;
  // PEM. `revoked`: certificates of this authority, PEM. `updated`, `next`: as begins and ends.
  std::string revocation_list(const std::vector<std::string>& revoked, std::int64_t updated = 0,
                              std::int64_t next = 0) const;

 private:
  struct Parts;
  CertificateAuthority() = default;

  std::shared_ptr<const Parts> parts_;
};

// A certificate that nobody vouches for but itself.
Certificate make_self_signed(const CertificateWish& wish);

// The first certificate of a PEM text, as DER.
std::string der_of(const std::string& pem);

}  // namespace curfew::test

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "broker/auth/cert/certificate.h"

struct x509_store_st;

namespace curfew::broker::cert {

struct RevocationList {
  std::string name;
  CrlPointer list;
};

// What became of a certificate that was shown.
struct Verdict {
  bool accepted = false;
  std::string reason = {};      // not accepted: why, for the log
  bool is_known = false;        // likewise: an authority that is believed stands behind it
  std::string stale_list = {};  // likewise: name of the revocation list that is out of date
  std::string authority = {};   // accepted: hexadecimal SHA-256 of the key that is believed
  WallTime ends = {};           // accepted: when the first certificate of the chain ends
};

// The certificates that one role believes: authorities (basicConstraints says that they are), and
// certificates of clients, each of which stands for itself alone. Immutable; thread-safe.
class Trust {
 public:
  Trust(std::vector<CertificatePointer> believed, std::vector<RevocationList> lists);

  // `chain`: the client's own first; not empty. A certificate whose issuer has lists must be on
  // none of them, and a list that is out of date is no list: nobody of that issuer is accepted.
  Verdict verify(const std::vector<CertificatePointer>& chain, WallTime now) const;

 private:
  using Store = std::shared_ptr<x509_store_st>;
  Store store_of(const std::vector<CertificatePointer>& anchors) const;

  const std::vector<CertificatePointer> believed_;
  const std::vector<RevocationList> lists_;
  Store authorities_;
};

}  // namespace curfew::broker::cert

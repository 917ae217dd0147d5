#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "broker/auth/cert/trust.h"

namespace {

using namespace curfew::broker::cert;

const curfew::WallTime kNow = curfew::from_unix_millis(1'796'000'000'000);

void require(bool condition) {
  if (!condition) std::abort();
}

void check_name(const std::string& name) {
  require(name.size() <= 512);
  require(std::all_of(name.begin(), name.end(),
                      [](unsigned char c) { return c >= 0x20 && c != 0x7f; }));
}

void check(const CertificatePointer& certificate, const std::vector<RevocationList>& lists) {
  if (const auto facts = read_facts(certificate)) {
    check_name(facts->common_name);
    for (const auto* names :
         {&facts->organizational_units, &facts->dns_names, &facts->emails, &facts->uris})
      for (const std::string& name : *names) check_name(name);
  }
  (void)extension_text(certificate, "2.1.1.1");
  (void)extension_text(certificate, "2.5.29.17");
  // Nobody is believed, so nobody is accepted; who is believed may be, and then says by whom.
  require(!Trust({}, lists).verify({certificate, certificate}, kNow).accepted);
  const Verdict verdict = Trust({certificate}, lists).verify({certificate}, kNow);
  require(verdict.accepted ? verdict.authority.size() == 64 : !verdict.reason.empty());
}

}  // namespace

// What a client shows in the handshake, and what an operator writes: nothing crashes, names are
// what they seem to be, and who is not believed is not accepted.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  std::vector<RevocationList> lists;
  if (const auto list = crl_from_pem(text)) {
    (void)read_facts(*list, 10);
    lists.push_back({"list", *list});
  }
  if (const auto certificate = certificate_from_der(text)) check(*certificate, lists);
  if (const auto certificates = certificates_from_pem(text))
    for (const CertificatePointer& certificate : *certificates) check(certificate, lists);
  return 0;
}

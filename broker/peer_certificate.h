#pragma once

#include <string>
#include <vector>

namespace curfew::broker {

// What a client showed in the TLS handshake of its connection, and has the private key of. Nobody
// has judged yet who signed it: an auth method does.
struct PeerCertificate {
  std::vector<std::string> chain;  // DER; the client's own first, then what it sent beside it
  std::string sha256;              // of the first, lower-case hexadecimal
  std::string serial_number;       // of the first, decimal
};

}  // namespace curfew::broker

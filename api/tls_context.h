#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "broker/peer_certificate.h"

struct ssl_ctx_st;
struct ssl_st;

namespace curfew::api {

// Whether clients are to show a certificate of their own.
enum class ClientCertificates {
  kAsked,     // they may show any, and who signed it is not looked at here
  kRequired,  // one that an authority of client_ca_file vouches for, or there is no connection
  kOff,       // they are not asked
};

// Where a listener's certificate comes from, and whose it believes; all files in PEM.
struct TlsFiles {
  std::string certificate_file;  // the server's certificate first, then the chain
  std::string key_file;          // its private key, not encrypted
  // Authorities; clients are told their names. Must be there where certificates are required.
  std::string client_ca_file = {};
  ClientCertificates client_certificates = ClientCertificates::kAsked;
};

struct TlsContextDelete {
  void operator()(ssl_ctx_st* context) const noexcept;
};
using TlsContext = std::unique_ptr<ssl_ctx_st, TlsContextDelete>;

// OpenSSL's context of a server: TLS 1.2 and 1.3, forward-secret suites, no renegotiation, no
// compression, HTTP/1.1. A session in which the client showed a certificate is never resumed: each
// connection shows it again. kInvalidArgument names the file and what is wrong with it.
Result<TlsContext> make_tls_context(const TlsFiles& files);

// What the client of a finished handshake showed; nullptr: nothing.
std::shared_ptr<const broker::PeerCertificate> peer_certificate_of(ssl_st* connection);

}  // namespace curfew::api

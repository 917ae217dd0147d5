#include "api/tls_context.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <string_view>

#include "base/digest.h"
#include "base/encoding.h"

namespace curfew::api {
namespace {

constexpr long kClientChainBytesMax = 16 * 1024;  // held for as long as a connection is open
constexpr int kClientChainDepthMax = 8;

// The newest reason in OpenSSL's queue, which is left empty.
std::string openssl_reason() {
  std::string reason = "unknown reason";
  while (const unsigned long code = ERR_get_error()) {
    if (const char* text = ERR_reason_error_string(code)) reason = text;
  }
  return reason;
}

Error unusable(std::string_view what, const std::string& file) {
  return {Errc::kInvalidArgument,
          fmt::format("TLS: cannot use the {} \"{}\": {}. Check that the file exists, can be read "
                      "by this user and is PEM",
                      what, file, openssl_reason())};
}

int select_http11(SSL*, const unsigned char** out, unsigned char* out_size,
                  const unsigned char* offered, unsigned int offered_size, void*) {
  static constexpr unsigned char kHttp11[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kHttp11, sizeof kHttp11, offered, offered_size) !=
      OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_NOACK;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

// A key file with a passphrase is refused instead of asking on the terminal.
int no_passphrase(char*, int, int, void*) {
  return -1;
}

// Who signed it is for those to judge who know whom to believe; nothing in here may take it for
// verified. That the client has its key is checked in any case.
int accept_unverified(X509_STORE_CTX* context, void*) {
  X509_STORE_CTX_set_error(context, X509_V_ERR_APPLICATION_VERIFICATION);
  return 1;
}

// A ticket holds the client's certificate without the others of its chain, and would be good beyond
// its end: such a client makes a whole handshake again.
SSL_TICKET_RETURN use_ticket(SSL*, SSL_SESSION* session, const unsigned char*, std::size_t,
                             SSL_TICKET_STATUS status, void*) {
  if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
    return SSL_TICKET_RETURN_IGNORE_RENEW;
  if (SSL_SESSION_get0_peer(session) != nullptr) return SSL_TICKET_RETURN_IGNORE;
  return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

Status ask_for_certificates(SSL_CTX* context, const TlsFiles& files) {
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_session_ticket_cb(context, nullptr, use_ticket, nullptr);
  if (files.client_certificates == ClientCertificates::kOff) return ok();
  SSL_CTX_set_max_cert_list(context, kClientChainBytesMax);
  const std::string& authorities = files.client_ca_file;
  if (!authorities.empty()) {
    STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(authorities.c_str());
    if (names == nullptr) return unusable("client CA file", authorities);
    SSL_CTX_set_client_CA_list(context, names);
  }
  if (files.client_certificates == ClientCertificates::kAsked) {
    SSL_CTX_set_cert_verify_callback(context, accept_unverified, nullptr);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    return ok();
  }
  if (authorities.empty())
    return Error{Errc::kInvalidArgument,
                 "TLS: client certificates are required, and no client CA file says whose"};
  if (SSL_CTX_load_verify_locations(context, authorities.c_str(), nullptr) != 1)
    return unusable("client CA file", authorities);
  SSL_CTX_set_verify_depth(context, kClientChainDepthMax);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return ok();
}

std::string der_of(X509* certificate) {
  unsigned char* bytes = nullptr;
  const int size = i2d_X509(certificate, &bytes);
  if (size <= 0) return {};
  std::string der(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
  OPENSSL_free(bytes);
  return der;
}

std::string serial_of(X509* certificate) {
  BIGNUM* number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr);
  if (number == nullptr) return {};
  char* text = BN_bn2dec(number);
  std::string serial = text == nullptr ? "" : text;
  OPENSSL_free(text);
  BN_free(number);
  return serial;
}

}  // namespace

std::shared_ptr<const broker::PeerCertificate> peer_certificate_of(ssl_st* connection) {
  X509* const own = SSL_get0_peer_certificate(connection);
  if (own == nullptr) return nullptr;
  auto peer = std::make_shared<broker::PeerCertificate>();
  peer->chain.push_back(der_of(own));
  peer->sha256 = hex_encode(sha256(peer->chain.front()));
  peer->serial_number = serial_of(own);
  // A server's list is without the client's own.
  const STACK_OF(X509)* others = SSL_get_peer_cert_chain(connection);
  for (int i = 0; i < sk_X509_num(others); ++i)
    peer->chain.push_back(der_of(sk_X509_value(others, i)));
  return peer;
}

void TlsContextDelete::operator()(ssl_ctx_st* context) const noexcept {
  SSL_CTX_free(context);
}

Result<TlsContext> make_tls_context(const TlsFiles& files) {
  ERR_clear_error();
  TlsContext context(SSL_CTX_new(TLS_server_method()));
  if (context == nullptr)
    return Error{Errc::kInternal, "TLS: OpenSSL gave no context: " + openssl_reason()};
  SSL_CTX* const raw = context.get();
  constexpr unsigned char kSessionScope[] = "curfew";
  SSL_CTX_set_options(
      raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_default_passwd_cb(raw, no_passphrase);
  SSL_CTX_set_alpn_select_cb(raw, select_http11, nullptr);
  if (SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION) != 1 ||
      SSL_CTX_set_cipher_list(raw, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1 ||
      SSL_CTX_set_session_id_context(raw, kSessionScope, sizeof kSessionScope - 1) != 1)
    return Error{Errc::kInternal, "TLS: OpenSSL refused the settings: " + openssl_reason()};
  // The key first: a certificate that does not match it is then told apart from a bad key file.
  if (SSL_CTX_use_PrivateKey_file(raw, files.key_file.c_str(), SSL_FILETYPE_PEM) != 1)
    return unusable("key file", files.key_file);
  if (SSL_CTX_use_certificate_chain_file(raw, files.certificate_file.c_str()) != 1)
    return unusable("certificate file", files.certificate_file);
  if (SSL_CTX_check_private_key(raw) != 1) {
    ERR_clear_error();
    return Error{Errc::kInvalidArgument,
                 fmt::format("TLS: the key \"{}\" does not belong to the certificate \"{}\"",
                             files.key_file, files.certificate_file)};
  }
  RETURN_IF_ERROR(ask_for_certificates(raw, files));
  return context;
}

}  // namespace curfew::api

#include "api/tls_context.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <string_view>

namespace curfew::api {
namespace {

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

}  // namespace

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
  return context;
}

}  // namespace curfew::api

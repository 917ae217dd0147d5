#pragma once

#include <memory>
#include <string>

#include "base/result.h"

struct ssl_ctx_st;

namespace curfew::api {

// Where a listener's certificate comes from, both files in PEM.
struct TlsFiles {
  std::string certificate_file;  // the server's certificate first, then the chain
  std::string key_file;          // its private key, not encrypted
};

struct TlsContextDelete {
  void operator()(ssl_ctx_st* context) const noexcept;
};
using TlsContext = std::unique_ptr<ssl_ctx_st, TlsContextDelete>;

// OpenSSL's context of a server: TLS 1.2 and 1.3, forward-secret suites, no renegotiation, no
// compression, HTTP/1.1. kInvalidArgument names the file and what is wrong with it.
Result<TlsContext> make_tls_context(const TlsFiles& files);

}  // namespace curfew::api

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"

namespace curfew::broker {

struct HttpsSettings {
  std::string ca_pem = {};        // the only authorities that count; empty: the system's
  Millis timeout{5'000};          // of a whole call
  Millis connect_timeout{3'000};  // of name look-up, TCP and TLS
  std::size_t response_bytes_max = std::size_t{1} << 20;
};

struct HttpsRequest {
  std::string url;                            // as check_https_url() takes it
  std::optional<Secret> body = std::nullopt;  // a POST; without: a GET
  std::string content_type = {};              // of the body
  // Credentials, as one of: a bearer token, or a name and a password (both percent-encoded already
  // where the protocol asks for it).
  Secret bearer = {};
  std::string user = {};
  Secret password = {};
};

struct HttpsResponse {
  int status = 0;
  std::string body = {};
};

// Calls of the auth methods to the servers that vouch for identities. HTTP/1.1 over TLS 1.2 or
// later with the server's name checked; a connection for each call; redirects are not followed and
// count as answers. Immutable; thread-safe; blocks.
class HttpsClient {
 public:
  explicit HttpsClient(HttpsSettings settings) : settings_(std::move(settings)) {}

  // Any status is a success. kInvalidArgument: the URL or the authorities cannot be used.
  // kUnavailable: no answer in time, no connection, a certificate that is not accepted, an answer
  // that is too large. The message names the host and says why; it is for operators.
  Result<HttpsResponse> send(const HttpsRequest& request) const;

 private:
  const HttpsSettings settings_;
};

// "https://host[:port][/path][?query]" without user or fragment. kInvalidArgument names `field`
// and says what is wrong.
Status check_https_url(std::string_view field, std::string_view url);

// One or more certificates in PEM, at most 256 KiB. kInvalidArgument names `field`.
Status check_ca_pem(std::string_view field, std::string_view pem);

}  // namespace curfew::broker

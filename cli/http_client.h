#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"

namespace curfew::cli {

struct HttpSettings {
  std::string ca_cert_file = {};  // PEM; instead of the system's authorities
  std::string ca_directory = {};
  std::string client_cert_file = {};
  std::string client_key_file = {};
  std::string tls_server_name = {};  // what the certificate must be for, if not the address's host
  bool tls_skip_verify = false;
  Millis timeout{60'000};  // of a whole call; 0 is no limit
  Millis connect_timeout{10'000};
  std::size_t response_bytes_max = std::size_t{32} << 20;
  std::string user_agent = "curfew";
};

struct HttpHeader {
  std::string name;
  std::string value;
};

struct HttpRequest {
  std::string method;
  std::string url;
  std::vector<HttpHeader> headers = {};
  Secret token = {};  // X-Vault-Token, unless empty
  std::optional<std::string> body = std::nullopt;
};

struct HttpResponse {
  int status = 0;
  std::string body = {};
  std::string location = {};
  std::optional<Seconds> retry_after = std::nullopt;
};

// "https://host[:port][/prefix]" without a final slash. kInvalidArgument, saying what to write,
// for other schemes, a missing host, a user, a query.
Result<std::string> normalize_address(std::string_view address);

// `location`, as a redirect to `url` gave it, made absolute. kRefused: it leads from https to
// http or is no address at all.
Result<std::string> resolve_redirect(const std::string& url, const std::string& location);

// HTTP/1.1 through libcurl, one connection per call, no redirects, no proxy for loopback addresses.
// Not thread-safe.
class HttpClient {
 public:
  explicit HttpClient(HttpSettings settings) : settings_(std::move(settings)) {}

  // Any status is a success here. kInvalidArgument: a certificate or key file cannot be used.
  // kUnavailable: the request certainly did not arrive. kInDoubt: it may have. kTooLarge: the
  // answer is beyond response_bytes_max. Every message says what to look at; none holds the token.
  Result<HttpResponse> send(const HttpRequest& request);

  // As send(), for an answer without an end, and without the limit of time: with status 200 the
  // body is given to `piece` as it comes, which says whether to go on. Success where it does not,
  // and where the server ends the answer in order.
  Result<HttpResponse> follow(const HttpRequest& request,
                              const std::function<bool(std::string_view)>& piece);

 private:
  Result<HttpResponse> perform(const HttpRequest& request,
                               const std::function<bool(std::string_view)>* piece);

  HttpSettings settings_;
};

}  // namespace curfew::cli

#include "cli/http_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <memory>
#include <mutex>

namespace curfew::cli {

namespace {

struct UrlDeleter {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Url = std::unique_ptr<CURLU, UrlDeleter>;
struct EasyDeleter {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
using Easy = std::unique_ptr<CURL, EasyDeleter>;

// A curl_slist. Lines that hold a token are overwritten before the memory is given back.
class HeaderLines {
 public:
  HeaderLines() = default;
  HeaderLines(const HeaderLines&) = delete;
  HeaderLines& operator=(const HeaderLines&) = delete;
  ~HeaderLines() {
    for (curl_slist* line = list_; line != nullptr; line = line->next) {
      std::fill_n(static_cast<volatile char*>(line->data), std::strlen(line->data), '\0');
    }
    curl_slist_free_all(list_);
  }
  void add(const std::string& line) {
    curl_slist* grown = curl_slist_append(list_, line.c_str());
    if (grown != nullptr) list_ = grown;
  }
  curl_slist* list() const { return list_; }

 private:
  curl_slist* list_ = nullptr;
};

std::string url_part(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, 0) != CURLUE_OK || text == nullptr) return {};
  std::string copy = text;
  curl_free(text);
  return copy;
}

bool is_loopback(std::string_view host) {
  return host == "localhost" || host.starts_with("127.") || host == "[::1]" || host == "::1";
}

// What the callbacks of one call write to.
struct Receiver {
  HttpResponse response;
  std::size_t bytes_max = 0;
  bool too_large = false;
  // Of an answer without an end; null: the answer is kept.
  const std::function<bool(std::string_view)>* piece = nullptr;
  CURL* easy = nullptr;
  bool enough = false;
};

std::size_t on_body(char* data, std::size_t size, std::size_t count, void* user) {
  auto& receiver = *static_cast<Receiver*>(user);
  const std::size_t bytes = size * count;
  if (receiver.piece != nullptr) {
    long status = 0;
    curl_easy_getinfo(receiver.easy, CURLINFO_RESPONSE_CODE, &status);
    if (status == 200) {
      receiver.enough = !(*receiver.piece)({data, bytes});
      return receiver.enough ? 0 : bytes;
    }
  }
  if (receiver.response.body.size() + bytes > receiver.bytes_max) {
    receiver.too_large = true;
    return 0;
  }
  receiver.response.body.append(data, bytes);
  return bytes;
}

std::size_t on_header(char* data, std::size_t size, std::size_t count, void* user) {
  auto& receiver = *static_cast<Receiver*>(user);
  std::string_view line(data, size * count);
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return size * count;
  std::string name(line.substr(0, colon));
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
  std::string_view value = line.substr(colon + 1);
  while (value.starts_with(' ')) value.remove_prefix(1);
  if (name == "location") receiver.response.location = value;
  if (name == "retry-after") {
    int seconds = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds);
    if (error == std::errc{} && seconds >= 0) receiver.response.retry_after = Seconds{seconds};
  }
  return size * count;
}

// Everything that can be known of a call that failed.
struct Failure {
  CURLcode code;
  std::string detail;  // curl's own words
  int os_errno;
  std::string url;
  bool sent;  // at least a part of the request has left
};

Error connect_error(const Failure& failure) {
  std::string text = "cannot connect to " + failure.url;
  if (failure.os_errno != 0) text += std::string(": ") + std::strerror(failure.os_errno);
  return {Errc::kUnavailable,
          text + ".\nIs the server running there? Is the address right (CURFEW_ADDR, -address)?"};
}

Error tls_error(const Failure& failure) {
  if (failure.detail.find("wrong version number") != std::string::npos ||
      failure.detail.find("packet length too long") != std::string::npos ||
      failure.detail.find("http request") != std::string::npos) {
    return {Errc::kUnavailable,
            "the server at " + failure.url +
                " does not answer in TLS.\nIf it serves plain HTTP, say http:// instead of "
                "https:// in CURFEW_ADDR or -address."};
  }
  return {Errc::kUnavailable,
          "no TLS connection to " + failure.url + ": " + failure.detail +
              ".\nIf the server serves plain HTTP, say http:// in the address."};
}

Error certificate_error(const Failure& failure) {
  return {Errc::kUnavailable,
          "the certificate of " + failure.url + " was not accepted: " + failure.detail +
              ".\nName the authority that issued it with CURFEW_CACERT or -ca-cert; if it is for "
              "another host name, -tls-server-name says which."};
}

Error to_error(const Failure& failure) {
  const std::string plain = failure.url.starts_with("http://")
                                ? "\nIf the server serves TLS, say https:// instead of http:// in "
                                  "CURFEW_ADDR or -address."
                                : "";
  switch (failure.code) {
    case CURLE_COULDNT_CONNECT: return connect_error(failure);
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return {Errc::kUnavailable, "cannot find the host of " + failure.url + ": " + failure.detail +
                                      ".\nIs the address right (CURFEW_ADDR, -address)?"};
    case CURLE_SSL_CONNECT_ERROR: return tls_error(failure);
    case CURLE_PEER_FAILED_VERIFICATION: return certificate_error(failure);
    case CURLE_SSL_CACERT_BADFILE:
      return {Errc::kInvalidArgument,
              "the authority's certificates cannot be read: " + failure.detail +
                  ".\nLook at CURFEW_CACERT, CURFEW_CAPATH, -ca-cert and -ca-path."};
    case CURLE_SSL_CERTPROBLEM:
      return {Errc::kInvalidArgument,
              "the client certificate cannot be used: " + failure.detail +
                  ".\nLook at CURFEW_CLIENT_CERT, CURFEW_CLIENT_KEY, -client-cert, -client-key."};
    case CURLE_OPERATION_TIMEDOUT:
      if (!failure.sent && failure.url.starts_with("https://") &&
          failure.detail.find("SSL") != std::string::npos) {
        return tls_error(failure);
      }
      if (!failure.sent) {
        return {Errc::kUnavailable,
                "no connection to " + failure.url + " in time (" + failure.detail +
                    ").\nIs the server running there? Is the address right (CURFEW_ADDR, "
                    "-address)?"};
      }
      return {Errc::kInDoubt, "no answer from " + failure.url + " in time (" + failure.detail +
                                  ").\nThe request may have been carried out. "
                                  "CURFEW_CLIENT_TIMEOUT sets how long to wait."};
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
      return {Errc::kInDoubt, "what " + failure.url + " answered is not HTTP." + plain};
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
      return {Errc::kInDoubt, "the connection to " + failure.url +
                                  " ended before the answer was complete: " + failure.detail +
                                  ".\nThe request may have been carried out." + plain};
    default: return {Errc::kInDoubt, "calling " + failure.url + " failed: " + failure.detail + "."};
  }
}

// The URL that curl is to connect by, and the option that sends it to the real host, when the
// certificate is to be checked against another name than the address's.
struct Route {
  std::string url;
  std::string connect_to = {};
  std::string host_header = {};
  std::string host = {};
};

Route route_for(const std::string& url, const std::string& server_name) {
  Route route{.url = url};
  const Url parts(curl_url());
  if (!parts || curl_url_set(parts.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return route;
  route.host = url_part(parts.get(), CURLUPART_HOST);
  if (server_name.empty() || !url.starts_with("https://")) return route;
  std::string port = url_part(parts.get(), CURLUPART_PORT);
  route.host_header = "Host: " + route.host + (port.empty() ? "" : ":" + port);
  if (port.empty()) port = "443";
  route.connect_to = server_name + ":" + port + ":" + route.host + ":" + port;
  if (curl_url_set(parts.get(), CURLUPART_HOST, server_name.c_str(), 0) == CURLUE_OK) {
    route.url = url_part(parts.get(), CURLUPART_URL);
  }
  return route;
}

template <class Value>
void set(CURL* easy, CURLoption option, Value value) {
  curl_easy_setopt(easy, option, value);
}

void set_tls(CURL* easy, const HttpSettings& settings) {
  set(easy, CURLOPT_SSLVERSION, long{CURL_SSLVERSION_TLSv1_2});
  set(easy, CURLOPT_SSL_VERIFYPEER, settings.tls_skip_verify ? 0L : 1L);
  set(easy, CURLOPT_SSL_VERIFYHOST, settings.tls_skip_verify ? 0L : 2L);
  const auto set_file = [easy](CURLoption option, const std::string& path) {
    if (!path.empty()) set(easy, option, path.c_str());
  };
  set_file(CURLOPT_CAINFO, settings.ca_cert_file);
  if (!settings.ca_cert_file.empty() && settings.ca_directory.empty()) {
    set<const char*>(easy, CURLOPT_CAPATH, nullptr);
  }
  set_file(CURLOPT_CAPATH, settings.ca_directory);
  set_file(CURLOPT_SSLCERT, settings.client_cert_file);
  set_file(CURLOPT_SSLKEY, settings.client_key_file);
}

void set_basics(CURL* easy, const HttpSettings& settings) {
  // Without this, a name look-up that times out raises a signal.
  set(easy, CURLOPT_NOSIGNAL, 1L);
  set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  set(easy, CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
  set(easy, CURLOPT_FOLLOWLOCATION, 0L);
  set(easy, CURLOPT_PATH_AS_IS, 1L);
  set(easy, CURLOPT_NETRC, long{CURL_NETRC_IGNORED});
  set(easy, CURLOPT_USERAGENT, settings.user_agent.c_str());
  set(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(settings.timeout.count()));
  set(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(settings.connect_timeout.count()));
}

// A server that is gone without a word is noticed by the kernel.
void set_endless(CURL* easy) {
  set(easy, CURLOPT_TIMEOUT_MS, 0L);
  set(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  set(easy, CURLOPT_TCP_KEEPIDLE, 30L);
  set(easy, CURLOPT_TCP_KEEPINTVL, 15L);
}

void set_method(CURL* easy, const HttpRequest& request, HeaderLines& headers) {
  if (request.body || request.method != "GET") {
    set(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
  if (request.body) {
    set(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body->size()));
    set(easy, CURLOPT_POSTFIELDS, request.body->c_str());
    headers.add("Expect:");
  } else if (request.method == "PUT" || request.method == "POST") {
    set(easy, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t{0});
    set(easy, CURLOPT_POSTFIELDS, "");
    headers.add("Content-Type:");
  }
}

}  // namespace

Result<std::string> normalize_address(std::string_view address) {
  const auto wrong = [&](const std::string& why) {
    return Error{Errc::kInvalidArgument,
                 "the server's address \"" + std::string(address) + "\" " + why +
                     ": write it as https://host:8200 in CURFEW_ADDR or -address"};
  };
  std::string text(address);
  while (text.ends_with('/')) text.pop_back();
  if (!text.starts_with("https://") && !text.starts_with("http://")) {
    return wrong("begins neither with https:// nor with http://");
  }
  const Url url(curl_url());
  if (!url || curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) {
    return wrong("cannot be read");
  }
  if (!url_part(url.get(), CURLUPART_USER).empty() ||
      !url_part(url.get(), CURLUPART_PASSWORD).empty()) {
    return Error{Errc::kInvalidArgument,
                 "the server's address holds a user name or password: leave it out and use "
                 "CURFEW_TOKEN or `curfew login`"};
  }
  if (!url_part(url.get(), CURLUPART_QUERY).empty() ||
      !url_part(url.get(), CURLUPART_FRAGMENT).empty()) {
    return wrong("has a query or a fragment");
  }
  return text;
}

Result<std::string> resolve_redirect(const std::string& url, const std::string& location) {
  const Url target(curl_url());
  if (!target || curl_url_set(target.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK ||
      curl_url_set(target.get(), CURLUPART_URL, location.c_str(), 0) != CURLUE_OK) {
    return Error{Errc::kRefused, url + " redirects to what is no address"};
  }
  std::string resolved = url_part(target.get(), CURLUPART_URL);
  const bool secure = resolved.starts_with("https://");
  if (!secure && (!resolved.starts_with("http://") || url.starts_with("https://"))) {
    return Error{Errc::kRefused, url +
                                     " redirects to a place without TLS; the token is not sent "
                                     "there. Look at the server's advertised address"};
  }
  return resolved;
}

Result<HttpResponse> HttpClient::send(const HttpRequest& request) {
  return perform(request, nullptr);
}

Result<HttpResponse> HttpClient::follow(const HttpRequest& request,
                                        const std::function<bool(std::string_view)>& piece) {
  return perform(request, &piece);
}

Result<HttpResponse> HttpClient::perform(const HttpRequest& request,
                                         const std::function<bool(std::string_view)>* piece) {
  static std::once_flag initialized;
  std::call_once(initialized, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  const Easy easy(curl_easy_init());
  if (!easy) return Error{Errc::kInternal, "libcurl cannot be started"};

  const Route route = route_for(request.url, settings_.tls_server_name);
  Receiver receiver{.response = {},
                    .bytes_max = settings_.response_bytes_max,
                    .piece = piece,
                    .easy = easy.get()};
  std::array<char, CURL_ERROR_SIZE> curl_words{};
  HeaderLines headers;
  HeaderLines connect_to;
  for (const HttpHeader& header : request.headers) headers.add(header.name + ": " + header.value);
  if (!request.token.empty()) {
    std::string line = "X-Vault-Token: " + request.token.reveal();
    headers.add(line);
    zero(line);
  }
  if (!route.host_header.empty()) headers.add(route.host_header);

  set_basics(easy.get(), settings_);
  set_tls(easy.get(), settings_);
  set_method(easy.get(), request, headers);
  if (piece != nullptr) set_endless(easy.get());
  set(easy.get(), CURLOPT_URL, route.url.c_str());
  if (is_loopback(route.host)) set(easy.get(), CURLOPT_NOPROXY, "*");
  if (!route.connect_to.empty()) {
    connect_to.add(route.connect_to);
    set(easy.get(), CURLOPT_CONNECT_TO, connect_to.list());
  }
  set(easy.get(), CURLOPT_HTTPHEADER, headers.list());
  set(easy.get(), CURLOPT_ERRORBUFFER, curl_words.data());
  set(easy.get(), CURLOPT_WRITEFUNCTION, on_body);
  set(easy.get(), CURLOPT_WRITEDATA, static_cast<void*>(&receiver));
  set(easy.get(), CURLOPT_HEADERFUNCTION, on_header);
  set(easy.get(), CURLOPT_HEADERDATA, static_cast<void*>(&receiver));

  const CURLcode code = curl_easy_perform(easy.get());
  if (receiver.too_large) {
    return Error{Errc::kTooLarge, "the answer of " + request.url + " is larger than " +
                                      std::to_string(settings_.response_bytes_max >> 20) +
                                      " MiB: ask for less"};
  }
  if (code != CURLE_OK && !receiver.enough) {
    long os_errno = 0;
    curl_easy_getinfo(easy.get(), CURLINFO_OS_ERRNO, &os_errno);
    long bytes_sent = 0;
    curl_easy_getinfo(easy.get(), CURLINFO_REQUEST_SIZE, &bytes_sent);
    std::string detail = curl_words[0] != '\0' ? curl_words.data() : curl_easy_strerror(code);
    return to_error(
        {code, std::move(detail), static_cast<int>(os_errno), request.url, bytes_sent > 0});
  }
  long status = 0;
  curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &status);
  receiver.response.status = static_cast<int>(status);
  return std::move(receiver.response);
}

}  // namespace curfew::cli

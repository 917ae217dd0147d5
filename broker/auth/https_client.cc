#include "broker/auth/https_client.h"

#include <curl/curl.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <mutex>

namespace curfew::broker {
namespace {

constexpr std::size_t kCaBytesMax = std::size_t{256} << 10;
constexpr std::size_t kUrlBytesMax = 2'048;

struct UrlDeleter {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Url = std::unique_ptr<CURLU, UrlDeleter>;
struct EasyDeleter {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
using Easy = std::unique_ptr<CURL, EasyDeleter>;

// A curl_slist that is overwritten before its memory is given back.
class HeaderLines {
 public:
  HeaderLines() = default;
  HeaderLines(const HeaderLines&) = delete;
  HeaderLines& operator=(const HeaderLines&) = delete;
  ~HeaderLines() {
    for (curl_slist* line = list_; line != nullptr; line = line->next)
      std::fill_n(static_cast<volatile char*>(line->data), std::strlen(line->data), '\0');
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

struct Receiver {
  HttpsResponse response;
  std::size_t bytes_max = 0;
  bool too_large = false;
};

std::size_t on_body(char* data, std::size_t size, std::size_t count, void* user) {
  auto& receiver = *static_cast<Receiver*>(user);
  const std::size_t bytes = size * count;
  if (receiver.response.body.size() + bytes > receiver.bytes_max) {
    receiver.too_large = true;
    return 0;
  }
  receiver.response.body.append(data, bytes);
  return bytes;
}

std::string url_part(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, 0) != CURLUE_OK || text == nullptr) return {};
  std::string copy = text;
  curl_free(text);
  return copy;
}

Url parsed(std::string_view text) {
  Url url(curl_url());
  if (!url || curl_url_set(url.get(), CURLUPART_URL, std::string(text).c_str(), 0) != CURLUE_OK)
    return {};
  return url;
}

std::string host_of(const std::string& url) {
  const Url parts = parsed(url);
  return parts ? url_part(parts.get(), CURLUPART_HOST) : std::string{};
}

bool is_loopback(std::string_view host) {
  return host == "localhost" || host.starts_with("127.") || host == "[::1]";
}

template <class Value>
void set(CURL* easy, CURLoption option, Value value) {
  curl_easy_setopt(easy, option, value);
}

void set_basics(CURL* easy, const HttpsSettings& settings) {
  // Without this, a name look-up that times out raises a signal.
  set(easy, CURLOPT_NOSIGNAL, 1L);
  set(easy, CURLOPT_PROTOCOLS_STR, "https");
  set(easy, CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
  set(easy, CURLOPT_FOLLOWLOCATION, 0L);
  set(easy, CURLOPT_NETRC, long{CURL_NETRC_IGNORED});
  set(easy, CURLOPT_USERAGENT, "curfew");
  set(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(settings.timeout.count()));
  set(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(settings.connect_timeout.count()));
  set(easy, CURLOPT_SSLVERSION, long{CURL_SSLVERSION_TLSv1_2});
  set(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  set(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  if (settings.ca_pem.empty()) return;
  curl_blob authorities{const_cast<char*>(settings.ca_pem.data()), settings.ca_pem.size(),
                        CURL_BLOB_COPY};
  set(easy, CURLOPT_CAINFO_BLOB, &authorities);
  // Or the system's authorities would count beside them.
  set<const char*>(easy, CURLOPT_CAINFO, nullptr);
  set<const char*>(easy, CURLOPT_CAPATH, nullptr);
}

void set_request(CURL* easy, const HttpsRequest& request, HeaderLines& headers) {
  set(easy, CURLOPT_URL, request.url.c_str());
  if (is_loopback(host_of(request.url))) set(easy, CURLOPT_NOPROXY, "*");
  headers.add("Accept: application/json");
  if (request.body) {
    set(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body->reveal().size()));
    set(easy, CURLOPT_POSTFIELDS, request.body->reveal().c_str());
    headers.add("Content-Type: " + request.content_type);
    headers.add("Expect:");
  }
  if (!request.bearer.empty()) {
    std::string line = "Authorization: Bearer " + request.bearer.reveal();
    headers.add(line);
    zero(line);
  } else if (!request.user.empty()) {
    set(easy, CURLOPT_HTTPAUTH, long{CURLAUTH_BASIC});
    set(easy, CURLOPT_USERNAME, request.user.c_str());
    set(easy, CURLOPT_PASSWORD, request.password.reveal().c_str());
  }
  set(easy, CURLOPT_HTTPHEADER, headers.list());
}

Error failure(CURLcode code, const std::string& words, const std::string& url) {
  const std::string host = host_of(url);
  const std::string why = words.empty() ? curl_easy_strerror(code) : words;
  if (code == CURLE_SSL_CACERT_BADFILE)
    return {Errc::kInvalidArgument, "the certificates of the authority cannot be used: " + why};
  if (code == CURLE_PEER_FAILED_VERIFICATION)
    return {Errc::kUnavailable, "the certificate of " + host + " was not accepted: " + why};
  if (code == CURLE_OPERATION_TIMEDOUT)
    return {Errc::kUnavailable, "no answer from " + host + " in time"};
  return {Errc::kUnavailable, "calling " + host + " failed: " + why};
}

}  // namespace

Result<HttpsResponse> HttpsClient::send(const HttpsRequest& request) const {
  static std::once_flag initialized;
  std::call_once(initialized, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  RETURN_IF_ERROR(check_https_url("url", request.url));
  const Easy easy(curl_easy_init());
  if (!easy) return Error{Errc::kInternal, "libcurl cannot be started"};
  Receiver receiver{.response = {}, .bytes_max = settings_.response_bytes_max};
  std::array<char, CURL_ERROR_SIZE> words{};
  HeaderLines headers;
  set_basics(easy.get(), settings_);
  set_request(easy.get(), request, headers);
  set(easy.get(), CURLOPT_ERRORBUFFER, words.data());
  set(easy.get(), CURLOPT_WRITEFUNCTION, on_body);
  set(easy.get(), CURLOPT_WRITEDATA, static_cast<void*>(&receiver));
  const CURLcode code = curl_easy_perform(easy.get());
  if (receiver.too_large)
    return Error{Errc::kUnavailable, "the answer of " + host_of(request.url) + " is larger than " +
                                         std::to_string(settings_.response_bytes_max) + " bytes"};
  if (code != CURLE_OK) return failure(code, words.data(), request.url);
  long status = 0;
  curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &status);
  receiver.response.status = static_cast<int>(status);
  return std::move(receiver.response);
}

Status check_https_url(std::string_view field, std::string_view url) {
  const auto wrong = [&](const char* why) {
    return Error{Errc::kInvalidArgument, "field \"" + std::string(field) + "\": " + why};
  };
  if (url.size() > kUrlBytesMax) return wrong("the address is longer than 2048 bytes");
  if (!url.starts_with("https://")) return wrong("expected an address that begins with https://");
  // The parser takes any number of slashes for two.
  if (url.substr(8).starts_with('/')) return wrong("the address names no host");
  const Url parts = parsed(url);
  if (!parts || url_part(parts.get(), CURLUPART_HOST).empty())
    return wrong("this is no address of the form https://host/path");
  if (!url_part(parts.get(), CURLUPART_USER).empty() ||
      !url_part(parts.get(), CURLUPART_PASSWORD).empty())
    return wrong("the address must not hold a user or a password");
  if (!url_part(parts.get(), CURLUPART_FRAGMENT).empty())
    return wrong("the address must not have a fragment");
  return ok();
}

Status check_ca_pem(std::string_view field, std::string_view pem) {
  const auto wrong = [&](const char* why) {
    return Error{Errc::kInvalidArgument, "field \"" + std::string(field) + "\": " + why};
  };
  if (pem.size() > kCaBytesMax) return wrong("larger than 256 KiB");
  BIO* memory = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  int certificates = 0;
  while (X509* certificate = PEM_read_bio_X509(memory, nullptr, nullptr, nullptr)) {
    ++certificates;
    X509_free(certificate);
  }
  BIO_free_all(memory);
  // What stopped it may be the end of the text or a block that is no certificate.
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (certificates == 0 || !at_end) return wrong("expected certificates in PEM");
  return ok();
}

}  // namespace curfew::broker

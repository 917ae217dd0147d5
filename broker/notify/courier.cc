#include "broker/notify/courier.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <mutex>

#include "broker/notify/address.h"

namespace curfew::broker {
namespace {

struct EasyDeleter {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
using Easy = std::unique_ptr<CURL, EasyDeleter>;

// A curl_slist that is overwritten before its memory is given back.
class Lines {
 public:
  Lines() = default;
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;
  ~Lines() {
    for (curl_slist* line = list_; line != nullptr; line = line->next)
      std::fill_n(static_cast<volatile char*>(line->data), std::strlen(line->data), '\0');
    curl_slist_free_all(list_);
  }
  void add(std::string line) {
    curl_slist* grown = curl_slist_append(list_, line.c_str());
    if (grown != nullptr) list_ = grown;
    zero(line);
  }
  curl_slist* list() const { return list_; }

 private:
  curl_slist* list_ = nullptr;
};

template <class Value>
void set(CURL* easy, CURLoption option, Value value) {
  curl_easy_setopt(easy, option, value);
}

// What is left of a message to be read by curl.
struct Unsent {
  std::string_view text;
};

std::size_t on_read(char* buffer, std::size_t size, std::size_t count, void* user) {
  auto& unsent = *static_cast<Unsent*>(user);
  const std::size_t bytes = std::min(size * count, unsent.text.size());
  std::copy_n(unsent.text.data(), bytes, buffer);
  unsent.text.remove_prefix(bytes);
  return bytes;
}

// What the server says beyond its status is not looked at; too much of it ends the call.
struct Answer {
  std::size_t bytes = 0;
};

std::size_t on_body(char*, std::size_t size, std::size_t count, void* user) {
  constexpr std::size_t kBytesMax = std::size_t{64} << 10;
  auto& answer = *static_cast<Answer*>(user);
  answer.bytes += size * count;
  return answer.bytes > kBytesMax ? 0 : size * count;
}

int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<const std::atomic<bool>*>(user)->load() ? 1 : 0;
}

void set_basics(CURL* easy, const Parcel& parcel, Millis timeout,
                const std::atomic<bool>& stopping) {
  // Without this, a name look-up that times out raises a signal.
  set(easy, CURLOPT_NOSIGNAL, 1L);
  set(easy, CURLOPT_PROTOCOLS_STR, parcel.mail ? "smtp,smtps" : "http,https");
  set(easy, CURLOPT_FOLLOWLOCATION, 0L);
  set(easy, CURLOPT_NETRC, long{CURL_NETRC_IGNORED});
  set(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(timeout.count()));
  set(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(timeout.count()));
  set(easy, CURLOPT_SSLVERSION, long{CURL_SSLVERSION_TLSv1_2});
  set(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  set(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  set(easy, CURLOPT_URL, parcel.url.c_str());
  if (is_loopback_host(host_of_address(parcel.url))) set(easy, CURLOPT_NOPROXY, "*");
  set(easy, CURLOPT_NOPROGRESS, 0L);
  set(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
  set(easy, CURLOPT_XFERINFODATA, static_cast<void*>(const_cast<std::atomic<bool>*>(&stopping)));
  if (parcel.ca_pem.empty()) return;
  curl_blob authorities{const_cast<char*>(parcel.ca_pem.data()), parcel.ca_pem.size(),
                        CURL_BLOB_COPY};
  set(easy, CURLOPT_CAINFO_BLOB, &authorities);
  // Or the system's authorities would count beside them.
  set<const char*>(easy, CURLOPT_CAINFO, nullptr);
  set<const char*>(easy, CURLOPT_CAPATH, nullptr);
}

void set_http(CURL* easy, const Parcel& parcel, Lines& headers) {
  set(easy, CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
  set(easy, CURLOPT_USERAGENT, "curfew");
  headers.add("Content-Type: application/json");
  headers.add("Expect:");
  for (const auto& [name, value] : parcel.headers) headers.add(name + ": " + value.reveal());
  set(easy, CURLOPT_HTTPHEADER, headers.list());
  set(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(parcel.body.reveal().size()));
  set(easy, CURLOPT_POSTFIELDS, parcel.body.reveal().c_str());
}

void set_mail(CURL* easy, const Parcel& parcel, Lines& recipients, Unsent& unsent) {
  const bool plain = parcel.allow_plain || is_loopback_host(host_of_address(parcel.url));
  // STARTTLS; without it the message does not go.
  set(easy, CURLOPT_USE_SSL, long{plain ? CURLUSESSL_TRY : CURLUSESSL_ALL});
  const std::string from = "<" + parcel.from + ">";
  set(easy, CURLOPT_MAIL_FROM, from.c_str());
  for (const std::string& address : parcel.to) recipients.add("<" + address + ">");
  set(easy, CURLOPT_MAIL_RCPT, recipients.list());
  if (!parcel.username.empty()) {
    set(easy, CURLOPT_USERNAME, parcel.username.c_str());
    set(easy, CURLOPT_PASSWORD, parcel.password.reveal().c_str());
  }
  set(easy, CURLOPT_UPLOAD, 1L);
  set(easy, CURLOPT_READFUNCTION, on_read);
  set(easy, CURLOPT_READDATA, static_cast<void*>(&unsent));
}

Error failure(CURLcode code, const std::string& words, const std::string& host) {
  if (code == CURLE_OPERATION_TIMEDOUT)
    return {Errc::kUnavailable, fmt::format("no answer from {} in time", host)};
  if (code == CURLE_ABORTED_BY_CALLBACK) return {Errc::kUnavailable, "the server is being stopped"};
  const std::string why = words.empty() ? curl_easy_strerror(code) : words;
  if (code == CURLE_PEER_FAILED_VERIFICATION)
    return {Errc::kUnavailable,
            fmt::format("the certificate of {} was not accepted: {}", host, why)};
  return {Errc::kUnavailable, fmt::format("calling {} failed: {}", host, why)};
}

}  // namespace

Status Courier::send(const Parcel& parcel, const std::atomic<bool>& stopping) const {
  static std::once_flag initialized;
  std::call_once(initialized, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  RETURN_IF_ERROR(check_address("url", parcel.url, parcel.mail, parcel.allow_plain));
  const Easy easy(curl_easy_init());
  if (!easy) return Error{Errc::kInternal, "libcurl cannot be started"};
  Lines lines;
  Unsent unsent{parcel.body.reveal()};
  Answer answer;
  std::array<char, CURL_ERROR_SIZE> words{};
  set_basics(easy.get(), parcel, timeout_, stopping);
  if (parcel.mail)
    set_mail(easy.get(), parcel, lines, unsent);
  else
    set_http(easy.get(), parcel, lines);
  set(easy.get(), CURLOPT_ERRORBUFFER, words.data());
  set(easy.get(), CURLOPT_WRITEFUNCTION, on_body);
  set(easy.get(), CURLOPT_WRITEDATA, static_cast<void*>(&answer));
  const std::string host = host_of_address(parcel.url);
  const CURLcode code = curl_easy_perform(easy.get());
  if (code != CURLE_OK && code != CURLE_WRITE_ERROR) return failure(code, words.data(), host);
  if (parcel.mail) return code == CURLE_OK ? ok() : Status(failure(code, words.data(), host));
  long status = 0;
  curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &status);
  if (status >= 200 && status < 300) return ok();
  return Error{Errc::kUnavailable, fmt::format("{} answered with status {}", host, status)};
}

}  // namespace curfew::broker

#include "broker/notify/address.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>

namespace curfew::broker {
namespace {

constexpr std::size_t kUrlBytesMax = 2'048;
constexpr std::size_t kMailAddressBytesMax = 254;

struct UrlDeleter {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Url = std::unique_ptr<CURLU, UrlDeleter>;

Url parsed(const std::string& text) {
  Url url(curl_url());
  if (!url || curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) return {};
  return url;
}

std::string part_of(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, 0) != CURLUE_OK || text == nullptr) return {};
  std::string copy = text;
  curl_free(text);
  return copy;
}

}  // namespace

Status check_address(std::string_view field, std::string_view url, bool mail, bool plain) {
  const auto wrong = [&](std::string_view why) {
    return Error{Errc::kInvalidArgument, fmt::format("field \"{}\": {}", field, why)};
  };
  const std::string_view expected = mail
                                        ? "expected an address that begins with smtps:// or smtp://"
                                        : "expected an address that begins with https://";
  if (url.size() > kUrlBytesMax) return wrong("the address is longer than 2048 bytes");
  if (!std::all_of(url.begin(), url.end(), [](char c) { return c > ' ' && c <= '~'; }))
    return wrong("the address holds a space, or what is not ASCII");
  const std::size_t colon = url.find("://");
  const std::string_view scheme = url.substr(0, std::min(colon, url.size()));
  const bool known =
      mail ? scheme == "smtps" || scheme == "smtp" : scheme == "https" || scheme == "http";
  if (colon == std::string_view::npos || !known) return wrong(expected);
  // The parser takes any number of slashes for two.
  if (url.substr(colon + 3).starts_with('/')) return wrong("the address names no host");
  const Url parts = parsed(std::string(url));
  if (!parts) return wrong("this is no address of the form scheme://host/path");
  const std::string host = part_of(parts.get(), CURLUPART_HOST);
  if (host.empty()) return wrong("the address names no host");
  if (!part_of(parts.get(), CURLUPART_USER).empty() ||
      !part_of(parts.get(), CURLUPART_PASSWORD).empty())
    return wrong("the address must not hold a user or a password");
  if (!part_of(parts.get(), CURLUPART_FRAGMENT).empty())
    return wrong("the address must not have a fragment");
  if (scheme == "http" && !plain && !is_loopback_host(host))
    return wrong("http:// sends everything in the clear: use https://, or set allow_plain");
  return ok();
}

std::string host_of_address(const std::string& url) {
  const Url parts = parsed(url);
  return parts ? part_of(parts.get(), CURLUPART_HOST) : std::string();
}

bool is_loopback_host(std::string_view host) {
  if (host == "localhost" || host == "[::1]") return true;
  // "127.evil.example" is no address of this machine.
  return host.starts_with("127.") && std::all_of(host.begin(), host.end(), [](char c) {
           return (c >= '0' && c <= '9') || c == '.';
         });
}

std::string shown_address(const std::string& url, bool host_only) {
  std::string out = url.substr(0, url.find('?'));
  const std::size_t host = out.find("://");
  if (!host_only || host == std::string::npos) return out;
  const std::size_t path = out.find('/', host + 3);
  return path == std::string::npos ? out : out.substr(0, path) + "/…";
}

bool is_mail_address(std::string_view text) {
  const std::size_t at = text.find('@');
  if (text.size() > kMailAddressBytesMax || at == 0 || at == std::string_view::npos) return false;
  if (at + 1 == text.size() || text.find('@', at + 1) != std::string_view::npos) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("@.-_+=%'!#$&*/?^~").find(c) != std::string_view::npos;
  });
}

}  // namespace curfew::broker

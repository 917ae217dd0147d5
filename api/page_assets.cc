#include "api/page_assets.h"

#include <algorithm>

#include "api/error_to_http.h"

namespace curfew::api {
namespace {

// Nothing from elsewhere, nothing inline, no frames; text never becomes script. Strings that make
// script or markup out of text (Trusted Types) are refused by browsers that know of them.
constexpr const char* kContentPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'";
constexpr const char* kPermissions =
    "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), "
    "magnetometer=(), microphone=(), midi=(), payment=(), screen-wake-lock=(), usb=()";

void add_security_headers(HttpResponse& response) {
  for (const auto& [name, value] : std::initializer_list<std::pair<const char*, const char*>>{
           {"Content-Security-Policy", kContentPolicy},
           {"X-Content-Type-Options", "nosniff"},
           {"X-Frame-Options", "DENY"},
           {"Referrer-Policy", "no-referrer"},
           {"Cross-Origin-Opener-Policy", "same-origin"},
           {"Cross-Origin-Resource-Policy", "same-origin"},
           {"Permissions-Policy", kPermissions}})
    response.headers.push_back({name, value});
}

HttpResponse plain(int status, std::string text) {
  return {.status = status,
          .body = std::move(text) + "\n",
          .content_type = "text/plain; charset=utf-8"};
}

HttpResponse redirect_to_page() {
  HttpResponse response = plain(307, "The page is at /ui/");
  response.headers.push_back({"Location", "/ui/"});
  return response;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Calls `see` with each element of a header that is a comma-separated list.
template <typename See>
void for_each_element(const HttpRequest& http, std::string_view name, See see) {
  for (const HttpHeader& header : http.headers) {
    if (!equal_ignoring_case(header.name, name)) continue;
    std::string_view rest = header.value;
    while (!rest.empty()) {
      const auto comma = std::min(rest.find(','), rest.size());
      see(trimmed(rest.substr(0, comma)));
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  }
}

bool takes_gzip(const HttpRequest& http) {
  bool takes = false;
  for_each_element(http, "Accept-Encoding", [&](std::string_view element) {
    const std::string_view coding = trimmed(element.substr(0, element.find(';')));
    if (!equal_ignoring_case(coding, "gzip")) return;
    const auto weight = element.find("q=");
    const std::string_view q =
        weight == std::string_view::npos ? "1" : trimmed(element.substr(weight + 2));
    takes = q.find_first_not_of("0.") != std::string_view::npos;
  });
  return takes;
}

// Weak comparison, as RFC 9110 has it for If-None-Match: a proxy may have made the tag weak.
bool has_already(const HttpRequest& http, std::string_view etag) {
  bool has = false;
  for_each_element(http, "If-None-Match", [&](std::string_view element) {
    if (element.starts_with("W/")) element.remove_prefix(2);
    has = has || element == "*" || element == etag;
  });
  return has;
}

HttpResponse answer_with(const PageAsset& asset, const HttpRequest& http) {
  HttpResponse response;
  response.content_type = asset.type;
  const char* caching = asset.immutable ? "public, max-age=31536000, immutable" : "no-cache";
  response.headers = {{"Cache-Control", caching},
                      {"ETag", "W/" + std::string(asset.etag)},
                      {"Vary", "Accept-Encoding"}};
  if (has_already(http, asset.etag)) {
    response.status = 304;
    return response;
  }
  const bool packed = !asset.gzip.empty() && takes_gzip(http);
  if (packed) response.headers.push_back({"Content-Encoding", "gzip"});
  response.body = packed ? asset.gzip : asset.bytes;
  return response;
}

}  // namespace

std::string_view path_of_target(std::string_view target) {
  return target.substr(0, target.find_first_of("?#"));
}

bool PageAssets::owns(std::string_view target) const {
  const std::string_view path = path_of_target(target);
  return path == "/ui" || path.starts_with("/ui/") || (path == "/" && !assets_.empty());
}

const PageAsset* PageAssets::find(std::string_view path) const {
  // A login through an identity provider comes back to an address of its own.
  if (path.empty() || path == "oidc/callback") path = "index.html";
  const auto it = std::find_if(assets_.begin(), assets_.end(),
                               [&](const PageAsset& asset) { return asset.path == path; });
  return it == assets_.end() ? nullptr : &*it;
}

HttpResponse PageAssets::serve(const HttpRequest& http) const {
  const std::string_view path = path_of_target(http.target);
  HttpResponse response;
  if (http.method != "GET" && http.method != "HEAD") {
    response = errors_response(405, "the page is only read: GET or HEAD");
    response.headers.push_back({"Allow", "GET, HEAD"});
  } else if (assets_.empty()) {
    response = plain(404, "This server was built without its web page (CURFEW_UI=OFF).");
  } else if (path == "/" || path == "/ui") {
    response = redirect_to_page();
  } else if (const PageAsset* asset = find(path.substr(4))) {
    response = answer_with(*asset, http);
  } else {
    response = plain(404, "There is no such file. The page is at /ui/");
  }
  add_security_headers(response);
  return response;
}

}  // namespace curfew::api

#pragma once

#include <span>
#include <string_view>

#include "api/http_types.h"

namespace curfew::api {

// One file of the web page, as the build made it. Points into the program's constants.
struct PageAsset {
  std::string_view path;  // below /ui/: "index.html", "assets/index-B1x9.js"
  std::string_view type;  // Content-Type
  std::string_view etag;  // with its quotes
  std::string_view bytes;
  std::string_view gzip;   // the same, compressed; empty where that saves nothing
  bool immutable = false;  // the name has a hash of the contents in it
};

// The web page: files that are the same for everybody and need neither token nor open store.
// Cheap to copy, thread-safe.
class PageAssets {
 public:
  PageAssets() = default;  // a server without a page
  // `assets` must outlive this object.
  explicit PageAssets(std::span<const PageAsset> assets) : assets_(assets) {}

  // Whether the target ("/ui/?a") is the page's and not the API's. Never true for "/v1/…".
  bool owns(std::string_view target) const;

  // The file, 304, a redirect to /ui/, 404 or 405. REQUIRES: owns(http.target)
  HttpResponse serve(const HttpRequest& http) const;

 private:
  const PageAsset* find(std::string_view path) const;

  std::span<const PageAsset> assets_;
};

// The path of a target, without query and fragment.
std::string_view path_of_target(std::string_view target);

// The page that this program was built with; without files where CURFEW_UI was off. (Library
// curfew_page.)
PageAssets built_page();

}  // namespace curfew::api

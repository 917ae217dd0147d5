#include "api/page_assets.h"

#include <gtest/gtest.h>

#include <array>

namespace curfew::api::testing {
namespace {

constexpr std::array<PageAsset, 2> kFiles = {
    PageAsset{"index.html", "text/html; charset=utf-8", "\"one\"", "<p>page</p>", ""},
    PageAsset{"assets/a-1.js", "text/javascript; charset=utf-8", "\"two\"", "let a = 1;", "packed",
              true}};

class PageAssetsTest : public ::testing::Test {
 protected:
  HttpResponse get(const std::string& target, std::vector<HttpHeader> headers = {},
                   const std::string& method = "GET") const {
    HttpRequest http;
    http.method = method;
    http.target = target;
    http.headers = std::move(headers);
    return page_.serve(http);
  }
  static std::string header(const HttpResponse& response, const std::string& name) {
    for (const HttpHeader& one : response.headers)
      if (one.name == name) return one.value;
    return "";
  }

  const PageAssets page_{kFiles};
};

TEST_F(PageAssetsTest, ThePageIsBesideTheApi) {
  for (const char* target : {"/", "/ui", "/ui/", "/ui/assets/a-1.js?x", "/?a=b", "/ui?a"})
    EXPECT_TRUE(page_.owns(target)) << target;
  for (const char* target : {"/v1/ui/", "/v1", "/uix", "/v1/sys/health?a=/ui/", "//ui/", ""})
    EXPECT_FALSE(page_.owns(target)) << target;
}

TEST_F(PageAssetsTest, ServesFilesAndRedirects) {
  const HttpResponse index = get("/ui/");
  EXPECT_EQ(index.status, 200);
  EXPECT_EQ(index.body, "<p>page</p>");
  EXPECT_EQ(index.content_type, "text/html; charset=utf-8");
  EXPECT_EQ(header(index, "Cache-Control"), "no-cache");
  EXPECT_EQ(get("/ui/oidc/callback?state=a&code=b").body, index.body);
  const HttpResponse script = get("/ui/assets/a-1.js");
  EXPECT_EQ(script.body, "let a = 1;");
  EXPECT_EQ(header(script, "Cache-Control"), "public, max-age=31536000, immutable");
  for (const char* from : {"/", "/ui"}) {
    EXPECT_EQ(get(from).status, 307);
    EXPECT_EQ(header(get(from), "Location"), "/ui/");
  }
}

TEST_F(PageAssetsTest, WhatIsNotAFileOfThePageIsNotThere) {
  for (const char* target : {"/ui/nope", "/ui/../v1/sys/health", "/ui/assets/", "/ui/assets",
                             "/ui/index.html/", "/ui/%69ndex.html", "/ui/oidc/callback/x"})
    EXPECT_EQ(get(target).status, 404) << target;
  for (const char* method : {"POST", "PUT", "DELETE", "LIST"}) {
    EXPECT_EQ(get("/ui/", {}, method).status, 405) << method;
    EXPECT_EQ(header(get("/ui/", {}, method), "Allow"), "GET, HEAD");
  }
}

TEST_F(PageAssetsTest, CompressesForWhoTakesItAndSaysWhatIsUnchanged) {
  for (const char* accepted : {"gzip", "deflate, gzip;q=0.5", "br , GZIP"}) {
    const HttpResponse script = get("/ui/assets/a-1.js", {{"Accept-Encoding", accepted}});
    EXPECT_EQ(script.body, "packed") << accepted;
    EXPECT_EQ(header(script, "Content-Encoding"), "gzip");
    EXPECT_EQ(header(script, "Vary"), "Accept-Encoding");
  }
  for (const char* accepted : {"", "br", "gzip;q=0", "gzip; q=0.0", "xgzip"})
    EXPECT_EQ(get("/ui/assets/a-1.js", {{"Accept-Encoding", accepted}}).body, "let a = 1;");
  EXPECT_EQ(get("/ui/", {{"Accept-Encoding", "gzip"}}).body, "<p>page</p>");
  const std::string tag = header(get("/ui/"), "ETag");
  for (const std::string& known : {tag, std::string("\"zero\", \"one\""), std::string("*")}) {
    const HttpResponse unchanged = get("/ui/", {{"If-None-Match", known}});
    EXPECT_EQ(unchanged.status, 304) << known;
    EXPECT_EQ(unchanged.body, "");
    EXPECT_EQ(header(unchanged, "ETag"), tag);
  }
  EXPECT_EQ(get("/ui/", {{"If-None-Match", "\"two\""}}).status, 200);
}

TEST_F(PageAssetsTest, EverythingBearsTheSecurityHeaders) {
  for (const char* target : {"/ui/", "/ui/assets/a-1.js", "/ui/nope", "/", "/ui"}) {
    const HttpResponse response = get(target);
    const std::string policy = header(response, "Content-Security-Policy");
    for (const char* part :
         {"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'",
          "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"})
      EXPECT_NE(policy.find(part), std::string::npos) << target << " " << part;
    EXPECT_EQ(policy.find("unsafe"), std::string::npos);
    EXPECT_EQ(header(response, "X-Content-Type-Options"), "nosniff");
    EXPECT_EQ(header(response, "Referrer-Policy"), "no-referrer");
    EXPECT_EQ(header(response, "Cross-Origin-Opener-Policy"), "same-origin");
    EXPECT_NE(header(response, "Permissions-Policy"), "");
  }
}

TEST(PageAssetsWithoutPageTest, SaysThatThereIsNone) {
  const PageAssets none;
  EXPECT_FALSE(none.owns("/"));
  EXPECT_TRUE(none.owns("/ui/"));
  HttpRequest http;
  http.method = "GET";
  http.target = "/ui/";
  const HttpResponse response = none.serve(http);
  EXPECT_EQ(response.status, 404);
  EXPECT_NE(response.body.find("CURFEW_UI=OFF"), std::string::npos);
}

}  // namespace
}  // namespace curfew::api::testing

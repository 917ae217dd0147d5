#include "api/error_to_http.h"

#include <gtest/gtest.h>

#include <utility>

#include "base/json.h"

namespace curfew::api {
namespace {

TEST(ErrorToHttpTest, EveryCodeHasTheStatusThatVaultsClientsExpect) {
  const std::pair<Errc, int> table[] = {
      {Errc::kInvalidArgument, 400},  {Errc::kUnauthenticated, 403},
      {Errc::kPermissionDenied, 403}, {Errc::kNotFound, 404},
      {Errc::kUnsupportedPath, 404},  {Errc::kUnsupportedOperation, 405},
      {Errc::kConflict, 400},         {Errc::kPreconditionFailed, 412},
      {Errc::kTooLarge, 413},         {Errc::kUnsupportedMediaType, 415},
      {Errc::kQuotaExceeded, 429},    {Errc::kOverloaded, 503},
      {Errc::kSealed, 503},           {Errc::kNotInitialized, 503},
      {Errc::kUnavailable, 503},      {Errc::kInDoubt, 500},
      {Errc::kRefused, 500},          {Errc::kCorrupt, 500},
      {Errc::kInternal, 500},
  };
  for (const auto& [code, status] : table) EXPECT_EQ(status_of(code), status) << errc_name(code);
}

TEST(ErrorToHttpTest, TheMessageIsShownAndTheDetailIsNot) {
  const HttpResponse response =
      error_response({Errc::kInvalidArgument, "say \"please\"\n", "detail for the log"});
  EXPECT_EQ(response.body, "{\"errors\":[\"say \\\"please\\\"\\n\"]}");
  EXPECT_EQ(response.content_type, "application/json");
}

TEST(ErrorToHttpTest, NoMessageIsAnEmptyList) {
  EXPECT_EQ(error_response({Errc::kNotFound, ""}).body, R"({"errors":[]})");
}

TEST(ErrorToHttpTest, OnlyWhatPassesByWaitingSaysSo) {
  for (const Errc code : {Errc::kQuotaExceeded, Errc::kOverloaded}) {
    const HttpResponse response = error_response({code, "later"});
    ASSERT_EQ(response.headers.size(), 1u);
    EXPECT_EQ(response.headers[0].name, "Retry-After");
    EXPECT_EQ(response.headers[0].value, "1");
  }
  EXPECT_TRUE(error_response({Errc::kSealed, "sealed"}).headers.empty());
}

TEST(ErrorToHttpTest, AMessageThatIsNotUtf8IsStillJson) {
  EXPECT_TRUE(Json::accept(error_response({Errc::kRefused, "bad \xff byte"}).body));
}

}  // namespace
}  // namespace curfew::api

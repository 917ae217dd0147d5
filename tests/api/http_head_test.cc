#include "api/http_head.h"

#include <gtest/gtest.h>

namespace curfew::api {
namespace {

TEST(HttpHeadTest, WritesWhatClientsRead) {
  HttpResponse response;
  response.status = 404;
  response.body = R"({"errors":[]})";
  EXPECT_EQ(write_head(response, true, from_unix_millis(1'795'139'664'999)),
            "HTTP/1.1 404 Not Found\r\nCache-Control: no-store\r\n"
            "Content-Type: application/json\r\nDate: Fri, 20 Nov 2026 01:54:24 GMT\r\n"
            "Content-Length: 13\r\nConnection: keep-alive\r\n\r\n");
}

TEST(HttpHeadTest, SaysHowABodyWithoutALengthEnds) {
  const std::string chunks = write_head({}, false, WallTime{}, Framing::kChunks);
  EXPECT_NE(chunks.find("\r\nTransfer-Encoding: chunked\r\n"), std::string::npos);
  EXPECT_EQ(chunks.find("Content-Length"), std::string::npos);
  const std::string closed = write_head({}, false, WallTime{}, Framing::kClose);
  EXPECT_EQ(closed.find("Transfer-Encoding"), std::string::npos);
  EXPECT_EQ(closed.find("Content-Length"), std::string::npos);
}

TEST(HttpHeadTest, AStatusWithoutANameIsStillALine) {
  HttpResponse response;
  response.status = 473;
  EXPECT_TRUE(write_head(response, false, WallTime{}).starts_with("HTTP/1.1 473 "));
}

TEST(HttpHeadTest, DatesOfEveryMonthAndDay) {
  EXPECT_EQ(format_http_date(WallTime{}), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(format_http_date(from_unix_millis(1'709'208'000'000)), "Thu, 29 Feb 2024 12:00:00 GMT");
  EXPECT_EQ(format_http_date(from_unix_millis(1'735'689'599'000)), "Tue, 31 Dec 2024 23:59:59 GMT");
}

}  // namespace
}  // namespace curfew::api

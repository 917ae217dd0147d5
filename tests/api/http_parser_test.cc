#include "api/http_parser.h"

#include <gtest/gtest.h>

namespace curfew::api {
namespace {

// Feeds in pieces of `piece` bytes and gives how many bytes of `text` were taken.
std::size_t feed(HttpParser& parser, std::string_view text, std::size_t piece) {
  std::size_t taken = 0;
  std::size_t offered = 0;
  while (offered < text.size() && !parser.done() && parser.refusal() == nullptr) {
    offered = std::min(text.size(), offered + piece);
    taken += parser.feed(text.substr(taken, offered - taken));
  }
  return taken;
}

constexpr std::string_view kChunked =
    "PUT /v1/a?b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nA: 1\r\nA: 2\r\n\r\n"
    "5\r\nhello\r\nA;x=\"y\"\r\n0123456789\r\n0\r\nT: trailer\r\n\r\n";

TEST(HttpParserTest, TheResultDoesNotDependOnHowTheBytesArrive) {
  for (std::size_t piece = 1; piece <= kChunked.size() + 7; ++piece) {
    HttpParser parser({});
    const std::string text = std::string(kChunked) + "GET / H";
    EXPECT_EQ(feed(parser, text, piece), kChunked.size()) << piece;
    ASSERT_TRUE(parser.done()) << piece;
    EXPECT_TRUE(parser.keep_alive());
    const HttpRequest request = parser.take();
    EXPECT_EQ(request.method, "PUT");
    EXPECT_EQ(request.target, "/v1/a?b");
    EXPECT_EQ(request.body, "hello0123456789");
    EXPECT_EQ(request.header_count("a"), 2u);
    EXPECT_EQ(request.header("T"), nullptr);
  }
}

TEST(HttpParserTest, AnEmptyChunkedBodyByteByByte) {
  const std::string_view text = "PUT /v1/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
  HttpParser parser({});
  EXPECT_EQ(feed(parser, text, 1), text.size());
  ASSERT_TRUE(parser.done());
  EXPECT_EQ(parser.take().body, "");
}

TEST(HttpParserTest, TellsWhereItStands) {
  HttpParser parser({});
  EXPECT_FALSE(parser.started());
  const std::string_view head = "POST /v1/a HTTP/1.1\r\nContent-Length: 2\r\n\r\n";
  EXPECT_EQ(parser.feed(head), head.size());
  EXPECT_TRUE(parser.started());
  EXPECT_TRUE(parser.header_done());
  EXPECT_FALSE(parser.done());
  EXPECT_EQ(parser.feed("{"), 1u);
  EXPECT_EQ(parser.body_bytes(), 1u);
  EXPECT_EQ(parser.feed("}GET"), 1u);
  EXPECT_TRUE(parser.done());
  EXPECT_EQ(parser.feed("GET"), 0u);
}

TEST(HttpParserTest, AHugeAnnouncementReservesNothing) {
  HttpParser::Limits limits;
  limits.body_bytes_max = std::size_t{1} << 50;
  HttpParser parser(limits);
  parser.feed("POST /v1/a HTTP/1.1\r\nContent-Length: 1125899906842624\r\n\r\nab");
  EXPECT_EQ(parser.refusal(), nullptr);
  EXPECT_EQ(parser.body_bytes(), 2u);
}

TEST(HttpParserTest, RefusalsCarryTheirStatus) {
  const auto status_of = [](std::string_view text) {
    HttpParser parser({200, 10});
    parser.feed(text);
    return parser.refusal() == nullptr ? 0 : parser.refusal()->status;
  };
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\n\r\n"), 0);
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nContent-Length: 11\r\n\r\n"), 413);
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nB\r\nabc"), 413);
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n"),
            400);
  EXPECT_EQ(status_of("GET /" + std::string(300, 'a')), 431);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nA: " + std::string(300, 'a')), 431);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nExpect: other\r\n\r\n"), 417);
  EXPECT_EQ(status_of("\r\n\r\n"), 400);
  EXPECT_EQ(status_of(std::string_view("\0\0\0\0", 4)), 400);
}

}  // namespace
}  // namespace curfew::api

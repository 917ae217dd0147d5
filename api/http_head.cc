#include "api/http_head.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace curfew::api {
namespace {

const char* reason_phrase(int status) {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    default: return "Status";
  }
}

bool is_token(const std::string& name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  });
}

bool is_value(const std::string& value) {
  return std::none_of(value.begin(), value.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

}  // namespace

std::string format_http_date(WallTime time) {
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto days = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{days};
  const auto second_of_day = std::chrono::floor<Seconds>(time - days).count();
  return fmt::format(
      "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", kDays[std::chrono::weekday{days}.c_encoding()],
      static_cast<unsigned>(date.day()), kMonths[static_cast<unsigned>(date.month()) - 1],
      static_cast<int>(date.year()), second_of_day / 3600, second_of_day / 60 % 60,
      second_of_day % 60);
}

std::string write_head(const HttpResponse& response, bool keep_alive, WallTime now,
                       Framing framing) {
  const bool says_caching = std::any_of(
      response.headers.begin(), response.headers.end(),
      [](const HttpHeader& header) { return equal_ignoring_case(header.name, "Cache-Control"); });
  std::string head =
      fmt::format("HTTP/1.1 {} {}\r\n{}Content-Type: {}\r\nDate: {}\r\n", response.status,
                  reason_phrase(response.status), says_caching ? "" : "Cache-Control: no-store\r\n",
                  is_value(response.content_type) ? response.content_type : "text/plain",
                  format_http_date(now));
  auto out = std::back_inserter(head);
  for (const HttpHeader& header : response.headers)
    if (is_token(header.name) && is_value(header.value))
      fmt::format_to(out, "{}: {}\r\n", header.name, header.value);
  if (framing == Framing::kChunks)
    head += "Transfer-Encoding: chunked\r\n";
  else if (framing == Framing::kLength && response.status != 204 && response.status != 304)
    fmt::format_to(out, "Content-Length: {}\r\n", response.body.size());
  fmt::format_to(out, "Connection: {}\r\n\r\n", keep_alive ? "keep-alive" : "close");
  return head;
}

}  // namespace curfew::api

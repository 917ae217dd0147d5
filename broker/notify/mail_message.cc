#include <fmt/format.h>

#include <array>
#include <chrono>

#include "base/encoding.h"
#include "broker/notify/notice_text.h"
#include "broker/notify/parcel.h"

namespace curfew::broker {
namespace {

constexpr std::size_t kSubjectBytesMax = 300;
constexpr std::size_t kEncodedWordBytes = 42;  // of text, so that the line stays below 76
constexpr std::size_t kLineBytes = 76;

// RFC 5322, in UTC.
std::string mail_date(WallTime time) {
  static constexpr std::array kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(std::chrono::floor<Seconds>(time - day));
  return fmt::format(
      "{}, {:02d} {} {} {:02d}:{:02d}:{:02d} +0000", kDays[std::chrono::weekday(day).c_encoding()],
      static_cast<unsigned>(date.day()), kMonths[static_cast<unsigned>(date.month()) - 1],
      static_cast<int>(date.year()), clock.hours().count(), clock.minutes().count(),
      clock.seconds().count());
}

// RFC 2047, always encoded: whatever the text holds, it cannot end the header.
std::string encoded_words(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    std::size_t end = std::min(text.size(), kEncodedWordBytes);
    while (end < text.size() && end > 1 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
      --end;
    if (!out.empty()) out += "\r\n ";
    out += "=?UTF-8?B?" + base64_encode(text.substr(0, end)) + "?=";
    text.remove_prefix(end);
  }
  return out;
}

std::string base64_lines(std::string_view text) {
  const std::string packed = base64_encode(text);
  std::string out;
  for (std::size_t at = 0; at < packed.size(); at += kLineBytes)
    out += packed.substr(at, kLineBytes) + "\r\n";
  return out;
}

}  // namespace

std::string mail_message(const Notice& notice, const NotificationTarget& target,
                         const std::string& link, const std::string& delivery, WallTime now) {
  const NoticeFields fields = notice_fields(notice, link);
  const auto own_title = target.templates.find("title");
  const auto own_text = target.templates.find("text");
  const std::string title = fill_template(
      own_title == target.templates.end() ? default_title(notice.event) : own_title->second,
      fields);
  std::string text = own_text == target.templates.end() ? default_text(fields)
                                                        : fill_template(own_text->second, fields);
  if (own_text == target.templates.end() && !link.empty()) text += "\nOpen the request: " + link;
  std::string to;
  for (const std::string& address : target.to) to += (to.empty() ? "" : ",\r\n ") + address;
  const std::string host = target.from.substr(target.from.find('@') + 1);
  return fmt::format(
      "Date: {}\r\nFrom: {}\r\nTo: {}\r\nSubject: {}\r\nMessage-ID: <{}@{}>\r\n"
      "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
      "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n{}",
      mail_date(now), target.from, to, encoded_words(cut(title, kSubjectBytesMax)), delivery, host,
      base64_lines(text));
}

}  // namespace curfew::broker

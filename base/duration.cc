#include "base/duration.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>

namespace curfew {
namespace {

constexpr double kMillisMax = 9.0e15;  // about 285,000 years: far from overflow in any sum

Error bad_duration(std::string_view text) {
  return {Errc::kInvalidArgument,
          fmt::format("invalid duration \"{}\": expected a number of seconds or a value such as "
                      "\"90s\", \"15m\", \"1h30m\", \"7d\"",
                      text.substr(0, 64))};
}

// Milliseconds of the unit that `rest` begins with, which is removed; 0 if it begins with none.
double take_unit(std::string_view& rest) {
  struct Unit {
    std::string_view name;
    double millis;
  };
  static constexpr Unit kUnits[] = {{"ms", 1},   {"us", 1e-3},  {"µs", 1e-3},    {"ns", 1e-6},
                                    {"s", 1000}, {"m", 60'000}, {"h", 3600'000}, {"d", 86400'000}};
  for (const Unit& unit : kUnits) {
    if (rest.starts_with(unit.name)) {
      rest.remove_prefix(unit.name.size());
      return unit.millis;
    }
  }
  return 0;
}

struct Parts {
  std::int64_t hours, minutes, seconds, millis;
};

Parts split(Millis duration) {
  const std::int64_t ms = duration.count();
  return {ms / 3600'000, ms / 60'000 % 60, ms / 1000 % 60, ms % 1000};
}

}  // namespace

Result<Millis> parse_duration(std::string_view text) {
  std::string_view rest = text;
  if (rest.empty()) return Millis{0};
  const bool negative = rest.front() == '-';
  if (negative || rest.front() == '+') rest.remove_prefix(1);
  if (rest.empty()) return bad_duration(text);
  const bool bare = rest.find_first_not_of("0123456789.") == std::string_view::npos;
  double total = 0;
  while (!rest.empty()) {
    double number = 0;
    const char* const last = rest.data() + rest.size();
    const auto [end, error] = std::from_chars(rest.data(), last, number, std::chars_format::fixed);
    if (error != std::errc{} || number < 0 || !std::isfinite(number)) return bad_duration(text);
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    const double unit = bare && rest.empty() ? 1000 : take_unit(rest);
    if (unit == 0) return bad_duration(text);
    total += number * unit;
    if (total > kMillisMax) return bad_duration(text);
  }
  const auto millis = static_cast<std::int64_t>(std::llround(total));
  return Millis{negative ? -millis : millis};
}

std::string format_duration(Millis duration) {
  if (duration < Millis{0}) return "-" + format_duration(-duration);
  const Parts parts = split(duration);
  if (parts.hours == 0 && parts.minutes == 0 && parts.seconds == 0 && parts.millis != 0)
    return fmt::format("{}ms", parts.millis);
  std::string out;
  if (parts.hours != 0) out += fmt::format("{}h", parts.hours);
  if (parts.hours != 0 || parts.minutes != 0) out += fmt::format("{}m", parts.minutes);
  out += fmt::format("{}", parts.seconds);
  if (parts.millis != 0) {
    std::string fraction = fmt::format(".{:03}", parts.millis);
    while (fraction.back() == '0') fraction.pop_back();
    out += fraction;
  }
  return out + "s";
}

std::string format_duration_short(Millis duration) {
  if (duration < Millis{0}) return "-" + format_duration_short(-duration);
  const Parts parts = split(duration);
  std::string out;
  if (parts.hours != 0) out += fmt::format("{}h", parts.hours);
  if (parts.minutes != 0) out += fmt::format("{}m", parts.minutes);
  if (parts.seconds != 0) out += fmt::format("{}s", parts.seconds);
  if (parts.millis != 0) out += fmt::format("{}ms", parts.millis);
  return out.empty() ? "0s" : out;
}

std::string format_rfc3339(WallTime time) {
  const auto days = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{days};
  const Parts parts = split(time - days);
  std::string out =
      fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                  parts.hours, parts.minutes, parts.seconds);
  if (parts.millis != 0) {
    std::string fraction = fmt::format(".{:03}", parts.millis);
    while (fraction.back() == '0') fraction.pop_back();
    out += fraction;
  }
  return out + "Z";
}

Result<WallTime> parse_rfc3339(std::string_view text) {
  const std::string copy(text.substr(0, 64));
  const Error bad{Errc::kInvalidArgument,
                  "invalid time \"" + copy + "\": expected RFC 3339, such as 2026-11-20T01:54:24Z"};
  int year = 0, used = 0;
  unsigned month = 0, day = 0, hour = 0, minute = 0, second = 0;
  if (std::sscanf(copy.c_str(), "%4d-%2u-%2uT%2u:%2u:%2u%n", &year, &month, &day, &hour, &minute,
                  &second, &used) != 6)
    return bad;
  const std::chrono::year_month_day date{std::chrono::year{year}, std::chrono::month{month},
                                         std::chrono::day{day}};
  if (!date.ok() || hour > 23 || minute > 59 || second > 60) return bad;
  std::string_view rest = std::string_view(copy).substr(static_cast<std::size_t>(used));
  Millis fraction{0};
  if (rest.starts_with('.')) {
    rest.remove_prefix(1);
    int scale = 100;
    if (rest.empty() || rest[0] < '0' || rest[0] > '9') return bad;
    for (; !rest.empty() && rest[0] >= '0' && rest[0] <= '9'; rest.remove_prefix(1), scale /= 10)
      fraction += Millis{(rest[0] - '0') * scale};
  }
  std::chrono::minutes offset{0};
  if (rest != "Z") {
    unsigned offset_hours = 0, offset_minutes = 0;
    int end = 0;
    const std::string tail(rest);
    if (tail.empty() || (tail[0] != '+' && tail[0] != '-') ||
        std::sscanf(tail.c_str() + 1, "%2u:%2u%n", &offset_hours, &offset_minutes, &end) != 2 ||
        static_cast<std::size_t>(end) + 1 != tail.size() || offset_hours > 23 ||
        offset_minutes > 59)
      return bad;
    offset = std::chrono::hours{offset_hours} + std::chrono::minutes{offset_minutes};
    if (tail[0] == '-') offset = -offset;
  }
  return WallTime{std::chrono::sys_days{date} + std::chrono::hours{hour} +
                  std::chrono::minutes{minute} + Seconds{second} + fraction - offset};
}

}  // namespace curfew

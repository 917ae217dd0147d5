#include "base/duration.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <optional>

namespace curfew {
namespace {

constexpr double kMillisMax = 9.2e12;  // 291 years, as in Go: any time plus that can be written

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

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// The number that `rest` begins with, exactly `digits` long, which is removed.
std::optional<int> take_digits(std::string_view& rest, std::size_t digits) {
  if (rest.size() < digits) return std::nullopt;
  int number = 0;
  for (const char c : rest.substr(0, digits)) {
    if (!is_digit(c)) return std::nullopt;
    number = number * 10 + (c - '0');
  }
  rest.remove_prefix(digits);
  return number;
}

// As above: two digits behind `separator`.
std::optional<int> take_after(std::string_view& rest, char separator) {
  if (!rest.starts_with(separator)) return std::nullopt;
  rest.remove_prefix(1);
  return take_digits(rest, 2);
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
    // from_chars would take a sign, "inf" and "nan".
    if (rest.front() != '.' && !is_digit(rest.front())) return bad_duration(text);
    double number = 0;
    const char* const last = rest.data() + rest.size();
    const auto [end, error] = std::from_chars(rest.data(), last, number, std::chars_format::fixed);
    if (error != std::errc{}) return bad_duration(text);
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
  const Error bad{Errc::kInvalidArgument,
                  fmt::format("invalid time \"{}\": expected RFC 3339, such as "
                              "2026-11-20T01:54:24Z",
                              text.substr(0, 64))};
  std::string_view rest = text;
  const auto year = take_digits(rest, 4), month = take_after(rest, '-'),
             day = take_after(rest, '-'), hour = take_after(rest, 'T'),
             minute = take_after(rest, ':'), second = take_after(rest, ':');
  if (!year || !month || !day || !hour || !minute || !second) return bad;
  const std::chrono::year_month_day date{std::chrono::year{*year},
                                         std::chrono::month{static_cast<unsigned>(*month)},
                                         std::chrono::day{static_cast<unsigned>(*day)}};
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) return bad;
  Millis fraction{0};
  if (rest.starts_with('.')) {
    rest.remove_prefix(1);
    if (rest.empty() || !is_digit(rest.front())) return bad;
    for (int scale = 100; !rest.empty() && is_digit(rest.front()); scale /= 10) {
      fraction += Millis{(rest.front() - '0') * scale};
      rest.remove_prefix(1);
    }
  }
  std::chrono::minutes offset{0};
  if (rest != "Z") {
    const int sign = rest.starts_with('-') ? -1 : 1;
    const auto hours = take_after(rest, sign < 0 ? '-' : '+'), minutes = take_after(rest, ':');
    if (!hours || !minutes || *hours > 23 || *minutes > 59 || !rest.empty()) return bad;
    offset = std::chrono::minutes{sign * (*hours * 60 + *minutes)};
  }
  return WallTime{std::chrono::sys_days{date} + std::chrono::hours{*hour} +
                  std::chrono::minutes{*minute} + Seconds{*second} + fraction - offset};
}

}  // namespace curfew

#include "base/cron.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <vector>

namespace curfew {
namespace {

using std::chrono::days;
using std::chrono::minutes;
using std::chrono::sys_days;

constexpr int kDaysSearched = 36'525;  // a 29 February that is a Sunday comes within 40 years
constexpr std::size_t kBytesMax = 256;

struct Field {
  const char* name;
  int low;
  int high;
  std::vector<std::string_view> names;  // of `low` and what follows
};

const std::array<Field, 5>& fields() {
  static const std::array<Field, 5> all{{
      {"minute", 0, 59, {}},
      {"hour", 0, 23, {}},
      {"day of the month", 1, 31, {}},
      {"month",
       1,
       12,
       {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
      {"day of the week", 0, 7, {"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
  }};
  return all;
}

Error bad(const Field& field, std::string_view part, std::string_view why) {
  return {Errc::kInvalidArgument,
          fmt::format("{}: \"{}\": {}", field.name, part.substr(0, 40), why)};
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> out;
  for (const std::string_view line : split(text, '\t'))
    for (const std::string_view word : split(line, ' '))
      if (!word.empty()) out.push_back(word);
  return out;
}

std::optional<int> number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size() && !text.empty();
  return whole && text.front() != '-' ? std::optional(value) : std::nullopt;
}

bool same_word(std::string_view text, std::string_view lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(),
                    [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; });
}

std::optional<int> value_of(const Field& field, std::string_view text) {
  for (std::size_t i = 0; i < field.names.size(); ++i)
    if (same_word(text, field.names[i])) return field.low + static_cast<int>(i);
  const auto value = number(text);
  return value && *value >= field.low && *value <= field.high ? value : std::nullopt;
}

// Sets what one element of a list stands for.
template <class Set>
Status add_part(const Field& field, std::string_view part, Set&& set) {
  const auto slash = part.find('/');
  const std::string_view range = part.substr(0, slash);
  int step = 1;
  if (slash != std::string_view::npos) {
    const auto given = number(part.substr(slash + 1));
    if (!given || *given < 1) return bad(field, part, "a step is a number from 1");
    step = *given;
  }
  int first = field.low, last = field.high;
  if (range == "*" || range == "?") {
    if (field.low == 0 && field.high == 7) last = 6;  // Sunday once
  } else {
    const auto dash = range.find('-');
    const auto from = value_of(field, range.substr(0, dash));
    const auto to = dash == std::string_view::npos ? from : value_of(field, range.substr(dash + 1));
    if (!from || !to)
      return bad(field, part, fmt::format("expected values from {} to {}", field.low, field.high));
    if (*from > *to) return bad(field, part, "the range ends before it begins");
    first = *from;
    last = dash == std::string_view::npos && slash != std::string_view::npos ? field.high : *to;
  }
  for (int value = first; value <= last; value += step) set(value);
  return ok();
}

template <class Set>
Status read_field(const Field& field, std::string_view text, Set&& set) {
  for (const std::string_view part : split(text, ',')) RETURN_IF_ERROR(add_part(field, part, set));
  return ok();
}

bool is_star(std::string_view text) {
  return text.starts_with('*') || text.starts_with('?');
}

}  // namespace

Result<CronSchedule> CronSchedule::parse(std::string_view text) {
  const auto parts = words(text.substr(0, kBytesMax));
  if (text.size() > kBytesMax || parts.size() != 5)
    return Error{Errc::kInvalidArgument,
                 "expected five fields (minute, hour, day of the month, month, day of the week), "
                 "such as \"0 3 * * SAT\"; the times are UTC"};
  const auto& all = fields();
  CronSchedule schedule;
  const auto bit = [](int value) { return static_cast<std::size_t>(value); };
  RETURN_IF_ERROR(read_field(all[0], parts[0], [&](int v) { schedule.minutes_.set(bit(v)); }));
  RETURN_IF_ERROR(read_field(all[1], parts[1], [&](int v) { schedule.hours_.set(bit(v)); }));
  RETURN_IF_ERROR(read_field(all[2], parts[2], [&](int v) { schedule.days_.set(bit(v)); }));
  RETURN_IF_ERROR(read_field(all[3], parts[3], [&](int v) { schedule.months_.set(bit(v)); }));
  RETURN_IF_ERROR(read_field(all[4], parts[4], [&](int v) { schedule.weekdays_.set(bit(v % 7)); }));
  schedule.any_day_ = is_star(parts[2]);
  schedule.any_weekday_ = is_star(parts[4]);
  // A whole cycle of the calendar is 400 years; what is not found in a hundred is not meant.
  if (!schedule.next(WallTime{}))
    return Error{Errc::kInvalidArgument, "there is no such day, so nothing would ever happen"};
  return schedule;
}

bool CronSchedule::fits(sys_days day) const {
  const std::chrono::year_month_day date(day);
  if (!months_[static_cast<unsigned>(date.month())]) return false;
  const bool by_day = days_[static_cast<unsigned>(date.day())];
  const bool by_weekday = weekdays_[std::chrono::weekday(day).c_encoding()];
  return any_day_ || any_weekday_ ? by_day && by_weekday : by_day || by_weekday;
}

std::optional<WallTime> CronSchedule::next(WallTime time) const {
  const auto from = std::chrono::floor<minutes>(time) + minutes{1};
  sys_days day = std::chrono::floor<days>(from);
  auto minute = static_cast<int>((from - day).count());
  for (int i = 0; i < kDaysSearched; ++i, day += days{1}, minute = 0) {
    if (!fits(day)) continue;
    for (; minute < 24 * 60; ++minute) {
      if (hours_[static_cast<std::size_t>(minute / 60)] &&
          minutes_[static_cast<std::size_t>(minute % 60)])
        return WallTime{day} + minutes{minute};
    }
  }
  return std::nullopt;
}

std::optional<WallTime> CronSchedule::latest(WallTime time) const {
  const auto from = std::chrono::floor<minutes>(time);
  sys_days day = std::chrono::floor<days>(from);
  auto minute = static_cast<int>((from - day).count());
  for (int i = 0; i < kDaysSearched; ++i, day -= days{1}, minute = 24 * 60 - 1) {
    if (!fits(day)) continue;
    for (; minute >= 0; --minute) {
      if (hours_[static_cast<std::size_t>(minute / 60)] &&
          minutes_[static_cast<std::size_t>(minute % 60)])
        return WallTime{day} + minutes{minute};
    }
  }
  return std::nullopt;
}

}  // namespace curfew

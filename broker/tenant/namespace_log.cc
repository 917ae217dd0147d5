#include "broker/tenant/namespace_log.h"

#include <array>
#include <cstddef>
#include <utility>

namespace curfew::broker {
namespace {

constexpr std::size_t kFieldsMax = 12;

// The number of fields of a line is known to the compiler alone: one function for each.
template <std::size_t... I>
void write_some(Log& log, LogLevel level, std::string_view event,
                const std::array<LogField, kFieldsMax>& fields, std::index_sequence<I...>) {
  log.write(level, event, {fields[I]...});
}

template <std::size_t... N>
void write_first(Log& log, LogLevel level, std::string_view event,
                 const std::array<LogField, kFieldsMax>& fields, std::size_t count,
                 std::index_sequence<N...>) {
  (void)((count == N &&
          (write_some(log, level, event, fields, std::make_index_sequence<N>()), true)) ||
         ...);
}

}  // namespace

void NamespaceLog::write(LogLevel level, std::string_view event,
                         std::initializer_list<LogField> fields) {
  if (path_.empty()) return log_.write(level, event, fields);
  std::array<LogField, kFieldsMax> all;
  std::size_t count = 0;
  all[count++] = {"namespace", path_};
  for (const LogField& field : fields)
    if (count < kFieldsMax) all[count++] = field;
  write_first(log_, level, event, all, count, std::make_index_sequence<kFieldsMax + 1>());
}

}  // namespace curfew::broker

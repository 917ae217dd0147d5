#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

namespace curfew {

enum class LogLevel { kTrace, kDebug, kInfo, kWarn, kError };

// One "key=value" of a log line. Values must not be secret.
struct LogField {
  std::string_view key;
  std::string value;
};

// The operator's log: one line per event, on standard error. Thread-safe.
class Log {
 public:
  virtual ~Log() = default;

  // `event` is lower case, without a final period: "lease revoked".
  virtual void write(LogLevel level, std::string_view event,
                     std::initializer_list<LogField> fields) = 0;

  void debug(std::string_view event, std::initializer_list<LogField> fields = {}) {
    write(LogLevel::kDebug, event, fields);
  }
  void info(std::string_view event, std::initializer_list<LogField> fields = {}) {
    write(LogLevel::kInfo, event, fields);
  }
  void warn(std::string_view event, std::initializer_list<LogField> fields = {}) {
    write(LogLevel::kWarn, event, fields);
  }
  void error(std::string_view event, std::initializer_list<LogField> fields = {}) {
    write(LogLevel::kError, event, fields);
  }
};

// Lines below `level` are dropped. `json`: one JSON object per line, else text for people.
std::unique_ptr<Log> make_stderr_log(LogLevel level, bool json);

// Drops everything.
std::unique_ptr<Log> make_null_log();

}  // namespace curfew

#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "base/log.h"

namespace curfew::broker {

// The operator's log with the namespace on every line. Thread-safe.
class NamespaceLog final : public Log {
 public:
  // `path`: of the namespace; that of the first one is left out. `log` outlives this object.
  NamespaceLog(Log& log, std::string path) : log_(log), path_(std::move(path)) {}

  void write(LogLevel level, std::string_view event,
             std::initializer_list<LogField> fields) override;

 private:
  Log& log_;
  const std::string path_;
};

}  // namespace curfew::broker

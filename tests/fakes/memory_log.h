#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "base/log.h"

namespace curfew::fakes {

// Keeps its lines: "event key=value …". For one thread.
class MemoryLog final : public Log {
 public:
  void write(LogLevel, std::string_view event, std::initializer_list<LogField> fields) override {
    text += event;
    for (const LogField& field : fields) text += " " + std::string(field.key) + "=" + field.value;
    text += "\n";
  }
  std::string text;
};

}  // namespace curfew::fakes

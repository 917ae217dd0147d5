#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>

namespace curfew {
namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace: return spdlog::level::trace;
    case LogLevel::kDebug: return spdlog::level::debug;
    case LogLevel::kInfo: return spdlog::level::info;
    case LogLevel::kWarn: return spdlog::level::warn;
    case LogLevel::kError: return spdlog::level::err;
  }
  return spdlog::level::info;
}

// Quoted as JSON: a value with spaces, quotes or line breaks stays one value on one line.
std::string json_text(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

class StderrLog final : public Log {
 public:
  StderrLog(LogLevel level, bool json)
      : json_(json), logger_("curfew", std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
    logger_.set_level(to_spdlog(level));
    logger_.flush_on(spdlog::level::trace);
    logger_.set_pattern(json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})"
                             : "%Y-%m-%dT%H:%M:%S.%eZ %-7l %v",
                        spdlog::pattern_time_type::utc);
  }

  void write(LogLevel level, std::string_view event,
             std::initializer_list<LogField> fields) override {
    if (!logger_.should_log(to_spdlog(level))) return;
    std::string line;
    if (json_) {
      line = "\"event\":" + json_text(event);
      for (const LogField& field : fields)
        line += "," + json_text(field.key) + ":" + json_text(field.value);
    } else {
      line = event;
      for (const LogField& field : fields) {
        line += ' ';
        line += field.key;
        line += '=';
        line += json_text(field.value);
      }
    }
    logger_.log(to_spdlog(level), line);
  }

 private:
  const bool json_;
  spdlog::logger logger_;
};

class NullLog final : public Log {
 public:
  void write(LogLevel, std::string_view, std::initializer_list<LogField>) override {}
};

}  // namespace

std::unique_ptr<Log> make_stderr_log(LogLevel level, bool json) {
  return std::make_unique<StderrLog>(level, json);
}

std::unique_ptr<Log> make_null_log() {
  return std::make_unique<NullLog>();
}

}  // namespace curfew

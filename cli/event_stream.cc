#include "cli/event_stream.h"

#include <utility>

namespace curfew::cli {

namespace {

constexpr std::size_t kEventBytesMax = std::size_t{1} << 20;

}  // namespace

bool EventReader::feed(std::string_view bytes,
                       const std::function<bool(const StreamEvent&)>& event) {
  rest_ += bytes;
  std::size_t start = 0;
  for (std::size_t end = 0; (end = rest_.find('\n', start)) != std::string::npos; start = end + 1) {
    std::string_view line = std::string_view(rest_).substr(start, end - start);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!take_line(line, event)) return false;
  }
  rest_.erase(0, start);
  return rest_.size() <= kEventBytesMax;
}

bool EventReader::take_line(std::string_view line,
                            const std::function<bool(const StreamEvent&)>& event) {
  if (line.empty()) {
    const StreamEvent complete = std::exchange(event_, {});
    return !std::exchange(has_data_, false) || event(complete);
  }
  const std::size_t colon = std::min(line.find(':'), line.size());
  const std::string_view name = line.substr(0, colon);
  std::string_view value = line.substr(std::min(colon + 1, line.size()));
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (name == "event") event_.name = value;
  if (name == "data") {
    if (has_data_) event_.data += '\n';
    event_.data += value;
    has_data_ = true;
  }
  return event_.data.size() <= kEventBytesMax;
}

}  // namespace curfew::cli

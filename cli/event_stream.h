#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace curfew::cli {

// One event of a text/event-stream.
struct StreamEvent {
  std::string name = "message";
  std::string data;
};

// Reads events out of a text/event-stream as its bytes arrive. Comments and fields other than
// "event" and "data" are passed over. Not thread-safe.
class EventReader {
 public:
  // Gives each event that is complete to `event`, until that says false. False then, and where a
  // line or an event is larger than anything that Curfew sends: the rest is not read.
  bool feed(std::string_view bytes, const std::function<bool(const StreamEvent&)>& event);

 private:
  bool take_line(std::string_view line, const std::function<bool(const StreamEvent&)>& event);

  std::string rest_;
  StreamEvent event_;
  bool has_data_ = false;
};

}  // namespace curfew::cli

#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace curfew::bench {

// Many connections that listen to sys/approvals/events, read by one thread. Every failure ends the
// program.
class EventListeners {
 public:
  // Opens so many; returns when each has been greeted.
  EventListeners(int port, const std::string& token, int count);
  ~EventListeners();
  EventListeners(const EventListeners&) = delete;
  EventListeners& operator=(const EventListeners&) = delete;

  // Runs `action` in a thread of its own, and reads until each has heard that this approval request
  // is in this state. The times from the beginning until each of them had, in milliseconds, sorted.
  std::vector<double> hear(const std::string& id, const std::string& state,
                           const std::function<void()>& action);

 private:
  struct Listener {
    int socket = -1;
    std::string in;
    bool has_heard = false;
  };
  using HasHeard = std::function<bool(const std::string& in)>;
  std::vector<double> read_all(const HasHeard& has_heard,
                               std::chrono::steady_clock::time_point began);

  std::vector<Listener> listeners_;
};

}  // namespace curfew::bench

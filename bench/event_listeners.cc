#include "bench/event_listeners.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <thread>

#include "bench/load.h"

namespace curfew::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kHeardMax{60};

int connect_to(int port) {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    fail("a listener cannot connect");
  return descriptor;
}

}  // namespace

EventListeners::EventListeners(int port, const std::string& token, int count) {
  const std::string request = fmt::format(
      "GET /v1/sys/approvals/events HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nX-Vault-Token: {}\r\n\r\n",
      port, token);
  for (int i = 0; i < count; ++i) {
    listeners_.push_back({connect_to(port), {}});
    if (::send(listeners_.back().socket, request.data(), request.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(request.size()))
      fail("a listener cannot ask");
  }
  read_all([](const std::string& in) { return in.find("event: hello") != std::string::npos; },
           Clock::now());
}

EventListeners::~EventListeners() {
  for (const Listener& listener : listeners_) ::close(listener.socket);
}

std::vector<double> EventListeners::read_all(const HasHeard& has_heard, Clock::time_point began) {
  const int poll = ::epoll_create1(EPOLL_CLOEXEC);
  for (std::size_t i = 0; i < listeners_.size(); ++i) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = i;
    ::epoll_ctl(poll, EPOLL_CTL_ADD, listeners_[i].socket, &event);
  }
  std::vector<double> times;
  std::array<epoll_event, 256> events;
  std::array<char, 4096> buffer;
  while (times.size() < listeners_.size()) {
    const int ready = ::epoll_wait(poll, events.data(), static_cast<int>(events.size()), 1000);
    for (int i = 0; i < ready; ++i) {
      Listener& listener = listeners_[events[static_cast<std::size_t>(i)].data.u64];
      const ssize_t got = ::recv(listener.socket, buffer.data(), buffer.size(), 0);
      if (got <= 0) fail("the server hung up on a listener: " + listener.in);
      listener.in.append(buffer.data(), static_cast<std::size_t>(got));
      if (listener.has_heard || !has_heard(listener.in)) continue;
      listener.has_heard = true;
      times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - began).count());
    }
    if (Clock::now() - began > kHeardMax)
      fail(fmt::format("{} listeners have heard nothing", listeners_.size() - times.size()));
  }
  ::close(poll);
  for (Listener& listener : listeners_) {
    listener.in.clear();
    listener.has_heard = false;
  }
  return times;
}

std::vector<double> EventListeners::hear(const std::string& id, const std::string& state,
                                         const std::function<void()>& action) {
  const std::string name = "\"" + id + "\"";
  const std::string word = "\"" + state + "\"";
  const auto began = Clock::now();
  std::thread thread(action);
  auto times = read_all(
      [&](const std::string& in) {
        const auto at = in.find(name);
        return at != std::string::npos && in.find(word, at) != std::string::npos;
      },
      began);
  thread.join();
  return times;
}

}  // namespace curfew::bench

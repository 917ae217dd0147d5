#pragma once

#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace curfew::fakes {

// Stands between a client and a real PostgreSQL, counts what the client sends, and fails at the
// step that the test names. A step is one message of the client: the start of a connection, an
// answer to the server's authentication, a batch of statements. Without TLS. Thread-safe.
class TargetProxy {
 public:
  enum class Fault {
    kRefuse,     // the server does not get it, and an error is answered (XX000)
    kCutBefore,  // the server does not get it, and the connection ends
    kCutDuring,  // the server gets it, and the connection ends at once
    kCutAfter,   // the server has done it, and the connection ends without an answer
  };

  // Throws std::runtime_error where it cannot listen.
  TargetProxy(const std::string& host, const std::string& port);
  ~TargetProxy();
  TargetProxy(const TargetProxy&) = delete;
  TargetProxy& operator=(const TargetProxy&) = delete;

  // Where clients connect to, on 127.0.0.1.
  const std::string& port() const { return port_; }

  // The n-th step from now on (1: the next) meets `fault`. `struck` runs at that moment, in another
  // thread, before the client can notice; it may call cut_off().
  void fail_step(int n, Fault fault, std::function<void()> struck = {});
  // Ends all connections and lets nobody in any more, as when the client's process dies or the
  // target is out of reach.
  void cut_off();
  // No fault any more, and clients are let in.
  void heal();

  // Whether a fault waits to strike.
  bool is_armed() const;
  // Steps so far.
  int steps() const;

 private:
  class Link;
  struct Session {
    std::thread thread;
    bool ended = false;
  };
  struct Strike {
    Fault fault;
    std::function<void()> struck;
  };
  void accept_clients();
  void serve(int client, Session& session);
  void join_ended();  // mutex_ is held
  // What is to happen at this step; nullopt: nothing.
  std::optional<Strike> next_step();

  const std::string host_;
  const std::string server_port_;
  std::string port_;
  int listener_ = -1;

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  bool stopping_ = false;
  bool cut_off_ = false;
  int steps_ = 0;
  int in_ = 0;  // steps until the fault; 0: none
  Strike strike_{Fault::kRefuse, {}};
  std::list<Link*> links_;
  std::list<Session> sessions_;

  std::thread acceptor_;
};

}  // namespace curfew::fakes

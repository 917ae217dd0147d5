#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/crash/rotated_user.h"
#include "tests/e2e/agent_world.h"

namespace curfew::crash {

// What a client was given; its own log, which no crash of the server or the target touches.
struct Delivered {
  std::string lease;
  std::string user;
  std::string password;
};

// How often the clients did what, with success.
struct ClientCounts {
  int issued = 0;
  int logins = 0;
  int renewed = 0;
  int revoked = 0;  // and confirmed
  int tokens_ended = 0;
  int rotated = 0;                 // passwords of the static role
  std::map<int, int> failed = {};  // calls by the status of their answer; 0: none came
};

// Clients in threads of their own: each issues, logs in to the target and stays, renews and
// revokes, and goes on whatever errors it gets. Thread-safe.
class ClientFleet {
 public:
  // All outlive this. One more client changes the password of `rotated`.
  ClientFleet(e2e::ServerProcess& server, const e2e::AgentWorld& world,
              const test::TestDatabase& target, RotatedUser& rotated, int clients,
              std::uint64_t seed);
  ~ClientFleet();  // stops
  ClientFleet(const ClientFleet&) = delete;
  ClientFleet& operator=(const ClientFleet&) = delete;

  // Waits until no client is in the middle of something; none begins anything until resume().
  void pause();
  void resume();
  void stop();

  std::vector<Delivered> delivered() const;
  // Leases whose token was ended, so that they are to end by themselves.
  std::vector<std::string> doomed() const;
  ClientCounts counts() const;
  // What clients saw that must not be: a credential that works after its end was confirmed.
  std::vector<std::string> violations() const;

 private:
  struct Held {
    Delivered credential;
    bool is_short = false;  // runs out by itself
    std::unique_ptr<test::PgSession> session;
  };
  using Dice = std::mt19937_64;

  void run(std::uint64_t seed);
  void run_rotations(std::uint64_t seed);
  bool begin();
  void end();
  void step(Dice& dice, std::vector<Held>& held);
  void issue(Dice& dice, std::vector<Held>& held);
  // With a token of its own, which is ended at once.
  void issue_with_token();
  void record(const Delivered& credential);
  void log_in(Held& held, bool stay);
  void renew(const Held& held);
  // Whether the end was confirmed.
  bool revoke(Held& held);
  void count(int ClientCounts::*what);
  void count_failure(int status);

  e2e::ServerProcess& server_;
  const e2e::AgentWorld& world_;
  const test::TestDatabase& target_;
  RotatedUser& rotated_;
  const std::string token_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  bool paused_ = false;
  bool stopping_ = false;
  int busy_ = 0;
  std::vector<Delivered> delivered_;
  std::vector<std::string> doomed_;
  ClientCounts counts_;
  std::vector<std::string> violations_;

  std::vector<std::thread> threads_;
};

}  // namespace curfew::crash

#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "engines/postgres/connection.h"
#include "engines/postgres/target.h"

namespace curfew::engines::postgres {

// What a connection is wanted for. With two connections or more each kind has one that the other
// cannot take, so that a wave of expiries does not stop issuing, nor the other way round.
enum class Use { kIssue, kRevoke };

class Pool;

// A connection on loan from a pool; goes back when this is destroyed. Move-only.
class PooledConnection {
 public:
  PooledConnection(std::shared_ptr<Pool> pool, std::unique_ptr<Connection> connection, Use use,
                   std::uint64_t generation)
      : pool_(std::move(pool)),
        connection_(std::move(connection)),
        use_(use),
        generation_(generation) {}
  ~PooledConnection();
  PooledConnection(PooledConnection&&) = default;
  PooledConnection& operator=(PooledConnection&&) = delete;

  Connection* operator->() const { return connection_.get(); }
  Connection& operator*() const { return *connection_; }

 private:
  std::shared_ptr<Pool> pool_;
  std::unique_ptr<Connection> connection_;
  Use use_;
  std::uint64_t generation_;
};

// The connections to one target: at most settings.connections_max, opened as they are needed, with
// a bounded number of callers waiting for one. Thread-safe. Lives in a shared_ptr; loans keep it
// alive.
class Pool : public std::enable_shared_from_this<Pool> {
 public:
  struct Limits {
    std::size_t waiting_max = 32;  // callers
    Millis idle_time_max{300'000};
    // Once all connections have been out for so long without one coming back the target counts as
    // stuck, and nobody else is let wait for it.
    Millis stuck_after{2'000};
  };

  // `clock` and `log` outlive the pool.
  Pool(TargetSettings settings, Limits limits, const Clock& clock, Log& log);

  // A connection that was alive a moment ago, or a new one. `not_this`: the id of a connection that
  // must not be the answer (0: any will do). kOverloaded: the bound was reached, or no connection
  // came free until `deadline`; kUnavailable: none could be opened.
  Result<PooledConnection> acquire(Use use, SteadyTime deadline, std::uint64_t not_this = 0);

  // A new connection to another database of the same server, with the same login. It counts against
  // the same bound, and is closed when it is given back. Errors as of acquire().
  Result<PooledConnection> acquire_elsewhere(Use use, const std::string& database,
                                             SteadyTime deadline);

  // Closes what is idle now, and what is on loan when it comes back.
  void reset();

  const TargetSettings& settings() const { return settings_; }

  struct Counts {
    int open = 0;  // on loan and idle
    int idle = 0;
    std::size_t waiting = 0;
  };
  Counts counts() const;

 private:
  friend class PooledConnection;

  bool may_take(Use use) const;  // mutex_ is held
  bool is_stuck() const;         // mutex_ is held
  Status wait_for_turn(std::unique_lock<std::mutex>& lock, Use use, SteadyTime deadline);
  std::unique_ptr<Connection> take_idle(std::uint64_t not_this,
                                        std::vector<std::unique_ptr<Connection>>& closing);
  void make_room(std::vector<std::unique_ptr<Connection>>& closing);
  Result<PooledConnection> open_for(Use use, std::uint64_t generation,
                                    const TargetSettings& settings, SteadyTime deadline);
  bool is_stale(const Connection& connection, SteadyTime idle_since) const;
  void give_back(std::unique_ptr<Connection> connection, Use use, std::uint64_t generation);
  Error overloaded(std::string_view why) const;

  struct Idle {
    std::unique_ptr<Connection> connection;
    SteadyTime since;
  };

  const TargetSettings settings_;
  const Limits limits_;
  const Clock& clock_;
  Log& log_;

  mutable std::mutex mutex_;
  std::condition_variable freed_;
  // Guarded by mutex_:
  std::deque<Idle> idle_;  // the most recently used last
  int on_loan_[2] = {0, 0};
  std::size_t waiting_ = 0;
  std::uint64_t generation_ = 0;
  SteadyTime last_return_{};
};

}  // namespace curfew::engines::postgres

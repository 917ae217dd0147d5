#include "engines/postgres/pool.h"

#include <fmt/format.h>

#include <algorithm>

namespace curfew::engines::postgres {

PooledConnection::~PooledConnection() {
  if (pool_ != nullptr) pool_->give_back(std::move(connection_), use_, generation_);
}

Pool::Pool(TargetSettings settings, Limits limits, const Clock& clock, Log& log)
    : settings_(std::move(settings)), limits_(limits), clock_(clock), log_(log) {
  last_return_ = clock_.steady();
}

bool Pool::may_take(Use use) const {
  const int out = on_loan_[0] + on_loan_[1];
  if (out >= settings_.connections_max) return false;
  const int reserved_for_the_other = settings_.connections_max > 1 ? 1 : 0;
  return on_loan_[static_cast<int>(use)] < settings_.connections_max - reserved_for_the_other;
}

bool Pool::is_stuck() const {
  return clock_.steady() - last_return_ > limits_.stuck_after;
}

Error Pool::overloaded(std::string_view why) const {
  return {Errc::kOverloaded,
          fmt::format("{}: all {} connections are in use, {}; try again in a moment, or raise "
                      "max_open_connections of its configuration",
                      settings_.label(), settings_.connections_max, why)};
}

Status Pool::wait_for_turn(std::unique_lock<std::mutex>& lock, Use use, SteadyTime deadline) {
  if (may_take(use)) return ok();
  if (waiting_ >= limits_.waiting_max) return overloaded("and too many requests wait for one");
  if (is_stuck()) return overloaded("and none has come free for a while");
  ++waiting_;
  const auto left = deadline - clock_.steady();
  const bool turn = freed_.wait_for(lock, std::max(left, Millis{0}), [&] { return may_take(use); });
  --waiting_;
  if (!turn) return overloaded("and none came free in time");
  return ok();
}

Result<PooledConnection> Pool::acquire(Use use, SteadyTime deadline, std::uint64_t not_this) {
  std::vector<std::unique_ptr<Connection>> closing;  // outside the lock: it talks to the server
  std::unique_lock lock(mutex_);
  RETURN_IF_ERROR(wait_for_turn(lock, use, deadline));
  // The first loan after a quiet time starts the watch for a target that is stuck.
  if (on_loan_[0] + on_loan_[1] == 0) last_return_ = clock_.steady();
  ++on_loan_[static_cast<int>(use)];
  const std::uint64_t generation = generation_;
  auto connection = take_idle(not_this, closing);
  lock.unlock();
  closing.clear();
  if (connection == nullptr) return open_for(use, generation, settings_, deadline);
  return PooledConnection(shared_from_this(), std::move(connection), use, generation);
}

Result<PooledConnection> Pool::acquire_elsewhere(Use use, const std::string& database,
                                                 SteadyTime deadline) {
  std::vector<std::unique_ptr<Connection>> closing;
  std::unique_lock lock(mutex_);
  RETURN_IF_ERROR(wait_for_turn(lock, use, deadline));
  if (on_loan_[0] + on_loan_[1] == 0) last_return_ = clock_.steady();
  ++on_loan_[static_cast<int>(use)];
  const std::uint64_t generation = generation_;
  make_room(closing);
  lock.unlock();
  closing.clear();
  TargetSettings settings = settings_;
  settings.parameters["dbname"] = database;
  auto opened = open_for(use, generation, settings, deadline);
  if (opened) (*opened)->taint();  // nobody else wants this database
  return opened;
}

// The loan is counted already.
Result<PooledConnection> Pool::open_for(Use use, std::uint64_t generation,
                                        const TargetSettings& settings, SteadyTime deadline) {
  auto opened = Connection::open(settings, clock_, deadline);
  if (!opened) {
    give_back(nullptr, use, generation);
    return std::move(opened).error();
  }
  return PooledConnection(shared_from_this(), std::move(opened).value(), use, generation);
}

bool Pool::is_stale(const Connection& connection, SteadyTime idle_since) const {
  const SteadyTime now = clock_.steady();
  if (now - idle_since > limits_.idle_time_max) return true;
  return settings_.lifetime_max > Millis{0} &&
         now - connection.opened_at() > settings_.lifetime_max;
}

std::unique_ptr<Connection> Pool::take_idle(std::uint64_t not_this,
                                            std::vector<std::unique_ptr<Connection>>& closing) {
  while (!idle_.empty() && is_stale(*idle_.front().connection, idle_.front().since)) {
    closing.push_back(std::move(idle_.front().connection));
    idle_.pop_front();
  }
  std::unique_ptr<Connection> found;
  for (std::size_t i = idle_.size(); i-- > 0 && found == nullptr;) {
    if (idle_[i].connection->id() == not_this) continue;
    found = std::move(idle_[i].connection);
    idle_.erase(idle_.begin() + static_cast<std::ptrdiff_t>(i));
    if (found->still_alive() && !is_stale(*found, clock_.steady())) break;
    closing.push_back(std::move(found));
  }
  if (found == nullptr) make_room(closing);
  return found;
}

// A new one is about to be opened and is counted as on loan: not above the bound.
void Pool::make_room(std::vector<std::unique_ptr<Connection>>& closing) {
  const int out = on_loan_[0] + on_loan_[1];
  while (!idle_.empty() && out + static_cast<int>(idle_.size()) > settings_.connections_max) {
    closing.push_back(std::move(idle_.front().connection));
    idle_.pop_front();
  }
}

void Pool::give_back(std::unique_ptr<Connection> connection, Use use, std::uint64_t generation) {
  if (connection != nullptr) connection->roll_back();
  std::unique_ptr<Connection> closing;
  {
    const std::scoped_lock lock(mutex_);
    --on_loan_[static_cast<int>(use)];
    last_return_ = clock_.steady();
    if (connection != nullptr) {
      const bool keep = connection->is_idle() && !connection->is_tainted() &&
                        generation == generation_ &&
                        static_cast<int>(idle_.size()) < settings_.idle_max &&
                        !is_stale(*connection, clock_.steady());
      if (keep) {
        idle_.push_back({std::move(connection), clock_.steady()});
      } else {
        closing = std::move(connection);
      }
    }
  }
  freed_.notify_all();
}

void Pool::reset() {
  std::deque<Idle> closing;
  {
    const std::scoped_lock lock(mutex_);
    ++generation_;
    closing.swap(idle_);
  }
  log_.info("connections reset", {{"target", settings_.name}});
}

Pool::Counts Pool::counts() const {
  const std::scoped_lock lock(mutex_);
  const int idle = static_cast<int>(idle_.size());
  return {on_loan_[0] + on_loan_[1] + idle, idle, waiting_};
}

}  // namespace curfew::engines::postgres

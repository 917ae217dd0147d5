#include "tests/crash/client_fleet.h"

#include <chrono>
#include <stdexcept>

namespace curfew::crash {
namespace {

constexpr std::size_t kHeldMax = 3;
constexpr const char* kShort = "2s";
constexpr const char* kLong = "10m";

int roll(std::mt19937_64& dice, int sides) {
  return std::uniform_int_distribution<int>(0, sides - 1)(dice);
}

}  // namespace

ClientFleet::ClientFleet(e2e::ServerProcess& server, const e2e::AgentWorld& world,
                         const test::TestDatabase& target, RotatedUser& rotated, int clients,
                         std::uint64_t seed)
    : server_(server),
      world_(world),
      target_(target),
      rotated_(rotated),
      token_(server.root_token()) {
  for (int i = 0; i < clients; ++i)
    threads_.emplace_back([this, seed, i] { run(seed + static_cast<std::uint64_t>(i)); });
  threads_.emplace_back(
      [this, seed, clients] { run_rotations(seed + static_cast<std::uint64_t>(clients)); });
}

ClientFleet::~ClientFleet() {
  stop();
}

void ClientFleet::pause() {
  std::unique_lock lock(mutex_);
  paused_ = true;
  changed_.wait(lock, [this] { return busy_ == 0; });
}

void ClientFleet::resume() {
  {
    const std::scoped_lock lock(mutex_);
    paused_ = false;
  }
  changed_.notify_all();
}

void ClientFleet::stop() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

std::vector<Delivered> ClientFleet::delivered() const {
  const std::scoped_lock lock(mutex_);
  return delivered_;
}

std::vector<std::string> ClientFleet::doomed() const {
  const std::scoped_lock lock(mutex_);
  return doomed_;
}

ClientCounts ClientFleet::counts() const {
  const std::scoped_lock lock(mutex_);
  return counts_;
}

std::vector<std::string> ClientFleet::violations() const {
  const std::scoped_lock lock(mutex_);
  return violations_;
}

bool ClientFleet::begin() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return stopping_ || !paused_; });
  if (stopping_) return false;
  ++busy_;
  return true;
}

void ClientFleet::end() {
  {
    const std::scoped_lock lock(mutex_);
    --busy_;
  }
  changed_.notify_all();
}

void ClientFleet::count(int ClientCounts::*what) {
  const std::scoped_lock lock(mutex_);
  ++(counts_.*what);
}

void ClientFleet::count_failure(int status) {
  const std::scoped_lock lock(mutex_);
  ++counts_.failed[status];
}

void ClientFleet::run(std::uint64_t seed) {
  Dice dice(seed);
  std::vector<Held> held;
  while (begin()) {
    step(dice, held);
    end();
    std::this_thread::sleep_for(std::chrono::milliseconds(2 + roll(dice, 14)));
  }
}

void ClientFleet::run_rotations(std::uint64_t seed) {
  Dice dice(seed);
  while (begin()) {
    const int status = rotated_.rotate();
    if (status == 204) {
      count(&ClientCounts::rotated);
    } else {
      count_failure(status);
    }
    end();
    std::this_thread::sleep_for(std::chrono::milliseconds(2 + roll(dice, 40)));
  }
}

void ClientFleet::step(Dice& dice, std::vector<Held>& held) {
  if (held.size() < kHeldMax && roll(dice, 2) == 0) return issue(dice, held);
  if (roll(dice, 10) == 0) return issue_with_token();
  if (held.empty()) return;
  const auto one = held.begin() + roll(dice, static_cast<int>(held.size()));
  const int what = roll(dice, 10);
  if (what < 4) {
    log_in(*one, roll(dice, 2) == 0);
  } else if (what < 6) {
    renew(*one);
  } else if (one->is_short || revoke(*one)) {
    held.erase(one);
  }
}

void ClientFleet::issue(Dice& dice, std::vector<Held>& held) {
  const bool is_short = roll(dice, 4) == 0;
  const e2e::Credential made = world_.issue(is_short ? kShort : kLong, token_);
  if (made.status != 200) return count_failure(made.status);
  Held fresh{{made.lease, made.user, made.password}, is_short, nullptr};
  record(fresh.credential);
  held.push_back(std::move(fresh));
}

void ClientFleet::record(const Delivered& credential) {
  const std::scoped_lock lock(mutex_);
  ++counts_.issued;
  delivered_.push_back(credential);
}

void ClientFleet::issue_with_token() {
  const e2e::Answer made = server_.call("POST", "auth/token/create", {{"ttl", kLong}}, token_);
  if (made.status != 200) return count_failure(made.status);
  const std::string token = made.body.at("auth").at("client_token");
  const e2e::Credential given = world_.issue(kLong, token);
  if (given.status == 200) record({given.lease, given.user, given.password});
  const e2e::Answer ended = server_.call("PUT", "auth/token/revoke", {{"token", token}}, token_);
  if (given.status != 200) count_failure(given.status);
  if (ended.status != 204) count_failure(ended.status);
  if (given.status != 200 || ended.status != 204) return;
  const std::scoped_lock lock(mutex_);
  ++counts_.tokens_ended;
  doomed_.push_back(given.lease);
}

void ClientFleet::log_in(Held& held, bool stay) {
  try {
    test::PgSession session(target_.url(held.credential.user, held.credential.password));
    if (session.try_run("SELECT count(*) FROM customers") == "") count(&ClientCounts::logins);
    if (stay && !held.session) held.session = std::make_unique<test::PgSession>(std::move(session));
  } catch (const std::runtime_error&) {
    // The target is down, or the lease has run out: whether a live lease logs in is checked when
    // nothing is on its way.
  }
}

void ClientFleet::renew(const Held& held) {
  const e2e::Answer answer =
      server_.call("PUT", "sys/leases/renew",
                   {{"lease_id", held.credential.lease}, {"increment", kLong}}, token_);
  if (answer.status != 200) return count_failure(answer.status);
  count(&ClientCounts::renewed);
}

bool ClientFleet::revoke(Held& held) {
  const e2e::Answer answer =
      server_.call("PUT", "sys/leases/revoke", {{"lease_id", held.credential.lease}}, token_);
  if (answer.status != 204) {
    count_failure(answer.status);
    return false;
  }
  count(&ClientCounts::revoked);
  const auto violated = [&](const std::string& what) {
    const std::scoped_lock lock(mutex_);
    violations_.push_back(held.credential.lease + ": " + what + " after its end was confirmed");
  };
  if (held.session && held.session->try_run("SELECT 1") == "") violated("its session goes on");
  if (test::can_log_in(target_.url(held.credential.user, held.credential.password)))
    violated("its credential logs in");
  return true;
}

}  // namespace curfew::crash

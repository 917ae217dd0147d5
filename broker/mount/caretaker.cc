#include "broker/mount/caretaker.h"

#include <algorithm>

#include "base/contained.h"

namespace curfew::broker {
namespace {

// The wall clock may be stepped while this waits: look again after a second at the latest.
constexpr Millis kLookAgain = Seconds{1};
// Between two calls of a chore that says that it is due again at once.
constexpr Millis kPause{200};
// Rounds of run_due(), for an engine that is never done.
constexpr int kRoundsMax = 1000;

}  // namespace

Caretaker::Caretaker(MountTable& mounts, const Clock& clock, Log& log, CaretakerOptions options)
    : mounts_(mounts), clock_(clock), log_(log), options_(options) {}

Caretaker::~Caretaker() {
  stop();
}

void Caretaker::start() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = false;
    ask_all_ = true;
  }
  threads_.emplace_back([this] { find_work(); });
  for (std::size_t i = 0; i < options_.threads; ++i) threads_.emplace_back([this] { work(); });
}

void Caretaker::request_stop() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  job_ready_.notify_all();
}

void Caretaker::stop() {
  request_stop();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  const std::scoped_lock lock(mutex_);
  chores_.clear();
  queue_.clear();
  ask_.clear();
  ask_all_ = true;
}

void Caretaker::wake(const std::string& accessor) {
  {
    const std::scoped_lock lock(mutex_);
    ask_.insert(accessor);
    woken_ = true;
  }
  wake_.notify_one();
}

std::size_t Caretaker::failing() const {
  const std::scoped_lock lock(mutex_);
  return static_cast<std::size_t>(std::count_if(
      chores_.begin(), chores_.end(), [](const auto& entry) { return entry.second.failing; }));
}

// ---- finding ----------------------------------------------------------------------------------

void Caretaker::ask_for_chores() {
  bool all = false;
  std::set<std::string> asked;
  {
    const std::scoped_lock lock(mutex_);
    all = std::exchange(ask_all_, false);
    asked.swap(ask_);
  }
  if (all) {
    for (const MountEntry& entry : mounts_.list()) asked.insert(entry.accessor);
  }
  for (const std::string& accessor : asked) {
    const auto mount = mounts_.by_accessor(accessor);
    if (mount && mount->entry.state == MountState::kActive) {
      ask_mount(*mount);
    } else {
      const std::scoped_lock lock(mutex_);
      std::erase_if(chores_, [&](const auto& entry) {
        return entry.first.first == accessor && !entry.second.running;
      });
    }
  }
}

void Caretaker::ask_mount(const Mount& mount) {
  const std::string& accessor = mount.entry.accessor;
  auto names =
      contained(log_, "looking for an engine's work", [&] { return mount.engine().chores(); });
  const std::scoped_lock lock(mutex_);
  if (!names) {
    log_.error("looking for an engine's work failed",
               {{"mount", mount.entry.path}, {"error", names.error().message}});
    ask_.insert(accessor);  // again at the next look
    return;
  }
  const std::set<std::string> named(names->begin(), names->end());
  std::erase_if(chores_, [&](const auto& entry) {
    return entry.first.first == accessor && !named.contains(entry.first.second) &&
           !entry.second.running;
  });
  for (const std::string& name : named) {
    Chore& chore = chores_[{accessor, name}];
    chore.due_now = true;
    chore.not_before = {};
  }
}

bool Caretaker::is_due(const Chore& chore, WallTime now, SteadyTime steady) const {
  if (chore.running || steady < chore.not_before) return false;
  if (chore.due_now) return true;
  return chore.next && (now >= *chore.next || steady >= chore.look_at_latest);
}

void Caretaker::enqueue_due() {
  const WallTime now = clock_.wall();
  const SteadyTime steady = clock_.steady();
  const std::scoped_lock lock(mutex_);
  for (auto& [key, chore] : chores_) {
    if (!is_due(chore, now, steady)) continue;
    chore.running = true;
    chore.due_now = false;
    queue_.push_back(key);
  }
  if (!queue_.empty()) job_ready_.notify_all();
}

Millis Caretaker::time_to_next() const {
  const WallTime now = clock_.wall();
  const SteadyTime steady = clock_.steady();
  Millis wait = kLookAgain;
  const std::scoped_lock lock(mutex_);
  for (const auto& [key, chore] : chores_) {
    if (chore.running) continue;
    Millis left = kLookAgain;
    if (chore.due_now) left = Millis{0};
    if (chore.next) left = std::min(left, Millis{*chore.next - now});
    wait = std::min(wait, std::max(left, Millis{chore.not_before - steady}));
  }
  return std::max(wait, Millis{1});
}

void Caretaker::find_work() {
  for (;;) {
    ask_for_chores();
    enqueue_due();
    const Millis wait = time_to_next();
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, wait, [this] { return stopping_ || woken_; });
    woken_ = false;
    if (stopping_) return;
  }
}

// ---- working ----------------------------------------------------------------------------------

void Caretaker::tend(const Key& key) {
  const auto mount = mounts_.by_accessor(key.first);
  if (!mount || mount->entry.state != MountState::kActive) {
    const std::scoped_lock lock(mutex_);
    chores_.erase(key);
    return;
  }
  const auto outcome = contained(log_, "an engine's work", [&] {
    return mount->engine().tend(key.second, {clock_.steady() + options_.call_timeout});
  });
  if (!outcome)
    log_.warn(
        "an engine's work failed",
        {{"mount", mount->entry.path}, {"work", key.second}, {"error", outcome.error().message}});
  finished(key, outcome);
}

void Caretaker::finished(const Key& key, const Result<engines::Tended>& outcome) {
  const SteadyTime now = clock_.steady();
  const std::scoped_lock lock(mutex_);
  const auto it = chores_.find(key);
  if (it == chores_.end()) return;
  Chore& chore = it->second;
  chore.running = false;
  if (outcome) {
    chore.failed_calls = 0;
    chore.next = outcome->next;
    chore.failing = outcome->failing;
    chore.not_before = chore.due_now ? now : now + kPause;
    chore.look_at_latest = now + options_.look_again;
    return;
  }
  Millis delay = options_.retry_first;
  for (std::int64_t i = 0; i < chore.failed_calls && delay < options_.retry_max; ++i) delay *= 2;
  ++chore.failed_calls;
  chore.failing = true;
  chore.due_now = true;
  chore.not_before = now + std::min(delay, options_.retry_max);
}

void Caretaker::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    auto job = queue_.end();
    job_ready_.wait(lock, [&] {
      job = std::find_if(queue_.begin(), queue_.end(), [&](const Key& candidate) {
        const auto busy = busy_.find(candidate.first);
        return busy == busy_.end() || busy->second < options_.per_mount_max;
      });
      return stopping_ || job != queue_.end();
    });
    if (stopping_) return;
    const Key key = std::move(*job);
    queue_.erase(job);
    ++busy_[key.first];
    lock.unlock();
    tend(key);
    lock.lock();
    if (--busy_[key.first] == 0) busy_.erase(key.first);
    job_ready_.notify_one();
    woken_ = true;  // it may be due again
    wake_.notify_one();
  }
}

Status Caretaker::run_due() {
  for (int round = 0; round < kRoundsMax; ++round) {
    ask_for_chores();
    enqueue_due();
    std::deque<Key> jobs;
    {
      const std::scoped_lock lock(mutex_);
      jobs.swap(queue_);
    }
    if (jobs.empty()) return ok();
    for (const Key& key : jobs) tend(key);
  }
  return Error{Errc::kInternal, "an engine's periodic work never ends"};
}

}  // namespace curfew::broker

#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace curfew::engines::postgres {

// One at a time for each name. Thread-safe.
class Turns {
 public:
  // Held until it is destroyed. The Turns outlive it.
  class Turn {
   public:
    Turn(Turn&& other) noexcept
        : turns_(std::exchange(other.turns_, nullptr)), name_(other.name_) {}
    Turn& operator=(Turn&&) = delete;
    ~Turn() {
      if (turns_ != nullptr) turns_->give_back(name_);
    }

   private:
    friend class Turns;
    Turn(Turns& turns, std::string name) : turns_(&turns), name_(std::move(name)) {}

    Turns* turns_;
    std::string name_;
  };

  // kOverloaded: the one before took longer than `wait`, or too many wait already.
  Result<Turn> take(const std::string& name, Millis wait);

 private:
  void give_back(const std::string& name);

  std::mutex mutex_;
  std::condition_variable freed_;
  std::map<std::string, int> wanted_;  // who has and who waits, by name; guarded by mutex_
  std::map<std::string, bool> taken_;  // guarded by mutex_
};

}  // namespace curfew::engines::postgres

#include "engines/postgres/turns.h"

#include <fmt/format.h>

namespace curfew::engines::postgres {
namespace {

constexpr int kWantedMax = 17;  // one at work, 16 waiting

}  // namespace

Result<Turns::Turn> Turns::take(const std::string& name, Millis wait) {
  std::unique_lock lock(mutex_);
  const Error busy{Errc::kOverloaded,
                   fmt::format("\"{}\" is being worked on; try again in a moment", name)};
  if (wanted_[name] >= kWantedMax) return busy;
  ++wanted_[name];
  const bool got = freed_.wait_for(lock, wait, [&] { return !taken_[name]; });
  if (got) {
    taken_[name] = true;
    return Turn(*this, name);
  }
  --wanted_[name];
  return busy;
}

void Turns::give_back(const std::string& name) {
  {
    const std::scoped_lock lock(mutex_);
    taken_[name] = false;
    if (--wanted_[name] == 0) {
      wanted_.erase(name);
      taken_.erase(name);
    }
  }
  freed_.notify_all();
}

}  // namespace curfew::engines::postgres

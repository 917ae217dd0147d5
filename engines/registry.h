#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "engines/engine.h"

namespace curfew::engines {

// Makes an engine for a mount. An error refuses the mount (bad options).
using Factory = std::function<Result<std::unique_ptr<SecretEngine>>(Services services)>;

// The kinds of engine that this program has. Filled by hand in app/, read-only afterwards.
class Registry {
 public:
  void add(std::string type, Factory factory) { factories_[std::move(type)] = std::move(factory); }
  // nullptr: no such kind.
  const Factory* find(std::string_view type) const {
    const auto it = factories_.find(type);
    return it == factories_.end() ? nullptr : &it->second;
  }
  const std::map<std::string, Factory, std::less<>>& all() const { return factories_; }

 private:
  std::map<std::string, Factory, std::less<>> factories_;
};

}  // namespace curfew::engines

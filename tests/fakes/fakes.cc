#include "tests/fakes/memory_storage.h"
#include "tests/fakes/seeded_random.h"

namespace curfew::fakes {
namespace {

using Values = std::map<std::string, std::string, std::less<>>;

class MemoryWriter final : public engines::StorageWriter {
 public:
  explicit MemoryWriter(Values& values) : values_(values) {}

  Result<std::optional<Json>> get(std::string_view key) const override {
    const auto it = values_.find(key);
    if (it == values_.end()) return std::optional<Json>{};
    return std::optional<Json>{Json::parse(it->second)};
  }

  Result<std::vector<std::string>> list(std::string_view prefix) const override {
    std::vector<std::string> names;
    for (auto it = values_.lower_bound(prefix); it != values_.end(); ++it) {
      if (!it->first.starts_with(prefix)) break;
      const std::string rest = it->first.substr(prefix.size());
      const auto slash = rest.find('/');
      std::string name = slash == std::string::npos ? rest : rest.substr(0, slash + 1);
      if (names.empty() || names.back() != name) names.push_back(std::move(name));
    }
    return names;
  }

  Status put(std::string_view key, const Json& value) override {
    values_[std::string(key)] = value.dump();
    return ok();
  }

  Status remove(std::string_view key) override {
    const auto it = values_.find(key);
    if (it != values_.end()) values_.erase(it);
    return ok();
  }

 private:
  Values& values_;
};

}  // namespace

void SeededRandom::fill(std::span<std::byte> out) {
  const std::scoped_lock lock(mutex_);
  for (std::byte& byte : out) {
    state_ += 0x9e3779b97f4a7c15u;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    byte = static_cast<std::byte>((z ^ (z >> 31)) & 0xff);
  }
}

Status MemoryStorage::read(
    const std::function<Status(const engines::StorageReader&)>& reader) const {
  const std::scoped_lock lock(mutex_);
  Values copy = values_;
  return reader(MemoryWriter(copy));
}

Status MemoryStorage::write(const std::function<Status(engines::StorageWriter&)>& writer) {
  const std::scoped_lock lock(mutex_);
  if (fail_in_ > 0 && --fail_in_ == 0)
    return Error{Errc::kUnavailable, "the store failed, as the test asked"};
  Values copy = values_;
  MemoryWriter memory(copy);
  RETURN_IF_ERROR(writer(memory));
  values_ = std::move(copy);
  return ok();
}

void MemoryStorage::fail_write(int n) {
  const std::scoped_lock lock(mutex_);
  fail_in_ = n;
}

}  // namespace curfew::fakes

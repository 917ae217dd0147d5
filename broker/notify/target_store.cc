#include "broker/notify/target_store.h"

#include <fmt/format.h>

namespace curfew::broker {
namespace {

constexpr std::string_view kScope = "notification-target";
constexpr std::string_view kConfigScope = "notification-config";
constexpr std::string_view kConfigName = "config";
constexpr std::size_t kTargetsMax = 100;

}  // namespace

Status TargetStore::load() {
  const std::scoped_lock changing(changing_);
  Targets targets;
  std::string public_url;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto names, records_.names(reader, kScope));
    for (const std::string& name : names) {
      const auto stored = records_.get(reader, kScope, name);
      if (stored && *stored) {
        targets[name] =
            std::make_shared<const NotificationTarget>(target_from_stored(name, **stored));
      } else if (!stored && stored.error().code == Errc::kCorrupt) {
        log_.error(
            "stored notification target was altered outside of Curfew: nothing is sent to "
            "it until it is written again",
            {{"target", name}});
      } else if (!stored) {
        return stored.error();
      }
    }
    const auto config = records_.get(reader, kConfigScope, kConfigName);
    if (config && *config) public_url = (*config)->value("public_url", "");
    if (!config && config.error().code != Errc::kCorrupt) return config.error();
    return ok();
  }));
  const std::scoped_lock lock(mutex_);
  targets_ = std::move(targets);
  public_url_ = std::move(public_url);
  return ok();
}

void TargetStore::unload() {
  const std::scoped_lock lock(mutex_);
  targets_.clear();
  public_url_.clear();
}

std::vector<std::string> TargetStore::names() const {
  const std::scoped_lock lock(mutex_);
  std::vector<std::string> out;
  for (const auto& [name, target] : targets_) out.push_back(name);
  return out;
}

std::shared_ptr<const NotificationTarget> TargetStore::find(const std::string& name) const {
  const std::scoped_lock lock(mutex_);
  const auto it = targets_.find(name);
  return it == targets_.end() ? nullptr : it->second;
}

std::vector<std::shared_ptr<const NotificationTarget>> TargetStore::all() const {
  const std::scoped_lock lock(mutex_);
  std::vector<std::shared_ptr<const NotificationTarget>> out;
  for (const auto& [name, target] : targets_) out.push_back(target);
  return out;
}

Status TargetStore::put(const std::string& name, const Json& data) {
  const std::scoped_lock changing(changing_);
  const auto before = find(name);
  if (before == nullptr && names().size() >= kTargetsMax)
    return Error{Errc::kInvalidArgument,
                 fmt::format("there are {} targets already, the most there can be", kTargetsMax)};
  ASSIGN_OR_RETURN(NotificationTarget target, parse_target(name, data, before.get()));
  RETURN_IF_ERROR(database_.write([&](store::Writer& writer) -> Status {
    return records_.put(writer, kScope, name, to_stored(target));
  }));
  const std::scoped_lock lock(mutex_);
  targets_[name] = std::make_shared<const NotificationTarget>(std::move(target));
  return ok();
}

Status TargetStore::remove(const std::string& name) {
  const std::scoped_lock changing(changing_);
  RETURN_IF_ERROR(database_.write([&](store::Writer& writer) -> Status {
    RETURN_IF_ERROR(records_.remove(writer, kScope, name));
    return ok();
  }));
  const std::scoped_lock lock(mutex_);
  targets_.erase(name);
  return ok();
}

std::string TargetStore::public_url() const {
  const std::scoped_lock lock(mutex_);
  return public_url_;
}

Status TargetStore::set_public_url(std::string url) {
  const std::scoped_lock changing(changing_);
  RETURN_IF_ERROR(database_.write([&](store::Writer& writer) -> Status {
    return records_.put(writer, kConfigScope, kConfigName, {{"public_url", url}});
  }));
  const std::scoped_lock lock(mutex_);
  public_url_ = std::move(url);
  return ok();
}

}  // namespace curfew::broker

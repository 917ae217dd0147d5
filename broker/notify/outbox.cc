#include "broker/notify/outbox.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/duration.h"

namespace curfew::broker {
namespace {

constexpr std::string_view kScope = "notification";
constexpr std::string_view kDeadScope = "notification-dead";
// A transaction that is not through by then never will be.
constexpr Millis kExpectedFor = std::chrono::minutes{1};
// Where the database failed, not the target.
constexpr Millis kPostponedFor = Seconds{1};
constexpr std::size_t kErrorBytesMax = 500;

}  // namespace

// ---- memory -----------------------------------------------------------------------------------

void Outbox::learn(const std::string& id, const Json& stored) {
  const WallTime next = from_unix_millis(stored.value("next_at", std::int64_t{0}));
  // The wall clock may have been set since: no pause is longer than the longest.
  const Millis left =
      std::clamp(Millis{next - clock_.wall()}, Millis{0}, Millis{options_.retry_max});
  const std::scoped_lock lock(mutex_);
  waiting_[id] = {stored.value("target", ""), clock_.steady() + left};
  expected_.erase(id);
}

Status Outbox::load() {
  unload();
  return database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto ids, records_.names(reader, kScope));
    for (const std::string& id : ids) {
      const auto stored = records_.get(reader, kScope, id);
      if (stored && *stored)
        learn(id, **stored);
      else if (!stored && stored.error().code == Errc::kCorrupt)
        log_.error("stored notification was altered outside of Curfew: it is not sent",
                   {{"id", id}});
      else if (!stored)
        return stored.error();
    }
    return ok();
  });
}

void Outbox::unload() {
  const std::scoped_lock lock(mutex_);
  waiting_.clear();
  expected_.clear();
  out_.clear();
  failing_.clear();
}

bool Outbox::expects_some() const {
  const std::scoped_lock lock(mutex_);
  return !expected_.empty();
}

std::size_t Outbox::waiting() const {
  const std::scoped_lock lock(mutex_);
  return waiting_.size();
}

std::uint64_t Outbox::delivered_count() const {
  const std::scoped_lock lock(mutex_);
  return delivered_;
}

std::uint64_t Outbox::failed_count() const {
  const std::scoped_lock lock(mutex_);
  return failed_;
}

std::uint64_t Outbox::dead_count() const {
  const std::scoped_lock lock(mutex_);
  return dead_;
}

// ---- waiting ----------------------------------------------------------------------------------

Status Outbox::add(store::Writer& writer, const Notice& notice, const std::string& target) {
  {
    const std::scoped_lock lock(mutex_);
    if (waiting_.size() + expected_.size() >= options_.waiting_max) {
      ++dead_;
      log_.error("notification dropped: too many are waiting",
                 {{"target", target}, {"event", notice.event}, {"approval", notice.approval_id}});
      return ok();
    }
  }
  const std::string id =
      fmt::format("{:013d}-{}", to_unix_millis(clock_.wall()), random_base62(random_, 16));
  Json stored = to_stored(notice);
  stored["target"] = target;
  stored["attempts"] = 0;
  stored["next_at"] = 0;
  RETURN_IF_ERROR(records_.put(writer, kScope, id, stored));
  const std::scoped_lock lock(mutex_);
  expected_[id] = clock_.steady() + kExpectedFor;
  return ok();
}

void Outbox::look() {
  std::vector<std::string> ids;
  {
    const std::scoped_lock lock(mutex_);
    for (const auto& [id, until] : expected_) ids.push_back(id);
  }
  if (ids.empty()) return;
  std::vector<std::pair<std::string, Json>> found;
  const Status read = database_.read([&](const store::Reader& reader) -> Status {
    for (const std::string& id : ids) {
      auto stored = records_.get(reader, kScope, id);
      if (stored && *stored) found.emplace_back(id, std::move(**stored));
    }
    return ok();
  });
  if (!read) return;  // the next look is soon
  for (const auto& [id, stored] : found) learn(id, stored);
  const std::scoped_lock lock(mutex_);
  std::erase_if(expected_, [now = clock_.steady()](const auto& one) { return one.second <= now; });
}

std::vector<Outbox::Due> Outbox::take_due() {
  look();
  const SteadyTime now = clock_.steady();
  std::vector<Due> out;
  const std::scoped_lock lock(mutex_);
  for (const auto& [id, waiting] : waiting_)
    if (waiting.not_before <= now && out_.insert(waiting.target).second)
      out.push_back({id, waiting.target, failing_.contains(waiting.target)});
  return out;
}

Result<std::optional<Notice>> Outbox::read(const std::string& id) const {
  std::optional<Json> stored;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(stored, records_.get(reader, kScope, id));
    return ok();
  }));
  if (!stored) return std::optional<Notice>{};
  return std::optional(notice_from_stored(*stored));
}

void Outbox::release(const Due& due, bool gone, Millis pause) {
  const std::scoped_lock lock(mutex_);
  out_.erase(due.target);
  if (gone) {
    waiting_.erase(due.id);
    return;
  }
  const auto it = waiting_.find(due.id);
  if (it != waiting_.end()) it->second.not_before = clock_.steady() + pause;
}

void Outbox::postponed(const Due& due) {
  release(due, false, kPostponedFor);
}

void Outbox::dropped(const Due& due) {
  const Status removed = database_.write([&](store::Writer& writer) -> Status {
    RETURN_IF_ERROR(records_.remove(writer, kScope, due.id));
    return ok();
  });
  release(due, removed.has_value(), kPostponedFor);
}

void Outbox::delivered(const Due& due) {
  {
    const std::scoped_lock lock(mutex_);
    ++delivered_;
    failing_.erase(due.target);
  }
  // Where this fails it is sent again, with the same id.
  dropped(due);
}

Millis Outbox::pause_after(int attempts) const {
  Millis pause = options_.retry_first;
  for (int i = 1; i < attempts && pause < options_.retry_max; ++i) pause *= 2;
  return std::min(pause, options_.retry_max);
}

void Outbox::failed(const Due& due, const std::string& why) {
  int attempts = 0;
  bool is_dead = false;
  const Status written = database_.write([&](store::Writer& writer) -> Status {
    ASSIGN_OR_RETURN(auto stored, records_.get(writer, kScope, due.id));
    if (!stored) return Error{Errc::kNotFound, ""};
    attempts = stored->value("attempts", 0) + 1;
    is_dead = attempts >= options_.attempts_max;
    (*stored)["attempts"] = attempts;
    (*stored)["error"] = why.substr(0, kErrorBytesMax);
    (*stored)["next_at"] = to_unix_millis(clock_.wall() + pause_after(attempts));
    if (is_dead) return bury(writer, due.id, std::move(*stored));
    return records_.put(writer, kScope, due.id, *stored);
  });
  {
    const std::scoped_lock lock(mutex_);
    ++failed_;
    failing_.insert(due.target);
    if (written && is_dead) ++dead_;
  }
  const bool gone = written ? is_dead : written.error().code == Errc::kNotFound;
  // Where nothing could be written down, the attempt does not count.
  release(due, gone, written ? pause_after(attempts) : kPostponedFor);
  if (written && is_dead)
    log_.error("notification given up", {{"target", due.target}, {"id", due.id}, {"error", why}});
  else
    log_.warn("notification not delivered yet",
              {{"target", due.target}, {"id", due.id}, {"error", why}});
}

// ---- dead -------------------------------------------------------------------------------------

Status Outbox::bury(store::Writer& writer, const std::string& id, Json stored) {
  RETURN_IF_ERROR(records_.remove(writer, kScope, id));
  ASSIGN_OR_RETURN(const auto names, records_.names(writer, kDeadScope));
  const std::size_t most = std::max<std::size_t>(1, options_.dead_max) - 1;
  for (std::size_t i = 0; i + most < names.size(); ++i)
    RETURN_IF_ERROR(records_.remove(writer, kDeadScope, names[i]));
  stored["given_up_at"] = to_unix_millis(clock_.wall());
  return records_.put(writer, kDeadScope, id, stored);
}

Result<std::vector<std::string>> Outbox::dead() const {
  std::vector<std::string> out;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(out, records_.names(reader, kDeadScope));
    return ok();
  }));
  return out;
}

Result<std::optional<Json>> Outbox::dead_one(const std::string& id) const {
  std::optional<Json> stored;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(stored, records_.get(reader, kDeadScope, id));
    return ok();
  }));
  if (!stored) return stored;
  const auto time = [&](const char* name) {
    return format_rfc3339(from_unix_millis(stored->value(name, std::int64_t{0})));
  };
  return std::optional(Json{{"event", stored->value("event", "")},
                            {"approval_id", stored->value("approval_id", "")},
                            {"target", stored->value("target", "")},
                            {"attempts", stored->value("attempts", 0)},
                            {"error", stored->value("error", "")},
                            {"at", time("at")},
                            {"given_up_at", time("given_up_at")}});
}

Status Outbox::remove_dead(const std::string& id) {
  return database_.write([&](store::Writer& writer) -> Status {
    RETURN_IF_ERROR(records_.remove(writer, kDeadScope, id));
    return ok();
  });
}

Result<bool> Outbox::retry_dead(const std::string& id) {
  std::optional<Json> stored;
  RETURN_IF_ERROR(database_.write([&](store::Writer& writer) -> Status {
    ASSIGN_OR_RETURN(stored, records_.get(writer, kDeadScope, id));
    if (!stored) return ok();
    RETURN_IF_ERROR(records_.remove(writer, kDeadScope, id));
    stored->erase("given_up_at");
    (*stored)["attempts"] = 0;
    (*stored)["next_at"] = 0;
    return records_.put(writer, kScope, id, *stored);
  }));
  if (stored) learn(id, *stored);
  return stored.has_value();
}

}  // namespace curfew::broker

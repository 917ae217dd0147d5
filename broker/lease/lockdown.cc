#include "broker/lease/lockdown.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/duration.h"

namespace curfew::broker {
namespace {

constexpr std::string_view kRecords = "lockdown";
constexpr std::size_t kTokenDepthMax = 1'000;

Json to_record(const Lockdown& lockdown) {
  return {{"scope", to_json(lockdown.scope)},
          {"reason", lockdown.reason},
          {"by", lockdown.by},
          {"by_accessor", lockdown.by_accessor},
          {"since", to_unix_millis(lockdown.since)}};
}

Lockdown from_record(const std::string& id, const Json& record) {
  return {.id = id,
          .scope = scope_from_json(record.at("scope")),
          .reason = record.at("reason").get<std::string>(),
          .by = record.at("by").get<std::string>(),
          .by_accessor = record.at("by_accessor").get<std::string>(),
          .since = from_unix_millis(record.at("since").get<std::int64_t>())};
}

Result<std::vector<Lockdown>> read_all(const store::Records& records, const store::Reader& reader) {
  ASSIGN_OR_RETURN(const auto stored, records.all(reader, kRecords));
  std::vector<Lockdown> out;
  for (const auto& [id, record] : stored) out.push_back(from_record(id, record));
  return out;
}

Status refuse(const std::vector<Lockdown>& lockdowns, const ScopeSubject& subject) {
  for (const Lockdown& lockdown : lockdowns) {
    if (!covers(lockdown.scope, subject)) continue;
    return Error{Errc::kPermissionDenied,
                 fmt::format("permission denied: locked down ({}): {}. No credential is issued or "
                             "renewed here before an operator lifts the lockdown {}",
                             describe(lockdown.scope), lockdown.reason, lockdown.id)};
  }
  return ok();
}

}  // namespace

Lockdowns::Lockdowns(store::Database& database, const store::Records& records, Log& log,
                     const Lockdowns* above)
    : database_(database), records_(records), log_(log), above_(above) {}

void Lockdowns::refresh() {
  const auto stored = list();
  if (!stored)
    log_.error("lockdowns cannot be read; nothing is issued", {{"error", stored.error().message}});
  std::shared_ptr<const List> known;
  if (stored && !stored->empty()) known = std::make_shared<const List>(*stored);
  const std::scoped_lock lock(mutex_);
  known_ = std::move(known);
}

void Lockdowns::load() {
  const std::scoped_lock lock(changing_);
  refresh();
}

void Lockdowns::unload() {
  const std::scoped_lock lock(mutex_);
  known_.reset();
}

Status Lockdowns::put(const Lockdown& lockdown, const std::function<Status(store::Writer&)>& also) {
  const std::scoped_lock lock(changing_);
  RETURN_IF_ERROR(database_.write([&](store::Writer& writer) -> Status {
    RETURN_IF_ERROR(records_.put(writer, kRecords, lockdown.id, to_record(lockdown)));
    return also ? also(writer) : ok();
  }));
  log_.warn("locked down", {{"id", lockdown.id},
                            {"scope", describe(lockdown.scope)},
                            {"by", lockdown.by},
                            {"reason", lockdown.reason}});
  refresh();
  return ok();
}

Result<bool> Lockdowns::lift(const std::string& id) {
  const std::scoped_lock lock(changing_);
  bool lifted = false;
  RETURN_IF_ERROR(database_.write([&](store::Writer& writer) -> Status {
    ASSIGN_OR_RETURN(lifted, records_.remove(writer, kRecords, id));
    return ok();
  }));
  if (lifted) log_.warn("lockdown lifted", {{"id", id}});
  refresh();
  return lifted;
}

Result<std::optional<Lockdown>> Lockdowns::get(const std::string& id) const {
  std::optional<Lockdown> found;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto record, records_.get(reader, kRecords, id));
    if (record) found = from_record(id, *record);
    return ok();
  }));
  return found;
}

Result<std::vector<Lockdown>> Lockdowns::list() const {
  std::vector<Lockdown> out;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(out, read_all(records_, reader));
    return ok();
  }));
  return out;
}

Status Lockdowns::check(const ScopeSubject& subject) const {
  if (above_ != nullptr) RETURN_IF_ERROR(above_->check(subject));
  std::shared_ptr<const List> known;
  {
    const std::scoped_lock lock(mutex_);
    known = known_;
  }
  return known ? refuse(*known, subject) : ok();
}

Status Lockdowns::check(const store::Reader& reader, ScopeSubject subject) const {
  if (above_ != nullptr) RETURN_IF_ERROR(above_->check(reader, subject));
  ASSIGN_OR_RETURN(const auto stored, read_all(records_, reader));
  if (stored.empty()) return ok();
  const bool by_token = std::any_of(stored.begin(), stored.end(), [](const Lockdown& lockdown) {
    return !lockdown.scope.token_id.empty();
  });
  while (by_token && !subject.tokens.empty() && subject.tokens.size() < kTokenDepthMax) {
    ASSIGN_OR_RETURN(const auto row, reader.query_one("SELECT parent FROM tokens WHERE id = $1",
                                                      {subject.tokens.back()}));
    if (!row || row->is_null(0) || row->text(0).empty()) break;
    subject.tokens.push_back(row->text(0));
  }
  return refuse(stored, subject);
}

Status Lockdowns::check_stored(const ScopeSubject& subject) const {
  return database_.read([&](const store::Reader& reader) { return check(reader, subject); });
}

Json to_api(const Lockdown& lockdown) {
  return {{"id", lockdown.id},
          {"scope", to_api(lockdown.scope)},
          {"reason", lockdown.reason},
          {"by", lockdown.by},
          {"by_accessor", lockdown.by_accessor},
          {"since", format_rfc3339(lockdown.since)}};
}

}  // namespace curfew::broker

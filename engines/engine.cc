#include "engines/engine.h"

namespace curfew::engines {
namespace {

Error nothing_to_lease(std::string_view type) {
  return {Errc::kUnsupportedOperation,
          "the " + std::string(type) + " engine issues no leased credentials"};
}

}  // namespace

const char* phase_name(Phase phase) {
  switch (phase) {
    case Phase::kLockOut: return "lock_out";
    case Phase::kTerminate: return "terminate";
    case Phase::kClean: return "clean";
    case Phase::kDrop: return "drop";
  }
  return "lock_out";
}

Result<std::optional<Json>> MountStorage::get(std::string_view key) const {
  std::optional<Json> value;
  RETURN_IF_ERROR(read([&](const StorageReader& reader) -> Status {
    ASSIGN_OR_RETURN(value, reader.get(key));
    return ok();
  }));
  return value;
}

Result<std::vector<std::string>> MountStorage::list(std::string_view prefix) const {
  std::vector<std::string> names;
  RETURN_IF_ERROR(read([&](const StorageReader& reader) -> Status {
    ASSIGN_OR_RETURN(names, reader.list(prefix));
    return ok();
  }));
  return names;
}

Status MountStorage::put(std::string_view key, const Json& value) {
  return write([&](StorageWriter& writer) { return writer.put(key, value); });
}

Status MountStorage::remove(std::string_view key) {
  return write([&](StorageWriter& writer) { return writer.remove(key); });
}

Result<std::optional<bool>> SecretEngine::exists(const Call&) const {
  return std::optional<bool>{};
}

Result<IssuePlan> SecretEngine::plan(const IssueRequest&, Random&) const {
  return nothing_to_lease(type());
}

Result<Foreseen> SecretEngine::foresee(const IssueRequest&) const {
  return nothing_to_lease(type());
}

Result<Json> SecretEngine::rehearse(const IssueRequest&, const CallContext&) {
  return Error{Errc::kUnsupportedOperation, "the request has nothing to try beforehand"};
}

Result<Issued> SecretEngine::apply(const DurableIntent&, const CallContext&) {
  return nothing_to_lease(type());
}

Result<Receipt> SecretEngine::revoke(const std::string&, const Handle&, PhaseRecord&,
                                     const CallContext&) {
  return nothing_to_lease(type());
}

Result<std::vector<std::optional<Json>>> SecretEngine::lock_out(std::span<const LeaseRef>,
                                                                const CallContext&) {
  return Error{Errc::kUnsupportedOperation, "this engine revokes leases one by one"};
}

Result<std::vector<std::optional<Removed>>> SecretEngine::revoke_many(std::span<const LeaseRef>,
                                                                      const CallContext&) {
  return Error{Errc::kUnsupportedOperation, "this engine revokes leases one by one"};
}

Status SecretEngine::renew(const std::string&, const Handle&, WallTime, const CallContext&) {
  return nothing_to_lease(type());
}

Result<Presence> SecretEngine::probe(const std::string&, const Handle&, const CallContext&) {
  return Presence::kAbsent;
}

Result<std::vector<Handle>> SecretEngine::list_owned(const CallContext&) {
  return std::vector<Handle>{};
}

Result<std::vector<std::string>> SecretEngine::chores() const {
  return std::vector<std::string>{};
}

Result<Tended> SecretEngine::tend(const std::string&, const CallContext&) {
  return Tended{};
}

}  // namespace curfew::engines

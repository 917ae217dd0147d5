#include "engines/static_key/static_key_engine.h"

#include "engines/static_key/key_store.h"
#include "engines/static_key/static_key.h"

namespace curfew::engines {

Result<std::unique_ptr<SecretEngine>> make_static_key(Services services) {
  return std::unique_ptr<SecretEngine>(
      std::make_unique<static_key::StaticKeyEngine>(std::move(services)));
}

namespace static_key {
namespace {

Error refused(std::string message) {
  return {Errc::kRefused, std::move(message)};
}

// What of the key is left after a lease: Curfew cannot see what its issuer accepts.
std::string warning_of(const Grant& grant, const std::optional<KeyRecord>& record) {
  const std::string key =
      "version " + std::to_string(grant.version) + " of key \"" + grant.name + "\"";
  if (record && record->current_version == grant.version)
    return "whoever held this lease has seen " + key +
           ", which stays valid at its issuer: to take it away, change it there and store the new "
           "one with keys/" +
           grant.name + "/rotate";
  return "whoever held this lease has seen " + key +
         ", which is no longer handed out; whether its issuer still accepts it is not known here";
}

}  // namespace

StaticKeyEngine::StaticKeyEngine(Services services)
    : services_(std::move(services)), routes_(make_routes()) {}

Result<StaticKeyEngine::Wanted> StaticKeyEngine::wanted(const IssueRequest& request) const {
  const auto name = request.params.find("name");
  if (name == request.params.end())
    return Error{Errc::kInvalidArgument, "missing name of a key: read creds/<name>"};
  ASSIGN_OR_RETURN(const auto requested, Fields(request.data).duration_or("ttl", Millis{0}));
  std::optional<KeyRecord> record;
  RETURN_IF_ERROR(services_.storage.read([&](const StorageReader& reader) -> Status {
    ASSIGN_OR_RETURN(record, load_record(reader, name->second));
    return ok();
  }));
  if (!record)
    return Error{Errc::kInvalidArgument,
                 "unknown key \"" + name->second + "\": list keys/ for the names there are"};
  const Terms terms{.ttl = record->default_ttl,
                    .max_ttl = record->max_ttl,
                    .requested_ttl = requested,
                    .renewable = true};
  return Wanted{name->second, std::move(*record), terms};
}

Result<IssuePlan> StaticKeyEngine::plan(const IssueRequest& request, Random&) const {
  ASSIGN_OR_RETURN(const Wanted key, wanted(request));
  return IssuePlan{
      .role = key.name,
      .handle = handle_of(Grant{request.lease_id, key.name, key.record.current_version}),
      .terms = key.terms,
      .work = nullptr};
}

// A new version of the key is what was approved, too: keys are there to be changed.
Result<Foreseen> StaticKeyEngine::foresee(const IssueRequest& request) const {
  ASSIGN_OR_RETURN(const Wanted key, wanted(request));
  const Json about{{"key", key.name},
                   {"type", key.record.type},
                   {"description", key.record.description},
                   {"metadata", key.record.metadata}};
  Json content = about;
  content["default_ttl_ms"] = key.record.default_ttl.count();
  content["max_ttl_ms"] = key.record.max_ttl.count();
  return Foreseen{key.name, key.name, key.terms, about, std::move(content)};
}

Result<Issued> StaticKeyEngine::apply(const DurableIntent& intent, const CallContext& context) {
  ASSIGN_OR_RETURN(const Grant grant, grant_of(intent.plan().handle));
  Issued issued;
  RETURN_IF_ERROR(services_.storage.write([&](StorageWriter& writer) -> Status {
    // In here: from now on nothing waits for anything else.
    if (services_.clock.steady() >= context.deadline)
      return Error{Errc::kUnavailable,
                   "the time for issuing the key was up before the store took it; try again"};
    ASSIGN_OR_RETURN(const auto record, load_record(writer, grant.name));
    ASSIGN_OR_RETURN(const auto secret, load_secret(writer, grant.name, grant.version));
    if (!record || !secret)
      return refused("key \"" + grant.name + "\" was changed while it was issued: ask again");
    ASSIGN_OR_RETURN(const bool granted, add_grant(writer, grant));
    if (!granted) return refused("the lease was ended before its key was issued: ask again");
    issued.data = describe_secret(grant, *record, *secret);
    return ok();
  }));
  return issued;
}

Result<Receipt> StaticKeyEngine::revoke(const std::string&, const Handle& handle,
                                        PhaseRecord& phases, const CallContext&) {
  ASSIGN_OR_RETURN(const Grant grant, grant_of(handle));
  const WallTime now = services_.clock.wall();
  RETURN_IF_ERROR(services_.storage.write([&](StorageWriter& writer) -> Status {
    RETURN_IF_ERROR(end_grant(writer, grant, now));
    // This lease may have been the last that needed an old version.
    ASSIGN_OR_RETURN(auto record, load_record(writer, grant.name));
    if (!record) return ok();
    ASSIGN_OR_RETURN(const bool dropped, drop_unneeded(writer, grant.name, *record));
    return dropped ? store_record(writer, grant.name, *record) : ok();
  }));
  if (!phases.is_done(Phase::kLockOut))
    RETURN_IF_ERROR(phases.done(Phase::kLockOut, {{"grant", "removed"}}));

  bool present = false, stored = false;
  std::optional<KeyRecord> record;
  RETURN_IF_ERROR(services_.storage.read([&](const StorageReader& reader) -> Status {
    ASSIGN_OR_RETURN(present, has_grant(reader, grant.lease_id));
    ASSIGN_OR_RETURN(record, load_record(reader, grant.name));
    ASSIGN_OR_RETURN(const auto secret, load_secret(reader, grant.name, grant.version));
    stored = secret.has_value();
    return ok();
  }));
  if (present)
    return Error{Errc::kUnavailable,
                 "the grant of the lease is still in the store after its removal; it will be "
                 "tried again"};
  Receipt receipt;
  receipt.checked = {{"key", grant.name},
                     {"version", grant.version},
                     {"grant_present", false},
                     {"version_still_stored", stored},
                     {"proven", "the key can no longer be read through this lease"},
                     {"not_proven", "that the key is invalid at its issuer"}};
  receipt.warnings.push_back(warning_of(grant, record));
  return receipt;
}

Status StaticKeyEngine::renew(const std::string&, const Handle& handle, WallTime,
                              const CallContext& context) {
  ASSIGN_OR_RETURN(const auto presence, probe({}, handle, context));
  if (presence == Presence::kPresent) return ok();
  return Error{Errc::kNotFound, "the lease has ended and cannot be renewed: ask for a new one"};
}

Result<Presence> StaticKeyEngine::probe(const std::string&, const Handle& handle,
                                        const CallContext&) {
  ASSIGN_OR_RETURN(const Grant grant, grant_of(handle));
  bool present = false;
  RETURN_IF_ERROR(services_.storage.read([&](const StorageReader& reader) -> Status {
    ASSIGN_OR_RETURN(present, has_grant(reader, grant.lease_id));
    return ok();
  }));
  return present ? Presence::kPresent : Presence::kAbsent;
}

Result<std::vector<Handle>> StaticKeyEngine::list_owned(const CallContext&) {
  const WallTime now = services_.clock.wall();
  RETURN_IF_ERROR(
      services_.storage.write([&](StorageWriter& writer) { return forget_old_ends(writer, now); }));
  std::vector<Handle> handles;
  RETURN_IF_ERROR(services_.storage.read([&](const StorageReader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto grants, all_grants(reader));
    for (const Grant& grant : grants) handles.push_back(handle_of(grant));
    return ok();
  }));
  return handles;
}

}  // namespace static_key
}  // namespace curfew::engines

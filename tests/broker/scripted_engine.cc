#include "tests/broker/scripted_engine.h"

#include "engines/identifier.h"
#include "engines/registry.h"

namespace curfew::broker {
namespace {

using engines::CallContext;
using engines::Phase;

class ScriptedEngine final : public engines::SecretEngine, public engines::Identifier {
 public:
  explicit ScriptedEngine(ScriptedWorld& world)
      : world_(world),
        routes_({{{.pattern = "creds/{role}", .summary = "A name.", .issues_lease = true}, {}},
                 {{.pattern = "fail", .summary = "Fails."},
                  {{Operation::kRead, [](const engines::Call&) -> Result<engines::Reply> {
                      return Error{Errc::kRefused, "it always fails"};
                    }}}}}) {}

  std::string_view type() const override { return "scripted"; }
  const engines::CallRoutes& routes() const override { return routes_; }

  Result<engines::IssuePlan> plan(const engines::IssueRequest& request,
                                  Random& random) const override {
    ASSIGN_OR_RETURN(const Millis ttl, Fields(request.data).duration_or("ttl", Millis{0}));
    const std::string name = "n-" + random_base62(random, 8);
    return engines::IssuePlan{
        .role = request.params.at("role"),
        .handle = {"target", {{"name", name}, {"role", request.params.at("role")}}, name},
        .terms = {.ttl = world_.role_ttl, .max_ttl = world_.role_max, .requested_ttl = ttl},
        .work = nullptr};
  }

  Result<engines::Foreseen> foresee(const engines::IssueRequest& request) const override {
    engines::Foreseen out;
    out.role = request.params.at("role");
    out.target = "target";
    out.terms = {.ttl = world_.role_ttl, .max_ttl = world_.role_max};
    out.shown = {{"statements", {world_.role_text}}};
    out.content = {{"statements", world_.role_text}, {"data", request.data}};
    return out;
  }

  Result<Json> rehearse(const engines::IssueRequest& request, const CallContext&) override {
    if (!request.data.contains("statement"))
      return Error{Errc::kUnsupportedOperation, "nothing to try"};
    if (request.data["statement"] == "broken")
      return Error{Errc::kInvalidArgument, "the statement does not work"};
    return Json{{"rows", 3}};
  }

  Result<engines::Issued> apply(const engines::DurableIntent& intent, const CallContext&) override {
    using enum ScriptedWorld::Fault;
    if (world_.during_apply) world_.during_apply(intent.lease_id());
    const auto name = intent.plan().handle.fields.at("name").get<std::string>();
    const auto fault = world_.apply_fault.load();
    if (fault == kBefore) return Error{Errc::kUnavailable, "the target is down"};
    if (fault == kInDoubtUndone) return Error{Errc::kInDoubt, "the connection broke"};
    world_.add(name);
    if (fault == kInDoubtDone) return Error{Errc::kInDoubt, "the connection broke"};
    return engines::Issued{.data = {{"username", name}, {"password", "pw-" + name}},
                           .facts = {{"oid", 4711}}};
  }

  Result<engines::Receipt> revoke(const std::string& lease_id, const engines::Handle& handle,
                                  engines::PhaseRecord& phases, const CallContext&) override {
    ++world_.revokes;
    if (world_.during_revoke) world_.during_revoke(lease_id);
    const int faults = world_.revoke_faults.load();
    if (faults != 0) {
      if (faults > 0) --world_.revoke_faults;
      return Error{Errc::kUnavailable, "the target is down"};
    }
    const auto name = handle.fields.at("name").get<std::string>();
    if (!phases.is_done(Phase::kLockOut))
      RETURN_IF_ERROR(phases.done(Phase::kLockOut, Json::object()));
    if (!phases.is_done(Phase::kTerminate))
      RETURN_IF_ERROR(phases.done(Phase::kTerminate, {{"sessions", 0}}));
    if (handle.fields.at("role") == "locked")
      return Error{Errc::kRefused, "something depends on it"};
    world_.drop(name);
    RETURN_IF_ERROR(phases.done(Phase::kDrop, Json::object()));
    return engines::Receipt{.checked = {{"absent", !world_.has(name)}}};
  }

  Result<std::vector<std::optional<Json>>> lock_out(std::span<const engines::LeaseRef> leases,
                                                    const CallContext& context) override {
    if (!world_.batches) return SecretEngine::lock_out(leases, context);
    if (world_.revoke_faults != 0) return Error{Errc::kUnavailable, "the target is down"};
    std::vector<std::optional<Json>> notes;
    for (const auto& lease : leases) {
      world_.happened("lock " + lease.lease_id);
      notes.emplace_back(Json::object());
    }
    return notes;
  }

  Result<std::vector<std::optional<engines::Removed>>> revoke_many(
      std::span<const engines::LeaseRef> leases, const CallContext& context) override {
    if (!world_.batches) return SecretEngine::revoke_many(leases, context);
    if (world_.revoke_faults != 0) return Error{Errc::kUnavailable, "the target is down"};
    std::vector<std::optional<engines::Removed>> removed;
    for (const auto& lease : leases) {
      world_.happened("drop " + lease.lease_id);
      world_.drop(lease.handle.fields.at("name").get<std::string>());
      removed.push_back(engines::Removed{
          {{Phase::kTerminate, {{"sessions_ended", 0}}}, {Phase::kDrop, Json::object()}},
          {.checked = {{"absent", true}}}});
    }
    return removed;
  }

  Status renew(const std::string&, const engines::Handle& handle, WallTime expires_at,
               const CallContext&) override {
    world_.renewed[handle.fields.at("name").get<std::string>()] = expires_at;
    return ok();
  }

  Result<std::vector<engines::Sighting>> identify(const engines::Sought& sought,
                                                  const CallContext&) override {
    std::vector<engines::Sighting> seen;
    if (world_.has(sought.name)) seen.push_back({.resource = "target", .name = sought.name});
    return seen;
  }

  Result<std::vector<std::string>> chores() const override { return world_.chores; }
  Result<engines::Tended> tend(const std::string& chore, const CallContext&) override {
    return world_.tend(chore);
  }

 private:
  ScriptedWorld& world_;
  const engines::CallRoutes routes_;
};

}  // namespace

std::set<std::string> ScriptedWorld::names() const {
  const std::scoped_lock lock(mutex_);
  return names_;
}

std::vector<std::string> ScriptedWorld::events() const {
  const std::scoped_lock lock(mutex_);
  return events_;
}

void ScriptedWorld::happened(std::string event) {
  const std::scoped_lock lock(mutex_);
  events_.push_back(std::move(event));
}

bool ScriptedWorld::has(const std::string& name) const {
  const std::scoped_lock lock(mutex_);
  return names_.contains(name);
}

void ScriptedWorld::add(const std::string& name) {
  const std::scoped_lock lock(mutex_);
  names_.insert(name);
}

void ScriptedWorld::drop(const std::string& name) {
  const std::scoped_lock lock(mutex_);
  names_.erase(name);
}

engines::Factory make_scripted_engine(ScriptedWorld& world) {
  return [&world](engines::Services services) -> Result<std::unique_ptr<engines::SecretEngine>> {
    world.wake_caretaker = services.wake_caretaker;
    return std::unique_ptr<engines::SecretEngine>(std::make_unique<ScriptedEngine>(world));
  };
}

}  // namespace curfew::broker

#include "engines/postgres/postgres_engine.h"

#include <fmt/format.h>

#include "engines/postgres/batch_revocation.h"
#include "engines/postgres/config.h"
#include "engines/postgres/config_paths.h"
#include "engines/postgres/foresight.h"
#include "engines/postgres/identify.h"
#include "engines/postgres/issuing.h"
#include "engines/postgres/lease_transaction.h"
#include "engines/postgres/leased_statement.h"
#include "engines/postgres/marker.h"
#include "engines/postgres/quarantine_log.h"
#include "engines/postgres/quarantine_paths.h"
#include "engines/postgres/revocation.h"
#include "engines/postgres/role_inventory.h"
#include "engines/postgres/role_paths.h"
#include "engines/postgres/roles.h"
#include "engines/postgres/root_rotation.h"
#include "engines/postgres/sql_text.h"
#include "engines/postgres/statement_rehearsal.h"
#include "engines/postgres/statements.h"
#include "engines/postgres/static_role_paths.h"
#include "engines/postgres/static_rotation.h"
#include "engines/postgres/target_pools.h"
#include "engines/postgres/verifier_stock.h"

namespace curfew::engines::postgres {
namespace {

constexpr Millis kIdentifyTime = Seconds{3};  // for each target

// What is done by itself, by the target's name.
constexpr std::string_view kStaticChore = "static/";
constexpr std::string_view kRootChore = "root/";

constexpr std::string_view kMarkerChore = "marker/";
constexpr Millis kMarkerInterval = std::chrono::minutes{1};

// From the mount's options, where the server's configuration puts it.
Millis marker_interval(const Services& services) {
  const auto chosen = Fields(services.options).duration_or("marker_interval", kMarkerInterval);
  return chosen && *chosen >= Seconds{1} ? *chosen : kMarkerInterval;
}

CallRoutes joined_routes(ConfigPaths& config, RolePaths& roles, StaticRolePaths& static_roles,
                         QuarantinePaths& quarantine) {
  std::vector<CallRoutes::Route> all = config.routes();
  for (CallRoutes::Route& route : roles.routes()) all.push_back(std::move(route));
  for (CallRoutes::Route& route : static_roles.routes()) all.push_back(std::move(route));
  for (CallRoutes::Route& route : quarantine.routes()) all.push_back(std::move(route));
  all.push_back({{.pattern = "creds/{name}",
                  .summary = "A new database role under a lease",
                  .fields = {{"ttl", FieldType::kDuration, "how long it should live"},
                             {"statement", FieldType::kText,
                              "the one SQL statement that the lease is to be for"},
                             {"statement_parameters", FieldType::kList, "values of its $1, $2 …"}},
                  .issues_lease = true},
                 {}});
  return CallRoutes(std::move(all));
}

class PostgresEngine final : public SecretEngine, public WithInventory, public Identifier {
 public:
  PostgresEngine(const Services& services, const PostgresOptions& options)
      : services_(services),
        pools_(options.pool, services.clock, services.log),
        stock_(services.passwords, services.random, services.log, options.verifiers_ready),
        markers_({services.mount_accessor, services.storage, services.clock, services.random,
                  services.log, [this](const std::string& target) { return pool_of(target); },
                  marker_interval(services)}),
        root_rotation_(services_, pools_, stock_, markers_, options.rotation),
        config_paths_(services, pools_, root_rotation_, options.verify_time),
        role_paths_(services, pools_, markers_, options.verify_time,
                    [this](const std::string& lease_id, const Handle& handle, PhaseRecord& phases,
                           const CallContext& context) {
                      return revoke(lease_id, handle, phases, context);
                    }),
        static_rotation_(services_, pools_, stock_, markers_, options.rotation),
        static_role_paths_(services_, static_rotation_),
        inventory_(services.storage, markers_,
                   [this](const std::string& target) { return pool_of(target); }),
        quarantine_log_(services.storage),
        quarantine_paths_(
            quarantine_log_, services.clock, options.verify_time,
            [this](const std::string& target) { return pool_of(target); },
            [this](const std::string& target, SteadyTime deadline) {
              return pool_in_charge(target, deadline);
            }),
        routes_(joined_routes(config_paths_, role_paths_, static_role_paths_, quarantine_paths_)) {}

  std::string_view type() const override { return "database"; }
  const CallRoutes& routes() const override { return routes_; }

  Result<std::optional<bool>> exists(const Call& call) const override;
  Result<IssuePlan> plan(const IssueRequest& request, Random& random) const override;
  Result<Foreseen> foresee(const IssueRequest& request) const override;
  Result<Json> rehearse(const IssueRequest& request, const CallContext& context) override;
  Result<Issued> apply(const DurableIntent& intent, const CallContext& context) override;
  Result<Receipt> revoke(const std::string& lease_id, const Handle& handle, PhaseRecord& phases,
                         const CallContext& context) override;
  Result<std::vector<std::optional<Json>>> lock_out(std::span<const LeaseRef> leases,
                                                    const CallContext& context) override;
  Result<std::vector<std::optional<Removed>>> revoke_many(std::span<const LeaseRef> leases,
                                                          const CallContext& context) override;
  Status renew(const std::string& lease_id, const Handle& handle, WallTime expires_at,
               const CallContext& context) override;
  Result<Presence> probe(const std::string& lease_id, const Handle& handle,
                         const CallContext& context) override;
  Result<std::vector<Handle>> list_owned(const CallContext& context) override;
  Inventory& inventory() override { return inventory_; }
  Result<std::vector<std::string>> chores() const override;
  Result<Tended> tend(const std::string& chore, const CallContext& context) override;
  Result<std::vector<Sighting>> identify(const Sought& sought, const CallContext& context) override;

 private:
  // What a request is for; refuses what no lease is to be made of.
  struct Wanted {
    LeaseRole role;
    TargetConfig config;
  };
  Result<Wanted> wanted(const IssueRequest& request) const;
  Result<std::shared_ptr<Pool>> pool_of(const std::string& target);
  // The same for what changes something there,
  Result<std::shared_ptr<Pool>> pool_in_charge(const std::string& target, SteadyTime deadline);
  // and for what takes an access away.
  Result<std::shared_ptr<Pool>> pool_to_revoke(const std::string& target, SteadyTime deadline);

  const Services services_;
  TargetPools pools_;
  VerifierStock stock_;
  Markers markers_;
  RootRotation root_rotation_;
  ConfigPaths config_paths_;
  RolePaths role_paths_;
  StaticRotation static_rotation_;
  StaticRolePaths static_role_paths_;
  RoleInventory inventory_;
  QuarantineLog quarantine_log_;
  QuarantinePaths quarantine_paths_;
  const CallRoutes routes_;
};

Result<std::optional<bool>> PostgresEngine::exists(const Call& call) const {
  const auto name = call.params.find("name");
  std::string key;
  if (name != call.params.end() && call.path.starts_with("config/")) key = config_key(name->second);
  if (name != call.params.end() && call.path.starts_with("roles/")) key = role_key(name->second);
  if (name != call.params.end() && call.path.starts_with("static-roles/"))
    key = static_role_key(name->second);
  if (key.empty()) return std::optional<bool>{};
  ASSIGN_OR_RETURN(const auto stored, services_.storage.get(key));
  return std::optional{stored.has_value()};
}

Result<PostgresEngine::Wanted> PostgresEngine::wanted(const IssueRequest& request) const {
  const auto name = request.params.find("name");
  if (name == request.params.end())
    return Error{Errc::kUnsupportedPath, "credentials are read at creds/<role>"};
  ASSIGN_OR_RETURN(auto role, load_role(services_.storage, name->second));
  if (!role) return Error{Errc::kInvalidArgument, "unknown role: " + name->second};
  ASSIGN_OR_RETURN(auto config, load_config(services_.storage, role->db_name));
  if (!config)
    return Error{Errc::kRefused, fmt::format("failed to find entry for connection with name: "
                                             "\"{}\"",
                                             role->db_name)};
  if (!config->allows(role->name))
    return Error{Errc::kRefused, fmt::format("\"{}\" is not an allowed role", role->name)};
  RETURN_IF_ERROR(markers_.refusal(role->db_name));
  RETURN_IF_ERROR(role->check_context(request.attribution));
  return Wanted{std::move(*role), std::move(*config)};
}

Result<IssuePlan> PostgresEngine::plan(const IssueRequest& request, Random& random) const {
  ASSIGN_OR_RETURN(const Wanted made_of, wanted(request));
  return plan_issue(request, made_of.role, made_of.config, services_.clock.wall(), random);
}

Result<Foreseen> PostgresEngine::foresee(const IssueRequest& request) const {
  ASSIGN_OR_RETURN(const Wanted made_of, wanted(request));
  return foresee_issue(request, made_of.role, made_of.config);
}

Result<Json> PostgresEngine::rehearse(const IssueRequest& request, const CallContext& context) {
  ASSIGN_OR_RETURN(const Wanted made_of, wanted(request));
  ASSIGN_OR_RETURN(const auto statement, leased_statement(request.data));
  auto pool = pool_in_charge(made_of.config.name, context.deadline);
  // A target that is away keeps nobody from asking for what needs no trial.
  if (!pool && !statement) return Error{Errc::kUnsupportedOperation, pool.error().message};
  if (!pool) return std::move(pool).error();
  return StatementRehearsal({services_.mount_accessor, services_.clock, services_.random},
                            made_of.role, made_of.config)
      .run(request, **pool, context.deadline);
}

Result<Issued> PostgresEngine::apply(const DurableIntent& intent, const CallContext& context) {
  ASSIGN_OR_RETURN(auto pool, pool_in_charge(intent.plan().handle.resource, context.deadline));
  return issue(*pool, stock_, services_.mount_accessor, intent, services_.clock, context.deadline);
}

Result<Receipt> PostgresEngine::revoke(const std::string& lease_id, const Handle& handle,
                                       PhaseRecord& phases, const CallContext& context) {
  ASSIGN_OR_RETURN(const LeaseHandle lease, LeaseHandle::from_handle(handle));
  ASSIGN_OR_RETURN(auto pool, pool_to_revoke(lease.target, context.deadline));
  return Revocation(std::move(pool), lease_id, lease, phases, quarantine_log_, services_.clock,
                    services_.log, context.deadline)
      .run();
}

Result<std::vector<std::optional<Json>>> PostgresEngine::lock_out(std::span<const LeaseRef> leases,
                                                                  const CallContext& context) {
  if (leases.empty()) return std::vector<std::optional<Json>>{};
  ASSIGN_OR_RETURN(auto pool, pool_to_revoke(leases.front().handle.resource, context.deadline));
  return BatchRevocation(std::move(pool), services_.clock, context.deadline).lock_out(leases);
}

Result<std::vector<std::optional<Removed>>> PostgresEngine::revoke_many(
    std::span<const LeaseRef> leases, const CallContext& context) {
  if (leases.empty()) return std::vector<std::optional<Removed>>{};
  ASSIGN_OR_RETURN(auto pool, pool_to_revoke(leases.front().handle.resource, context.deadline));
  return BatchRevocation(std::move(pool), services_.clock, context.deadline).remove(leases);
}

Status PostgresEngine::renew(const std::string& lease_id, const Handle& handle, WallTime expires_at,
                             const CallContext& context) {
  ASSIGN_OR_RETURN(const LeaseHandle lease, LeaseHandle::from_handle(handle));
  ASSIGN_OR_RETURN(auto pool, pool_in_charge(lease.target, context.deadline));
  return postgres::renew(*pool, lease_id, lease, expires_at, context.deadline);
}

Result<Presence> PostgresEngine::probe(const std::string& lease_id, const Handle& handle,
                                       const CallContext& context) {
  ASSIGN_OR_RETURN(const LeaseHandle lease, LeaseHandle::from_handle(handle));
  ASSIGN_OR_RETURN(auto pool, pool_of(lease.target));
  ASSIGN_OR_RETURN(auto connection, pool->acquire(Use::kRevoke, context.deadline));
  std::vector<LeaseHandle> parts{lease};
  if (!lease.executor.empty()) parts.push_back(executor_of(lease));
  for (const LeaseHandle& part : parts) {
    ASSIGN_OR_RETURN(const Rows rows, connection->run(find_role_sql(part), context.deadline));
    ASSIGN_OR_RETURN(const auto role, find_role(rows, lease_id, part));
    if (role) return Presence::kPresent;
  }
  return Presence::kAbsent;
}

Result<std::vector<Handle>> PostgresEngine::list_owned(const CallContext& context) {
  constexpr std::size_t kPage = 500;
  ASSIGN_OR_RETURN(const auto targets, inventory_.resources());
  std::vector<Handle> out;
  for (const std::string& target : targets) {
    std::string after;
    do {
      ASSIGN_OR_RETURN(MarkedPage page, inventory_.marked(target, after, kPage, context));
      for (MarkedEffect& effect : page.effects) {
        if (effect.mount != services_.mount_accessor || effect.resource != target) continue;
        effect.handle.fields["lease_id"] = effect.lease_id;
        out.push_back(std::move(effect.handle));
      }
      after = page.next;
    } while (!after.empty());
  }
  return out;
}

Result<std::vector<std::string>> PostgresEngine::chores() const {
  std::vector<std::string> out;
  RETURN_IF_ERROR(services_.storage.read([&](const StorageReader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto targets, reader.list("config/"));
    for (const std::string& target : targets) {
      out.push_back(std::string(kMarkerChore) + target);
      ASSIGN_OR_RETURN(const auto users, reader.list(static_users_prefix(target)));
      if (!users.empty()) out.push_back(std::string(kStaticChore) + target);
      out.push_back(std::string(kRootChore) + target);
    }
    return ok();
  }));
  return out;
}

Result<Tended> PostgresEngine::tend(const std::string& chore, const CallContext& context) {
  if (chore.starts_with(kMarkerChore)) {
    RETURN_IF_ERROR(markers_.renew(chore.substr(kMarkerChore.size()), context.deadline));
    return Tended{.next = services_.clock.wall() + markers_.interval()};
  }
  if (chore.starts_with(kStaticChore)) {
    const std::string target = chore.substr(kStaticChore.size());
    RETURN_IF_ERROR(markers_.refusal(target));
    return static_rotation_.tend(target, context);
  }
  if (chore.starts_with(kRootChore)) {
    const std::string target = chore.substr(kRootChore.size());
    RETURN_IF_ERROR(markers_.refusal(target));
    return root_rotation_.tend(target);
  }
  return Error{Errc::kInternal, fmt::format("the database engine has no work \"{}\"", chore)};
}

Result<std::vector<Sighting>> PostgresEngine::identify(const Sought& sought,
                                                       const CallContext& context) {
  ASSIGN_OR_RETURN(const auto targets, services_.storage.list("config/"));
  std::vector<Sighting> out;
  for (const std::string& target : targets) {
    if (!sought.resource.empty() && sought.resource != target) continue;
    // One target that hangs leaves time for the others.
    const SteadyTime deadline =
        std::min(context.deadline, services_.clock.steady() + kIdentifyTime);
    const auto ask = [&]() -> Result<std::vector<Sighting>> {
      ASSIGN_OR_RETURN(auto pool, pool_of(target));
      ASSIGN_OR_RETURN(auto connection, pool->acquire(Use::kRevoke, deadline));
      return postgres::identify(*connection, target, services_.mount_accessor, sought, deadline);
    };
    auto seen = ask();
    if (seen)
      std::move(seen->begin(), seen->end(), std::back_inserter(out));
    else
      out.push_back({.resource = target, .error = seen.error().message});
  }
  return out;
}

Result<std::shared_ptr<Pool>> PostgresEngine::pool_of(const std::string& target) {
  ASSIGN_OR_RETURN(const auto config, load_config(services_.storage, target));
  if (!config)
    return Error{Errc::kUnavailable,
                 fmt::format("target \"{0}\" has no configuration any more; write config/{0} again "
                             "so that its leases can be served and ended",
                             target)};
  return pools_.of(*config);
}

Result<std::shared_ptr<Pool>> PostgresEngine::pool_in_charge(const std::string& target,
                                                             SteadyTime deadline) {
  ASSIGN_OR_RETURN(auto pool, pool_of(target));
  RETURN_IF_ERROR(markers_.check(target, deadline));
  return pool;
}

Result<std::shared_ptr<Pool>> PostgresEngine::pool_to_revoke(const std::string& target,
                                                             SteadyTime deadline) {
  ASSIGN_OR_RETURN(auto pool, pool_of(target));
  RETURN_IF_ERROR(markers_.check_to_revoke(target, deadline));
  return pool;
}

}  // namespace

Result<std::unique_ptr<SecretEngine>> make_postgres_engine(Services services,
                                                           PostgresOptions options) {
  return std::unique_ptr<SecretEngine>(std::make_unique<PostgresEngine>(services, options));
}

}  // namespace curfew::engines::postgres

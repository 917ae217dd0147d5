#include "broker/broker.h"

#include "broker/audit/audit_broker.h"
#include "broker/auth/auth_mounts.h"
#include "broker/auth/login_service.h"
#include "broker/identity/authority.h"
#include "broker/identity/identity_backend.h"
#include "broker/identity/identity_service.h"
#include "broker/lease/end_operation.h"
#include "broker/lease/lease_service.h"
#include "broker/lease/lease_store.h"
#include "broker/lease/lockdown.h"
#include "broker/lease/retries.h"
#include "broker/mount/mount_table.h"
#include "broker/mount/token_mount.h"
#include "broker/openapi.h"
#include "broker/policy/password_policies.h"
#include "broker/policy/policy_store.h"
#include "broker/quota/quotas.h"
#include "broker/request_pipeline.h"
#include "broker/system/system_backend.h"
#include "broker/token/token_backend.h"
#include "broker/token/token_roles.h"
#include "broker/token/token_service.h"
#include "broker/token/token_store.h"
#include "broker/wrapping/wraps.h"
#include "store/namespace_keyrings.h"
#include "store/records.h"

namespace curfew::broker {

namespace {

// Counts what the data key has sealed, and makes a new one before random nonces could repeat.
Status keep_keys(store::Keyring& keyring, store::Database& database) {
  RETURN_IF_ERROR(keyring.record_usage(database));
  return keyring.is_rotation_due() ? keyring.rotate(database) : ok();
}

// The same for all other namespaces; one that is being deleted holds up none.
Status keep_namespace_keys(const store::NamespaceKeyrings& keyrings, store::Database& database) {
  ASSIGN_OR_RETURN(const auto names, keyrings.names());
  Status kept = ok();
  for (const std::string& name : names) {
    const auto keyring = keyrings.get(name);
    if (!keyring) continue;
    if (Status one = keep_keys(**keyring, database); !one && kept) kept = std::move(one);
  }
  return kept;
}

}  // namespace

// In the order in which they need each other; destroyed in the reverse order.
struct Broker::Parts {
  Parts(Dependencies given, BrokerOptions o)
      : options(std::move(o)),
        log(given.log),
        database(given.database),
        keyring(given.keyring),
        records(given.keyring, "root"),
        guard(given.clock, options.clock.jump_max, given.log),
        d{given.database,     given.keyring, given.seal,   given.registry,
          given.auth_methods, guard,         given.random, given.log},
        namespace_keyrings(d.database, d.keyring, d.random, d.clock, d.log),
        lifecycle(d.seal, d.database, d.keyring, d.clock, d.random, d.log),
        token_store(d.database, d.keyring),
        lease_store(d.database, d.keyring, d.log),
        tokens(token_store, d.clock, d.random),
        token_roles(d.database, records),
        token_mount(d.database, records, d.random),
        policies(d.database, records, d.clock, d.log),
        identities(d.database, records, d.keyring, d.clock, d.random, d.log),
        passwords(d.database, records, d.random),
        quotas(d.database, records, d.clock, d.log),
        audit(d.database, records, d.random, d.log),
        mounts({d.database, records, lease_store, passwords, d.registry, d.clock, d.random, d.log,
                [this] { reaper.wake(); },
                [this](const std::string& accessor) { caretaker.wake(accessor); }}),
        auth_mounts({d.database, records, d.keyring, d.auth_methods, d.clock, d.random, d.log,
                     [this] { reaper.wake(); },
                     [this](const std::string& accessor, const std::string& alias) {
                       return identities.retire_login(accessor, alias);
                     },
                     [this](const std::string& accessor) -> Status {
                       RETURN_IF_ERROR(lease_store.end_all({.token = lease_group_of(accessor)},
                                                           d.clock.wall()));
                       return ok();
                     }}),
        authorities(policies, identities),
        login_guard(d.database, records, d.clock, d.log),
        logins({auth_mounts, identities, tokens, policies, login_guard,
                [this] { return token_mount.ttl(); }}),
        clock_keeper(guard, d.database, records),
        caretaker(mounts, d.clock, d.log, options.caretaker),
        breakers(options.breakers, d.clock, d.random),
        lease_ends(lease_store, audit, meters, d.clock, d.log, options.lease_ends),
        revoker(lease_store, claims, breakers, lease_ends, meters, mounts, d.clock, d.random, d.log,
                options.revoker),
        batches(lease_store, claims, lease_ends, meters, mounts, d.clock, d.log, options.revoker),
        lockdowns(d.database, records, d.log),
        end_operations({d.database, records, lease_store, token_store, lockdowns, d.clock, d.random,
                        d.log, [this] { reaper.wake(); }, options.lease_ends.retention}),
        token_budgets(d.database, records),
        wraps(d.database, records, d.keyring, token_store, lease_store, lockdowns, identities,
              d.clock, d.random, d.log),
        leases(lease_store, claims, revoker, mounts, d.clock, d.random, d.log,
               [this] { reaper.wake(); }),
        retries(
            lease_store, leases, lockdowns, d.keyring, d.clock, d.log, [this] { reaper.wake(); },
            options.retry),
        reaper(
            lease_store, token_store, token_budgets, wraps, mounts, revoker, batches, breakers,
            lease_ends, d.clock, d.log, options.reaper, [this] { leases.attempt_finished(); },
            [this] { return keep_house(); }),
        reconciler({d.database, d.keyring, lease_store, claims, leases, mounts, d.clock, d.log},
                   options.reconciler, [this] { reaper.wake(); }),
        token_backend(
            tokens, token_roles, policies, logins, {identities, token_mount},
            [this] { return token_mount.ttl(); }, [this] { reaper.wake(); }),
        identity_backend(
            identities,
            {"root", [this](const std::string& accessor) { return identity_mount(accessor); }}),
        system({lifecycle,
                d.database,
                d.keyring,
                tokens,
                policies,
                passwords,
                mounts,
                token_mount,
                auth_mounts,
                authorities,
                login_guard,
                lease_store,
                leases,
                quotas,
                lockdowns,
                end_operations,
                wraps,
                audit,
                caretaker,
                reconciler,
                guard,
                breakers,
                meters,
                d.clock,
                d.random,
                d.log,
                [this] { return describe(); },
                [this] { reaper.wake(); },
                options.version,
                options.edge_metrics,
                options.open_metrics}),
        pipeline({lifecycle,     tokens,           policies, mounts,  auth_mounts,
                  authorities,   logins,           leases,   retries, quotas,
                  lockdowns,     token_budgets,    wraps,    audit,   system,
                  token_backend, identity_backend, d.clock,  d.log,   [this] { reaper.wake(); }}) {
    lifecycle.set_hooks(
        {[this] { return bring_up(); }, [this] { stop_work(); }, [this] { take_down(); }});
  }

  Status keep_house() {
    RETURN_IF_ERROR(clock_keeper.remember());
    auth_mounts.tidy();
    RETURN_IF_ERROR(keep_keys(keyring, database));
    return keep_namespace_keys(namespace_keyrings, database);
  }

  Status bring_up() {
    RETURN_IF_ERROR(namespace_keyrings.unlock_all());
    RETURN_IF_ERROR(clock_keeper.resume());
    RETURN_IF_ERROR(audit.load());
    RETURN_IF_ERROR(token_mount.load());
    RETURN_IF_ERROR(auth_mounts.load());
    RETURN_IF_ERROR(login_guard.load());
    RETURN_IF_ERROR(mounts.load());
    RETURN_IF_ERROR(quotas.load());
    lockdowns.load();
    if (options.start_threads) {
      reaper.start();
      end_operations.start();
      caretaker.start();
      reconciler.start();
    }
    return ok();
  }

  void stop_work() {
    reaper.request_stop();
    end_operations.request_stop();
    caretaker.request_stop();
    reconciler.request_stop();
    Status counted = keyring.record_usage(database);
    if (counted) counted = keep_namespace_keys(namespace_keyrings, database);
    if (!counted) log.warn("key usage not recorded", {{"error", counted.error().message}});
    const Status remembered = clock_keeper.remember();
    if (!remembered) log.warn("time not recorded", {{"error", remembered.error().message}});
    namespace_keyrings.lock_all();
  }

  void take_down() {
    end_operations.stop();
    reaper.stop();
    caretaker.stop();
    reconciler.stop();
    mounts.unload();
    auth_mounts.unload();
    login_guard.unload();
    lockdowns.unload();
    policies.forget();
    identities.forget();
    quotas.unload();
    retries.forget();
    audit.unload();
  }

  // The mounts by whose accessors logins are known.
  std::optional<IdentityMount> identity_mount(const std::string& accessor) const {
    const MountEntry tokens_entry = token_mount.entry();
    if (accessor == tokens_entry.accessor) return IdentityMount{"token", "auth/token/"};
    const auto mount = auth_mounts.by_accessor(accessor);
    if (!mount) return std::nullopt;
    return IdentityMount{mount->entry.type, mount->full_path()};
  }

  Json describe() const {
    return describe_api(system, token_backend, identity_backend, auth_mounts, mounts,
                        options.version);
  }

  const BrokerOptions options;
  Log& log;
  store::Database& database;
  store::Keyring& keyring;
  store::Records records;
  ClockGuard guard;
  const Dependencies d;  // as given, with the guard for a clock
  store::NamespaceKeyrings namespace_keyrings;
  Lifecycle lifecycle;
  TokenStore token_store;
  LeaseStore lease_store;
  TokenService tokens;
  TokenRoles token_roles;
  TokenMount token_mount;
  PolicyStore policies;
  IdentityService identities;
  PasswordPolicies passwords;
  Quotas quotas;
  AuditBroker audit;
  MountTable mounts;
  AuthMounts auth_mounts;
  Authorities authorities;
  LoginGuard login_guard;
  LoginService logins;
  ClockKeeper clock_keeper;
  Caretaker caretaker;
  LeaseClaims claims;
  TargetBreakers breakers;
  LeaseMeters meters;
  LeaseEnds lease_ends;
  Revoker revoker;
  BatchRevoker batches;
  Lockdowns lockdowns;
  EndOperations end_operations;
  TokenBudgets token_budgets;
  Wraps wraps;
  LeaseService leases;
  Retries retries;
  Reaper reaper;
  Reconciler reconciler;
  TokenBackend token_backend;
  IdentityBackend identity_backend;
  SystemBackend system;
  RequestPipeline pipeline;
};

Broker::Broker(Dependencies dependencies, BrokerOptions options)
    : parts_(std::make_unique<Parts>(dependencies, std::move(options))) {}

Broker::~Broker() {
  parts_->lifecycle.seal();
}

Result<Response> Broker::handle(Request request) {
  return parts_->pipeline.handle(std::move(request));
}

void Broker::undelivered(const Response& response) {
  parts_->pipeline.undelivered(response);
}

Json Broker::describe() {
  return parts_->describe();
}

Lifecycle& Broker::lifecycle() {
  return parts_->lifecycle;
}

void Broker::reopen_audit() {
  parts_->audit.reopen();
}

Status Broker::run_due() {
  RETURN_IF_ERROR(parts_->end_operations.run());
  RETURN_IF_ERROR(parts_->reaper.run_due());
  parts_->auth_mounts.tidy();
  return parts_->caretaker.run_due();
}

}  // namespace curfew::broker

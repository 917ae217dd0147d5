#include "broker/tenant/tenant.h"

#include <fmt/format.h>

#include <atomic>

#include "broker/approval/approval_events.h"
#include "broker/approval/approval_service.h"
#include "broker/approval/approval_store.h"
#include "broker/approval/approval_view.h"
#include "broker/audit/audit_broker.h"
#include "broker/auth/auth_mounts.h"
#include "broker/auth/login_service.h"
#include "broker/identity/authority.h"
#include "broker/identity/identity_backend.h"
#include "broker/identity/identity_service.h"
#include "broker/lease/lease_service.h"
#include "broker/lease/lease_store.h"
#include "broker/lease/lockdown.h"
#include "broker/lease/reaper.h"
#include "broker/lease/retries.h"
#include "broker/mount/caretaker.h"
#include "broker/mount/mount_table.h"
#include "broker/mount/token_mount.h"
#include "broker/notify/notifier.h"
#include "broker/openapi.h"
#include "broker/policy/password_policies.h"
#include "broker/policy/policy_store.h"
#include "broker/quota/quotas.h"
#include "broker/reconcile/reconciler.h"
#include "broker/request_pipeline.h"
#include "broker/system/system_backend.h"
#include "broker/tenant/home.h"
#include "broker/tenant/namespace_log.h"
#include "broker/tenant/tenants.h"
#include "broker/token/token_backend.h"
#include "broker/token/token_roles.h"
#include "broker/token/token_service.h"
#include "broker/token/token_store.h"
#include "broker/wrapping/wraps.h"
#include "store/records.h"

namespace curfew::broker {
namespace {

constexpr std::string_view kBelow = "sys/namespaces";  // records: the namespaces below
constexpr std::size_t kPage = 200;

// The first namespace has most of the work and the threads for it; the others are many. One thread
// stays for the others of what `share_max` bounds.
void narrow(std::size_t& threads, std::size_t& share_max, std::size_t threads_max) {
  threads = std::min(threads, threads_max);
  share_max = std::max<std::size_t>(1, std::min(share_max, threads - 1));
}

ReaperOptions reaper_options(const BrokerOptions& options, bool first) {
  ReaperOptions out = options.reaper;
  if (!first) narrow(out.threads, out.per_group_max, options.namespace_threads);
  return out;
}

CaretakerOptions caretaker_options(const BrokerOptions& options, bool first) {
  CaretakerOptions out = options.caretaker;
  if (!first) narrow(out.threads, out.per_mount_max, options.namespace_threads);
  return out;
}

// A file for each namespace: nobody reads another one's leases there.
LeaseEndOptions lease_end_options(const BrokerOptions& options, const NamespaceEntry& entry) {
  LeaseEndOptions out = options.lease_ends;
  if (!entry.is_first() && !out.archive_file.empty()) out.archive_file += "." + entry.id;
  return out;
}

}  // namespace

// In the order in which they need each other; destroyed in the reverse order.
struct Tenant::Parts {
  Parts(const Shared& given, const NamespaceEntry& own, std::shared_ptr<store::Keyring> keys,
        Tenant* over, Tenants& tree)
      : shared(given),
        options(given.options),
        entry(own),
        keyring_holder(std::move(keys)),
        keyring(*keyring_holder),
        above(over != nullptr ? over->parts_.get() : nullptr),
        tenants(tree),
        log(given.log, own.path),
        database(given.database),
        clock(given.guard),
        random(given.random),
        records(keyring),
        token_store(database, keyring),
        lease_store(database, keyring, log),
        tokens(token_store, clock, random, above ? &above->tokens : nullptr),
        token_roles(database, records),
        token_mount(database, records, random),
        policies(database, records, clock, log),
        identities(database, records, keyring, clock, random, log),
        passwords(database, records, random),
        quotas(database, records, clock, log, around_quotas()),
        audit(database, records, random, log, {own.id, own.path}, above ? &above->audit : nullptr),
        mounts({database, records, lease_store, passwords, given.engines, clock, random, log,
                [this] { reaper.wake(); },
                [this](const std::string& accessor) { caretaker.wake(accessor); },
                [this](const std::string& path) {
                  return !tenants.leading(entry.path, path).empty();
                }}),
        auth_mounts(
            {database, records, keyring, given.auth_methods, clock, random, log,
             [this] { reaper.wake(); },
             [this](const std::string& accessor, const std::string& alias) {
               return identities.retire_login(accessor, alias);
             },
             [this](const std::string& accessor) { return end_leases_of_method(accessor); }}),
        authorities(policies, identities),
        login_guard(database, records, clock, log),
        logins({auth_mounts, identities, tokens, policies, login_guard,
                [this] { return token_mount.ttl(); }}),
        homes(homes_of()),
        caretaker(mounts, clock, log, caretaker_options(options, own.is_first())),
        breakers(options.breakers, clock, random),
        lease_ends(lease_store, audit, meters, clock, log, lease_end_options(options, own)),
        revoker(lease_store, claims, breakers, lease_ends, meters, mounts, clock, random, log,
                options.revoker),
        batches(lease_store, claims, lease_ends, meters, mounts, clock, log, options.revoker),
        lockdowns(database, records, log, above ? &above->lockdowns : nullptr),
        end_operations({database, records, lease_store, token_store, lockdowns, clock, random, log,
                        [this] { reaper.wake(); }, options.lease_ends.retention,
                        [this] { return incidents_below(); }}),
        token_budgets(database, records),
        approval_store(database, keyring, log),
        approvals({database, records, keyring, approval_store, *approval_events, identities,
                   token_store, clock, random, log,
                   [this](store::Writer& writer, std::string_view event, const Approval& approval) {
                     return tell(writer, event, approval);
                   },
                   [this](store::Writer& writer, const std::vector<std::string>& ids) -> Status {
                     RETURN_IF_ERROR(lease_store.end_all(writer, ids, clock.wall()));
                     return ok();
                   },
                   [this] { reaper.wake(); }},
                  options.approvals),
        wraps(
            database, records, keyring, token_store, lease_store, lockdowns,
            [this](const std::string& id) { return standing_of(id); }, clock, random, log),
        notifier(database, records, clock, random, log, [this] { tenants.postman().wake(); }),
        leases(lease_store, claims, revoker, mounts, clock, random, log, [this] { reaper.wake(); }),
        retries(
            lease_store, leases, lockdowns, keyring, clock, log, [this] { reaper.wake(); },
            options.retry),
        reaper(
            lease_store, token_store, token_budgets, wraps, mounts, revoker, batches, breakers,
            lease_ends, clock, log, reaper_options(options, own.is_first()),
            [this] { leases.attempt_finished(); }, [this] { return keep_house(); },
            [this](const std::string& token, WallTime now) { return end_below(token, now); },
            [this] { return approvals.run_due(); }),
        reconciler({database, keyring, lease_store, claims, leases, mounts, clock, log},
                   options.reconciler, [this] { reaper.wake(); }),
        token_backend(
            tokens, token_roles, policies, logins, {identities, token_mount},
            [this] { return token_mount.ttl(); }, [this] { reaper.wake(); }),
        identity_backend(
            identities,
            {own.id, [this](const std::string& accessor) { return identity_mount(accessor); }}),
        system({given.lifecycle,
                database,
                keyring,
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
                approvals,
                wraps,
                notifier,
                audit,
                caretaker,
                reconciler,
                given.guard,
                breakers,
                meters,
                tenants,
                entry,
                clock,
                random,
                log,
                [this](const BackendCall& call, Request asked, ApprovalWishes wishes) {
                  return pipeline.ask(call, std::move(asked), std::move(wishes));
                },
                [this](const BackendCall& call, const Approval& approval, bool opens_wrap) {
                  return pipeline.claim(call, approval, opens_wrap);
                },
                [this] { return describe(); },
                [this] { reaper.wake(); },
                options.version,
                own.is_first() ? options.edge_metrics : std::function<std::vector<Metric>()>(),
                own.is_first() && options.open_metrics}),
        pipeline({given.lifecycle,
                  homes,
                  entry,
                  closed,
                  mounts,
                  auth_mounts,
                  logins,
                  tokens,
                  leases,
                  retries,
                  quotas,
                  lockdowns,
                  lease_store,
                  approvals,
                  wraps,
                  audit,
                  system,
                  token_backend,
                  identity_backend,
                  clock,
                  log,
                  [this] { reaper.wake(); }}) {}

  // ---- what crosses the border ------------------------------------------------------------------

  QuotaNamespaces around_quotas() {
    return {.above = above != nullptr ? &above->quotas : nullptr,
            .name = entry.is_first() ? std::string() : entry.name() + '/',
            .ids = [this](const std::string& path) { return tenants.ids_at(entry.path + path); }};
  }

  // This namespace and those above it: whose tokens may act here.
  std::vector<Home> homes_of() {
    std::vector<Home> out;
    for (Parts* parts = this; parts != nullptr; parts = parts->above)
      out.push_back({.id = parts->entry.id,
                     .below = entry.path.substr(parts->entry.path.size()),
                     .tokens = parts->tokens,
                     .budgets = parts->token_budgets,
                     .auth_mounts = parts->auth_mounts,
                     .authorities = parts->authorities,
                     .token_ended = [parts] { parts->reaper.wake(); }});
    return out;
  }

  // A token of this namespace that has ended may hold leases in those below.
  Status end_below(const std::string& token, WallTime now) {
    ASSIGN_OR_RETURN(const auto holders, lease_store.namespaces_of(token));
    for (const std::string& id : holders) {
      if (id == entry.id) continue;
      const auto tenant = tenants.by_id(id);
      if (tenant != nullptr) RETURN_IF_ERROR(tenant->end_leases_of(token, now));
    }
    return ok();
  }

  // Of what tokens without a row have asked for.
  Status end_leases_of_method(const std::string& accessor) {
    const std::string group = lease_group_of(accessor);
    RETURN_IF_ERROR(lease_store.end_all({.token = group}, clock.wall()));
    return end_below(group, clock.wall());
  }

  // Of an entity of this namespace or of one above, whose callers may act here.
  Result<std::shared_ptr<const Standing>> standing_of(const std::string& entity) const {
    for (const Parts* parts = this; parts != nullptr; parts = parts->above) {
      ASSIGN_OR_RETURN(auto standing, parts->identities.standing(entity));
      if (standing != nullptr) return standing;
    }
    return std::shared_ptr<const Standing>();
  }

  std::vector<EndOperations::Below> incidents_below() {
    std::vector<EndOperations::Below> out;
    for (const auto& tenant : tenants.below(entry.path))
      out.push_back(tenant->for_incidents(tenant, entry.path.size()));
    return out;
  }

  // In the transaction that changes the request, where identities cannot be asked who counts.
  Status tell(store::Writer& writer, std::string_view event, const Approval& approval) {
    return notifier.enqueue(writer, {.event = "approval." + std::string(event),
                                     .approval_id = approval.id,
                                     .view = to_summary(approval, {}),
                                     .targets = approval.notify,
                                     .at = clock.wall()});
  }

  // ---- life -------------------------------------------------------------------------------------

  Status keep_house() {
    auth_mounts.tidy();
    RETURN_IF_ERROR(approvals.tidy());
    RETURN_IF_ERROR(keyring.record_usage(database));
    RETURN_IF_ERROR(keyring.is_rotation_due() ? keyring.rotate(database) : ok());
    return entry.is_first() ? shared.housekeeping() : ok();
  }

  Status bring_up() {
    RETURN_IF_ERROR(audit.load());
    RETURN_IF_ERROR(token_mount.load());
    RETURN_IF_ERROR(auth_mounts.load());
    RETURN_IF_ERROR(login_guard.load());
    RETURN_IF_ERROR(mounts.load());
    RETURN_IF_ERROR(quotas.load());
    lockdowns.load();
    RETURN_IF_ERROR(notifier.load());
    if (options.start_threads) {
      reaper.start();
      end_operations.start();
      caretaker.start();
      reconciler.start();
      tenants.postman().join(notifier);
    }
    return ok();
  }

  Status unmount_all() {
    for (const MountEntry& mount : mounts.list())
      if (mount.state == MountState::kActive) RETURN_IF_ERROR(mounts.begin_unmount(mount.path));
    return ok();
  }

  void stop_work() {
    reaper.request_stop();
    end_operations.request_stop();
    caretaker.request_stop();
    reconciler.request_stop();
    notifier.request_stop();
    const Status counted = keyring.record_usage(database);
    if (!counted) log.warn("key usage not recorded", {{"error", counted.error().message}});
  }

  void take_down() {
    end_operations.stop();
    reaper.stop();
    caretaker.stop();
    reconciler.stop();
    notifier.request_stop();
    tenants.postman().leave(notifier);
    notifier.unload();
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

  Json describe() const {
    return describe_api(system, token_backend, identity_backend, auth_mounts, mounts,
                        options.version);
  }

  // The mounts by whose accessors logins are known.
  std::optional<IdentityMount> identity_mount(const std::string& accessor) const {
    const MountEntry tokens_entry = token_mount.entry();
    if (accessor == tokens_entry.accessor) return IdentityMount{"token", "auth/token/"};
    const auto mount = auth_mounts.by_accessor(accessor);
    if (!mount) return std::nullopt;
    return IdentityMount{mount->entry.type, mount->full_path()};
  }

  const Shared shared;
  const BrokerOptions& options;
  const NamespaceEntry entry;
  const std::shared_ptr<store::Keyring> keyring_holder;
  store::Keyring& keyring;
  Parts* const above;
  Tenants& tenants;
  NamespaceLog log;
  store::Database& database;
  const Clock& clock;
  Random& random;
  std::atomic<bool> closed{false};        // it is being deleted
  std::atomic<std::int64_t> requests{0};  // under way
  std::atomic<bool> shut{false};          // none is let in any more
  store::Records records;
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
  Homes homes;
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
  ApprovalStore approval_store;
  // Shared: whoever is about to listen may do so a moment longer than this lives.
  const std::shared_ptr<ApprovalEvents> approval_events = std::make_shared<ApprovalEvents>();
  ApprovalService approvals;
  Wraps wraps;
  Notifier notifier;
  LeaseService leases;
  Retries retries;
  Reaper reaper;
  Reconciler reconciler;
  TokenBackend token_backend;
  IdentityBackend identity_backend;
  SystemBackend system;
  RequestPipeline pipeline;
};

Tenant::Tenant(const Shared& shared, const NamespaceEntry& entry,
               std::shared_ptr<store::Keyring> keyring, Tenant* above, Tenants& tenants)
    : parts_(std::make_unique<Parts>(shared, entry, std::move(keyring), above, tenants)) {}

Tenant::~Tenant() = default;

const std::string& Tenant::id() const {
  return parts_->entry.id;
}

const std::string& Tenant::path() const {
  return parts_->entry.path;
}

Status Tenant::bring_up() {
  return parts_->bring_up();
}

void Tenant::stop_work() {
  parts_->stop_work();
}

void Tenant::take_down() {
  parts_->take_down();
}

// ---- requests ---------------------------------------------------------------------------------

namespace {

// Counts a request while it is under way.
class Passage {
 public:
  explicit Passage(std::atomic<std::int64_t>& count) : count_(count) { ++count_; }
  ~Passage() { --count_; }
  Passage(const Passage&) = delete;
  Passage& operator=(const Passage&) = delete;

 private:
  std::atomic<std::int64_t>& count_;
};

}  // namespace

Result<Response> Tenant::handle(Request request) {
  const Passage passage(parts_->requests);
  if (parts_->shut) return Error{Errc::kPermissionDenied, "permission denied"};
  auto outcome = parts_->pipeline.handle(std::move(request));
  if (outcome) outcome->name_space = parts_->entry.id;
  return outcome;
}

void Tenant::undelivered(const Response& response) {
  const Passage passage(parts_->requests);
  if (!parts_->shut) parts_->pipeline.undelivered(response);
}

Json Tenant::describe() const {
  return parts_->describe();
}

Result<std::vector<Metric>> Tenant::metrics(WallTime now) const {
  return parts_->system.metrics(now);
}

void Tenant::reopen_audit() {
  parts_->audit.reopen();
}

Status Tenant::run_due() {
  RETURN_IF_ERROR(parts_->end_operations.run());
  RETURN_IF_ERROR(parts_->reaper.run_due());
  parts_->auth_mounts.tidy();
  parts_->notifier.run_due();
  return parts_->caretaker.run_due();
}

Status Tenant::keep_house() {
  return parts_->keep_house();
}

// ---- above and below --------------------------------------------------------------------------

Status Tenant::check_free(const std::string& name) const {
  const std::string path = name + '/';
  for (const MountEntry& mount : parts_->mounts.list())
    if (mount.path.starts_with(path))
      return Error{Errc::kInvalidArgument,
                   fmt::format("new namespace conflicts with existing mount: {}", mount.path)};
  return ok();
}

Status Tenant::store_below(store::Writer& writer, const NamespaceEntry& entry) const {
  return parts_->records.put(writer, kBelow, entry.name(), to_stored(entry));
}

Status Tenant::forget_below(store::Writer& writer, const std::string& name) const {
  RETURN_IF_ERROR(parts_->records.remove(writer, kBelow, name));
  return ok();
}

Result<std::vector<NamespaceEntry>> Tenant::stored_below() const {
  std::vector<NamespaceEntry> out;
  RETURN_IF_ERROR(parts_->database.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto names, parts_->records.names(reader, kBelow));
    for (const std::string& name : names) {
      const auto stored = parts_->records.get(reader, kBelow, name);
      if (!stored && stored.error().code == Errc::kCorrupt) {
        parts_->log.error("namespace left out",
                          {{"name", name}, {"error", stored.error().message}});
      } else if (!stored) {
        return stored.error();
      } else if (*stored) {
        out.push_back(namespace_entry_from_stored(**stored));
      }
    }
    return ok();
  }));
  return out;
}

EndOperations::Below Tenant::for_incidents(std::shared_ptr<Tenant> self,
                                           std::size_t path_from) const {
  EndOperations& operations = parts_->end_operations;
  MountTable& mounts = parts_->mounts;
  return {.operations = std::shared_ptr<EndOperations>(std::move(self), &operations),
          .path = parts_->entry.path.substr(path_from),
          .mount_path = [&mounts](const std::string& accessor) {
            const auto mount = mounts.by_accessor(accessor);
            return mount ? mount->entry.path : accessor;
          }};
}

Status Tenant::end_leases_of(const std::string& token_id, WallTime now) {
  for (const LeaseState state : {LeaseState::kPending, LeaseState::kActive})
    RETURN_IF_ERROR(parts_->lease_store.end_all({.token = token_id, .state = state}, now));
  parts_->reaper.wake();
  return ok();
}

// ---- the end ----------------------------------------------------------------------------------

bool Tenant::is_closed() const {
  return parts_->closed;
}

Status Tenant::close() {
  parts_->closed = true;
  RETURN_IF_ERROR(parts_->token_store.end_everything(parts_->clock.wall()));
  RETURN_IF_ERROR(parts_->unmount_all());
  parts_->reaper.wake();
  return ok();
}

Result<std::int64_t> Tenant::live_leases() const {
  return parts_->lease_store.count({});
}

Status Tenant::wait_until_clear() {
  if (!parts_->options.start_threads) return check_clear();
  RETURN_IF_ERROR(parts_->leases.wait_ended({}));
  return check_clear();
}

Status Tenant::check_clear() {
  RETURN_IF_ERROR(parts_->unmount_all());  // one may have been mounted from above meanwhile
  RETURN_IF_ERROR(parts_->mounts.finish_unmounts());
  ASSIGN_OR_RETURN(const std::int64_t live, live_leases());
  if (live > 0 || !parts_->mounts.list().empty())
    return Error{Errc::kConflict, fmt::format("{} of its leases are not ended yet", live)};
  // What is known of the ended ones goes where it would have gone after its retention.
  bool unaudited = false;
  for (const LeaseState state : {LeaseState::kRevoked, LeaseState::kAbandoned}) {
    std::string after;
    for (;;) {
      ASSIGN_OR_RETURN(const auto page, parts_->lease_store.find({.state = state}, after, kPage));
      if (page.empty()) break;
      after = page.back().id;
      std::vector<std::string> ids;
      for (const Lease& lease : page) {
        ids.push_back(lease.id);
        unaudited = unaudited || lease.audit_pending;
      }
      RETURN_IF_ERROR(parts_->lease_ends.retire(ids));
    }
  }
  if (!unaudited) return ok();
  return Error{Errc::kConflict,
               "the receipts of some of its leases are not in the audit log yet; a device does not "
               "take them"};
}

bool Tenant::shut() {
  parts_->shut = true;
  return parts_->requests == 0;
}

Status Tenant::erase(store::Writer& writer) const {
  ASSIGN_OR_RETURN(const auto live, writer.query_one("SELECT 1 FROM leases WHERE state < 4 AND "
                                                     "namespace = $1 LIMIT 1",
                                                     {parts_->entry.id}));
  if (live) return Error{Errc::kConflict, "a lease of the namespace is alive"};
  for (const char* statement :
       {"DELETE FROM leases WHERE namespace = $1", "DELETE FROM tokens WHERE namespace = $1",
        "DELETE FROM approvals WHERE namespace = $1", "DELETE FROM records WHERE namespace = $1"})
    RETURN_IF_ERROR(writer.execute(statement, {parts_->entry.id}));
  return ok();
}

}  // namespace curfew::broker

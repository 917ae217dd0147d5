#include "broker/broker.h"

#include "broker/request_pipeline.h"
#include "broker/tenant/tenants.h"
#include "broker/token/token_text.h"
#include "store/namespace_keyrings.h"
#include "store/records.h"

namespace curfew::broker {
namespace {

// A keyring that somebody else holds.
std::shared_ptr<store::Keyring> borrowed(store::Keyring& keyring) {
  return {&keyring, [](store::Keyring*) {}};
}

// Who was given a wrapping token need not know the namespace that it is from.
bool opens_own_wrap(const Request& request, std::string_view path) {
  if (path.ends_with('/')) path.remove_suffix(1);
  if (path != "sys/wrapping/unwrap" && path != "sys/wrapping/rewrap" &&
      path != "sys/wrapping/lookup")
    return false;
  return is_about_own_token(request);
}

}  // namespace

// In the order in which they need each other; destroyed in the reverse order.
struct Broker::Parts {
  Parts(Dependencies given, BrokerOptions o)
      : options(std::move(o)),
        log(given.log),
        database(given.database),
        records(given.keyring),
        guard(given.clock, options.clock.jump_max, given.log),
        clock_keeper(guard, given.database, records),
        keyrings(given.database, given.keyring, given.random, guard, given.log),
        lifecycle(given.seal, given.database, given.keyring, guard, given.random, given.log),
        tenants({given.database, given.registry, given.auth_methods, lifecycle, guard, given.random,
                 given.log, options, [this] { return clock_keeper.remember(); }},
                keyrings, borrowed(given.keyring)) {
    lifecycle.set_hooks(
        {[this] { return bring_up(); }, [this] { stop_work(); }, [this] { tenants.take_down(); }});
  }

  Status bring_up() {
    RETURN_IF_ERROR(keyrings.unlock_all());
    RETURN_IF_ERROR(clock_keeper.resume());
    return tenants.bring_up();
  }

  void stop_work() {
    tenants.stop_work();
    const Status remembered = clock_keeper.remember();
    if (!remembered) log.warn("time not recorded", {{"error", remembered.error().message}});
    keyrings.lock_all();
  }

  const BrokerOptions options;
  Log& log;
  store::Database& database;
  store::Records records;  // of the first namespace
  ClockGuard guard;
  ClockKeeper clock_keeper;
  store::NamespaceKeyrings keyrings;
  Lifecycle lifecycle;
  Tenants tenants;
};

Broker::Broker(Dependencies dependencies, BrokerOptions options)
    : parts_(std::make_unique<Parts>(dependencies, std::move(options))) {}

Broker::~Broker() {
  parts_->lifecycle.seal();
}

Result<Response> Broker::handle(Request request) {
  // Sealed, there is but one namespace, which says so.
  if (!parts_->lifecycle.is_serving()) return parts_->tenants.first().handle(std::move(request));
  auto routed = parts_->tenants.route(request.name_space, request.path);
  if (opens_own_wrap(request, routed.found ? routed.path : request.path)) {
    if (routed.found) request.path = std::move(routed.path);
    auto owner = parts_->tenants.by_id(std::string(namespace_in(request.token)));
    if (owner == nullptr) owner = parts_->tenants.by_id("");
    return owner->handle(std::move(request));
  }
  request.path = std::move(routed.path);
  request.lost = !routed.found;
  return routed.tenant->handle(std::move(request));
}

void Broker::undelivered(const Response& response) {
  const auto tenant = parts_->tenants.by_id(response.name_space);
  if (tenant != nullptr) tenant->undelivered(response);
}

Json Broker::describe() {
  return parts_->tenants.first().describe();
}

Lifecycle& Broker::lifecycle() {
  return parts_->lifecycle;
}

void Broker::reopen_audit() {
  for (const auto& tenant : parts_->tenants.all()) tenant->reopen_audit();
}

Status Broker::run_due() {
  for (const auto& tenant : parts_->tenants.all()) RETURN_IF_ERROR(tenant->run_due());
  parts_->tenants.finish_removals();
  return ok();
}

}  // namespace curfew::broker

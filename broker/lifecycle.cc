#include "broker/lifecycle.h"

#include "broker/token/token_service.h"

namespace curfew::broker {

Lifecycle::Lifecycle(store::Seal& seal, store::Database& database, const store::Barrier& barrier,
                     const Clock& clock, Random& random, Log& log)
    : seal_(seal),
      clock_(clock),
      random_(random),
      log_(log),
      rekey_(seal, random, log),
      root_generation_(seal, database, barrier, clock, random, log) {}

void Lifecycle::set_hooks(Hooks hooks) {
  hooks_ = std::move(hooks);
}

Status Lifecycle::bring_up() {
  if (serving_) return ok();
  const Status up = hooks_.unsealed();
  if (!up) {
    log_.error("cannot serve after unsealing; sealed again", {{"error", up.error().message}});
    hooks_.sealing();
    seal_.seal();
    hooks_.sealed();
    return up.error();
  }
  serving_ = true;
  return ok();
}

Result<Initialized> Lifecycle::initialize(int shares, int threshold, const Secret& root_token) {
  const std::scoped_lock lock(mutex_);
  Initialized out;
  ASSIGN_OR_RETURN(
      out.shares, seal_.initialize(
                      shares, threshold, [&](store::Writer& writer, const store::Barrier& barrier) {
                        return insert_root_token(writer, barrier, root_token, clock_.wall(),
                                                 random_, out.root_token);
                      }));
  // From here on nobody else has the shares and the token: they are given whatever goes wrong.
  const auto now = seal_.status();
  out.recovery = now && now->recovery;
  const Status up = !now ? Status(now.error()) : now->sealed ? ok() : bring_up();
  if (!up) log_.error("initialized, but not serving", {{"error", up.error().message}});
  return out;
}

Result<store::SealStatus> Lifecycle::unseal(const Secret& share, bool migrate) {
  const std::scoped_lock lock(mutex_);
  ASSIGN_OR_RETURN(const auto status, seal_.unseal(share, migrate));
  if (!status.sealed) RETURN_IF_ERROR(bring_up());
  return status;
}

void Lifecycle::reset_unseal() {
  seal_.reset();
}

Status Lifecycle::start() {
  const std::scoped_lock lock(mutex_);
  ASSIGN_OR_RETURN(const bool unsealed, seal_.auto_unseal());
  return unsealed ? bring_up() : ok();
}

void Lifecycle::seal() {
  const std::scoped_lock lock(mutex_);
  if (!serving_.exchange(false)) return;
  rekey_.cancel();
  root_generation_.cancel();
  hooks_.sealing();
  seal_.seal();
  hooks_.sealed();
}

Result<std::vector<Secret>> Lifecycle::make_recovery_keys(const store::ShareNumbers& numbers) {
  return seal_.make_recovery_keys(numbers);
}

Result<store::SealStatus> Lifecycle::status() const {
  return seal_.status();
}

}  // namespace curfew::broker

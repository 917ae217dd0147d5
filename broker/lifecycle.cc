#include "broker/lifecycle.h"

#include <chrono>

#include "broker/token/token_service.h"

namespace curfew::broker {
namespace {

constexpr std::chrono::seconds kTurnWait{2};

}  // namespace

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

// An HSM that hangs must not take the threads of the API with it, one request after another.
Result<std::unique_lock<TimedLock>> Lifecycle::turn() {
  std::unique_lock lock(mutex_, kTurnWait);
  if (lock) return lock;
  return Error{Errc::kUnavailable,
               "the seal is busy: what holds its key (an HSM) has not answered yet. Check that it "
               "works, and try again"};
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
  ASSIGN_OR_RETURN(const auto lock, turn());
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
  ASSIGN_OR_RETURN(const auto lock, turn());
  ASSIGN_OR_RETURN(const auto status, seal_.unseal(share, migrate));
  if (!status.sealed) RETURN_IF_ERROR(bring_up());
  return status;
}

Status Lifecycle::reset_unseal() {
  ASSIGN_OR_RETURN(const auto lock, turn());
  seal_.reset();
  return ok();
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

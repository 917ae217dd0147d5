#include "store/rekey.h"

#include <utility>

namespace curfew::store {
namespace {

Error no_attempt() {
  return {Errc::kInvalidArgument, "no rekey is in progress; begin one first"};
}

Error no_verification() {
  return {Errc::kInvalidArgument, "no verification of new key shares is in progress"};
}

Error other_nonce() {
  return {
      Errc::kInvalidArgument,
      "the nonce is not that of the attempt in progress: ask for its status, and make sure that "
      "it is the one that you mean to give your share to"};
}

}  // namespace

Rekey::Rekey(Seal& seal, Random& random, Log& log) : seal_(seal), random_(random), log_(log) {}

Result<Rekey::Progress> Rekey::progress() const {
  Progress out;
  const auto holders = seal_.holders();
  if (!holders && holders.error().code != Errc::kPreconditionFailed) return holders.error();
  out.required = holders ? holders->threshold : 0;
  const std::scoped_lock lock(mutex_);
  out.started = present_.is_under_way();
  out.nonce = present_.nonce();
  out.progress = present_.progress();
  out.wanted = wanted_;
  out.verifies = verifies_;
  out.verification_nonce = verification_.nonce();
  out.verified = verification_.progress();
  return out;
}

Result<Rekey::Progress> Rekey::begin(const ShareNumbers& wanted, bool verifies) {
  RETURN_IF_ERROR(check_share_numbers(wanted));
  RETURN_IF_ERROR(seal_.holders());
  {
    const std::scoped_lock lock(mutex_);
    if (present_.is_under_way())
      return Error{Errc::kInvalidArgument, "rekey already in progress; cancel it first"};
    present_.begin(random_);
    wanted_ = wanted;
    verifies_ = verifies;
  }
  log_.warn("rekey begun");
  return progress();
}

void Rekey::end() {
  present_.end();
  verification_.end();
  made_.reset();
  wanted_ = {};
  verifies_ = false;
}

void Rekey::cancel() {
  const std::scoped_lock lock(mutex_);
  if (present_.is_under_way()) log_.warn("rekey cancelled");
  end();
}

Result<Rekey::Given> Rekey::give(const std::string& nonce, const Secret& share) {
  ASSIGN_OR_RETURN(const ShareNumbers holders, seal_.holders());
  const std::scoped_lock lock(mutex_);
  if (!present_.is_under_way()) return no_attempt();
  if (nonce != present_.nonce()) return other_nonce();
  if (made_)
    return Error{Errc::kInvalidArgument,
                 "the new key shares are made; they wait to be verified, or cancel the rekey"};
  ASSIGN_OR_RETURN(const auto key, present_.add(share, holders.threshold));
  if (!key) return Given{};
  Given given;
  ASSIGN_OR_RETURN(given.shares, finish(*key, given.doubt));
  given.verification_nonce = verification_.nonce();
  return given;
}

Result<std::vector<Secret>> Rekey::finish(const Secret& key, std::string& doubt) {
  ASSIGN_OR_RETURN(Seal::NewShares made, seal_.make_shares(key, wanted_));
  std::vector<Secret> shares = std::move(made.shares);
  if (verifies_) {
    made.shares.clear();
    made_ = std::move(made);
    verification_.begin(random_);
    return shares;
  }
  const Status replaced = seal_.replace_shares(made.before, made.after);
  end();
  if (replaced) return shares;
  const Errc code = replaced.error().code;
  if (code == Errc::kConflict || code == Errc::kOverloaded || code == Errc::kSealed ||
      code == Errc::kInvalidArgument)
    return replaced.error();
  // The commit may stand all the same, and then these are the only shares that there are.
  doubt =
      "it is not certain which shares are in force: keep the old and the new ones, and try "
      "both after the next start (" +
      replaced.error().message + ")";
  log_.error("key shares may have been replaced", {{"error", replaced.error().message}});
  return shares;
}

Result<bool> Rekey::verify(const std::string& nonce, const Secret& share) {
  const std::scoped_lock lock(mutex_);
  if (!made_) return no_verification();
  if (nonce != verification_.nonce()) return other_nonce();
  ASSIGN_OR_RETURN(const auto key, verification_.add(share, wanted_.threshold));
  if (!key) return false;
  if (!made_->after.open_by_shares(*key))
    return Error{Errc::kInvalidArgument,
                 "these are not the new key shares: at least one is wrong. Begin the verification "
                 "again with the first share"};
  const Status replaced = seal_.replace_shares(made_->before, made_->after);
  end();
  if (!replaced) return replaced.error();
  return true;
}

Status Rekey::restart_verification() {
  const std::scoped_lock lock(mutex_);
  if (!made_) return no_verification();
  verification_.begin(random_);
  return ok();
}

}  // namespace curfew::store

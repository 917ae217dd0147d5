#include "broker/root_generation.h"

#include <utility>

#include "base/one_time_pad.h"
#include "broker/token/token_service.h"
#include "broker/token/token_text.h"

namespace curfew::broker {

RootGeneration::RootGeneration(store::Seal& seal, store::Database& database,
                               const store::Barrier& barrier, const Clock& clock, Random& random,
                               Log& log)
    : seal_(seal),
      database_(database),
      barrier_(barrier),
      clock_(clock),
      random_(random),
      log_(log) {}

std::size_t RootGeneration::pad_length() {
  return root_token_length();
}

Result<RootGeneration::Progress> RootGeneration::progress() const {
  ASSIGN_OR_RETURN(const store::ShareNumbers holders, seal_.holders());
  const std::scoped_lock lock(mutex_);
  return Progress{attempt_.is_under_way(), attempt_.nonce(), attempt_.progress(),
                  holders.threshold};
}

Result<Secret> RootGeneration::begin(const Secret& password) {
  RETURN_IF_ERROR(seal_.holders());
  Secret made;
  Secret pad;
  if (password.empty()) {
    made = Secret(random_base62(random_, pad_length()));
    pad = made;
  } else {
    ASSIGN_OR_RETURN(pad, parse_pad(password, pad_length()));
  }
  const std::scoped_lock lock(mutex_);
  if (attempt_.is_under_way())
    return Error{Errc::kInvalidArgument, "root generation already in progress; cancel it first"};
  attempt_.begin(random_);
  pad_ = std::move(pad);
  log_.warn("generation of a root token begun");
  return made;
}

void RootGeneration::cancel() {
  const std::scoped_lock lock(mutex_);
  if (attempt_.is_under_way()) log_.warn("generation of a root token cancelled");
  attempt_.end();
  pad_ = Secret();
}

Result<std::optional<std::string>> RootGeneration::give(const std::string& nonce,
                                                        const Secret& share) {
  ASSIGN_OR_RETURN(const store::ShareNumbers holders, seal_.holders());
  const std::scoped_lock lock(mutex_);
  if (!attempt_.is_under_way())
    return Error{Errc::kInvalidArgument, "no root generation is in progress; begin one first"};
  if (nonce != attempt_.nonce())
    return Error{Errc::kInvalidArgument,
                 "the nonce is not that of the root generation in progress: ask for its status, "
                 "and make sure that it is the one that you mean to give your share to"};
  ASSIGN_OR_RETURN(const auto key, attempt_.add(share, holders.threshold));
  if (!key) return std::optional<std::string>{};
  RETURN_IF_ERROR(seal_.check_shares_key(*key));
  attempt_.end();
  const Secret pad = std::exchange(pad_, Secret());
  ASSIGN_OR_RETURN(std::string encoded, make_token(pad));
  return std::optional<std::string>{std::move(encoded)};
}

Result<std::string> RootGeneration::make_token(const Secret& pad) {
  Secret token;
  RETURN_IF_ERROR(database_.write([&](store::Writer& writer) {
    return insert_root_token(writer, barrier_, Secret(), clock_.wall(), random_, token);
  }));
  log_.warn("a root token was made by the holders of key shares");
  return encode_with_pad(token, pad);
}

}  // namespace curfew::broker

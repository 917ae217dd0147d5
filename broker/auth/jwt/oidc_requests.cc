#include "broker/auth/jwt/oidc_requests.h"

#include <iterator>

namespace curfew::broker::jwt {
namespace {

constexpr std::size_t kRequestsMax = 10'000;
constexpr std::size_t kRequestsPerAddressMax = 100;
constexpr Millis kLife{5 * 60'000};
constexpr std::size_t kStateLength = 32;     // base62: 190 bits
constexpr std::size_t kVerifierLength = 64;  // RFC 7636: 43 to 128

Error unknown() {
  return {Errc::kInvalidArgument,
          "expired or missing OAuth state: the login took longer than five minutes, was answered "
          "already, or the server was restarted; begin again"};
}

}  // namespace

Result<OidcRequests::Begun> OidcRequests::begin(OidcRequest request) {
  request.nonce = random_base62(random_, kStateLength);
  request.code_verifier = Secret(random_base62(random_, kVerifierLength));
  Begun begun{random_base62(random_, kStateLength), std::move(request)};
  const std::scoped_lock lock(mutex_);
  RETURN_IF_ERROR(make_room(begun.request.address));
  ++of_addresses_[begun.request.address];
  entries_[begun.state] = Entry{.request = begun.request, .until = clock_.steady() + kLife};
  return begun;
}

Status OidcRequests::make_room(const std::string& address) {
  const auto own = of_addresses_.find(address);
  const bool own_full = own != of_addresses_.end() && own->second >= kRequestsPerAddressMax;
  if (entries_.size() < kRequestsMax && !own_full) return ok();
  const SteadyTime now = clock_.steady();
  for (auto it = entries_.begin(); it != entries_.end();)
    it = it->second.until <= now ? erase(it) : std::next(it);
  const auto left = of_addresses_.find(address);
  if (left != of_addresses_.end() && left->second >= kRequestsPerAddressMax)
    return Error{Errc::kQuotaExceeded,
                 "too many logins from your address have begun and are not over; finish them, or "
                 "try again in five minutes"};
  if (entries_.size() < kRequestsMax) return ok();
  return Error{Errc::kOverloaded,
               "too many logins through the browser have begun; try again in some minutes"};
}

OidcRequests::Entries::iterator OidcRequests::erase(Entries::iterator at) {
  const auto own = of_addresses_.find(at->second.request.address);
  if (--own->second == 0) of_addresses_.erase(own);
  return entries_.erase(at);
}

OidcRequests::Entries::iterator OidcRequests::find(const std::string& state) {
  const auto it = entries_.find(state);
  if (it == entries_.end() || it->second.until > clock_.steady()) return it;
  erase(it);
  return entries_.end();
}

std::optional<OidcRequest> OidcRequests::take(const std::string& state) {
  const std::scoped_lock lock(mutex_);
  const auto it = find(state);
  if (it == entries_.end() || it->second.answered) return std::nullopt;
  OidcRequest request = it->second.request;
  if (request.polled)
    it->second.answered = true;
  else
    erase(it);
  return request;
}

void OidcRequests::finish(const std::string& state, Result<std::shared_ptr<const Login>> outcome) {
  const std::scoped_lock lock(mutex_);
  const auto it = find(state);
  if (it != entries_.end()) it->second.outcome = std::move(outcome);
}

Result<std::shared_ptr<const Login>> OidcRequests::poll(const std::string& state,
                                                        const std::string& client_nonce) {
  const std::scoped_lock lock(mutex_);
  const auto it = find(state);
  if (it == entries_.end() || !it->second.request.polled ||
      !constant_time_equal(it->second.request.client_nonce, client_nonce))
    return unknown();
  if (!it->second.outcome) return std::shared_ptr<const Login>{};
  auto outcome = std::move(*it->second.outcome);
  erase(it);
  return outcome;
}

}  // namespace curfew::broker::jwt

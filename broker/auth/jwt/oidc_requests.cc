#include "broker/auth/jwt/oidc_requests.h"

#include <algorithm>

namespace curfew::broker::jwt {
namespace {

constexpr std::size_t kRequestsMax = 10'000;
constexpr Millis kLife{5 * 60'000};
constexpr std::size_t kStateLength = 32;     // base62: 190 bits
constexpr std::size_t kVerifierLength = 64;  // RFC 7636: 43 to 128

Error unknown() {
  return {Errc::kInvalidArgument,
          "expired or missing OAuth state: the login took longer than five minutes, was answered "
          "already, or the server was restarted; begin again"};
}

}  // namespace

OidcRequests::Begun OidcRequests::begin(OidcRequest request) {
  request.nonce = random_base62(random_, kStateLength);
  request.code_verifier = Secret(random_base62(random_, kVerifierLength));
  Begun begun{random_base62(random_, kStateLength), std::move(request)};
  const std::scoped_lock lock(mutex_);
  make_room();
  entries_[begun.state] = Entry{.request = begun.request, .until = clock_.steady() + kLife};
  return begun;
}

void OidcRequests::make_room() {
  if (entries_.size() < kRequestsMax) return;
  const SteadyTime now = clock_.steady();
  std::erase_if(entries_, [&](const auto& entry) { return entry.second.until <= now; });
  if (entries_.size() < kRequestsMax) return;
  entries_.erase(std::min_element(
      entries_.begin(), entries_.end(),
      [](const auto& a, const auto& b) { return a.second.until < b.second.until; }));
}

std::map<std::string, OidcRequests::Entry>::iterator OidcRequests::find(const std::string& state) {
  const auto it = entries_.find(state);
  if (it == entries_.end() || it->second.until > clock_.steady()) return it;
  entries_.erase(it);
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
    entries_.erase(it);
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
  entries_.erase(it);
  return outcome;
}

}  // namespace curfew::broker::jwt

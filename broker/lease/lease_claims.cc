#include "broker/lease/lease_claims.h"

namespace curfew::broker {

LeaseClaims::Claim::Claim(LeaseClaims& claims, std::string id)
    : claims_(claims), id_(std::move(id)) {
  std::unique_lock lock(claims_.mutex_);
  claims_.released_.wait(lock, [&] { return !claims_.taken_.contains(id_); });
  claims_.taken_.insert(id_);
}

LeaseClaims::Claim::~Claim() {
  {
    const std::scoped_lock lock(claims_.mutex_);
    claims_.taken_.erase(id_);
  }
  claims_.released_.notify_all();
}

LeaseClaims::Claimed::Claimed(LeaseClaims& claims, const std::vector<std::string>& ids)
    : claims_(claims) {
  const std::scoped_lock lock(claims_.mutex_);
  for (const std::string& id : ids)
    if (claims_.taken_.insert(id).second) ids_.push_back(id);
}

LeaseClaims::Claimed::~Claimed() {
  {
    const std::scoped_lock lock(claims_.mutex_);
    for (const std::string& id : ids_) claims_.taken_.erase(id);
  }
  claims_.released_.notify_all();
}

LeaseClaims::Making::Making(LeaseClaims& claims, std::string id)
    : claims_(claims), id_(std::move(id)) {
  const std::scoped_lock lock(claims_.mutex_);
  claims_.making_.insert(id_);
}

LeaseClaims::Making::~Making() {
  const std::scoped_lock lock(claims_.mutex_);
  claims_.making_.erase(id_);
}

bool LeaseClaims::is_being_made(const std::string& id) const {
  const std::scoped_lock lock(mutex_);
  return making_.contains(id);
}

bool LeaseClaims::contains(const std::string& id) const {
  const std::scoped_lock lock(mutex_);
  return taken_.contains(id);
}

}  // namespace curfew::broker

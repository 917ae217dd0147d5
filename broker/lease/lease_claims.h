#pragma once

#include <condition_variable>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace curfew::broker {

// Who works on a lease: one thread at a time renews it or takes it back. Thread-safe.
class LeaseClaims {
 public:
  // Waits until nobody else has the lease, and keeps others off while it lives.
  class Claim {
   public:
    Claim(LeaseClaims& claims, std::string id);
    ~Claim();
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;

   private:
    LeaseClaims& claims_;
    const std::string id_;
  };

  // Claims those of many leases that nobody has, without waiting.
  class Claimed {
   public:
    Claimed(LeaseClaims& claims, const std::vector<std::string>& ids);
    ~Claimed();
    Claimed(const Claimed&) = delete;
    Claimed& operator=(const Claimed&) = delete;
    const std::vector<std::string>& ids() const { return ids_; }

   private:
    LeaseClaims& claims_;
    std::vector<std::string> ids_;
  };

  // The credential of a lease is being made while this lives. Others may try to take it back
  // meanwhile, and must not believe that nothing of it is left.
  class Making {
   public:
    Making(LeaseClaims& claims, std::string id);
    ~Making();
    Making(const Making&) = delete;
    Making& operator=(const Making&) = delete;

   private:
    LeaseClaims& claims_;
    const std::string id_;
  };

  bool contains(const std::string& id) const;
  bool is_being_made(const std::string& id) const;

 private:
  mutable std::mutex mutex_;
  std::condition_variable released_;
  // Guarded by mutex_.
  std::set<std::string> taken_;
  std::set<std::string> making_;
};

}  // namespace curfew::broker

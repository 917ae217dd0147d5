#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engines/engine.h"

// How an engine looks at what exists outside, so that the broker can compare it with its leases.
namespace curfew::engines {

// Something outside that bears the mark of a Curfew broker, this one or another.
struct MarkedEffect {
  std::string name;   // as people call it: the database role
  std::string mount;  // what the mark says: accessor of the mount, lease, resource
  std::string lease_id;
  std::string resource;
  Handle handle;  // enough to revoke it, where the mark is this mount's
  Attribution attribution;
  std::optional<WallTime> ends_at;  // when it stops working by itself, where it does
};

struct MarkedPage {
  std::vector<MarkedEffect> effects;
  std::string next;  // `after` of the next page; empty: this was the last
};

// What a lease says of its effect.
struct ExpectedEffect {
  std::string lease_id;
  Handle handle;
  WallTime expires_at;
};

// The effect of one lease as it is now.
struct EffectState {
  bool present = false;
  bool usable = false;          // somebody can log in with the credential at this moment
  bool marked = false;          // the mark is there and names the lease
  bool outlives_lease = false;  // it was made to work beyond the end of the lease
  std::string name;             // what it is called now; empty: absent
  bool renamed = false;
  std::vector<std::string> gained;  // rights beyond those it was made with, in words
  std::int64_t sessions = 0;        // open ones, also where the role is gone
};

// Thread-safe. Functions with a context may block until its deadline; kUnavailable, kOverloaded and
// kInDoubt mean that nothing could be found out.
class Inventory {
 public:
  virtual ~Inventory() = default;

  // What the effects of this mount depend on (targets), as configured.
  virtual Result<std::vector<std::string>> resources() const = 0;

  // What is marked, by whomever, in the order of names from behind `after` on.
  virtual Result<MarkedPage> marked(const std::string& resource, std::string_view after,
                                    std::size_t limit, const CallContext& context) = 0;

  // One for each of `effects`, in their order.
  virtual Result<std::vector<EffectState>> inspect(const std::string& resource,
                                                   std::span<const ExpectedEffect> effects,
                                                   const CallContext& context) = 0;

  // Whether there are sessions whose owner does not exist any more.
  virtual Result<bool> has_ownerless_sessions(const std::string& resource,
                                              const CallContext& context) = 0;

  // Why nothing is changed at a resource at present: another copy of this broker's store, or a
  // later state of it, has taken charge there. Does not block. nullopt: it is in our charge.
  struct Observing {
    WallTime since;
    std::string reason;
  };
  virtual std::optional<Observing> observing(const std::string& resource) const = 0;

  // The connections that this mount has to a resource. Does not block, and opens none.
  struct Connections {
    int max = 0;
    int open = 0;  // those in use and idle ones
    int in_use = 0;
    std::size_t waiting = 0;  // callers that wait for one
  };
  virtual Result<Connections> connections(const std::string& resource) const = 0;

  // Takes charge of a resource that is being observed; whoever had it finds out and observes.
  virtual Status take_charge(const std::string& resource, const CallContext& context) = 0;
};

// What an engine implements beside SecretEngine that has something outside.
class WithInventory {
 public:
  virtual ~WithInventory() = default;
  virtual Inventory& inventory() = 0;  // lives as long as the engine
};

// nullptr: nothing of this engine's exists outside of the broker's own store.
inline Inventory* inventory_of(SecretEngine& engine) {
  auto* with = dynamic_cast<WithInventory*>(&engine);
  return with == nullptr ? nullptr : &with->inventory();
}

}  // namespace curfew::engines

#pragma once

#include <atomic>

#include "base/clock.h"
#include "base/result.h"
#include "broker/notify/parcel.h"

namespace curfew::broker {

// Sends parcels: HTTP/1.1 or SMTP, over TLS 1.2 or later with the server's name checked; a
// connection for each; redirects are not followed. Immutable; thread-safe; blocks.
class Courier {
 public:
  // `timeout`: of a whole call, name look-up and connecting included.
  explicit Courier(Millis timeout) : timeout_(timeout) {}

  // Success: the server has taken it (HTTP 2xx). kUnavailable: it may have or not; the message
  // names the host and says why, is for operators, and holds nothing secret. A call ends soon
  // after `stopping` has become true.
  Status send(const Parcel& parcel, const std::atomic<bool>& stopping) const;

 private:
  const Millis timeout_;
};

}  // namespace curfew::broker

#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "broker/metric.h"
#include "broker/notify/courier.h"
#include "broker/notify/notice.h"
#include "broker/notify/outbox.h"
#include "broker/notify/target_store.h"
#include "store/records.h"
#include "store/sql.h"

namespace curfew::broker {

struct NotifierOptions {
  Millis call_timeout = Seconds{10};  // of one attempt
  OutboxOptions outbox = {};
};

// Tells people of one namespace about approval requests: what is enqueued reaches every target
// that wants it, or ends as a dead letter. Delivers by the threads of a Postman, or by run_due().
// Thread-safe.
class Notifier {
 public:
  // `wake`: something may be due; cheap, from anywhere. All references outlive this object.
  Notifier(store::Database& database, const store::Records& records, const Clock& clock,
           Random& random, Log& log, std::function<void()> wake, NotifierOptions options = {});

  // Reads targets and what waits.
  Status load();
  // Begins nothing more, and ends what is under way.
  void request_stop() { stopping_ = true; }
  void unload();

  // In the transaction of what is told of: either both happen or neither. Targets that a notice
  // names and that there are not are logged and passed over: no request fails for want of one.
  Status enqueue(store::Writer& writer, const Notice& notice);
  // After such a transaction: delivers at once rather than within a second.
  void wake() const { wake_(); }

  TargetStore& targets() { return targets_; }
  Outbox& outbox() { return outbox_; }
  std::vector<Metric> metrics() const;

  // What is due, for whoever delivers: each must come back through deliver().
  std::vector<Outbox::Due> take_due();
  // One attempt, in the calling thread.
  void deliver(const Outbox::Due& due);
  bool expects_some() const { return outbox_.expects_some(); }

  // Delivers all that is due now in the calling thread. For tests, without a Postman.
  void run_due();

 private:
  const Clock& clock_;
  Log& log_;
  const std::function<void()> wake_;
  const Courier courier_;
  TargetStore targets_;
  Outbox outbox_;
  std::atomic<bool> stopping_{false};
};

}  // namespace curfew::broker

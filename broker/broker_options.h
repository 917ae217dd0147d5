#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "broker/approval/approval_service.h"
#include "broker/clock_keeper.h"
#include "broker/lease/lease_ends.h"
#include "broker/lease/reaper.h"
#include "broker/lease/retries.h"
#include "broker/lease/revoker.h"
#include "broker/metric.h"
#include "broker/mount/caretaker.h"
#include "broker/reconcile/reconciler.h"

namespace curfew::broker {

struct BrokerOptions {
  std::string version = "0.0.0";
  RevokerOptions revoker = {};
  ReaperOptions reaper = {};
  RetryOptions retry = {};
  CaretakerOptions caretaker = {};
  BreakerOptions breakers = {};
  LeaseEndOptions lease_ends = {};
  ClockOptions clock = {};
  ReconcilerOptions reconciler = {};
  ApprovalOptions approvals = {};
  std::function<std::vector<Metric>()> edge_metrics = {};  // added to sys/metrics
  bool open_metrics = false;                               // sys/metrics needs no token
  // The reaper's and the caretaker's. Without them tests call run_due() themselves.
  bool start_threads = true;
  // That revoke, and that tend, in each namespace but the first. At least 2.
  std::size_t namespace_threads = 2;
};

}  // namespace curfew::broker

#pragma once

#include <string>

namespace curfew::broker {

// One figure for monitoring, as it is now. The name is Prometheus's ("curfew_leases"); counters end
// in "_total".
struct Metric {
  std::string name;
  std::string help;
  double value = 0;
  std::string label = {};      // labels, "state=\"active\"", or none
  std::string histogram = {};  // the name of the histogram that this is a part of, or none

  // What Prometheus calls it by.
  const std::string& family() const { return histogram.empty() ? name : histogram; }
};

}  // namespace curfew::broker

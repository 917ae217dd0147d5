#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "broker/metric.h"

namespace curfew::broker {

// How many delays fell into which range, since the start. Thread-safe.
class LagHistogram {
 public:
  // Negative delays count as none.
  void add(Millis delay);
  // "<name>_bucket", "<name>_sum", "<name>_count", as Prometheus has them; in seconds.
  std::vector<Metric> metrics(const std::string& name, const std::string& help) const;

 private:
  static constexpr std::array<std::int64_t, 12> kBoundsMillis = {
      50, 100, 250, 500, 1'000, 2'500, 5'000, 10'000, 30'000, 60'000, 300'000, 3'600'000};
  std::array<std::atomic<std::int64_t>, kBoundsMillis.size() + 1> counts_{};
  std::atomic<std::int64_t> sum_millis_{0};
};

// What taking leases back counts. Thread-safe.
struct LeaseMeters {
  LagHistogram locked_out;  // from when the lease had to end to its lock-out
  LagHistogram gone;        // … to the proof that it is gone
  std::atomic<std::int64_t> ended{0};
  std::atomic<std::int64_t> failed{0};     // attempts
  std::atomic<std::int64_t> put_off{0};    // leases, each time their target was not asked
  std::atomic<std::int64_t> unaudited{0};  // ends that no audit device took at once

  std::vector<Metric> metrics() const;
};

}  // namespace curfew::broker

#include "broker/lease/lease_meters.h"

#include <fmt/format.h>

#include <algorithm>

namespace curfew::broker {

void LagHistogram::add(Millis delay) {
  const std::int64_t millis = std::max<std::int64_t>(delay.count(), 0);
  const auto bound = std::lower_bound(kBoundsMillis.begin(), kBoundsMillis.end(), millis);
  ++counts_[static_cast<std::size_t>(bound - kBoundsMillis.begin())];
  sum_millis_ += millis;
}

std::vector<Metric> LagHistogram::metrics(const std::string& name, const std::string& help) const {
  std::vector<Metric> out;
  std::int64_t total = 0;
  const auto add = [&](const std::string& suffix, double value, std::string label = "") {
    out.push_back({name + suffix, help, value, std::move(label), name});
  };
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    total += counts_[i];
    add("_bucket", static_cast<double>(total),
        i < kBoundsMillis.size()
            ? fmt::format("le=\"{}\"", static_cast<double>(kBoundsMillis[i]) / 1000)
            : "le=\"+Inf\"");
  }
  add("_sum", static_cast<double>(sum_millis_) / 1000);
  add("_count", static_cast<double>(total));
  return out;
}

std::vector<Metric> LeaseMeters::metrics() const {
  std::vector<Metric> out = locked_out.metrics(
      "curfew_lock_out_lag_seconds", "From the end of a lease to the lock-out of its credential.");
  const auto rest = gone.metrics("curfew_gone_lag_seconds",
                                 "From the end of a lease to the proof that its access is gone.");
  out.insert(out.end(), rest.begin(), rest.end());
  const auto count = [&](const char* name, const char* help, std::int64_t value) {
    out.push_back({name, help, static_cast<double>(value)});
  };
  count("curfew_leases_ended_total", "Leases whose access was proven to be gone.", ended);
  count("curfew_revocation_failures_total", "Attempts to revoke that failed.", failed);
  count("curfew_revocations_put_off_total",
        "Leases left for later because their target does not answer.", put_off);
  count("curfew_ends_not_audited_total", "Ends of leases that no audit device took at once.",
        unaudited);
  return out;
}

}  // namespace curfew::broker

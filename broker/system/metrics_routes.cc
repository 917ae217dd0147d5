#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "broker/system/system_parts.h"

namespace curfew::broker {
namespace {

constexpr LeaseState kCounted[] = {LeaseState::kPending, LeaseState::kActive, LeaseState::kRevoking,
                                   LeaseState::kQuarantined};

Result<std::vector<Metric>> lease_metrics(const SystemParts& parts, WallTime now) {
  std::vector<Metric> out;
  for (const LeaseState state : kCounted) {
    ASSIGN_OR_RETURN(const std::int64_t count, parts.leases.count({.state = state}));
    out.push_back({"curfew_leases", "Live leases by state.", static_cast<double>(count),
                   fmt::format("state=\"{}\"", lease_state_name(state))});
  }
  ASSIGN_OR_RETURN(const auto next, parts.leases.next_due(WallTime{}));
  const Millis lag = next && *next < now ? Millis{now - *next} : Millis{0};
  ASSIGN_OR_RETURN(const std::int64_t failing, parts.leases.count({.failing = true}));
  out.push_back({"curfew_leases_failing", "Leases whose revocation has failed.",
                 static_cast<double>(failing)});
  out.push_back({"curfew_targets_unreachable",
                 "Targets that do not answer, whose leases wait until they do.",
                 static_cast<double>(parts.breakers.open().size())});
  auto meters = parts.meters.metrics();
  std::move(meters.begin(), meters.end(), std::back_inserter(out));
  out.push_back({"curfew_revocation_lag_seconds", "How long the most overdue lease has been due.",
                 static_cast<double>(lag.count()) / 1000});
  return out;
}

void append(std::vector<Metric> more, std::vector<Metric>& to) {
  std::move(more.begin(), more.end(), std::back_inserter(to));
}

Result<std::vector<Metric>> approval_metrics(const SystemParts& parts, WallTime now) {
  ASSIGN_OR_RETURN(const auto counts, parts.approvals.store().counts(now));
  std::vector<Metric> out;
  for (const auto& [state, count] : counts.states)
    out.push_back({"curfew_approval_requests", "Approval requests by state, while they are kept.",
                   static_cast<double>(count),
                   fmt::format("state=\"{}\"", approval_state_name(state))});
  out.push_back({"curfew_approval_reviews_open", "Break glasses that nobody has reviewed.",
                 static_cast<double>(counts.reviews_open)});
  out.push_back({"curfew_approval_reviews_overdue",
                 "Of those, whose review should have happened by now.",
                 static_cast<double>(counts.reviews_overdue)});
  out.push_back({"curfew_approval_listeners", "Clients that follow the event stream.",
                 static_cast<double>(parts.approvals.events().listeners())});
  return out;
}

void add_clock_metrics(const SystemParts& parts, std::vector<Metric>& out) {
  const ClockGuard::State time = parts.guard.state();
  out.push_back({"curfew_clock_held",
                 "1 while a jump of the machine's clock waits to be confirmed.",
                 time.held ? 1.0 : 0.0});
  out.push_back({"curfew_clock_difference_seconds",
                 "The machine's clock minus the time that leases are judged by.",
                 static_cast<double>(Millis{time.machine - time.believed}.count()) / 1000});
}

// The whole server's, for the first namespace; with those of the namespaces below, which bear its
// name. Figures of one name stand together, as the text format wants it.
Result<std::vector<Metric>> all_metrics(const SystemParts& parts, WallTime now) {
  std::vector<Metric> metrics;
  const bool serving = parts.lifecycle.is_serving();
  if (parts.place.is_first())
    metrics.push_back({"curfew_unsealed", "1 while the keys are in memory.", serving ? 1.0 : 0.0});
  if (serving) {
    if (parts.place.is_first()) add_clock_metrics(parts, metrics);
    ASSIGN_OR_RETURN(auto own, namespace_metrics(parts, now));
    append(std::move(own), metrics);
    append(parts.namespaces.metrics_below(parts.place.path, now), metrics);
  }
  if (parts.edge_metrics) append(parts.edge_metrics(), metrics);
  std::map<std::string, std::size_t> first_seen;
  for (const Metric& metric : metrics) first_seen.emplace(metric.family(), first_seen.size());
  std::stable_sort(metrics.begin(), metrics.end(), [&](const Metric& a, const Metric& b) {
    return first_seen.at(a.family()) < first_seen.at(b.family());
  });
  return metrics;
}

// The text format of Prometheus, version 0.0.4.
std::string to_text(const std::vector<Metric>& metrics) {
  std::string out;
  std::string_view last;
  for (const Metric& metric : metrics) {
    const std::string& family = metric.family();
    if (family != last) {
      const char* type = !metric.histogram.empty()         ? "histogram"
                         : metric.name.ends_with("_total") ? "counter"
                                                           : "gauge";
      out += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", family, metric.help, type);
      last = family;
    }
    const std::string label = metric.label.empty() ? "" : "{" + metric.label + "}";
    out += fmt::format("{}{} {}\n", metric.name, label, metric.value);
  }
  return out;
}

Result<Response> metrics(const SystemParts& parts, const BackendCall& call) {
  ASSIGN_OR_RETURN(const std::string format, Fields(call.request.data).text_or("format", ""));
  ASSIGN_OR_RETURN(const auto metrics, all_metrics(parts, call.now));
  if (format == "prometheus") return Response{.layout = Layout::kText, .data = to_text(metrics)};
  if (!format.empty())
    return Error{Errc::kInvalidArgument, "field \"format\": expected \"prometheus\" or nothing"};
  Json gauges = Json::array();
  for (const Metric& metric : metrics)
    gauges.push_back({{"Name", metric.name}, {"Value", metric.value}, {"Label", metric.label}});
  return Response{.layout = Layout::kBare, .data = {{"Gauges", std::move(gauges)}}};
}

}  // namespace

Result<std::vector<Metric>> namespace_metrics(const SystemParts& parts, WallTime now) {
  ASSIGN_OR_RETURN(std::vector<Metric> metrics, lease_metrics(parts, now));
  metrics.push_back({"curfew_engine_work_failing",
                     "Kinds of periodic work of the engines that fail now, such as rotations.",
                     static_cast<double>(parts.caretaker.failing())});
  append(parts.reconciler.metrics(), metrics);
  append(parts.notifier.metrics(), metrics);
  ASSIGN_OR_RETURN(auto approvals, approval_metrics(parts, now));
  append(std::move(approvals), metrics);
  metrics.push_back({"curfew_quota_refusals_total", "What quotas refused, by their type.",
                     static_cast<double>(parts.quotas.refused_requests()), "type=\"rate-limit\""});
  metrics.push_back({"curfew_quota_refusals_total", "What quotas refused, by their type.",
                     static_cast<double>(parts.quotas.refused_leases()), "type=\"lease-count\""});
  const auto logins = [&](std::uint64_t count, const char* label) {
    metrics.push_back({"curfew_logins_total", "Tries to log in, by how they ended.",
                       static_cast<double>(count), label});
  };
  logins(parts.login_guard.successes(), "result=\"success\"");
  logins(parts.login_guard.failures(), "result=\"failure\"");
  logins(parts.login_guard.refusals(), "result=\"limited\"");
  return metrics;
}

void add_metrics_routes(const SystemParts& parts, RouteList& routes) {
  add_route(
      routes,
      {.pattern = "metrics",
       .summary = "Figures for monitoring; ?format=prometheus for its text format.",
       .unauthenticated = parts.open_metrics,
       .works_sealed = parts.open_metrics},
      {{Operation::kRead, [parts](const BackendCall& call) { return metrics(parts, call); }}});
}

}  // namespace curfew::broker

#include "broker/reconcile/reconciler.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/contained.h"

namespace curfew::broker {
namespace {

constexpr std::size_t kJobsMax = 8;

}  // namespace

Reconciler::Reconciler(const Repairer::Parts& parts, ReconcilerOptions options,
                       std::function<void()> wake_reaper)
    : parts_(parts), options_(options), wake_reaper_(std::move(wake_reaper)), repairer_(parts) {}

Reconciler::~Reconciler() {
  stop();
}

void Reconciler::start() {
  const std::scoped_lock lock(mutex_);
  stopping_ = false;
  threaded_ = true;
  thread_ = std::thread([this] { work(); });
}

void Reconciler::request_stop() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
}

void Reconciler::stop() {
  request_stop();
  if (thread_.joinable()) thread_.join();
  const std::scoped_lock lock(mutex_);
  stopping_ = false;
  threaded_ = false;
  jobs_.clear();
  last_.reset();
  last_whole_.reset();
}

bool Reconciler::is_stopping() const {
  const std::scoped_lock lock(mutex_);
  return stopping_;
}

bool Reconciler::is_threaded() const {
  const std::scoped_lock lock(mutex_);
  return threaded_;
}

bool Reconciler::is_running() const {
  const std::scoped_lock lock(mutex_);
  return running_ || !jobs_.empty();
}

std::shared_ptr<const ReconcileReport> Reconciler::last() const {
  const std::scoped_lock lock(mutex_);
  return last_;
}

// ---- when -------------------------------------------------------------------------------------

void Reconciler::work() {
  Request own{.repair = options_.repair, .trigger = "start"};
  SteadyTime next = parts_.clock.steady();
  std::unique_lock lock(mutex_);
  for (;;) {
    const bool scheduled = options_.interval > Millis{0};
    const Millis wait = std::clamp<Millis>(next - parts_.clock.steady(), Millis{0}, Seconds{1});
    if (scheduled) {
      changed_.wait_for(lock, wait, [this] { return stopping_ || !jobs_.empty(); });
    } else {
      changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    }
    if (stopping_) return;
    std::shared_ptr<Job> job;
    if (!jobs_.empty()) {
      job = jobs_.front();
      jobs_.pop_front();
    } else if (parts_.clock.steady() >= next) {
      job = std::make_shared<Job>(Job{own, nullptr});
      own.trigger = "schedule";
      next = parts_.clock.steady() + options_.interval;
    } else {
      continue;
    }
    running_ = true;
    lock.unlock();
    std::shared_ptr<const ReconcileReport> report;
    (void)contained(parts_.log, "reconciliation", [&]() -> Status {
      report = std::make_shared<const ReconcileReport>(carry_out(job->request));
      keep(report);
      return ok();
    }).has_value();
    lock.lock();
    running_ = false;
    job->report = std::move(report);
    changed_.notify_all();
  }
}

Result<std::shared_ptr<const ReconcileReport>> Reconciler::run(Request request, Millis wait) {
  RETURN_IF_ERROR(check(request));
  if (!is_threaded()) {
    auto report = std::make_shared<const ReconcileReport>(carry_out(request));
    keep(report);
    return report;
  }
  std::unique_lock lock(mutex_);
  if (jobs_.size() >= kJobsMax)
    return Error{Errc::kOverloaded, "too many reconciliations are waiting; try again later"};
  const auto job = std::make_shared<Job>(Job{std::move(request), nullptr});
  jobs_.push_back(job);
  changed_.notify_all();
  changed_.wait_for(lock, wait, [&] { return stopping_ || job->report != nullptr; });
  return job->report;
}

Status Reconciler::check(const Request& request) const {
  if (request.mount.empty()) return ok();
  const auto mount = parts_.mounts.at(request.mount);
  if (!mount)
    return Error{Errc::kInvalidArgument,
                 fmt::format("no mount at \"{}\"; see: curfew secrets list", request.mount)};
  engines::Inventory* inventory = engines::inventory_of(mount->engine());
  if (inventory == nullptr)
    return Error{Errc::kInvalidArgument,
                 fmt::format("mount \"{}\" of type {} keeps everything in the broker's own store: "
                             "there is nothing to compare",
                             mount->entry.path, mount->entry.type)};
  if (request.target.empty()) return ok();
  ASSIGN_OR_RETURN(const auto targets, inventory->resources());
  if (std::find(targets.begin(), targets.end(), request.target) == targets.end())
    return Error{Errc::kInvalidArgument, fmt::format("mount \"{}\" has no target \"{}\"",
                                                     mount->entry.path, request.target)};
  return ok();
}

void Reconciler::keep(std::shared_ptr<const ReconcileReport> report) {
  const std::scoped_lock lock(mutex_);
  last_ = report;
  if (report->is_whole) last_whole_ = std::move(report);
}

// ---- what -------------------------------------------------------------------------------------

ReconcileReport Reconciler::carry_out(const Request& request) {
  ReconcileReport report{.trigger = request.trigger,
                         .repair = repair_name(request.repair),
                         .is_whole = request.mount.empty() && request.target.empty(),
                         .started_at = parts_.clock.wall()};
  const auto only = request.mount.empty() ? nullptr : parts_.mounts.at(request.mount);
  for (const MountEntry& entry : parts_.mounts.list()) {
    if (!request.mount.empty() && (!only || only->entry.accessor != entry.accessor)) continue;
    const auto mount = parts_.mounts.by_accessor(entry.accessor);
    if (!mount || engines::inventory_of(mount->engine()) == nullptr) continue;
    const auto targets = engines::inventory_of(mount->engine())->resources();
    if (!targets) {
      report.targets.push_back({.mount = entry.path,
                                .accessor = entry.accessor,
                                .target = "",
                                .error = targets.error().message});
      continue;
    }
    for (const std::string& target : *targets) {
      if (is_stopping()) break;
      if (request.target.empty() || request.target == target)
        compare(request, mount, target, report);
    }
  }
  report.ended_at = parts_.clock.wall();
  if (report.total() > 0)
    parts_.log.warn("targets and leases differ", {{"findings", std::to_string(report.total())},
                                                  {"trigger", report.trigger},
                                                  {"see", "curfew read sys/reconcile"}});
  return report;
}

// One target that cannot be looked at must not hide the others.
void Reconciler::compare(const Request& request, const std::shared_ptr<const Mount>& mount,
                         const std::string& target, ReconcileReport& report) {
  TargetReport about{
      .mount = mount->entry.path, .accessor = mount->entry.accessor, .target = target};
  const auto observing = engines::inventory_of(mount->engine())->observing(target);
  if (observing) about.observed = observing->reason;
  const Repair allowed = observing ? Repair::kNone : request.repair;
  bool made_due = false;
  Comparison comparison(
      {parts_.leases, parts_.claims, parts_.mounts, parts_.clock, [this] { return is_stopping(); }},
      mount, target, request.with_foreign, [&](const Difference& difference) {
        Finding finding = difference.finding;
        finding.action = repairer_.repair(difference, allowed);
        made_due = made_due || finding.action != "reported";
        report.add(std::move(finding));
      });
  const Status compared =
      contained(parts_.log, "reconciliation", [&] { return comparison.run(about); });
  if (!compared) {
    about.error = compared.error().message;
    parts_.log.warn("target not compared with its leases",
                    {{"mount", about.mount}, {"target", target}, {"error", about.error}});
  }
  if (made_due) wake_reaper_();
  report.targets.push_back(std::move(about));
}

Result<ReconcileReport> Reconciler::look_at(const std::string& mount, const std::string& target) {
  const Request request{.mount = mount, .target = target, .trigger = "observe"};
  RETURN_IF_ERROR(check(request));
  return carry_out(request);
}

std::int64_t Reconciler::observed_targets() const {
  std::int64_t count = 0;
  for (const MountEntry& entry : parts_.mounts.list()) {
    const auto mount = parts_.mounts.by_accessor(entry.accessor);
    engines::Inventory* inventory = mount ? engines::inventory_of(mount->engine()) : nullptr;
    const auto targets = inventory ? inventory->resources()
                                   : Result<std::vector<std::string>>(std::vector<std::string>{});
    if (!targets) continue;
    count += std::count_if(targets->begin(), targets->end(), [&](const std::string& target) {
      return inventory->observing(target).has_value();
    });
  }
  return count;
}

std::vector<Metric> Reconciler::metrics() const {
  std::shared_ptr<const ReconcileReport> report;
  {
    const std::scoped_lock lock(mutex_);
    report = last_whole_;
  }
  std::vector<Metric> out{{"curfew_targets_observed",
                           "Targets that are only observed: the store was restored or copied.",
                           static_cast<double>(observed_targets())}};
  for (const FindingKind kind : report ? all_finding_kinds() : std::vector<FindingKind>{}) {
    const auto it = report->counts.find(kind);
    out.push_back({"curfew_reconcile_findings",
                   "Differences between targets and leases in the last whole reconciliation.",
                   it == report->counts.end() ? 0.0 : static_cast<double>(it->second),
                   fmt::format("kind=\"{}\"", finding_name(kind))});
  }
  if (report) {
    const auto failed =
        std::count_if(report->targets.begin(), report->targets.end(),
                      [](const TargetReport& target) { return !target.error.empty(); });
    out.push_back({"curfew_reconcile_targets_failed",
                   "Targets that the last whole reconciliation could not look at.",
                   static_cast<double>(failed)});
    out.push_back(
        {"curfew_reconcile_age_seconds", "Since the last whole reconciliation ended.",
         static_cast<double>(Millis{parts_.clock.wall() - *report->ended_at}.count()) / 1000});
  }
  return out;
}

}  // namespace curfew::broker

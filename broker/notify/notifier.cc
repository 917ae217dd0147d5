#include "broker/notify/notifier.h"

#include "base/contained.h"
#include "broker/notify/parcel.h"

namespace curfew::broker {

Notifier::Notifier(store::Database& database, const store::Records& records, const Clock& clock,
                   Random& random, Log& log, std::function<void()> wake, NotifierOptions options)
    : clock_(clock),
      log_(log),
      wake_(std::move(wake)),
      courier_(options.call_timeout),
      targets_(database, records, log),
      outbox_(database, records, clock, random, log, options.outbox) {}

Status Notifier::load() {
  stopping_ = false;
  RETURN_IF_ERROR(targets_.load());
  return outbox_.load();
}

void Notifier::unload() {
  targets_.unload();
  outbox_.unload();
}

Status Notifier::enqueue(store::Writer& writer, const Notice& notice) {
  std::size_t added = 0;
  if (notice.targets.empty()) {
    for (const auto& target : targets_.all()) {
      if (!target->wants(notice.event)) continue;
      RETURN_IF_ERROR(outbox_.add(writer, notice, target->name));
      ++added;
    }
  }
  for (const std::string& name : notice.targets) {
    const auto target = targets_.find(name);
    if (target == nullptr)
      log_.warn("notification target is missing",
                {{"target", name}, {"event", notice.event}, {"approval", notice.approval_id}});
    if (target == nullptr || !target->wants(notice.event)) continue;
    RETURN_IF_ERROR(outbox_.add(writer, notice, name));
    ++added;
  }
  if (added > 0) wake_();
  return ok();
}

std::vector<Metric> Notifier::metrics() const {
  return {{"curfew_notifications_delivered_total", "Notifications that their target has taken.",
           static_cast<double>(outbox_.delivered_count())},
          {"curfew_notification_failures_total", "Attempts to deliver a notification that failed.",
           static_cast<double>(outbox_.failed_count())},
          {"curfew_notifications_dead_total", "Notifications that were given up.",
           static_cast<double>(outbox_.dead_count())},
          {"curfew_notifications_waiting", "Notifications that wait for their delivery.",
           static_cast<double>(outbox_.waiting())}};
}

std::vector<Outbox::Due> Notifier::take_due() {
  if (stopping_) return {};
  return outbox_.take_due();
}

void Notifier::deliver(const Outbox::Due& due) {
  const auto notice = outbox_.read(due.id);
  if (!notice && notice.error().code == Errc::kCorrupt) {
    log_.error("stored notification was altered outside of Curfew: it is not sent",
               {{"id", due.id}, {"target", due.target}});
    return outbox_.dropped(due);
  }
  if (!notice || stopping_) return outbox_.postponed(due);
  const auto target = targets_.find(due.target);
  if (!*notice || target == nullptr) return outbox_.dropped(due);
  const Status sent = contained(log_, "delivering a notification", [&] {
    return courier_.send(compose(**notice, *target, targets_.public_url(), due.id, clock_.wall()),
                         stopping_);
  });
  if (sent) return outbox_.delivered(due);
  if (stopping_) return outbox_.postponed(due);
  outbox_.failed(due, sent.error().message);
}

void Notifier::run_due() {
  for (auto due = take_due(); !due.empty(); due = take_due())
    for (const Outbox::Due& one : due) deliver(one);
}

}  // namespace curfew::broker

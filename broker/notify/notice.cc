#include "broker/notify/notice.h"

#include <algorithm>

namespace curfew::broker {

const std::vector<std::string>& notice_events() {
  static const std::vector<std::string> kEvents = {
      "approval.requested",   "approval.approved",      "approval.denied",
      "approval.narrowed",    "approval.expired",       "approval.escalated",
      "approval.claimed",     "approval.withdrawn",     "approval.cancelled",
      "approval.break_glass", "approval.auto_approved", "approval.task_ended"};
  return kEvents;
}

std::string notice_event_of(const std::string& name) {
  const std::string whole = name.starts_with("approval.") ? name : "approval." + name;
  const auto& events = notice_events();
  return std::find(events.begin(), events.end(), whole) == events.end() ? "" : whole;
}

Json lean_view(const Json& view) {
  Json out = view.is_object() ? view : Json::object();
  for (const char* name : {"parameters", "evidence", "can", "earlier"}) out.erase(name);
  if (out.contains("requester") && out["requester"].is_object())
    out["requester"].erase("token_accessor");
  return out;
}

Json to_stored(const Notice& notice) {
  return {{"event", notice.event},
          {"approval_id", notice.approval_id},
          {"view", lean_view(notice.view)},
          {"at", to_unix_millis(notice.at)}};
}

Notice notice_from_stored(const Json& stored) {
  Notice out;
  out.event = stored.value("event", "");
  out.approval_id = stored.value("approval_id", "");
  out.view = stored.value("view", Json::object());
  out.at = from_unix_millis(stored.value("at", std::int64_t{0}));
  return out;
}

}  // namespace curfew::broker

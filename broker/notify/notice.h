#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"

namespace curfew::broker {

// Something that people are to be told about an approval request.
struct Notice {
  std::string event;                      // "approval.requested"; see notice_events()
  std::string approval_id;                // of the request
  Json view = Json::object();             // the request as its readers see it; its texts are clean
  std::vector<std::string> targets = {};  // names; empty: all that want the event
  WallTime at = {};
};

// All events: "approval.requested", "approval.approved", …
const std::vector<std::string>& notice_events();

// "requested" and "approval.requested" are the same event, which is written in the second way.
// Gives that; "" where there is no such event.
std::string notice_event_of(const std::string& name);

// What is kept of a notice, and sent: without `parameters`, `evidence` and the token's accessor,
// which the services that pass a message on should not see, and without what depends on who looks.
Json lean_view(const Json& view);

Json to_stored(const Notice& notice);
Notice notice_from_stored(const Json& stored);

}  // namespace curfew::broker

#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/secret.h"
#include "broker/notify/notice.h"
#include "broker/notify/notification_target.h"

namespace curfew::broker {

// One notice for one target, ready to be sent. The body may hold a secret (PagerDuty's key).
struct Parcel {
  bool mail = false;
  std::string url;
  Secret body;  // of mail: the whole message with its headers
  std::vector<std::pair<std::string, Secret>> headers = {};
  std::string ca_pem = {};
  bool allow_plain = false;
  // Of mail.
  std::string from = {};
  std::vector<std::string> to = {};
  std::string username = {};
  Secret password = {};
};

// `delivery`: the id, the same at every try. `now`: of this try. No parcel holds a token, a
// credential, the request's parameters or its statements.
Parcel compose(const Notice& notice, const NotificationTarget& target,
               const std::string& public_url, const std::string& delivery, WallTime now);

// The parts of it, each for one type of target.
std::string webhook_body(const Notice& notice, const std::string& link,
                         const std::string& delivery);
Json slack_message(const Notice& notice, const NotificationTarget& target, const std::string& link);
Json pagerduty_event(const Notice& notice, const NotificationTarget& target,
                     const std::string& link);
std::string mail_message(const Notice& notice, const NotificationTarget& target,
                         const std::string& link, const std::string& delivery, WallTime now);

}  // namespace curfew::broker

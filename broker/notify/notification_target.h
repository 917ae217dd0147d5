#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/secret.h"

namespace curfew::broker {

enum class TargetType { kWebhook, kSlack, kPagerDuty, kSmtp };

// "webhook", "slack", "pagerduty", "smtp"
const char* target_type_name(TargetType type);

// Whom notices go to, and how.
struct NotificationTarget {
  std::string name;
  TargetType type = TargetType::kWebhook;
  std::string url;                       // of smtp: smtps://host:465 or smtp://host:587
  Secret secret = {};                    // key of the signature, routing key or SMTP password
  std::vector<std::string> events = {};  // sorted; empty: all
  std::map<std::string, std::string> templates = {};  // "title", "text"
  std::map<std::string, Secret> headers = {};         // of HTTP
  std::string ca_pem = {};   // the only authorities that count; empty: the system's
  bool allow_plain = false;  // no TLS is asked for
  std::string from = {};     // of smtp
  std::vector<std::string> to = {};
  std::string username = {};

  bool wants(const std::string& event) const;
};

// The target that a request's body describes. `before`: the one of this name, or nullptr. Its
// secret and headers stay where the body names none and nothing else changes where they are sent;
// whoever changes that must give them again, or they could be had by naming another server.
// kInvalidArgument names the field.
Result<NotificationTarget> parse_target(const std::string& name, const Json& data,
                                        const NotificationTarget* before);

// What is shown: neither the secret nor what headers hold; of a Slack address, which is a secret
// itself, only the host, and of others no query.
Json target_view(const NotificationTarget& target);

Json to_stored(const NotificationTarget& target);
NotificationTarget target_from_stored(const std::string& name, const Json& stored);

// The address of the pages that notices link to: "https://host[:port][/path]", without a final
// slash; "" stays so. kInvalidArgument.
Result<std::string> parse_public_url(std::string_view url);

}  // namespace curfew::broker

#include <fmt/format.h>

#include "broker/notify/notifier.h"
#include "broker/system/system_parts.h"

namespace curfew::broker {
namespace {

// sys/notifications: who is told about approval requests, and what did not reach them.
class NotificationRoutes {
 public:
  explicit NotificationRoutes(const SystemParts& parts) : notifier_(parts.notifier) {}

  Result<Response> read_config(const BackendCall&) const {
    return Response{.data = {{"public_url", notifier_.targets().public_url()}}};
  }

  Result<Response> write_config(const BackendCall& call) const {
    ASSIGN_OR_RETURN(const auto url, Fields(call.request.data).text("public_url"));
    if (!url) return Error{Errc::kInvalidArgument, "missing public_url"};
    ASSIGN_OR_RETURN(std::string parsed, parse_public_url(*url));
    RETURN_IF_ERROR(notifier_.targets().set_public_url(std::move(parsed)));
    return Response{};
  }

  Result<Response> list(const BackendCall&) const {
    return Response{.data = {{"keys", notifier_.targets().names()}}};
  }

  Result<Response> read(const BackendCall& call) const {
    const auto target = notifier_.targets().find(call.param("name"));
    if (target == nullptr) return Error{Errc::kNotFound, ""};
    return Response{.data = target_view(*target)};
  }

  Result<Response> write(const BackendCall& call) const {
    RETURN_IF_ERROR(notifier_.targets().put(call.param("name"), call.request.data));
    return Response{};
  }

  Result<Response> remove(const BackendCall& call) const {
    RETURN_IF_ERROR(notifier_.targets().remove(call.param("name")));
    return Response{};
  }

  Result<Response> list_dead(const BackendCall&) const {
    ASSIGN_OR_RETURN(const auto ids, notifier_.outbox().dead());
    return Response{.data = {{"keys", ids}}};
  }

  Result<Response> read_dead(const BackendCall& call) const {
    ASSIGN_OR_RETURN(auto letter, notifier_.outbox().dead_one(call.param("id")));
    if (!letter) return Error{Errc::kNotFound, ""};
    return Response{.data = std::move(*letter)};
  }

  Result<Response> remove_dead(const BackendCall& call) const {
    RETURN_IF_ERROR(notifier_.outbox().remove_dead(call.param("id")));
    return Response{};
  }

  Result<Response> retry_dead(const BackendCall& call) const {
    const std::string& id = call.param("id");
    ASSIGN_OR_RETURN(const auto letter, notifier_.outbox().dead_one(id));
    if (!letter) return Error{Errc::kNotFound, "no undelivered notification has this id"};
    const std::string target = letter->value("target", "");
    if (notifier_.targets().find(target) == nullptr)
      return Error{Errc::kInvalidArgument,
                   fmt::format("the target \"{}\" is not there any more: make it again, or delete "
                               "the notification",
                               target)};
    ASSIGN_OR_RETURN(const bool found, notifier_.outbox().retry_dead(id));
    if (!found) return Error{Errc::kNotFound, "no undelivered notification has this id"};
    notifier_.wake();
    return Response{};
  }

 private:
  Notifier& notifier_;
};

std::vector<FieldSpec> target_fields() {
  using enum FieldType;
  return {{"type", kText, "\"webhook\", \"slack\", \"pagerduty\" or \"smtp\".", true},
          {"url", kText,
           "Where to: https://…, or smtps://host:465 or smtp://host:587 for mail. PagerDuty has a "
           "default."},
          {"address", kText, "The same as url."},
          {"secret", kText,
           "The key of the signature (webhook), the routing key (pagerduty), the password (smtp). "
           "Never shown; stays when it is left out and the way to the target does not change."},
          {"events", kList, "Which events; none: all."},
          {"templates", kMap, "\"title\" and \"text\" with {{field}} in them; not for webhooks."},
          {"headers", kMap, "More HTTP headers; their values are never shown."},
          {"ca_pem", kText, "The only authorities that count; none: the system's."},
          {"allow_plain", kBoolean, "Whether the way may be without TLS."},
          {"from", kText, "The sender of mail."},
          {"to", kList, "The recipients of mail."},
          {"username", kText, "For the mail server."}};
}

}  // namespace

void add_notification_routes(const SystemParts& parts, RouteList& routes) {
  using enum Operation;
  const auto to = binder<NotificationRoutes>(parts);
  add_route(routes,
            {.pattern = "notifications/config",
             .summary = "Where notifications link to.",
             .fields = {{"public_url", FieldType::kText,
                         "The address of this server as people's browsers see it.", true}},
             .sudo = true},
            {{kRead, to(&NotificationRoutes::read_config)},
             {kUpdate, to(&NotificationRoutes::write_config)}});
  add_route(routes,
            {.pattern = "notifications/targets",
             .summary = "Lists those who are told about approval requests.",
             .sudo = true},
            {{kList, to(&NotificationRoutes::list)}});
  add_route(routes,
            {.pattern = "notifications/targets/{name}",
             .summary = "Who is told about approval requests, and how.",
             .fields = target_fields(),
             .sudo = true},
            {{kRead, to(&NotificationRoutes::read)},
             {kUpdate, to(&NotificationRoutes::write)},
             {kDelete, to(&NotificationRoutes::remove)}});
  add_route(routes,
            {.pattern = "notifications/dead",
             .summary = "Lists the notifications that were given up, oldest first.",
             .sudo = true},
            {{kList, to(&NotificationRoutes::list_dead)}});
  add_route(routes,
            {.pattern = "notifications/dead/{id}",
             .summary = "A notification that was given up, and why.",
             .sudo = true},
            {{kRead, to(&NotificationRoutes::read_dead)},
             {kDelete, to(&NotificationRoutes::remove_dead)}});
  add_route(routes,
            {.pattern = "notifications/dead/{id}/retry",
             .summary = "Tries again to deliver it.",
             .sudo = true},
            {{kUpdate, to(&NotificationRoutes::retry_dead)}});
}

}  // namespace curfew::broker

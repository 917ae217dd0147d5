#include "cli/approval_calls.h"

#include <algorithm>

#include "base/duration.h"

namespace curfew::cli {

namespace {

constexpr Millis kLookMax{50'000};  // of one call, as the server has it
constexpr Millis kPause{1'000};
constexpr int kFailuresMax = 30;  // in a row

// How long one call may wait, so that its answer comes before the caller's own limit.
Millis look_time(const Call& call) {
  constexpr Millis kMargin{5'000};
  const Millis limit = call.api().settings().http.timeout;
  if (limit == Millis{0}) return kLookMax;
  return std::clamp(limit - kMargin, Millis{1'000}, kLookMax);
}

bool is_settled(const Json& view, std::optional<std::int64_t> revision) {
  if (!revision) return member_text(view, "state") != "pending";
  const Json& now = member(view, "revision");
  return now.is_number_integer() && now.get<std::int64_t>() > *revision;
}

}  // namespace

Result<std::string> approval_path(const std::string& id, const std::string& behind) {
  const std::string name = trim_path(id);
  if (name.empty() || name.find('/') != std::string::npos)
    return local_error("\"" + id +
                       "\" is no approval request's id: `curfew approval list` has "
                       "them");
  return "sys/approvals/" + name + (behind.empty() ? "" : "/" + behind);
}

Result<ApiReply> read_approval(Call& call, const std::string& id, bool preliminary) {
  ASSIGN_OR_RETURN(std::string path, approval_path(id));
  ASSIGN_OR_RETURN(ApiReply reply, call.api().send({.method = "GET",
                                                    .path = std::move(path),
                                                    .doing = "reading the approval request " + id,
                                                    .none_ok = true,
                                                    .preliminary = preliminary}));
  if (reply.is_miss()) return missing_error("There is no approval request " + id);
  return reply;
}

Result<Json> list_approvals(Call& call, std::vector<std::pair<std::string, std::string>> query) {
  query.emplace_back("list", "true");
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send({.method = "GET",
                                                          .path = "sys/approvals",
                                                          .query = std::move(query),
                                                          .doing = "listing approval requests",
                                                          .none_ok = true}));
  return reply.is_miss() ? Json(Json::object()) : reply.data();
}

Result<ApiReply> wait_for_approval(Call& call, const std::string& id, std::optional<Millis> time,
                                   std::optional<std::int64_t> revision) {
  ASSIGN_OR_RETURN(const std::string path, approval_path(id, "wait"));
  Millis left = time.value_or(Millis::max());
  for (int failures = 0;;) {
    const Millis look = std::min(look_time(call), std::max(left, Millis{0}));
    ApiRequest request{.method = "GET",
                       .path = path,
                       .query = {{"timeout", format_duration_short(look)}},
                       .doing = "waiting for the approval request " + id,
                       .accept = {502, 503, 504}};
    if (revision) request.query.emplace_back("revision", std::to_string(*revision));
    Result<ApiReply> reply = call.api().send(request);
    const bool unreachable = !reply && (reply.error().code == Errc::kUnavailable ||
                                        reply.error().code == Errc::kInDoubt);
    if (unreachable || (reply && reply->status >= 300)) {
      // It waits on the server, so a server that starts anew is no reason to give up.
      if (++failures >= kFailuresMax || left <= Millis{0}) {
        if (unreachable) return reply;
        return Error{Errc::kRefused, "Error waiting for the approval request " + id +
                                         ": the server is too busy, sealed, or down (status " +
                                         std::to_string(reply->status) + ")"};
      }
    } else {
      if (!reply || is_settled(reply->data(), revision)) return reply;
      failures = 0;
      if (time) left -= look;
      if (left <= Millis{0}) return reply;
    }
    call.around.sleep(kPause);
    if (time) left -= kPause;
  }
}

Result<ApiReply> claim_approval(Call& call, const std::string& id) {
  ASSIGN_OR_RETURN(std::string path, approval_path(id, "claim"));
  return call.api().send({.method = "POST",
                          .path = std::move(path),
                          .body = Json::object(),
                          .doing = "claiming the approval request " + id,
                          .may_issue = true});
}

}  // namespace curfew::cli

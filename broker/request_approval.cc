#include <fmt/format.h>

#include <algorithm>

#include "base/contained.h"
#include "base/duration.h"
#include "broker/approval/approval_view.h"
#include "broker/lease/ttl.h"
#include "broker/request_course.h"

// Requests that people have to approve: how they are asked for, and made once that was approved.
namespace curfew::broker {
namespace {

constexpr Millis kRehearsalTime = Seconds{15};
constexpr int kRoundsMax = 3;

bool gives_lease(const RouteSpec& route, Operation operation) {
  return route.issues_lease && operation == Operation::kRead;
}

// The caller's part of a request that is made on behalf of another one.
Request made_within(const Request& outer, Operation operation, std::string path, Json data) {
  Request request;
  request.id = outer.id;
  request.operation = operation;
  request.path = std::move(path);
  request.data = std::move(data);
  request.token = outer.token;
  request.name_space = outer.name_space;
  request.remote_address = outer.remote_address;
  request.remote_port = outer.remote_port;
  request.wrap_ttl =
      outer.wrap_ttl;  // a policy may ask for it; the outer answer is what is wrapped
  request.peer_certificate = outer.peer_certificate;
  request.is_abandoned = outer.is_abandoned;
  request.answer_headers = outer.answer_headers;
  return request;
}

}  // namespace

// ---- what is asked for -------------------------------------------------------------------------

// What the pipeline found out, as the approvals want to know it. The TTL of a lease becomes a
// matter of its own.
Result<ApprovalSubject> RequestPipeline::approval_subject(Course& course) const {
  Request& request = course.request;
  ApprovalSubject subject{.operation = request.operation,
                          .path = request.path,
                          .data = request.data,
                          .mount = course.mount_accessor,
                          .mount_path = course.mount_path,
                          .place = parts_.place.id,
                          .caller = &*course.caller,
                          .by = course.attribution,
                          .demand = *course.demand};
  subject.hides_data = !gives_lease(*course.route, request.operation);
  if (subject.hides_data) return subject;
  ASSIGN_OR_RETURN(const Millis ttl, Fields(request.data).duration_or("ttl", course.ttl));
  course.ttl = ttl;
  request.data.erase("ttl");
  subject.data = request.data;
  auto foreseen = course.mount->engine().foresee({.path = course.rest,
                                                  .params = course.params,
                                                  .lease_id = {},
                                                  .data = request.data,
                                                  .attribution = course.attribution});
  if (!foreseen) return std::move(foreseen).error();
  subject.foreseen = *std::move(foreseen);
  return subject;
}

// Of a request that is looked at from another one: where it goes, and that people have to approve
// it.
Status RequestPipeline::find_guarded(Course& course) const {
  RETURN_IF_ERROR(find_route(course));
  RETURN_IF_ERROR(decide_operation(course));
  RETURN_IF_ERROR(decide(course));
  if (course.backend == nullptr && !course.mount)
    return Error{Errc::kUnsupportedPath,
                 fmt::format("no handler for route '{}'", course.request.path)};
  if (course.route == nullptr || !course.serves)
    return Error{Errc::kUnsupportedPath, "1 error occurred:\n\t* unsupported path\n\n"};
  return ok();
}

Result<Approval> RequestPipeline::ask(const BackendCall& call, Request asked,
                                      ApprovalWishes wishes) {
  Course course;
  course.request =
      made_within(call.request, asked.operation, std::move(asked.path), std::move(asked.data));
  course.now = call.now;
  course.attribution = call.attribution;
  course.caller = *call.caller;
  course.home = &parts_.homes.of(call.caller->secret);
  RETURN_IF_ERROR(find_guarded(course));
  if (!course.demand)
    return Error{Errc::kInvalidArgument,
                 fmt::format("no policy asks for approval of {} \"{}\": make the request itself",
                             operation_name(course.request.operation), course.request.path)};
  ASSIGN_OR_RETURN(const ApprovalSubject subject, approval_subject(course));
  if (wishes.ttl == Millis{0}) wishes.ttl = course.ttl;
  return ask_for(course, subject, std::move(wishes));
}

// What people will want to see of a new request is tried first.
Result<Approval> RequestPipeline::ask_for(const Course& course, const ApprovalSubject& subject,
                                          ApprovalWishes wishes) {
  if (!subject.foreseen) return parts_.approvals.ask(subject, wishes);
  ASSIGN_OR_RETURN(const bool known, parts_.approvals.is_waiting(subject, wishes));
  if (known) return parts_.approvals.ask(subject, wishes);
  auto seen = contained(parts_.log, "the rehearsal", [&] {
    return course.mount->engine().rehearse({.path = course.rest,
                                            .params = course.params,
                                            .lease_id = {},
                                            .data = subject.data,
                                            .attribution = course.attribution},
                                           {.deadline = parts_.clock.steady() + kRehearsalTime});
  });
  if (seen)
    wishes.rehearsal = *std::move(seen);
  else if (seen.error().code != Errc::kUnsupportedOperation)
    return std::move(seen).error();
  return parts_.approvals.ask(subject, wishes);
}

// ---- on the way --------------------------------------------------------------------------------

// A request that is made itself: it goes through where it was approved, else it is asked for.
Result<Response> RequestPipeline::serve_guarded(Course& course) {
  ASSIGN_OR_RETURN(const ApprovalSubject subject, approval_subject(course));
  ApprovalWishes wishes{.ttl = course.ttl, .idempotency_key = course.request.idempotency_key};
  ASSIGN_OR_RETURN(const auto covering, parts_.approvals.covering(subject, wishes));
  if (covering) return serve_approved(course, *covering, subject);
  ASSIGN_OR_RETURN(Approval approval, ask_for(course, subject, wishes));
  for (int round = 0; round < kRoundsMax; ++round) {
    if (approval.state == ApprovalState::kApproved)
      return serve_approved(course, approval, subject);
    if (approval.state != ApprovalState::kPending || course.request.hold_left <= Millis{0}) break;
    // Nothing is missed: what happens from here on is known, and what happened before is read.
    auto watch = parts_.approvals.events().watch(approval.id);
    ASSIGN_OR_RETURN(auto present, parts_.approvals.get(approval.id));
    if (!present) break;
    if (present->revision == approval.revision)
      return Response{
          .hold = Hold{[watch](std::function<void()> wake) { return watch->arm(std::move(wake)); },
                       course.request.hold_left}};
    approval = *std::move(present);
  }
  return answer_waiting(course, approval);
}

Result<Response> RequestPipeline::answer_waiting(const Course& course, const Approval& approval) {
  Response response;
  response.approval = {{"id", approval.id},
                       {"digest", approval.digest},
                       {"state", approval_state_name(approval.state)}};
  if (course.request.responds_async) {
    response.status = 202;
    response.data = to_api(approval, parts_.approvals.tally_of(approval));
    hide_from_requester(response.data);
    if (course.request.answer_headers != nullptr) {
      course.request.answer_headers->push_back({"Location", "/v1/sys/approvals/" + approval.id});
      course.request.answer_headers->push_back({"Preference-Applied", "respond-async"});
    }
    return response;
  }
  const WallTime until = approval.claim_until.value_or(approval.expires_at + approval.claim_window);
  const Json note = std::exchange(response.approval, nullptr);
  ASSIGN_OR_RETURN(
      response,
      parts_.wraps.promise(course.request, course.attribution,
                           std::max<Millis>(until - parts_.clock.wall(), Seconds{1}), approval.id));
  response.approval = note;
  response.warnings.push_back(fmt::format(
      "this has to be approved first: approval request {} waits until {}. Follow it with: curfew "
      "approval wait {}. Then unwrap the token, or repeat this request",
      approval.id, format_rfc3339(approval.expires_at), approval.id));
  return response;
}

// ---- what was approved -------------------------------------------------------------------------

// The digest is made again of what there is now.
Status RequestPipeline::check_unchanged(const Approval& approval, const ApprovalSubject& subject) {
  Approval present = approval;
  present.operation = subject.operation;
  present.path = subject.path;
  present.data = subject.data;
  present.mount = subject.mount;
  present.policy_version = policy_version(subject.demand);
  present.role = subject.foreseen ? subject.foreseen->role : std::string();
  present.target = subject.foreseen ? subject.foreseen->target : std::string();
  present.content_digest = subject.foreseen ? digest_of(subject.foreseen->content) : std::string();
  if (digest_of(present) == approval.digest) return ok();
  const bool same_policy = present.policy_version == approval.policy_version;
  RETURN_IF_ERROR(parts_.approvals.supersede(
      approval, same_policy ? "the role has changed since" : "the policy has changed since"));
  return Error{Errc::kConflict,
               fmt::format("{} changed since this was approved ({}): ask for it again",
                           same_policy ? "the role or its target has"
                                       : "the policy that asks for approval has",
                           approval.id)};
}

// Who asked, and for what, stands on the lease as it was approved. Of a task it is whoever draws on
// it, with what is not said taken from the task.
void RequestPipeline::attribute_to(const Approval& approval, Course& course) {
  engines::Attribution by = approval.requester.by;
  engines::Attribution& now = course.attribution;
  if (!approval.is_task()) {
    by.remote_address = now.remote_address;
    by.token_accessor = now.token_accessor;
    now = std::move(by);
    return;
  }
  for (const auto part : {&engines::Attribution::session, &engines::Attribution::purpose,
                          &engines::Attribution::trace_id, &engines::Attribution::ticket})
    if ((now.*part).empty()) now.*part = by.*part;
}

Result<Response> RequestPipeline::serve_approved(Course& course, const Approval& approval,
                                                 const ApprovalSubject& subject) {
  RETURN_IF_ERROR(check_unchanged(approval, subject));
  course.approval = approval;
  course.subject.allowed = true;
  attribute_to(approval, course);
  Response response;
  if (subject.foreseen) {
    Millis ttl = approval.ttl;
    if (approval.task && approval.task->ends_at)
      ttl =
          std::min<Millis>(ttl, std::chrono::floor<Seconds>(*approval.task->ends_at - course.now));
    if (ttl < Seconds{1}) return Error{Errc::kConflict, "the time of the task is over"};
    course.request.data["ttl"] = fmt::format("{}s", ttl / Seconds{1});
    auto issued = serve_engine(course);
    if (!issued) {
      give_back(course);
      return issued;
    }
    response = *std::move(issued);
  } else {
    ASSIGN_OR_RETURN(response, claim_and_serve(course));
  }
  if (course.is_claimed) parts_.approvals.claimed(*course.approval);
  response.approval = {{"id", approval.id}, {"digest", approval.digest}};
  return response;
}

Status RequestPipeline::claim(store::Writer& writer, Course& course, const std::string& lease_id) {
  ASSIGN_OR_RETURN(course.approval, parts_.approvals.claim(writer, *course.approval, lease_id));
  course.is_claimed = true;
  return ok();
}

// A request without a lease is made once, whatever comes of it: what it did cannot be told from
// outside.
Result<Response> RequestPipeline::claim_and_serve(Course& course) {
  RETURN_IF_ERROR(parts_.approvals.claim_alone(*course.approval));
  course.is_claimed = true;
  return course.mount ? serve_engine(course) : serve_backend(course);
}

// A claim of which certainly nothing has come may be tried again.
void RequestPipeline::give_back(const Course& course) {
  if (!course.is_claimed || course.approval->lease_ids.empty()) return;
  const std::string& lease_id = course.approval->lease_ids.back();
  const auto lease = parts_.lease_store.get(lease_id);
  if (lease && !*lease) parts_.approvals.unclaim(course.approval->id, lease_id);
}

// ---- claiming from elsewhere -------------------------------------------------------------------

// Whoever asked, by the token that asked, which has to be alive.
Result<Caller> RequestPipeline::caller_of(const Approval& approval) const {
  const Error gone{Errc::kPermissionDenied,
                   "permission denied: the token that asked for this has ended or cannot be used "
                   "from here; claim it with a token of whoever asked"};
  for (const Home& home : parts_.homes.all()) {
    if (home.id != approval.requester.home) continue;
    const std::string& accessor = approval.requester.by.token_accessor;
    if (accessor.empty()) return gone;
    ASSIGN_OR_RETURN(auto token, home.tokens.find_by_accessor(accessor));
    // What binds a token to an address or a certificate can only be seen on its own connection.
    if (!token || !token->bound_cidrs.empty() || !token->certificate.empty()) return gone;
    ASSIGN_OR_RETURN(Token used, home.tokens.use(*token));
    ASSIGN_OR_RETURN(Authority authority, home.authorities.of(used, home.below));
    return Caller{
        std::move(used), Secret(),       std::move(authority.rights), std::move(authority.standing),
        home.id,         !home.is_here()};
  }
  return gone;
}

Result<Response> RequestPipeline::claim(const BackendCall& call, const Approval& approval,
                                        bool opens_wrap) {
  Course course;
  course.request = made_within(call.request, approval.operation, approval.path, approval.data);
  course.now = call.now;
  course.attribution = approval.requester.by;
  const engines::Attribution& by = call.attribution;
  const bool is_requester = call.caller != nullptr &&
                            call.caller->token.type != TokenType::kWrapping &&
                            requester_key(call.caller->token, by) == approval.requester.key;
  if (is_requester) {
    course.caller = *call.caller;
    course.attribution.token_accessor = by.token_accessor;
  } else if (opens_wrap) {
    ASSIGN_OR_RETURN(course.caller, caller_of(approval));
  } else {
    return Error{Errc::kPermissionDenied,
                 "permission denied: only whoever asked for the approval claims it"};
  }
  for (const Home& home : parts_.homes.all())
    if (home.id == course.caller->name_space) course.home = &home;
  RETURN_IF_ERROR(find_guarded(course));
  if (!course.demand) {
    RETURN_IF_ERROR(parts_.approvals.supersede(approval, "the policy has changed since"));
    return Error{Errc::kConflict,
                 "no policy asks for approval of this any more: make the request itself"};
  }
  ASSIGN_OR_RETURN(const ApprovalSubject subject, approval_subject(course));
  RETURN_IF_ERROR(parts_.approvals.check_claimable(approval));
  return serve_approved(course, approval, subject);
}

}  // namespace curfew::broker

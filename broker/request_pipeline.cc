#include "broker/request_pipeline.h"

#include <fmt/format.h>

#include "base/contained.h"
#include "broker/attribution.h"
#include "broker/identity/agent_budget.h"
#include "broker/lease/ttl.h"
#include "broker/request_course.h"

namespace curfew::broker {
namespace {

constexpr std::string_view kSystemMount = "sys/";
constexpr std::string_view kTokenMount = "auth/token/";
constexpr std::string_view kAuthMounts = "auth/";
constexpr std::string_view kIdentityMount = "identity/";
constexpr std::string_view kMountsForUi = "/sys/internal/ui/mounts";  // and below

Error denied() {
  return {Errc::kPermissionDenied, "1 error occurred:\n\t* permission denied\n\n"};
}

Error unsupported_path() {
  return {Errc::kUnsupportedPath, "1 error occurred:\n\t* unsupported path\n\n"};
}

Error unsupported_operation() {
  return {Errc::kUnsupportedOperation, "1 error occurred:\n\t* unsupported operation\n\n"};
}

Error cannot_be_wrapped() {
  return {Errc::kInvalidArgument,
          "the answer of this path cannot be wrapped: leave X-Vault-Wrap-TTL out"};
}

}  // namespace

namespace {

template <class Handler>
const Handler* handler_of(const typename RouteTable<Handler>::Route& route, Operation operation) {
  auto it = route.handlers.find(operation);
  if (it == route.handlers.end() && operation == Operation::kCreate)
    it = route.handlers.find(Operation::kUpdate);
  return it == route.handlers.end() ? nullptr : &it->second;
}

}  // namespace

Result<Response> RequestPipeline::handle(Request request) {
  Course course;
  course.request = std::move(request);
  course.now = parts_.clock.wall();
  course.attribution.purpose = clean_text(course.request.purpose, kPurposeBytesMax);
  course.attribution.session = clean_text(course.request.session, kSessionBytesMax);
  course.attribution.ticket = clean_text(course.request.ticket, kTicketBytesMax);
  course.attribution.trace_id = trace_id_of(course.request.traceparent);
  course.attribution.remote_address = course.request.remote_address;
  return contained(parts_.log, "the request", [&] { return run(course); });
}

Result<Response> RequestPipeline::run(Course& course) {
  RETURN_IF_ERROR(find_route(course));
  Status admitted = believe(course);
  if (admitted) admitted = decide_operation(course);
  if (admitted) admitted = decide(course);
  if (admitted && !course.request.resumed) admitted = count_request(course);
  const Status audited = audit_request(course, admitted ? nullptr : &admitted.error());
  if (!audited) admitted = audited.error();
  auto outcome = admitted ? contained(parts_.log, "the request", [&] { return serve(course); })
                          : Result<Response>(admitted.error());
  if (outcome && outcome->hold) return outcome;  // it comes again
  outcome = wrap(course, std::move(outcome));
  outcome = audit_response(course, std::move(outcome));
  end_used_up(course);
  return outcome;
}

// ---- where to ---------------------------------------------------------------------------------

Status RequestPipeline::find_route(Course& course) const {
  const std::string& path = course.request.path;
  const auto in_backend = [&](const Backend& backend, std::string_view mount, const char* type) {
    course.backend = &backend;
    course.mount_path = mount;
    course.mount_type = type;
    course.rest = path.substr(mount.size());
    auto match = backend.routes().match(course.rest, course.request.operation);
    if (!match) return;
    course.route = match->route;
    course.serves = BackendRoutes::serves(*match->route, course.request.operation);
    course.backend_handler = handler_of<BackendHandler>(*match->route, course.request.operation);
    course.params = std::move(match->params);
  };
  if (path.starts_with(kSystemMount) && !course.request.lost)
    in_backend(parts_.system, kSystemMount, "system");

  // Without keys only what needs none is answered, and nothing else is told.
  if (!parts_.lifecycle.is_serving() && (course.route == nullptr || !course.route->works_sealed)) {
    ASSIGN_OR_RETURN(const auto status, parts_.lifecycle.status());
    if (!status.initialized)
      return Error{Errc::kNotInitialized,
                   "Curfew is not initialized yet; run: curfew operator init"};
    return Error{Errc::kSealed, "Vault is sealed"};
  }
  // Whether there is such a namespace is told to nobody whom the policies do not let ask.
  const auto answer_as_nowhere = [&] {
    if (const auto at = path.find(kMountsForUi); at != std::string::npos)
      in_backend(nowhere_, path.substr(0, at + 1 + kSystemMount.size()), "system");
    return ok();
  };
  if (course.request.lost) return answer_as_nowhere();
  // What is being deleted is looked after from above, and makes nothing new.
  if (parts_.closing && course.backend == nullptr) return ok();

  if (path.starts_with(kTokenMount)) in_backend(parts_.token_backend, kTokenMount, "token");
  if (path.starts_with(kAuthMounts) && course.backend == nullptr) {
    course.auth_mount = parts_.auth_mounts.route(path).mount;
    if (course.auth_mount == nullptr) return ok();  // as for other mounts below
    const MountEntry& entry = course.auth_mount->entry;
    in_backend(course.auth_mount->method(), course.auth_mount->full_path(), entry.type.c_str());
    course.mount_accessor = entry.accessor;
  }
  if (path.starts_with(kIdentityMount))
    in_backend(parts_.identity_backend, kIdentityMount, "identity");
  if (course.backend != nullptr) return ok();
  const std::string routed_path =
      course.request.operation == Operation::kList && !path.ends_with('/') ? path + "/" : path;
  auto routed = parts_.mounts.route(routed_path);
  // What exists is not for everyone to know: the policy comes first. The path may have been meant
  // to begin with a namespace.
  if (!routed.mount) return answer_as_nowhere();
  course.mount = routed.mount;
  course.rest = std::move(routed.rest);
  course.mount_path = course.mount->entry.path;
  course.mount_type = course.mount->entry.type;
  course.mount_accessor = course.mount->entry.accessor;
  auto match = course.mount->engine().routes().match(course.rest, course.request.operation);
  if (!match) return ok();
  course.route = match->route;
  course.serves = engines::CallRoutes::serves(*match->route, course.request.operation);
  course.engine_handler = handler_of<engines::CallHandler>(*match->route, course.request.operation);
  course.params = std::move(match->params);
  return ok();
}

namespace {

// Snapshots: names that are changed later do not change what is on record.
void attribute(const Authority& authority, engines::Attribution& attribution) {
  if (authority.standing == nullptr) return;
  const Standing& standing = *authority.standing;
  attribution.entity_name = standing.name;
  attribution.human = standing.kind == "human" ? standing.name : standing.owner;
  if (authority.principal == nullptr) return;
  attribution.human = authority.principal->name;
  attribution.human_id = authority.principal->entity_id;
}

}  // namespace

// ---- who --------------------------------------------------------------------------------------

bool is_about_own_token(const Request& request) {
  const auto named = request.data.find("token");
  return named == request.data.end() || *named == "" || *named == request.token.reveal();
}

// Whether it opens, by its path, the answer behind the very token that it is made with.
bool RequestPipeline::opens_own_wrap(const Course& course) {
  if (course.route == nullptr || !course.route->opens_wraps) return false;
  return !course.request.token.empty() && is_about_own_token(course.request);
}

Status RequestPipeline::believe(Course& course) {
  const bool open = course.route != nullptr && course.route->unauthenticated;
  if (open && (course.route->works_sealed || course.request.token.empty())) return ok();
  const Home& home = parts_.homes.of(course.request.token);
  auto token = home.tokens.authenticate(course.request.token, course.request.remote_address,
                                        course.request.peer_certificate.get());
  if (token && parts_.closing && home.is_here())
    token = Error{Errc::kUnauthenticated, "permission denied"};
  if (!token && open) return ok();
  if (!token && token.error().code == Errc::kUnauthenticated && opens_own_wrap(course))
    return no_wrapping_token();
  if (!token) return std::move(token).error();
  // Tokens with a row ended with their auth method.
  if (token->is_batch() && !token->mount.empty() && !home.auth_mounts.by_accessor(token->mount))
    return open ? ok() : Status(denied());
  // Who calls an open path uses nothing, a wrapping token is spent by what opens it, and what was
  // on hold was counted when it came.
  const bool is_use = !open && !course.request.resumed &&
                      !(token->type == TokenType::kWrapping && opens_own_wrap(course));
  auto used = is_use ? home.tokens.use(*token) : std::move(token);
  if (!used) return std::move(used).error();
  ASSIGN_OR_RETURN(Authority authority, home.authorities.of(*used, home.below));
  attribute(authority, course.attribution);
  course.home = &home;
  course.caller = Caller{*std::move(used),
                         course.request.token,
                         std::move(authority.rights),
                         std::move(authority.standing),
                         home.id,
                         !home.is_here()};
  const Token& caller = course.caller->token;
  const auto& standing = course.caller->standing;
  course.attribution.entity_id = standing ? standing->entity_id : caller.entity_id;
  course.attribution.display_name = caller.display_name;
  course.attribution.sub_agent = caller.sub_agent;
  course.attribution.agent = standing ? standing->name : caller.agent;
  course.attribution.token_accessor = caller.accessor;
  course.subject.token = &caller;
  course.subject.secret = &course.caller->secret;
  return ok();
}

// ---- whether ----------------------------------------------------------------------------------

Status RequestPipeline::decide_operation(Course& course) const {
  if (course.request.operation != Operation::kUpdate || course.route == nullptr) return ok();
  Result<std::optional<bool>> exists = std::optional<bool>{};
  if (course.mount) {
    exists = course.mount->engine().exists(
        {Operation::kUpdate, course.rest, course.params, course.request.data, course.attribution});
  } else {
    exists = course.backend->exists({course.request, course.params,
                                     course.caller ? &*course.caller : nullptr, course.now,
                                     course.attribution});
  }
  if (!exists) return std::move(exists).error();
  if (*exists && !**exists) course.request.operation = Operation::kCreate;
  return ok();
}

Status RequestPipeline::decide(Course& course) const {
  if (course.route != nullptr && course.route->unauthenticated) return ok();
  if (!course.caller) return denied();
  const policy::Access access{.operation = course.request.operation,
                              .path = course.request.path,
                              .parameters = &course.request.data,
                              .wrap_ttl = course.request.wrap_ttl,
                              .needs_sudo = course.route != nullptr && course.route->sudo};
  const policy::Decision decision = course.caller->rights->check(access);
  course.subject.decided = true;
  course.subject.allowed = decision.allowed;
  course.decision = decision;
  if (decision.needs_approval) {
    course.demand = course.caller->rights->approval(access);
    return ok();
  }
  return decision.allowed ? ok() : Status(denied());
}

// ---- how much --------------------------------------------------------------------------------

namespace {

std::string role_of(const RouteParams& params) {
  for (const char* name : {"role", "name", "role_name"}) {
    const auto it = params.find(name);
    if (it != params.end()) return it->second;
  }
  return {};
}

void add_header(const Request& request, std::string name, std::int64_t value) {
  if (request.answer_headers != nullptr)
    request.answer_headers->push_back({std::move(name), std::to_string(value)});
}

}  // namespace

QuotaSubject RequestPipeline::quota_subject(const Course& course) {
  QuotaSubject subject{.path = course.request.path,
                       .mount_path = course.mount_path,
                       .mount_accessor = course.mount_accessor,
                       .role = role_of(course.params),
                       .entity_id = {},
                       .token_id = {},
                       .remote_address = course.request.remote_address};
  if (course.caller) {
    subject.entity_id = course.attribution.entity_id;
    subject.token_id = course.caller->token.id;
  }
  return subject;
}

Status RequestPipeline::count_request(Course& course) {
  const auto verdict = parts_.quotas.count_request(quota_subject(course));
  if (!verdict) return ok();
  const QuotaConfig config = parts_.quotas.config();
  const std::int64_t reset = verdict->reset.count();
  if (config.response_headers) {
    add_header(course.request, "X-Ratelimit-Limit", verdict->limit);
    add_header(course.request, "X-Ratelimit-Remaining", verdict->remaining);
    add_header(course.request, "X-Ratelimit-Reset", reset);
  }
  if (verdict->allowed) return ok();
  add_header(course.request, "Retry-After", reset);
  course.unaudited_refusal = !config.audit_refusals;
  return Error{Errc::kQuotaExceeded,
               fmt::format("request path \"{}\": rate limit quota exceeded", course.request.path)};
}

// ---- the work ---------------------------------------------------------------------------------

Result<Response> RequestPipeline::serve(Course& course) {
  if (course.backend == nullptr && !course.mount)
    return Error{Errc::kUnsupportedPath,
                 fmt::format("no handler for route '{}'", course.request.path)};
  if (course.mount && course.mount->entry.state != MountState::kActive)
    return Error{Errc::kUnsupportedPath,
                 fmt::format("the mount \"{}\" is being removed", course.mount_path)};
  if (course.route == nullptr) return unsupported_path();
  if (course.request.help)
    return Response{
        .layout = Layout::kBare,
        .data = {{"help", course.route->summary}, {"openapi", nullptr}, {"see_also", nullptr}}};
  if (!course.serves) return unsupported_operation();
  if (course.route->irreversible && course.request.wrap_ttl) return cannot_be_wrapped();
  if (course.demand && !course.approval) return serve_guarded(course);
  return course.mount ? serve_engine(course) : serve_backend(course);
}

Result<Response> RequestPipeline::serve_backend(Course& course) {
  const BackendCall call{course.request, course.params, course.caller ? &*course.caller : nullptr,
                         course.now, course.attribution};
  if (course.auth_mount != nullptr && course.route->unauthenticated)
    return parts_.logins.log_in(*course.auth_mount, call, *course.backend_handler);
  return (*course.backend_handler)(call);
}

// Whether the auth method is still there by whose login a token without a row was made; others
// ended with it.
Status RequestPipeline::check_method(const store::Reader& reader, const Course& course) {
  const Token& token = course.caller->token;
  const AuthMounts& methods = course.home->auth_mounts;
  if (!token.is_batch() || token.mount.empty()) return ok();
  const auto mount = methods.by_accessor(token.mount);
  if (mount == nullptr || !methods.check_open(reader, mount->entry)) return denied();
  return ok();
}

namespace {

// The longest life of a lease that the agent, or a budget of the token, allows; 0: no limit.
Millis lease_ttl_max(const Caller& caller) {
  Millis least =
      caller.standing && caller.standing->agent ? caller.standing->agent->ttl_max : Millis{0};
  for (const TokenBudget& budget : caller.token.budgets) {
    if (budget.ttl_max == Millis{0}) continue;
    least = least == Millis{0} ? budget.ttl_max : std::min(least, budget.ttl_max);
  }
  return least;
}

}  // namespace

Result<Response> RequestPipeline::serve_engine(Course& course) {
  if (course.route->issues_lease && course.request.operation == Operation::kRead) {
    if (course.caller->token.num_uses < 0)
      return Error{Errc::kInvalidArgument,
                   "Secret cannot be returned; token had one use left, and a lease ends with its "
                   "token. Ask with a token that has more uses"};
    RETURN_IF_ERROR(parts_.lockdowns.check({.agent = agent_of(course.attribution),
                                            .session = course.attribution.session,
                                            .trace = course.attribution.trace_id,
                                            .tokens = {course.caller->token.holder()},
                                            .mount_id = course.mount_accessor,
                                            .role = {},
                                            .target = {},
                                            .planned = false}));
    const Standing* standing = course.caller->standing.get();
    auto issued = parts_.retries.issue(
        {.mount = course.mount,
         .path = course.rest,
         .params = course.params,
         .request = course.request,
         .token = course.caller->token,
         .attribution = course.attribution,
         .admit = [&](store::Writer& writer, const Lease& lease) -> Status {
           RETURN_IF_ERROR(parts_.lockdowns.check(writer, subject_of(lease)));
           RETURN_IF_ERROR(check_method(writer, course));
           if (standing != nullptr)
             RETURN_IF_ERROR(check_agent_budget(writer, *standing,
                                                course.home->below + course.mount_path, lease));
           QuotaSubject subject = quota_subject(course);
           subject.role = lease.role;
           RETURN_IF_ERROR(parts_.quotas.check_lease(writer, subject));
           RETURN_IF_ERROR(course.home->budgets.charge(writer, course.caller->token, lease));
           return course.approval ? claim(writer, course, lease.id) : ok();
         },
         .key = {},
         .ttl_max = lease_ttl_max(*course.caller),
         .approval = course.approval ? approval_note(*course.approval) : Json()});
    if (issued && issued->replayed && course.request.answer_headers != nullptr)
      course.request.answer_headers->push_back({"Idempotency-Replayed", "true"});
    return issued;
  }
  ASSIGN_OR_RETURN(auto reply,
                   (*course.engine_handler)({course.request.operation, course.rest, course.params,
                                             course.request.data, course.attribution}));
  Response response;
  response.status = reply.status;
  response.data = std::move(reply.data);
  response.warnings = std::move(reply.warnings);
  if (reply.advisory_ttl) {
    const Millis usual = course.mount->entry.config.default_lease_ttl;
    response.lease_duration = *reply.advisory_ttl > Millis{0} ? *reply.advisory_ttl
                              : usual > Millis{0}             ? usual
                                                              : kSystemTtl;
  }
  return response;
}

// ---- wrapping ---------------------------------------------------------------------------------

// The answer goes behind a wrapping token where the caller asked for that. What says nothing has
// nothing to hide; what works without keys has nowhere to put it.
Result<Response> RequestPipeline::wrap(const Course& course, Result<Response> outcome) {
  const Request& request = course.request;
  if (outcome && outcome->stream) return outcome;
  if (!outcome || !request.wrap_ttl || request.help || outcome->wrap_info) return outcome;
  if (!outcome->says_something() || course.route->works_sealed) return outcome;
  if (outcome->layout == Layout::kBare || outcome->layout == Layout::kText)
    return cannot_be_wrapped();
  auto wrapped = parts_.wraps.wrap(request, course.attribution, *request.wrap_ttl, *outcome);
  if (!wrapped) take_back(*outcome, "not wrapped");
  return wrapped;
}

}  // namespace curfew::broker

#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "broker/approval/approval_service.h"
#include "broker/audit/audit_broker.h"
#include "broker/auth/auth_mounts.h"
#include "broker/auth/login_service.h"
#include "broker/backend.h"
#include "broker/lease/lease_service.h"
#include "broker/lease/lockdown.h"
#include "broker/lease/retries.h"
#include "broker/lifecycle.h"
#include "broker/mount/mount_table.h"
#include "broker/quota/quotas.h"
#include "broker/request.h"
#include "broker/tenant/home.h"
#include "broker/tenant/namespace_entry.h"
#include "broker/tenant/nowhere.h"
#include "broker/token/token_service.h"
#include "broker/wrapping/wraps.h"

namespace curfew::broker {

// Whether a request is about the very token that it is made with: its member "token" is not there,
// empty, or that one.
bool is_about_own_token(const Request& request);

// The only way in. Thread-safe.
//
//   seal → route → token → policy → quota → approval → audit the request → serve → wrap the answer
//   → audit the response
class RequestPipeline {
 public:
  struct Parts {
    Lifecycle& lifecycle;
    const Homes& homes;
    const NamespaceEntry& place;       // the namespace that this serves
    const std::atomic<bool>& closing;  // it is being deleted
    MountTable& mounts;
    AuthMounts& auth_mounts;
    LoginService& logins;
    TokenService& tokens;
    LeaseService& leases;
    Retries& retries;
    Quotas& quotas;
    const Lockdowns& lockdowns;
    const LeaseStore& lease_store;
    ApprovalService& approvals;
    Wraps& wraps;
    AuditBroker& audit;
    const Backend& system;
    const Backend& token_backend;
    const Backend& identity_backend;
    const Clock& clock;
    Log& log;
    std::function<void()> token_ended;
  };
  explicit RequestPipeline(Parts parts) : parts_(std::move(parts)) {}

  // Every outcome: an answer, or why there is none. Never throws.
  Result<Response> handle(Request request);

  // Asks for approval of a request that is not made yet, as whoever makes `call`. `asked` has the
  // path, operation and data of that request; ttl, reason and the like are in `wishes`. Errors as
  // of the request itself, and of ApprovalService::ask(); kInvalidArgument: no policy asks for
  // approval.
  Result<Approval> ask(const BackendCall& call, Request asked, ApprovalWishes wishes);

  // Makes a request that was approved, as who asked for it; gives its answer. The caller is the one
  // who asked or, where `opens_wrap`, holds the token that stands for the request: then the token
  // that asked must still be alive.
  Result<Response> claim(const BackendCall& call, const Approval& approval, bool opens_wrap);

  // The answer did not reach the client: its lease ends unless a retry asks for it in time; its new
  // token, and what it holds wrapped, at once.
  void undelivered(const Response& response);

 private:
  struct Course;

  Result<Response> run(Course& course);
  Status find_route(Course& course) const;
  Status believe(Course& course);
  static bool opens_own_wrap(const Course& course);
  static Status check_method(const store::Reader& reader, const Course& course);
  Status decide_operation(Course& course) const;
  Status decide(Course& course) const;
  static QuotaSubject quota_subject(const Course& course);
  Status count_request(Course& course);
  static void explain_decision(Course& course);
  AuditEntry entry_of(const Course& course, WallTime time) const;
  Status audit_request(Course& course, const Error* error);
  Result<Response> serve(Course& course);
  Result<Response> serve_backend(Course& course);
  Result<Response> serve_engine(Course& course);

  // Of requests that people have to approve.
  Result<Response> serve_guarded(Course& course);
  Result<Approval> ask_for(const Course& course, const ApprovalSubject& subject,
                           ApprovalWishes wishes);
  Result<ApprovalSubject> approval_subject(Course& course) const;
  Result<Response> serve_approved(Course& course, const Approval& approval,
                                  const ApprovalSubject& subject);
  static void attribute_to(const Approval& approval, Course& course);
  Status check_unchanged(const Approval& approval, const ApprovalSubject& subject);
  Status claim(store::Writer& writer, Course& course, const std::string& lease_id);
  Result<Response> claim_and_serve(Course& course);
  void give_back(const Course& course);
  Result<Response> answer_waiting(const Course& course, const Approval& approval);
  Result<Caller> caller_of(const Approval& approval) const;
  Status find_guarded(Course& course) const;
  Result<Response> wrap(const Course& course, Result<Response> outcome);
  Result<Response> audit_response(Course& course, Result<Response> outcome);
  void take_back(const Response& response, std::string_view why);
  void take_token_back(const Secret& token, std::string_view accessor, std::string_view why);
  void take_tokens_back(const Response& response, std::string_view why);
  void end_used_up(const Course& course);

  const Parts parts_;
  const Nowhere nowhere_;
};

}  // namespace curfew::broker

#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "broker/approval/approval.h"
#include "broker/audit/audit_entry.h"
#include "broker/auth/auth_mounts.h"
#include "broker/backend.h"
#include "broker/mount/mount_table.h"
#include "broker/request_pipeline.h"
#include "broker/tenant/home.h"
#include "policy/rights.h"

// Inside the request pipeline.
namespace curfew::broker {

// One request on its way through the stages; each stage adds what it found out.
struct RequestPipeline::Course {
  Request request;
  WallTime now;
  engines::Attribution attribution;

  // Where it goes: one of the backends, or an engine's mount.
  const Backend* backend = nullptr;
  std::shared_ptr<const AuthMount> auth_mount;  // where that is an auth method: keeps it alive
  std::shared_ptr<const Mount> mount;
  std::string rest;  // the path below the mount
  std::string mount_path;
  std::string mount_type;
  std::string mount_accessor;
  const RouteSpec* route = nullptr;
  RouteParams params;
  const BackendHandler* backend_handler = nullptr;
  const engines::CallHandler* engine_handler = nullptr;
  bool serves = false;  // the route has the operation

  // Of an engine or an auth method; nullptr: one of the broker's own paths.
  const MountEntry* mount_entry() const {
    if (mount) return &mount->entry;
    return auth_mount ? &auth_mount->entry : nullptr;
  }

  // Who asks, and what was decided.
  const Home* home = nullptr;  // of the caller's token
  std::optional<Caller> caller;
  std::optional<policy::Decision> decision;  // points into the caller's rules and the request
  AuditSubject subject;
  // People have to approve it: what the policies ask for, and the lease's TTL that was asked for,
  // which is no part of `request.data` then.
  std::optional<policy::ApprovalDemand> demand;
  Millis ttl{0};
  std::optional<Approval> approval;  // that it goes through by
  bool is_claimed = false;           // that approval is used up by it
  bool unaudited_refusal = false;    // beyond a rate limit, and such refusals are not audited
  bool request_audited = false;
};

}  // namespace curfew::broker

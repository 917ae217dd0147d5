#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "broker/lease/lease_claims.h"
#include "broker/lease/lease_store.h"
#include "broker/lease/revoker.h"
#include "broker/mount/mount_table.h"
#include "broker/request.h"
#include "broker/token/token.h"

namespace curfew::broker {

// What a lease is asked for with, once policy has allowed it.
struct IssueCall {
  std::shared_ptr<const Mount> mount;
  std::string path;  // below the mount
  RouteParams params;
  const Request& request;
  const Token& token;
  engines::Attribution attribution;
  // Asked inside the transaction that writes the lease down whether it may be born; what it writes
  // belongs to that transaction. Empty: it may.
  std::function<Status(store::Writer&, const Lease&)> admit = {};
  RequestKey key = {};  // stays on the lease
  Millis ttl_max{0};    // of who asks; 0: no limit of theirs
  // What the lease remembers of the approval that it is issued by (see Lease::approval). Such a
  // lease is not renewed: people approved its time too.
  Json approval = nullptr;
};

// Makes, renews and ends leases. Thread-safe.
class LeaseService {
 public:
  LeaseService(LeaseStore& leases, LeaseClaims& claims, Revoker& revoker, MountTable& mounts,
               const Clock& clock, Random& random, Log& log, std::function<void()> lease_ended);

  // Plan, write down, act, confirm. When this fails, no credential exists that nobody will take
  // back.
  Result<Response> issue(const IssueCall& call);

  // `increment`: the new time to live from now; 0: what the lease was issued with. kInvalidArgument
  // says why not.
  Result<Response> renew(const std::string& id, Millis increment,
                         const std::optional<WallTime>& token_end);

  // Ends a lease now. Absent and ended: success. kRefused: the first attempt failed; it goes on in
  // the background, and the message says what is left.
  Status revoke(const std::string& id);
  // The same in the background.
  Status revoke_later(const std::string& id);

  // Ends all leases whose ids begin with `prefix`; waits for the outcome of each when `wait`.
  // kRefused: some are not ended yet; the message counts them and names one.
  Status revoke_prefix(const std::string& prefix, bool wait);

  // As revoke_prefix; what cannot be revoked at once is given up, and its receipt says so. After a
  // minute without another attempt.
  Status revoke_force(const std::string& prefix);

  // Waits until no live lease matches that was issued before this call. kInvalidArgument: some are
  // left whose revocation failed since this was called, or a minute is over; the message counts
  // them and names one.
  Status wait_ended(LeaseFilter filter);

  // The state of ended leases changes here too: wakes those that wait. Called by the reaper.
  void attempt_finished();

 private:
  Status wait_ended_since(WallTime began, LeaseFilter filter);
  Result<engines::DurableIntent> write_ahead(const IssueCall& call, Lease& lease,
                                             engines::IssuePlan plan,
                                             std::vector<std::string>& warnings);
  Error take_back(const Lease& lease, const Error& error, bool apply_ended);

  LeaseStore& leases_;
  LeaseClaims& claims_;
  Revoker& revoker_;
  MountTable& mounts_;
  const Clock& clock_;
  Random& random_;
  Log& log_;
  const std::function<void()> lease_ended_;
  std::mutex mutex_;
  std::condition_variable finished_;
};

}  // namespace curfew::broker

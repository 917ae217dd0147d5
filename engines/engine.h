#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "base/route.h"
#include "base/secret.h"

// The contract between the broker and what can be leased. An engine sees nothing of the broker but
// the interfaces declared here.
namespace curfew::engines {

// Who is behind a request, as it is remembered for good. A snapshot taken when the request came in;
// what the caller wrote (purpose, session) is bounded and free of control characters already.
struct Attribution {
  std::string entity_id;       // empty while the token belongs to no entity
  std::string display_name;    // the token's; for people to read, whoever made it chose it
  std::string agent = {};      // that the token inherited; empty: the display name says it
  std::string token_accessor;  // never the token
  std::string purpose;
  std::string session;
  std::string trace_id;  // 32 hex digits of a W3C traceparent, or empty
  std::string remote_address;
  std::string ticket = {};       // X-Curfew-Ticket: what the work is booked on
  std::string entity_name = {};  // as it was called then
  // The human behind it: whom an agent acts for, else who answers for it, else the entity itself
  // where that is a human. Names, as they were then.
  std::string human = {};
  std::string human_id = {};  // the entity id of whom an agent acts for; empty: nobody
  // The child task of the agent that the token was made for: "planner/tests"; empty: none.
  std::string sub_agent = {};
};

// One request to an engine's own paths (configuration, keys, values).
struct Call {
  Operation operation;
  std::string path;    // below the mount, without a leading '/'
  RouteParams params;  // the named parts of the path
  Json data;           // body, or the query of a read; always an object
  Attribution attribution;
};

// What an engine answers. A null `data` becomes 204 unless `status` says otherwise.
struct Reply {
  Json data = nullptr;
  std::vector<std::string> warnings = {};
  int status = 0;                           // 0: 200 with data, 204 without
  std::optional<Millis> advisory_ttl = {};  // shown as lease_duration, with no lease behind it
};

using CallHandler = std::function<Result<Reply>(const Call&)>;
using CallRoutes = RouteTable<CallHandler>;

// What a caller was allowed to ask for. Values only.
struct IssueRequest {
  std::string path;      // below the mount: "creds/agent-readonly"
  RouteParams params;    // the named parts of that path
  std::string lease_id;  // chosen by the broker; unique for all time
  Json data;             // parameters of the request
  Attribution attribution;
};

// Everything that is needed to find and remove one external effect, and nothing secret. It is
// stored on the lease and stays sufficient when the role's configuration is changed or deleted.
struct Handle {
  std::string resource;  // what the effect depends on, for grouping: a target, a key's version
  Json fields;           // the engine's own; an object
  // What the effect is called there, where people meet it: a database role. May be empty.
  std::string name = {};
};

// How long the credential may live. The broker does the arithmetic, for all engines alike.
struct Terms {
  Millis ttl{0};            // the role's default; 0: the mount's
  Millis max_ttl{0};        // counted from the issue; 0: the mount's
  Millis requested_ttl{0};  // what the caller asked for; 0: nothing
  bool renewable = true;
};

struct IssuePlan {
  std::string role;  // for grouping and display
  Handle handle;
  Terms terms;
  Json work;  // what apply() needs beside the handle; not stored, may hold statements, no secret
};

// Proof that a plan's intent is on stable storage. Only the lease store can make one, so that
// forgetting to write ahead does not compile.
class DurableIntent {
 public:
  const std::string& lease_id() const { return lease_id_; }
  const IssuePlan& plan() const { return plan_; }
  WallTime expires_at() const { return expires_at_; }

 private:
  friend class DurableIntentMaker;
  DurableIntent(std::string lease_id, IssuePlan plan, WallTime expires_at)
      : lease_id_(std::move(lease_id)), plan_(std::move(plan)), expires_at_(expires_at) {}

  std::string lease_id_;
  IssuePlan plan_;
  WallTime expires_at_;
};

// What there is to say of a request before anything exists: for the people who approve it, and to
// tie their approval to.
struct Foreseen {
  std::string role;    // as IssuePlan::role
  std::string target;  // as Handle::resource
  Terms terms;
  // For people; an object without secrets. Of a database: "database", "statements" (an array of
  // SQL, placeholders not filled in), "privileges", and "statement" where one is asked for.
  Json shown;
  // Everything whose change makes it another request; equal where nothing has changed. An object
  // without secrets, of which a digest is kept.
  Json content;
};

// What apply() made.
struct Issued {
  Json data;        // for the caller: holds the secret; not stored
  Json facts = {};  // merged into the handle's fields when the lease becomes active; an object
  std::vector<std::string> warnings = {};
};

enum class Presence { kAbsent, kPresent };

// The steps of a revocation, in order. Each is idempotent and a transaction of its own.
enum class Phase { kLockOut, kTerminate, kClean, kDrop };
const char* phase_name(Phase phase);

// What the broker remembers of a revocation, across crashes.
// Thread-safety: used by the one thread that revokes.
class PhaseRecord {
 public:
  virtual ~PhaseRecord() = default;
  virtual bool is_done(Phase phase) const = 0;
  // Durable when it returns success. `note` goes on the receipt; an object without secrets.
  virtual Status done(Phase phase, Json note) = 0;
};

// Proof that the access is gone, from a fresh look and not from the absence of errors.
struct Receipt {
  Json checked;                   // what was looked at and what was found; an object
  Json warnings = Json::array();  // what was left behind or could not be done as told
};

// A lease that is revoked together with others.
struct LeaseRef {
  std::string lease_id;
  Handle handle;
};

// What revoke_many() did for one lease: its phases with their notes, and the proof.
struct Removed {
  std::map<Phase, Json> notes;
  Receipt receipt;
};

// Thread-safety: belongs to one call.
struct CallContext {
  SteadyTime deadline;  // give up then: cancel at the target and return kInDoubt
};

// The mount's own part of the broker's store: sealed, keyed by text with '/' in it.
class StorageReader {
 public:
  virtual ~StorageReader() = default;
  virtual Result<std::optional<Json>> get(std::string_view key) const = 0;
  // The next path elements below `prefix` ("" or ending in '/'), sorted; folders end in '/'.
  virtual Result<std::vector<std::string>> list(std::string_view prefix) const = 0;
};

class StorageWriter : public StorageReader {
 public:
  virtual Status put(std::string_view key, const Json& value) = 0;
  virtual Status remove(std::string_view key) = 0;  // absent is success
};

// Thread-safe. The functions run at once, in the calling or in another thread, before these return.
class MountStorage {
 public:
  virtual ~MountStorage() = default;
  // A consistent view.
  virtual Status read(const std::function<Status(const StorageReader&)>& reader) const = 0;
  // One transaction, durable when this returns success, without effect when it fails or `writer`
  // does. Writers run one at a time, so a check and the write that depends on it belong in one.
  // `writer` must not block and must not call the store by another way.
  virtual Status write(const std::function<Status(StorageWriter&)>& writer) = 0;

  // One value.
  Result<std::optional<Json>> get(std::string_view key) const;
  Result<std::vector<std::string>> list(std::string_view prefix) const;
  Status put(std::string_view key, const Json& value);
  Status remove(std::string_view key);
};

// A live lease of this mount, as its engine may see it.
struct LeaseView {
  std::string id;
  std::string role;
  Handle handle;
  WallTime expires_at;
};

// The leases of this mount. Thread-safe.
class MountLeases {
 public:
  virtual ~MountLeases() = default;
  // nullopt: unknown, of another mount, not active, or past its end. `id` is whole, or the part
  // behind the mount's path.
  virtual Result<std::optional<LeaseView>> active(std::string_view id) const = 0;
  // Leases that are not revoked yet and whose handle names `resource`.
  virtual Result<std::int64_t> count(std::string_view resource) const = 0;
  // Makes all of them due now; returns how many. Revocation goes on in the background.
  virtual Result<std::int64_t> end_all(std::string_view resource) = 0;
};

// Makes passwords by the broker's password policies. Thread-safe.
class PasswordMaker {
 public:
  virtual ~PasswordMaker() = default;
  // `policy`: a name, or empty for the default (20 of [0-9A-Za-z-], one of each class at least).
  virtual Result<Secret> make(std::string_view policy) = 0;
};

// What an engine is given. All references outlive it.
struct Services {
  std::string mount_accessor;
  Json options;  // the mount's options, an object of strings: {"version":"2"}
  MountStorage& storage;
  MountLeases& leases;
  PasswordMaker& passwords;
  const Clock& clock;
  Random& random;
  Log& log;
  // Something is due sooner than tend() said, or chores() has changed: all of this mount's chores
  // are called soon. Returns at once; may be called from anywhere, also from within tend().
  std::function<void()> wake_caretaker = [] {};
};

// What a call of tend() found and did.
struct Tended {
  std::optional<WallTime> next;  // when to be called again; nullopt: when the engine asks to be
  bool failing = false;  // something that was due did not work, is logged and is tried again
};

// Turns allowed requests into credentials and takes them back.
//
// Thread-safety: every method may be called at any time from worker and reaper threads at once.
// Blocking: apply, revoke, renew, rehearse, probe, list_owned and tend may block until the
// deadline, and so may a handler of routes() that says so; the rest may not. Errors: messages hold
// no password and no connection string.
class SecretEngine {
 public:
  virtual ~SecretEngine() = default;

  virtual std::string_view type() const = 0;

  // The engine's own paths. One with issues_lease is read through plan() and apply().
  virtual const CallRoutes& routes() const = 0;

  // Whether the object that a write names exists, so that the broker can tell create from update.
  // nullopt: this path makes no difference (always an update).
  virtual Result<std::optional<bool>> exists(const Call& call) const;

  // Decides what will exist, including every externally visible name. Reads the mount's storage,
  // writes nothing; equal requests, configuration and random bytes give an equal plan.
  virtual Result<IssuePlan> plan(const IssueRequest& request, Random& random) const;

  // What plan() would decide, without names and random parts: equal for equal requests and an equal
  // configuration. Reads the mount's storage alone. `request.lease_id` is empty. Errors as plan().
  virtual Result<Foreseen> foresee(const IssueRequest& request) const;

  // Tries what the request wants to do at the target and takes it all back; tells what was seen, as
  // an object for the people who approve it. kInvalidArgument: it cannot work, or would have
  // effects that cannot be taken back; the message says which. kUnsupportedOperation: the request
  // has nothing to try.
  virtual Result<Json> rehearse(const IssueRequest& request, const CallContext& context);

  // Makes the planned effect exist and returns the secret. All or nothing; called at most once for
  // an intent. kUnavailable, kRefused, kOverloaded: certainly nothing happened. kInDoubt: assume it
  // did.
  virtual Result<Issued> apply(const DurableIntent& intent, const CallContext& context);

  // Makes the effect not exist and ends its sessions. Idempotent: absent is success. Wins against a
  // late apply() of the same lease: once this has succeeded, an apply that was under way makes
  // nothing.
  virtual Result<Receipt> revoke(const std::string& lease_id, const Handle& handle,
                                 PhaseRecord& phases, const CallContext& context);

  // The first phase for many leases of one resource in few steps, so that a mass expiry leaves no
  // credential usable while others are cleaned up. For each lease the note of kLockOut, or nullopt:
  // nothing was done, revoke() has to. One that refuses does not keep the others from it. An error
  // means the same as nullopt for all. REQUIRES: no apply() of these leases is under way.
  // kUnsupportedOperation: the engine cannot.
  virtual Result<std::vector<std::optional<Json>>> lock_out(std::span<const LeaseRef> leases,
                                                            const CallContext& context);

  // The other phases for many leases of one resource, for those that have nothing but a locked out
  // credential: no sessions, nothing owned. nullopt: not done, revoke() has to; an error means that
  // for all. As proven and as safe to repeat as revoke(). REQUIRES: as lock_out(), which is done.
  virtual Result<std::vector<std::optional<Removed>>> revoke_many(std::span<const LeaseRef> leases,
                                                                  const CallContext& context);

  // Moves the external expiry and nothing else; the broker has checked the limits.
  virtual Status renew(const std::string& lease_id, const Handle& handle, WallTime expires_at,
                       const CallContext& context);

  virtual Result<Presence> probe(const std::string& lease_id, const Handle& handle,
                                 const CallContext& context);

  // Every external effect that bears this broker's mark, whether or not a lease knows it.
  virtual Result<std::vector<Handle>> list_owned(const CallContext& context);

  // The names of what this engine does by itself from time to time, such as "rotate/orders": one
  // for each target and kind of work, so that a target that hangs holds up nothing else. Asked at a
  // start and after wake_caretaker(). Empty, the default: nothing.
  virtual Result<std::vector<std::string>> chores() const;

  // Does what is due of one of chores() and tells when to be called next. Called whenever something
  // may be due: a call that finds nothing to do is cheap and right. One call of a chore at a time;
  // after a crash, and after wake_caretaker(), all are called. An error is logged and the call
  // repeated with growing pauses.
  virtual Result<Tended> tend(const std::string& chore, const CallContext& context);
};

}  // namespace curfew::engines

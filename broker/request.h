#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/route.h"
#include "base/secret.h"
#include "broker/peer_certificate.h"

namespace curfew::broker {

// A header of the answer.
struct AnswerHeader {
  std::string name;
  std::string value;
};

// One request as it comes from the edge: parsed and bounded, not yet believed.
struct Request {
  std::string id;  // a UUID, new for every request
  Operation operation = Operation::kRead;
  bool help = false;  // describe the path instead of doing anything
  std::string path;   // below /v1/, percent-decoded, without a leading '/'
  Json data =
      Json::object();      // the body; of a read, list or delete also the query. Always an object
  Secret token;            // X-Vault-Token or a bearer token; may be empty
  std::string name_space;  // X-Vault-Namespace; empty: the root namespace
  bool lost = false;       // header and path name a namespace that there is not
  std::optional<Millis> wrap_ttl;
  std::string remote_address;
  std::uint16_t remote_port = 0;
  // Of the connection; nullptr: plain HTTP, or the client showed none.
  std::shared_ptr<const PeerCertificate> peer_certificate;
  // What the caller says of itself, raw: X-Curfew-Purpose, X-Curfew-Session, X-Curfew-Ticket,
  // traceparent.
  std::string purpose;
  std::string session;
  std::string ticket;
  std::string traceparent;
  std::string idempotency_key;  // Idempotency-Key; empty: none
  std::string if_match;         // If-Match; empty: none
  bool resumed = false;         // it was on hold, and comes again
  Millis hold_left{0};          // for how long it may be on hold (again); 0: answer now
  bool responds_async = false;  // Prefer: respond-async (RFC 7240)
  // Whether the client has hung up meanwhile; empty: not known. Thread-safe and cheap.
  std::function<bool()> is_abandoned;
  // Headers that the answer gets beside its own, also where it is an error. Outlives the call.
  std::vector<AnswerHeader>* answer_headers = nullptr;
};

// A token that the answer hands out or describes ("auth" in the envelope).
struct Auth {
  Secret client_token;
  std::string accessor;
  std::vector<std::string> policies;
  std::vector<std::string> token_policies;
  std::vector<std::string> identity_policies = {};
  Json metadata = nullptr;  // an object of strings, or null
  Millis lease_duration{0};
  bool renewable = false;
  std::string entity_id;
  std::string token_type = "service";
  bool orphan = false;
  std::int64_t num_uses = 0;
  bool made_now = false;  // by this request; nobody else can have it
};

struct Login;

// What an answer says in the place of one that was wrapped ("wrap_info" in the envelope).
struct WrapInfo {
  Secret token;
  std::string accessor;
  Millis ttl{0};
  WallTime created_at;
  std::string creation_path;     // of the request whose answer was wrapped
  std::string wrapped_accessor;  // of the token (or secret id) inside; may be empty
  std::string lease_id;          // of the lease inside, for the audit log; may be empty
};

// How the data of an answer is laid out on the wire.
enum class Layout {
  kEnvelope,  // the eight keys of Vault's envelope
  kInjected,  // the envelope, with every key of data also at the top level
  kBare,      // data is the whole body
  kText,      // data is a string, and that is the body: plain text
};

// How the answers with one lease fare: several, where a request was tried again.
struct Deliveries {
  std::atomic<int> out = 1;        // given to the edge, and not known to be lost
  std::atomic<bool> lost = false;  // one was
};

// The answer is not ready. Who serves the request keeps it without a thread, and hands it in again,
// as `resumed`, when something has happened or the time is over.
struct Hold {
  // Calls `wake` once, soon after something has happened since this Hold was made; at once where it
  // has already. It may be called from any thread and must not block. Whoever lets go of what this
  // returns is not called any more.
  std::function<std::shared_ptr<void>(std::function<void()> wake)> subscribe;
  Millis time{0};  // from now
};

// The answer has no end of its own: pieces follow as they come about.
struct Stream {
  std::string content_type;
  // Calls `send` with each piece until what this returns is let go of. From any thread, in order,
  // one at a time; must not block. `end`: there will be no more.
  std::function<std::shared_ptr<void>(std::function<void(std::string piece)> send,
                                      std::function<void()> end)>
      open;
  std::string heartbeat;  // a piece that says nothing, sent where there was none for a while
  Millis time{0};         // it ends then at the latest, counted from now
};

struct Response {
  int status = 0;  // 0: 200 where there is something to say, else 204
  Layout layout = Layout::kEnvelope;
  Json data = nullptr;
  std::string lease_id = {};
  bool renewable = false;
  Millis lease_duration{0};
  std::optional<Auth> auth = {};
  std::shared_ptr<const Login> login = {};  // who has logged in; the pipeline makes `auth` of it
  std::vector<std::string> warnings = {};
  std::optional<WrapInfo> wrap_info = {};
  // What wrap_info names where this is wrapped and holds no token: the accessor of a secret id.
  std::string wrapped_accessor = {};
  std::optional<std::string> request_id = {};  // in the envelope; nullopt: that of the request
  // Of an answer with a lease that a retry may ask for again: what the request was (a keyed hash).
  std::string request_key = {};
  std::string request_fingerprint = {};  // of its parameters, where the caller chose the key
  std::shared_ptr<Deliveries> deliveries = {};
  bool replayed = false;          // the lease was made by an earlier attempt
  std::string name_space = {};    // id of the one that answers
  Json approval = nullptr;        // by which it was given, or for which it waits: for the audit log
  std::optional<Hold> hold = {};  // the rest means nothing yet
  std::shared_ptr<const Stream> stream = {};  // follows in the place of a body

  // Whether there is anything in it beside its status.
  bool says_something() const {
    return !data.is_null() || !lease_id.empty() || auth || wrap_info || !warnings.empty();
  }
  // Whether it hands out a credential under a lease. A renewal has no data: its credential is in
  // use.
  bool gives_lease() const { return !lease_id.empty() && !data.is_null(); }
};

}  // namespace curfew::broker

#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "base/secret.h"
#include "broker/request.h"
#include "broker/token/token.h"

namespace curfew::broker {

// How the secrets of an entry are written: keyed hashes of one device, or the values themselves.
class AuditHasher {
 public:
  // `salt`: the device's key. `raw`: nothing is hashed. `hash_accessors`: accessors are.
  AuditHasher(Secret salt, bool raw, bool hash_accessors);

  // "hmac-sha256:<64 hex digits>", or the value where nothing is hashed. "" stays "".
  std::string secret(std::string_view value) const;
  std::string accessor(std::string_view value) const;

  // Every string inside `data` hashed but those under the top-level keys in `clear`; times stay
  // readable.
  Json data(const Json& data, const std::set<std::string>& clear) const;

  // Always hashed: for sys/audit-hash.
  std::string hash(std::string_view value) const;

 private:
  const Secret salt_;
  const bool raw_;
  const bool hash_accessors_;
};

// Who asked and what was decided, as far as the request got.
struct AuditSubject {
  const Token* token = nullptr;  // nullptr: none was believed
  const Secret* secret = nullptr;
  bool decided = false;
  bool allowed = false;
  std::vector<std::string> granting_policies;
  std::string reason;  // of the decision
};

// Which namespace an entry belongs to.
struct AuditNamespace {
  std::string id = "root";
  std::string path = {};  // "" is the first one's
};

struct AuditEntry {
  WallTime time;
  const Request& request;
  AuditSubject subject;
  std::string mount_type;
  std::string mount_path;
  std::string mount_accessor;
  std::string purpose;
  std::string session;
  std::string trace_id;
  std::string ticket;
  std::string entity_name;
  std::string human;      // behind it; see Attribution
  std::string sub_agent;  // likewise
  std::set<std::string> clear_request_keys;
  std::set<std::string> clear_response_keys;
  AuditNamespace name_space = {};
  std::string policy_namespace = "root";  // id of the one that the caller's token belongs to
  const Response* response = nullptr;     // nullptr: the entry of the request
  const Error* error = nullptr;
};

// One line, without the line break.
std::string render_audit_entry(const AuditEntry& entry, const AuditHasher& hasher);

// The line for a lease that has ended, by whatever way: type "revocation", with `lease` as it is
// archived. The receipt stands in the clear; the accessor in the attribution is hashed.
std::string render_audit_end(WallTime time, const AuditNamespace& name_space, const Json& lease,
                             const AuditHasher& hasher);

}  // namespace curfew::broker

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/secret.h"
#include "engines/engine.h"
#include "engines/postgres/static_role.h"

namespace curfew::engines::postgres {

// What is kept beside a configuration about the password of its login. Stored, sealed.
struct RootLogin {
  std::string username;              // whose password was changed
  std::string address;               // and where
  std::string hash_key;              // for `former`
  std::vector<std::string> former;   // keyed hashes of users and passwords before a change
  std::optional<NextPassword> next;  // being set: which of two is valid is not known
  std::optional<WallTime> rotated_at;
  WallTime since;                    // what the rotation plan counts from
  std::string error;                 // of the last change that failed; empty: none since
  std::int64_t failures = 0;         // in a row
  std::optional<WallTime> retry_at;  // after failures
  Secret kept;  // the password of a configuration that was deleted; nobody else knows it

  Json to_json() const;
  static Result<RootLogin> from_json(const Json& stored);

  // Remembers a pair that a change has replaced, and recognises it later.
  void add_former(std::string_view user, const Secret& password);
  bool was_former(std::string_view user, const Secret& password) const;
};

std::string root_login_key(std::string_view target);

// nullopt: the password was never changed.
Result<std::optional<RootLogin>> load_root_login(const MountStorage& storage,
                                                 std::string_view target);

}  // namespace curfew::engines::postgres

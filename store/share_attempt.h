#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"

namespace curfew::store {

// A share as shamir_split() gives it, out of hexadecimal or base64. kInvalidArgument: it is none.
Result<Secret> parse_share(const Secret& text);

// Shares that people give one after another until there are enough. One thread at a time.
class ShareAttempt {
 public:
  // An attempt with a new name, and no shares.
  void begin(Random& random);
  // Forgets the shares; the name stays.
  void clear() { given_.clear(); }
  // Forgets everything.
  void end();

  bool is_under_way() const { return !nonce_.empty(); }
  const std::string& nonce() const { return nonce_; }
  int progress() const { return static_cast<int>(given_.size()); }

  // Takes a share; one that was given before changes nothing. When there are `threshold` of them:
  // the key that they make, which may be a wrong one, and they are forgotten. kInvalidArgument: no
  // share (nothing changes), or another one of the same number (all are forgotten).
  // REQUIRES: is_under_way().
  Result<std::optional<Secret>> add(const Secret& text, int threshold);

 private:
  std::string nonce_;
  std::vector<Secret> given_;
};

}  // namespace curfew::store

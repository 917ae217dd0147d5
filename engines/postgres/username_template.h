#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"

namespace curfew::engines::postgres {

// What a template can refer to.
struct TemplateInput {
  std::string display_name;  // .DisplayName
  std::string role_name;     // .RoleName
  WallTime now;
};

// A username_template as in Vault: text with {{ … }} in it, a subset of Go's template language:
// "…" and `…`, numbers, ( … ), pipelines with |, the fields .DisplayName and .RoleName and the
// functions random, truncate, truncate_sha256, uppercase, lowercase, replace, sha256, base64,
// unix_time, unix_time_millis, timestamp (RFC 3339 digits only, without arguments), uuid, printf
// (%s %d %v %%). Immutable; thread-safe.
class UsernameTemplate {
 public:
  // kInvalidArgument says what is not understood and where.
  static Result<UsernameTemplate> parse(std::string_view text);

  // The name, not yet cleaned or cut. kInvalidArgument: an argument has a value that the function
  // does not take, or the result is longer than 1,024 bytes.
  Result<std::string> expand(const TemplateInput& input, Random& random) const;

 private:
  struct Node;
  struct Parser;
  struct Evaluator;

  std::shared_ptr<const Node> root_;
};

}  // namespace curfew::engines::postgres

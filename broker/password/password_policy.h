#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"

namespace curfew::broker {

// What passwords have to look like:
//
//   length = 20
//   rule "charset" {
//     charset   = "abcdefghijklmnopqrstuvwxyz"
//     min-chars = 1
//   }
//
// A password is drawn uniformly from all that fit: characters come from the charsets of all rules
// together, and what breaks a rule is drawn anew as a whole. Immutable; thread-safe.
class PasswordPolicy {
 public:
  static constexpr std::int64_t kLengthMin = 4;
  static constexpr std::int64_t kLengthMax = 100;

  // Reads a policy (HCL, or the same as JSON) and tries it out with bytes from `random`.
  // kInvalidArgument: not a policy, a bound is broken, or hardly any password fits the rules.
  static Result<PasswordPolicy> parse(std::string_view text, Random& random);

  // 20 of [0-9A-Za-z-], at least one lower-case and one upper-case letter, one digit and one '-'.
  static PasswordPolicy default_policy();

  // kInternal: none was found within the bound on attempts, which a policy from parse() makes
  // practically impossible.
  Result<Secret> generate(Random& random) const;

  // In characters (code points).
  std::size_t length() const { return length_; }

 private:
  struct Rule {
    std::vector<bool> member;  // by index into alphabet_
    std::size_t min_chars = 0;
  };

  PasswordPolicy() = default;
  Status add_rule(const std::vector<std::string>& characters, std::size_t min_chars);
  void finish();
  bool draw(Random& random, std::string& indexes) const;
  Result<Secret> generate_within(Random& random, int attempts) const;

  std::size_t length_ = 0;
  std::vector<std::string> alphabet_;  // one character each, no two alike
  std::string index_alphabet_;         // the bytes 0 to alphabet_.size() - 1
  std::vector<Rule> rules_;
};

}  // namespace curfew::broker

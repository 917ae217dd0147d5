#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "broker/password/password_policy.h"
#include "engines/engine.h"
#include "store/records.h"
#include "store/sql.h"

namespace curfew::broker {

// The password policies by name, and passwords made by them. Thread-safe.
class PasswordPolicies final : public engines::PasswordMaker {
 public:
  PasswordPolicies(store::Database& database, const store::Records& records, Random& random);

  // The text as it was written; nullopt: there is none.
  Result<std::optional<std::string>> text(const std::string& name) const;
  // `text`: a policy, or base64 of one. kInvalidArgument says what is wrong with it.
  Status put(const std::string& name, const std::string& text);
  Status remove(const std::string& name);
  Result<std::vector<std::string>> names() const;

  // kInvalidArgument: no such policy.
  Result<Secret> make(std::string_view name) override;

 private:
  store::Database& database_;
  const store::Records& records_;
  Random& random_;
  const PasswordPolicy default_ = PasswordPolicy::default_policy();
};

}  // namespace curfew::broker

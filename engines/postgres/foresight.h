#pragma once

#include "base/result.h"
#include "engines/engine.h"
#include "engines/postgres/config.h"
#include "engines/postgres/roles.h"

namespace curfew::engines::postgres {

// What a lease of `role` at the target of `config` will be, before there is any: see
// SecretEngine::foresee(). Pure. Errors as of plan_issue().
Result<Foreseen> foresee_issue(const IssueRequest& request, const LeaseRole& role,
                               const TargetConfig& config);

}  // namespace curfew::engines::postgres

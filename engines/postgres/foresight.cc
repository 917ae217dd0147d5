#include "engines/postgres/foresight.h"

#include "engines/postgres/issuing.h"
#include "engines/postgres/leased_statement.h"
#include "engines/postgres/statements.h"
#include "engines/postgres/target.h"

namespace curfew::engines::postgres {
namespace {

// Where the statements run and as whom, for another place makes them mean something else. How it is
// reached (TLS, time-outs, passwords) may change without asking anybody again.
Result<Json> place_of(const TargetConfig& config) {
  ASSIGN_OR_RETURN(const TargetSettings settings, parse_target(config.name, config.details));
  Json place{{"target", config.name},
             {"address", settings.address},
             {"database", settings.database()},
             {"username_template", config.username_template()}};
  for (const char* keyword : {"user", "options"}) {
    const auto it = settings.parameters.find(keyword);
    if (it != settings.parameters.end()) place[keyword] = it->second;
  }
  return place;
}

}  // namespace

Result<Foreseen> foresee_issue(const IssueRequest& request, const LeaseRole& role,
                               const TargetConfig& config) {
  ASSIGN_OR_RETURN(const auto facts,
                   examine_statements("creation_statements", role.creation_statements));
  if (facts.empty) return Error{Errc::kRefused, "empty creation statements"};
  ASSIGN_OR_RETURN(const auto statement, leased_statement(request.data));
  Foreseen out{role.name, config.name, {}, {}, {}};
  ASSIGN_OR_RETURN(out.terms, terms_of(request, role));
  ASSIGN_OR_RETURN(Json place, place_of(config));
  out.shown = Json{{"database", place["database"]}, {"statements", role.creation_statements}};
  out.content = Json{{"name", role.name},
                     {"role", role.to_json()},
                     {"place", std::move(place)},
                     {"password_policy", password_policy_of(role, config)}};
  if (statement) out.content["statement"] = out.shown["statement"] = statement->to_json();
  return out;
}

}  // namespace curfew::engines::postgres

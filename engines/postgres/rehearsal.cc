#include "engines/postgres/rehearsal.h"

#include <fmt/format.h>

#include <algorithm>

#include "engines/postgres/cleaning.h"
#include "engines/postgres/forgotten_phases.h"
#include "engines/postgres/issuing.h"
#include "engines/postgres/lease_role.h"
#include "engines/postgres/lease_transaction.h"
#include "engines/postgres/role_rights.h"
#include "engines/postgres/scram.h"
#include "engines/postgres/sql_text.h"
#include "engines/postgres/statements.h"

namespace curfew::engines::postgres {
namespace {

constexpr int kAttemptsMax = 4;
constexpr Seconds kLifetime{600};
constexpr Seconds kRenewedBy{600};
// For the revocation of a role that was really made.
constexpr Seconds kRevocationTime{20};

// A lease that no store knows of.
struct Script {
  std::string lease_id;
  LeaseHandle lease;
  std::string mark;
  std::string verifier;  // of a password that nobody knows
  WallTime expires_at;
};

// What became of the operator's statements in a revocation: "done", the error, or empty.
std::string operators_statements(const ForgottenPhases& phases) {
  const Json* note = phases.note(Phase::kClean);
  if (note == nullptr || !note->is_object()) return "";
  const auto said = note->find("revocation_statements");
  return said != note->end() && said->is_string() ? said->get<std::string>() : "";
}

bool reaches_out(const std::vector<std::string>& elements) {
  std::string text = join_statements(elements);
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text.find("dblink") != std::string::npos;
}

// Whether any list of the role's statements is so, as far as the texts tell.
bool any_list(const LeaseRole& role, bool StatementFacts::*is_so) {
  for (const auto* list : {&role.creation_statements, &role.renew_statements,
                           &role.revocation_statements, &role.rollback_statements}) {
    const auto facts = examine_statements("statements", *list);
    if (!facts || (*facts).*is_so) return true;
  }
  return false;
}

Error no_end(Error error) {
  error.message = fmt::format(
      "rehearsing the role came to no end: {}; nothing was stored. Try again, or write it with "
      "rehearse=false",
      error.message);
  return error;
}

// What is not committed goes with its session, so that an error leaves nothing in doubt.
Error explained(const std::string& place, Error error, const Connection& connection) {
  if (error.code == Errc::kInDoubt) error.code = Errc::kUnavailable;
  if (error.code != Errc::kRefused) return no_end(std::move(error));
  std::string message = fmt::format("{}: {}", place, error.message);
  if (const std::string& detail = connection.server_detail(); !detail.empty())
    message += fmt::format(" ({})", detail);
  if (connection.sqlstate() == "42501")
    message += fmt::format(
        "; the broker's login {} lacks the right: writing the target's configuration again tells "
        "what it should have",
        connection.login());
  return {Errc::kInvalidArgument, message + "; nothing was stored", error.detail};
}

// The part that one transaction holds.
class Attempt {
 public:
  Attempt(Connection& connection, const LeaseRole& role, const Script& script, SteadyTime deadline)
      : connection_(connection),
        role_(role),
        script_(script),
        transaction_(connection, script.lease_id, script.lease, deadline),
        deadline_(deadline) {}

  // Makes the role and looks at it.
  Result<std::vector<Finding>> create() {
    RETURN_IF_ERROR(begin());
    RETURN_IF_ERROR(run_list("creation_statements", role_.creation_statements, script_.verifier,
                             script_.expires_at));
    ASSIGN_OR_RETURN(const Rows rows, step("looking for the role", find_role_sql(script_.lease)));
    if (rows.empty())
      return Error{Errc::kInvalidArgument,
                   "creation_statements: they ran, and no database role \"{{name}}\" exists "
                   "afterwards: CREATE ROLE \"{{name}}\" …; nothing was stored"};
    RETURN_IF_ERROR(step("marking the role", fmt::format("COMMENT ON ROLE {} IS {}", name(),
                                                         quote_literal(script_.mark))));
    ASSIGN_OR_RETURN(const auto found, find());
    // The other steps begin as the login, whatever role creation went on as.
    RETURN_IF_ERROR(step("preparing", "RESET ROLE"));
    if (!found)
      return Error{Errc::kInternal, "the role that was rehearsed cannot be found by its mark"};
    oid_ = found->oid;
    const int version = connection_.server_version();
    ASSIGN_OR_RETURN(const Rows rights,
                     step("looking at the role",
                          role_rights_sql(oid_, script_.expires_at, definers_before_, version)));
    ASSIGN_OR_RETURN(findings_, read_role_rights(rights, connection_.login(), version));
    return findings_;
  }

  Status commit() {
    auto committed = transaction_.commit();
    if (!committed) return no_end(std::move(committed).error());
    return ok();
  }

  // The rest of the role's life. More findings are added to those of create().
  Result<std::vector<Finding>> end() {
    RETURN_IF_ERROR(renew());
    RETURN_IF_ERROR(try_rollback());
    RETURN_IF_ERROR(lock_out());
    RETURN_IF_ERROR(revoke());
    RETURN_IF_ERROR(clean_and_drop());
    return std::move(findings_);
  }

 private:
  std::string name() const { return quote_identifier(script_.lease.database_role); }

  Status begin() {
    auto begun = transaction_.begin();
    if (!begun) return explained("beginning", std::move(begun).error(), connection_);
    ASSIGN_OR_RETURN(
        const Rows rows,
        step("looking at the target",
             (any_list(role_, &StatementFacts::grants_on_objects) ? grant_lock() : "") +
                 definer_functions_sql()));
    if (!rows.empty() && !rows.front().empty()) definers_before_ = rows.front()[0].value_or("{}");
    return ok();
  }

  // The broker's own statement.
  Result<Rows> step(const std::string& what, std::string_view sql) {
    auto rows = connection_.run(sql, deadline_, {script_.verifier});
    if (!rows) return explained(what, std::move(rows).error(), connection_);
    return rows;
  }

  Result<std::optional<FoundRole>> find() {
    ASSIGN_OR_RETURN(const Rows rows, step("looking for the role", find_role_sql(handle())));
    return find_role(rows, script_.lease_id, handle());
  }

  LeaseHandle handle() const {
    LeaseHandle lease = script_.lease;
    lease.role_oid = oid_;
    return lease;
  }

  // The operator's statements, one by one, so that an error can say which one it is.
  Status run_list(std::string_view field, const std::vector<std::string>& elements,
                  const std::string& password, WallTime expires_at) {
    ASSIGN_OR_RETURN(const auto statements, place_statements(field, elements));
    if (statements.empty()) return ok();
    RETURN_IF_ERROR(step("preparing", "SET LOCAL search_path TO DEFAULT"));
    for (const PlacedStatement& statement : statements) {
      const std::string sql =
          fill(statement.text, {script_.lease.database_role, password, expiry_text(expires_at)});
      auto ran = connection_.run(sql, deadline_, {script_.verifier});
      if (!ran) return explained(statement.place, std::move(ran).error(), connection_);
    }
    RETURN_IF_ERROR(step("preparing", "SET LOCAL search_path TO pg_catalog, pg_temp"));
    return ok();
  }

  // Of the three lists that begin as the login.
  Status run_later_list(std::string_view field, const std::vector<std::string>& elements,
                        WallTime expires_at) {
    RETURN_IF_ERROR(run_list(field, elements, "", expires_at));
    RETURN_IF_ERROR(step("preparing", "RESET ROLE"));
    return ok();
  }

  Status renew() {
    const WallTime later = script_.expires_at + kRenewedBy;
    const auto facts = examine_statements("renew_statements", role_.renew_statements);
    if (facts && facts->empty) {
      RETURN_IF_ERROR(step("moving the expiry", fmt::format("ALTER ROLE {} VALID UNTIL '{}'",
                                                            name(), expiry_text(later))));
      return ok();
    }
    RETURN_IF_ERROR(run_later_list("renew_statements", role_.renew_statements, later));
    ASSIGN_OR_RETURN(
        const Rows rows,
        step("looking at the expiry", fmt::format("SELECT rolvaliduntil >= '{}'::timestamptz FROM "
                                                  "pg_catalog.pg_roles WHERE oid = {}",
                                                  expiry_text(later), oid_)));
    if (rows.empty())
      return Error{Errc::kInvalidArgument,
                   "renew_statements: the role is gone after them; nothing was stored"};
    if (rows.front().front() != "t")
      findings_.push_back({"not renewed", "renew_statements",
                           "VALID UNTIL is not the new {{expiration}} after them, so that a lease "
                           "which is renewed stops working at its first end"});
    return ok();
  }

  // In a savepoint: the other way for the same role to go.
  Status try_rollback() {
    const auto facts = examine_statements("rollback_statements", role_.rollback_statements);
    if (facts && facts->empty) return ok();
    RETURN_IF_ERROR(step("preparing", "SAVEPOINT curfew_rehearsal"));
    RETURN_IF_ERROR(
        run_later_list("rollback_statements", role_.rollback_statements, script_.expires_at));
    RETURN_IF_ERROR(step("preparing", "ROLLBACK TO SAVEPOINT curfew_rehearsal"));
    return ok();
  }

  Status lock_out() {
    ASSIGN_OR_RETURN(const auto role, find());
    if (!role) return ok();
    RETURN_IF_ERROR(step("locking the role out, as a revocation does", lock_out_sql(*role)));
    for (const Membership& membership : role->memberships) {
      if (membership.member != role->name) continue;
      auto revoked =
          transaction_.attempt(fmt::format("REVOKE {} FROM {}", quote_identifier(membership.group),
                                           quote_identifier(membership.member)));
      if (revoked) continue;
      if (!connection_.in_transaction())
        return explained("locking the role out", std::move(revoked).error(), connection_);
      findings_.push_back({"membership", "creation_statements",
                           fmt::format("the membership in \"{}\" could not be taken away before "
                                       "the role itself goes: {}",
                                       membership.group, revoked.error().message)});
    }
    return ok();
  }

  Status revoke() {
    const auto facts = examine_statements("revocation_statements", role_.revocation_statements);
    // A bare DROP ROLE runs after the cleaning.
    if (facts && (facts->empty || facts->only_drops_role)) return ok();
    return run_later_list("revocation_statements", role_.revocation_statements, script_.expires_at);
  }

  Status clean_and_drop() {
    ASSIGN_OR_RETURN(const auto role, find());
    if (!role) return ok();
    auto cleaned = clean_database(transaction_, *role, Scope::kDatabaseAndShared);
    if (!cleaned) return explained("revocation", std::move(cleaned).error(), connection_);
    for (const std::string& warning : cleaned->warnings)
      findings_.push_back({"cleaning", "revocation", warning});
    if (!cleaned->kept.empty())
      findings_.push_back({"quarantine", "revocation",
                           fmt::format("each lease leaves {} behind in quarantine; drop it in "
                                       "revocation_statements if it is not worth keeping",
                                       fmt::join(cleaned->quarantined(), ", "))});
    RETURN_IF_ERROR(step("dropping the role", "DROP ROLE " + quote_identifier(role->name)));
    return ok();
  }

  Connection& connection_;
  const LeaseRole& role_;
  const Script& script_;
  LeaseTransaction transaction_;
  const SteadyTime deadline_;
  std::string definers_before_ = "{}";
  std::uint32_t oid_ = 0;
  std::vector<Finding> findings_;
};

Result<Script> write_script(const Rehearsal::Surroundings& around, const LeaseRole& role,
                            const TargetConfig& config) {
  Script script;
  script.lease_id = fmt::format("rehearsal/{}/{}", role.name, random_base62(around.random, 24));
  IssueRequest request{"creds/" + role.name, {}, script.lease_id, Json::object(), {}};
  request.attribution.display_name = "rehearsal";
  const WallTime now = around.clock.wall();
  ASSIGN_OR_RETURN(const IssuePlan plan, plan_issue(request, role, config, now, around.random));
  ASSIGN_OR_RETURN(script.lease, LeaseHandle::from_handle(plan.handle));
  script.mark = role_mark(around.mount_accessor, script.lease_id, script.lease);
  script.verifier =
      scram_verifier(random_base62(around.random, 32), random_bytes(around.random, kScramSaltBytes),
                     kScramIterationsDefault);
  script.expires_at = now + kLifetime;
  return script;
}

// The role is there, committed. It is taken back whatever else fails.
Result<std::vector<Finding>> live_and_end(const std::shared_ptr<Pool>& pool, const Script& script,
                                          SteadyTime deadline, const Rehearsal::Revoke& revoke,
                                          std::vector<Finding> findings) {
  const auto renewed =
      renew(*pool, script.lease_id, script.lease, script.expires_at + kRenewedBy, deadline);
  ForgottenPhases phases;
  LeaseHandle active = script.lease;
  active.rollback_statements.clear();  // they are for what was never active
  const auto receipt =
      revoke(script.lease_id, active.to_handle(), phases, CallContext{deadline + kRevocationTime});
  if (!receipt)
    return no_end(
        {receipt.error().code,
         fmt::format("database role \"{}\" was made for it and could not be revoked ({}); "
                     "it bears the broker's mark and its password is known to nobody: "
                     "drop it",
                     script.lease.database_role, receipt.error().message)});
  if (!renewed)
    return Error{
        renewed.error().code == Errc::kRefused ? Errc::kInvalidArgument : renewed.error().code,
        fmt::format("renew_statements: {}; nothing was stored", renewed.error().message)};
  if (const std::string said = operators_statements(phases); !said.empty() && said != "done")
    return Error{Errc::kInvalidArgument,
                 fmt::format("revocation_statements: {}; nothing was stored", said)};
  for (const Json& warning : receipt->warnings)
    if (warning.is_string())
      findings.push_back({"cleaning", "revocation", warning.get<std::string>()});
  return findings;
}

}  // namespace

Rehearsal::Rehearsal(Surroundings around, const LeaseRole& role, const TargetConfig& config)
    : around_(std::move(around)), role_(role), config_(config) {}

Result<std::vector<Finding>> Rehearsal::run(
    const std::shared_ptr<Pool>& pool, SteadyTime deadline,
    const std::function<Status(const std::vector<Finding>&)>& unwanted) {
  const bool committed = reaches_out(role_.creation_statements) ||
                         reaches_out(role_.renew_statements) ||
                         reaches_out(role_.revocation_statements);
  const bool taints = any_list(role_, &StatementFacts::changes_session);
  for (int tries = 1;; ++tries) {
    ASSIGN_OR_RETURN(const Script script, write_script(around_, role_, config_));
    std::vector<Finding> findings;
    {
      ASSIGN_OR_RETURN(auto connection, pool->acquire(Use::kIssue, deadline));
      if (taints) connection->taint();
      Attempt attempt(*connection, role_, script, deadline);
      auto seen = attempt.create();
      if (seen && !committed) seen = attempt.end();
      if (!seen) {
        if (tries < kAttemptsMax && worth_another_try(*connection, seen.error())) continue;
        return seen;
      }
      findings = std::move(*seen);
      if (!committed) return findings;
      RETURN_IF_ERROR(unwanted(findings));
      RETURN_IF_ERROR(attempt.commit());
    }
    return live_and_end(pool, script, deadline, around_.revoke, std::move(findings));
  }
}

}  // namespace curfew::engines::postgres

#include "cli/approval_card.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/text_output.h"

namespace curfew::cli {

namespace {

constexpr std::size_t kNameWidth = 16;

// One line for a value, none where there is nothing to say.
void add(std::string& out, std::string_view name, std::string_view value) {
  if (!value.empty()) out += fmt::format("  {:<{}}{}\n", name, kNameWidth, one_line(value));
}

// Lines of a longer text under a heading; each is marked, so that no line of it can pass for one
// of the card's own.
void add_block(std::string& out, std::string_view heading, std::string_view text) {
  if (text.empty()) return;
  if (!heading.empty()) out += fmt::format("  {}\n", heading);
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    out += fmt::format("    | {}\n", printable(line));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
  }
}

std::string person_text(const Json& person) {
  if (person.is_string()) return person.get<std::string>();
  const std::string name = member_text(person, "name");
  return name.empty() ? member_text(person, "id") : name;
}

std::string joined(const Json& texts) {
  std::string all;
  for (const Json& text : texts) all += (all.empty() ? "" : ", ") + value_text(text);
  return all;
}

void add_subject(std::string& out, const Json& view) {
  const bool task = member_text(view, "kind") == "task";
  add(out, task ? "task" : "asks for",
      member_text(view, "path") + " (" + member_text(view, "operation") + ")");
  const Json& parameters = member(view, "parameters");
  if (parameters.is_object())
    for (const auto& [name, value] : parameters.items())
      add(out, "", one_line(name) + " = " + value_text(value));
  add(out, "role", member_text(view, "role"));
  add(out, "mount", member_text(view, "mount"));
  add(out, "target", member_text(view, "target"));
  add(out, "database", member_text(member(view, "evidence"), "database"));
  std::string ttl = duration_text(member(view, "ttl"));
  const Json& most = member(view, "ttl_max");
  if (most.is_number_integer() && most.get<std::int64_t>() > 0)
    ttl += " (at most " + duration_text(most) + " here)";
  add(out, "for", ttl);
  const Json& budget = member(view, "task");
  if (!budget.is_object()) return;
  const auto used = [&](const char* what) {
    return value_text(member(budget, std::string(what) + "_used")) + " of " +
           value_text(member(budget, std::string(what) + "_max")) + " used";
  };
  add(out, "leases", used("leases"));
  add(out, "statements", used("statements"));
  add(out, "task lasts", duration_text(member(budget, "duration")));
  add(out, "task ends", member_text(budget, "ends_at"));
}

void add_requester(std::string& out, const Json& view) {
  const Json& who = member(view, "requester");
  const std::string agent = member_text(who, "agent");
  add(out, "agent", agent);
  if (agent.empty()) add(out, "asked by", member_text(who, "entity_name"));
  if (member_text(who, "display_name") != agent)
    add(out, "display name", member_text(who, "display_name"));
  add(out, "its human", member_text(who, "human"));
  add(out, "owner", member_text(who, "owner"));
  add(out, "sub-agent", member_text(who, "sub_agent"));
  add(out, "session", member_text(who, "session"));
  add(out, "trace", member_text(who, "trace_id"));
  add(out, "from", member_text(who, "remote_address"));
}

void add_evidence(std::string& out, const Json& view) {
  const Json& evidence = member(view, "evidence");
  std::string statements;
  for (const Json& statement : member_list(evidence, "statements"))
    statements += (statements.empty() ? "" : "\n") + value_text(statement);
  add_block(out, "SQL that makes the credential:", statements);
  std::string privileges;
  for (const Json& item : member_list(evidence, "privileges"))
    privileges += (privileges.empty() ? "" : "\n") + one_line(member_text(item, "object")) + ": " +
                  one_line(joined(member_list(item, "privileges")));
  if (const auto groups = member_list(evidence, "member_of"); !groups.empty())
    privileges += (privileges.empty() ? "" : "\n") + ("by the groups " + one_line(joined(groups)));
  for (const Json& attribute : member_list(evidence, "attributes"))
    privileges += (privileges.empty() ? "" : "\n") + one_line(value_text(attribute));
  add_block(out, "privileges:", privileges);
  const Json& statement = member(evidence, "statement");
  add_block(out, "the one statement that it is for:", member_text(statement, "text"));
  std::string parameters;
  int number = 0;
  for (const Json& parameter : member_list(statement, "parameters")) {
    parameters += fmt::format("{}${} = {}", number == 0 ? "" : "\n", number + 1,
                              one_line(value_text(parameter)));
    ++number;
  }
  add_block(out, "", parameters);
  const Json& rehearsal = member(evidence, "rehearsal");
  if (!rehearsal.is_null()) add_block(out, "rehearsal, rolled back:", pretty_text(rehearsal));
}

void add_claims(std::string& out, const Json& view) {
  const Json& claims = member(view, "claims_of_agent");
  std::string text;
  for (const char* name : {"purpose", "reason", "ticket"}) {
    const std::string said = plain_text(member_text(claims, name));
    if (!said.empty()) text += fmt::format("{}{}: {}", text.empty() ? "" : "\n", name, said);
  }
  add_block(out, "claimed by the agent, not checked by anybody:", text);
}

void add_factors(std::string& out, const Json& view) {
  std::string text;
  for (const Json& factor : member_list(view, "factors")) {
    std::string line = one_line(member_text(factor, "name")) + ": " +
                       value_text(member(factor, "given")) + " of " +
                       value_text(member(factor, "approvals"));
    const std::string by = people_text(member(factor, "by"));
    if (!by.empty()) line += " (" + one_line(by) + ")";
    line += ", from " + one_line(people_text(member(factor, "groups")));
    text += (text.empty() ? "" : "\n") + line;
  }
  add_block(out, "who must approve:", text);
}

void add_history(std::string& out, const Json& view) {
  std::string decisions;
  for (const Json& decision : member_list(view, "decisions")) {
    const std::string verdict = member_text(decision, "verdict");
    std::string line = member_text(decision, "at") + "  " + verdict;
    const std::string by = person_text(member(decision, "by"));
    if (!by.empty()) line += " by " + by;
    if (member(decision, "ttl").is_number_integer())
      line += ", for " + duration_text(member(decision, "ttl"));
    if ((verdict == "approve" || verdict == "narrow") && member(decision, "counts") == Json(false))
      line += " (no longer counts)";
    const std::string reason = plain_text(member_text(decision, "reason"));
    if (!reason.empty()) line += ": " + reason;
    decisions += (decisions.empty() ? "" : "\n") + one_line(line);
  }
  add_block(out, "decisions:", decisions);
  std::string earlier;
  for (const Json& item : member_list(view, "earlier"))
    earlier += (earlier.empty() ? "" : "\n") +
               one_line(member_text(item, "created_at") + "  " + member_text(item, "state") + "  " +
                        member_text(item, "path") + "  " + member_text(item, "id"));
  add_block(out, "earlier requests of this agent:", earlier);
  std::string leases;
  for (const Json& lease : member_list(view, "lease_ids"))
    leases += (leases.empty() ? "" : "\n") + one_line(value_text(lease));
  add_block(out, "leases:", leases);
}

void add_rules(std::string& out, const Json& view) {
  add(out, "rule", member_text(view, "rule_path"));
  add(out, "policies", joined(member_list(view, "policies")));
  const Json& automatic = member(view, "automatic");
  if (automatic.is_object())
    add(out, "decided by rule",
        member_text(automatic, "rule") + ", version " + member_text(automatic, "version"));
  for (const Json& shadow : member_list(view, "shadow"))
    add(out, "on trial",
        member_text(shadow, "rule") +
            (member(shadow, "would_approve") == Json(true) ? " would have approved: "
                                                           : " would not have approved: ") +
            member_text(shadow, "why"));
  const Json& glass = member(view, "break_glass");
  if (glass.is_object())
    add(out, "BREAK GLASS",
        member(glass, "reviewed") == Json(true)
            ? "reviewed"
            : "to be reviewed by " + member_text(glass, "review_due"));
}

// The last decision of that kind.
const Json* decision_of(const Json& view, std::string_view verdict) {
  const Json* found = nullptr;
  for (const Json& decision : member_list(view, "decisions"))
    if (member_text(decision, "verdict") == verdict) found = &decision;
  return found;
}

std::string with_reason(const Json& view, std::string text, std::string_view verdict) {
  const Json* decision = decision_of(view, verdict);
  if (decision == nullptr) return text;
  const std::string by = person_text(member(*decision, "by"));
  const std::string reason = plain_text(member_text(*decision, "reason"));
  if (!by.empty()) text += " by " + by;
  if (!reason.empty()) text += ": " + reason;
  return text;
}

}  // namespace

std::string people_text(const Json& people) {
  std::string text;
  if (!people.is_array()) return text;
  for (const Json& person : people) text += (text.empty() ? "" : ", ") + person_text(person);
  return text;
}

std::string approval_standing(const Json& view) {
  const std::string state = member_text(view, "state");
  std::string text = state;
  if (state == "pending") {
    text += " until " + member_text(view, "expires_at");
  } else if (state == "approved" && member(view, "claim_until").is_string()) {
    text += ": to be claimed by " + member_text(view, "claim_until");
  } else if (state == "denied") {
    text = with_reason(view, text, "deny");
  } else if (state == "cancelled") {
    text = with_reason(view, text, "cancel");
  } else if (state == "withdrawn") {
    text = with_reason(view, text, "withdraw");
  }
  return one_line(text);
}

std::string approval_card(const Json& view) {
  std::string out = fmt::format("Approval request {}\n", one_line(member_text(view, "id")));
  add(out, "state", approval_standing(view));
  add(out, "asked", member_text(view, "created_at"));
  add_subject(out, view);
  add_requester(out, view);
  add_rules(out, view);
  add_evidence(out, view);
  add_claims(out, view);
  add_factors(out, view);
  add_history(out, view);
  add(out, "digest", member_text(view, "digest"));
  add(out, "you", plain_text(member_text(member(view, "can"), "why_not")));
  return out;
}

}  // namespace curfew::cli

#include "engines/postgres/statement_lint.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "engines/postgres/statements.h"

namespace curfew::engines::postgres {
namespace {

constexpr const char* kCreation = "creation_statements";

bool is_name(const Token& token) {
  return token.kind == TokenKind::kWord || token.kind == TokenKind::kQuotedName;
}

// The first token of this word at or behind `from`; the number of tokens if there is none.
std::size_t position(const SqlStatement& tokens, std::string_view word, std::size_t from = 0) {
  for (std::size_t i = from; i < tokens.size(); ++i)
    if (tokens[i].kind == TokenKind::kWord && tokens[i].text == word) return i;
  return tokens.size();
}

bool words_follow(const PlacedStatement& statement, std::initializer_list<const char*> words) {
  for (std::size_t i = 0; i < statement.tokens.size(); ++i) {
    std::size_t at = i;
    if (std::all_of(words.begin(), words.end(),
                    [&](const char* word) { return statement.word_at(at++, word); }))
      return true;
  }
  return false;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

bool is_body(const Token& token) {
  return token.kind == TokenKind::kDollarQuote || token.kind == TokenKind::kString;
}

// One list of creation statements.
class Creation {
 public:
  std::vector<Finding> run(const std::vector<PlacedStatement>& statements) {
    for (const PlacedStatement& statement : statements) look_at(statement);
    if (statements.empty()) {
      add("no statements", kCreation, "empty: no credentials can be issued before there are some");
      return std::move(findings_);
    }
    if (!names_)
      add("no name", kCreation,
          "nothing uses {{name}}, so every lease would be for the same role or for none: CREATE "
          "ROLE \"{{name}}\" …");
    if (!has_password_)
      add("no password", kCreation,
          "nothing uses {{password}}, so nobody can log in with the password that is handed out: "
          "… PASSWORD '{{password}}'");
    if (!expires_)
      add(kNoExpiry, kCreation,
          "without VALID UNTIL '{{expiration}}' the database itself goes on accepting the password "
          "if the broker cannot reach it when the lease ends");
    return std::move(findings_);
  }

 private:
  void add(std::string_view key, std::string place, std::string message, bool dangerous = false) {
    findings_.push_back({std::string(key), std::move(place), std::move(message), dangerous});
  }

  void look_at(const PlacedStatement& statement) {
    for (const std::string& name : placeholders_in(statement.text)) {
      names_ = names_ || name == "name" || name == "username";
      has_password_ = has_password_ || name == "password";
    }
    expires_ = expires_ || words_follow(statement, {"valid", "until"});
    for (const Token& token : statement.tokens)
      if (is_body(token) && lower(token.text).find("valid until") != std::string::npos)
        expires_ = expires_ || statement.word_at(0, "do") || statement.has_word("function");
    const bool creates = statement.word_at(0, "create");
    const bool alters = statement.word_at(0, "alter");
    const bool role = statement.word_at(1, "role") || statement.word_at(1, "user") ||
                      statement.word_at(1, "group");
    if ((creates || alters) && role) look_at_role(statement);
    if ((creates || alters) && words_follow(statement, {"security", "definer"}))
      add(kSecurityDefiner, statement.place,
          "a SECURITY DEFINER function lends its owner's rights to whoever may call it, and what "
          "is "
          "made here is made anew, or changed, with every lease",
          true);
    if (alters && statement.word_at(1, "default"))
      add(kDefaultPrivileges, statement.place,
          "ALTER DEFAULT PRIVILEGES with every lease makes later objects name a role that lives "
          "for minutes; set them once, for a group role");
    if (statement.word_at(0, "grant")) look_at_grant(statement);
  }

  void look_at_role(const PlacedStatement& statement) {
    const std::size_t settings =
        std::min(position(statement.tokens, "set", 3), position(statement.tokens, "reset", 3));
    for (const char* attribute :
         {"superuser", "createrole", "createdb", "replication", "bypassrls"}) {
      const std::size_t i = position(statement.tokens, attribute, 3);
      if (i >= std::min(settings, statement.tokens.size())) continue;
      std::string upper(attribute);
      for (char& c : upper) c = static_cast<char>(c - 32);
      findings_.push_back(role_attribute(upper, "", place_of(statement, i)));
    }
  }

  void look_at_grant(const PlacedStatement& statement) {
    const std::size_t on = position(statement.tokens, "on");
    const std::size_t to = position(statement.tokens, "to", on < statement.tokens.size() ? on : 0);
    if (on < statement.tokens.size()) {
      look_at_object_grant(statement, on, to);
      return;
    }
    for (std::size_t i = 1; i < to; ++i)
      if (is_name(statement.tokens[i]) && statement.tokens[i].text.starts_with("pg_"))
        findings_.push_back(predefined_role(statement.tokens[i].text, place_of(statement, i)));
    if (position(statement.tokens, "admin", to) < statement.tokens.size() &&
        position(statement.tokens, "false", to) == statement.tokens.size())
      add(kAdminOption, statement.place,
          "WITH ADMIN OPTION lets the leased role put others into the group, and they stay in it "
          "when the lease is over",
          true);
  }

  void look_at_object_grant(const PlacedStatement& statement, std::size_t on, std::size_t to) {
    if (words_follow(statement, {"grant", "option"}))
      add(kGrantOption, statement.place,
          "WITH GRANT OPTION lets the leased role hand its rights on to others", true);
    const bool schema = statement.word_at(on + 1, "schema");
    const bool database = statement.word_at(on + 1, "database");
    const bool creates =
        position(statement.tokens, "create") < on || position(statement.tokens, "all") < on;
    if ((schema || database) && creates)
      add(kMayCreate, statement.place,
          fmt::format("CREATE on a {} lets a leased role make objects, and what it makes outlives "
                      "it: tables are kept in quarantine when the lease ends",
                      schema ? "schema" : "database"));
    // What goes to a group role is the same for every lease and does not grow.
    const Token& last = statement.tokens[std::min(to, statement.tokens.size() - 1)];
    const std::string_view grantee =
        std::string_view(statement.text).substr(last.begin - statement.tokens.front().begin);
    if (object_grants_) return;  // once is enough
    for (const std::string& name : placeholders_in(grantee)) {
      if (name != "name" && name != "username") continue;
      object_grants_ = true;
      add(kObjectGrants, statement.place,
          "privileges granted on objects to every leased role make issuing slow and fill the "
          "table's access list until PostgreSQL takes no more; grant them to a group role once, "
          "and here the group role to \"{{name}}\"");
      return;
    }
  }

  static std::string place_of(const PlacedStatement& statement, std::size_t token) {
    const int first = statement.tokens.front().line;
    const int line = statement.tokens[token].line;
    std::string place = statement.place;
    if (line != first) place.replace(place.rfind(' ') + 1, std::string::npos, std::to_string(line));
    return fmt::format("{}, column {}", place, statement.tokens[token].column);
  }

  std::vector<Finding> findings_;
  bool names_ = false;
  bool has_password_ = false;
  bool expires_ = false;
  bool object_grants_ = false;
};

void look_for_unknown_placeholders(const std::vector<PlacedStatement>& statements,
                                   std::vector<Finding>& findings) {
  for (const PlacedStatement& statement : statements) {
    for (const std::string& name : placeholders_in(statement.text)) {
      if (is_placeholder(name)) continue;
      findings.push_back({"placeholder", statement.place,
                          fmt::format("{{{{{}}}}} is no placeholder and is sent as it stands; "
                                      "{{{{name}}}}, {{{{username}}}}, {{{{password}}}} and "
                                      "{{{{expiration}}}} are",
                                      name)});
    }
  }
}

void look_at_revocation(const std::vector<PlacedStatement>& statements,
                        std::vector<Finding>& findings) {
  for (const PlacedStatement& statement : statements) {
    const bool inside =
        std::any_of(statement.tokens.begin(), statement.tokens.end(), [](const Token& token) {
          return token.kind == TokenKind::kDollarQuote &&
                 lower(token.text).find("reassign owned") != std::string::npos;
        });
    if (statement.word_at(0, "reassign") || inside)
      findings.push_back({"reassign", statement.place,
                          "REASSIGN OWNED gives functions that the leased role made the rights of "
                          "their new owner; the built-in cleaning does without it"});
  }
}

struct Predefined {
  std::string_view name;
  bool dangerous;
  std::string_view why;
};
constexpr std::array<Predefined, 14> kPredefined{{
    {"pg_execute_server_program", true, "runs programs on the database's host"},
    {"pg_read_server_files", true, "reads every file that the database server can read"},
    {"pg_write_server_files", true, "writes every file that the database server can write"},
    {"pg_signal_backend", true, "ends other sessions, also those that revoke its lease"},
    {"pg_create_subscription", true, "makes subscriptions, which go on working without it"},
    {"pg_write_all_data", false, "writes every table of every schema"},
    {"pg_read_all_data", false, "reads every table of every schema"},
    {"pg_monitor", false, "sees the statements of all sessions, with the values in them"},
    {"pg_read_all_stats", false, "sees the statements of all sessions, with the values in them"},
    {"pg_read_all_settings", false, "sees settings that others may not see"},
    {"pg_stat_scan_tables", false, "can hold locks on tables for long"},
    {"pg_checkpoint", false, "can slow the whole server down with checkpoints"},
    {"pg_maintain", false, "can lock and rewrite every table"},
    {"pg_use_reserved_connections", false, "takes connections that are kept for administrators"},
}};

}  // namespace

Finding predefined_role(std::string_view group, std::string place) {
  Finding finding{fmt::format("member of {}", group), std::move(place), "", false};
  const auto known = std::find_if(kPredefined.begin(), kPredefined.end(),
                                  [&](const Predefined& role) { return role.name == group; });
  finding.dangerous = known != kPredefined.end() && known->dangerous;
  finding.message =
      fmt::format("a member of {} {}", group,
                  known != kPredefined.end() ? known->why : "gets rights over the whole server");
  return finding;
}

Finding role_attribute(std::string_view attribute, std::string_view by, std::string place) {
  std::string_view why = "may do everything, also undo its own revocation";
  if (attribute == "CREATEROLE") why = "can make roles of its own that outlive the lease";
  if (attribute == "CREATEDB") why = "can make databases of its own that outlive the lease";
  if (attribute == "REPLICATION")
    why = "can copy the whole server, and leave replication slots behind that fill its disk";
  if (attribute == "BYPASSRLS") why = "sees and changes rows that row security keeps from others";
  return {fmt::format("attribute {} {}", attribute, by), std::move(place),
          by.empty() ? fmt::format("a leased role with {} {}", attribute, why)
                     : fmt::format("it is a member of \"{}\", which has {}; with SET ROLE it {}",
                                   by, attribute, why),
          true};
}

Result<std::vector<Finding>> lint_statements(const LeaseRole& role) {
  ASSIGN_OR_RETURN(const auto creation, place_statements(kCreation, role.creation_statements));
  std::vector<Finding> findings = Creation().run(creation);
  look_for_unknown_placeholders(creation, findings);
  ASSIGN_OR_RETURN(const auto revocation,
                   place_statements("revocation_statements", role.revocation_statements));
  look_for_unknown_placeholders(revocation, findings);
  look_at_revocation(revocation, findings);
  ASSIGN_OR_RETURN(const auto renewal, place_statements("renew_statements", role.renew_statements));
  look_for_unknown_placeholders(renewal, findings);
  ASSIGN_OR_RETURN(const auto rollback,
                   place_statements("rollback_statements", role.rollback_statements));
  look_for_unknown_placeholders(rollback, findings);
  return findings;
}

std::vector<Finding> joined_findings(std::vector<Finding> text, std::vector<Finding> catalog,
                                     bool rehearsed) {
  if (rehearsed) std::erase_if(text, [](const Finding& f) { return f.key == kNoExpiry; });
  for (Finding& fact : catalog) {
    const auto same = std::find_if(text.begin(), text.end(),
                                   [&](const Finding& found) { return found.key == fact.key; });
    if (same == text.end()) {
      text.push_back(std::move(fact));
    } else {
      same->message = std::move(fact.message);
      same->dangerous = same->dangerous || fact.dangerous;
    }
  }
  return text;
}

Status judge_findings(const std::vector<Finding>& findings, bool allowed,
                      std::vector<std::string>& warnings) {
  std::string refused;
  for (const Finding& finding : findings) {
    if (!finding.dangerous) {
      warnings.push_back(finding.text());
    } else if (allowed) {
      warnings.push_back(finding.text() + " (taken because of allow_dangerous=true)");
    } else {
      refused += finding.text() + "; ";
    }
  }
  if (refused.empty()) return ok();
  return Error{Errc::kInvalidArgument,
               refused +
                   "nothing was stored. Leave this out, or set allow_dangerous=true for a "
                   "role that must have it"};
}

}  // namespace curfew::engines::postgres

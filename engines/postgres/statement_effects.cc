#include "engines/postgres/statement_effects.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "engines/postgres/sql_text.h"

namespace curfew::engines::postgres {
namespace {

constexpr std::size_t kFunctionsMax = 500;

// Functions whose effect a rollback does not take back, and where their names begin like this.
constexpr std::array<std::string_view, 41> kLasting{
    "setval",
    "lo_export",
    "lo_import",
    "pg_file_",
    "pg_read_file",
    "pg_read_binary_file",
    "pg_ls_",
    "pg_stat_file",
    "pg_terminate_backend",
    "pg_cancel_backend",
    "pg_reload_conf",
    "pg_rotate_logfile",
    "pg_log_",
    "pg_switch_",
    "pg_create_restore_point",
    "pg_backup_",
    "pg_start_backup",
    "pg_stop_backup",
    "pg_promote",
    "pg_wal_replay_",
    "pg_create_physical_replication_slot",
    "pg_create_logical_replication_slot",
    "pg_copy_physical_replication_slot",
    "pg_copy_logical_replication_slot",
    "pg_drop_replication_slot",
    "pg_replication_slot_",
    "pg_sync_replication_slots",
    "pg_replication_origin_",
    "pg_logical_emit_message",
    "pg_logical_slot_",
    "pg_stat_reset",
    "pg_stat_statements_reset",
    "pg_stat_force_next_flush",
    "dblink",
    "http_",
    "http",
    "postgres_fdw_",
    "pg_background_",
    "aws_",
    "query_export_to_s3",
    "table_import_from_s3",
};

// Libraries of functions that reach out of the database.
constexpr std::array<std::string_view, 6> kLibraries{"dblink", "http", "pg_net",
                                                     "aws_",   "plsh", "adminpack"};

bool is_lasting(std::string_view name) {
  return std::any_of(kLasting.begin(), kLasting.end(), [&](std::string_view known) {
    // Those that end so are beginnings; "http" and "dblink" are names and beginnings.
    return known.ends_with('_') || known == "dblink" || known == "lo_import" ||
                   known == "pg_stat_reset"
               ? name.starts_with(known)
               : name == known;
  });
}

Error lasting(std::string what) {
  return {Errc::kInvalidArgument,
          fmt::format("statement: {}, and that cannot be taken back: it cannot be tried before it "
                      "is approved. Ask for a statement without it",
                      std::move(what))};
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '$' || static_cast<unsigned char>(c) >= 0x80;
}

bool holds_word(std::string_view text, std::string_view word) {
  for (std::size_t at = text.find(word); at != std::string_view::npos;
       at = text.find(word, at + 1)) {
    const bool begins = at == 0 || !is_name_character(text[at - 1]);
    const std::size_t end = at + word.size();
    if (begins && (end == text.size() || !is_name_character(text[end]))) return true;
  }
  return false;
}

std::string lowered(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), lower);
  return text;
}

// "{'a','b'}" as an array of text.
std::string text_array(const std::set<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + quote_literal(name);
  return "ARRAY[" + out + "]::pg_catalog.text[]";
}

std::string text_at(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

// As PostgreSQL takes the text apart, whatever comments stand in it.
Result<std::set<std::string>> names_in(const LeasedStatement& statement) {
  ASSIGN_OR_RETURN(const auto statements, split_statements(statement.text));
  std::set<std::string> names;
  for (const SqlStatement& tokens : statements) {
    for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
      const bool named =
          tokens[i].kind == TokenKind::kWord || tokens[i].kind == TokenKind::kQuotedName;
      if (named && tokens[i + 1].text == "(") names.insert(tokens[i].text);
    }
  }
  return names;
}

class Search {
 public:
  Search(Connection& connection, SteadyTime deadline, const Json& plan)
      : connection_(connection), deadline_(deadline), plan_(plan) {}

  Result<StatementEffects> run(const LeasedStatement& statement) {
    ASSIGN_OR_RETURN(std::set<std::string> names, names_in(statement));
    look_at_plan(plan_, names);
    RETURN_IF_ERROR(look_at_relations(names));
    RETURN_IF_ERROR(look_at_functions(std::move(names)));
    if (uses_sequences_)
      out_.warnings.emplace_back(
          "sequence numbers are used up: those that the trial took are not given again");
    return std::move(out_);
  }

 private:
  // All texts of the plan: expressions stand in them as SQL.
  void look_at_plan(const Json& node, std::set<std::string>& names) {
    if (node.is_string()) names.merge(called_names(node.get_ref<const std::string&>()));
    if (node.is_array())
      for (const Json& item : node) look_at_plan(item, names);
    if (!node.is_object()) return;
    if (const std::string relation = text_at(node, "Relation Name"); !relation.empty()) {
      auto& list = text_at(node, "Node Type") == "ModifyTable" ? changed_ : read_;
      list.insert({text_at(node, "Schema"), relation});
    }
    if (text_at(node, "Node Type").starts_with("Foreign"))
      foreign_ = text_at(node, "Relation Name");
    for (const auto& [key, value] : node.items()) look_at_plan(value, names);
  }

  // The tables that change, with partitions and what foreign keys take along; their triggers.
  Status look_at_relations(std::set<std::string>& names) {
    if (foreign_) return lasting(fmt::format("it uses the foreign table \"{}\"", *foreign_));
    if (changed_.empty()) return ok();
    std::string tables;
    for (const auto& [schema, name] : changed_)
      tables += fmt::format("{}({}, {})", tables.empty() ? "" : ", ", quote_literal(schema),
                            quote_literal(name));
    ASSIGN_OR_RETURN(const Rows rows, ask(fmt::format(
                                          R"sql(WITH RECURSIVE touched(oid) AS (
  SELECT c.oid FROM (VALUES {}) v(schema, name) JOIN pg_catalog.pg_namespace n
    ON n.nspname = v.schema JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid
    AND c.relname = v.name
  UNION
  SELECT more.oid FROM touched t CROSS JOIN LATERAL (
    SELECT i.inhrelid AS oid FROM pg_catalog.pg_inherits i WHERE i.inhparent = t.oid
    UNION ALL
    SELECT k.conrelid FROM pg_catalog.pg_constraint k WHERE k.confrelid = t.oid
      AND k.contype = 'f' AND (k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd'))
  ) AS more)
SELECT c.oid::pg_catalog.regclass::pg_catalog.text, c.relkind, g.tgname, p.proname
FROM touched t JOIN pg_catalog.pg_class c ON c.oid = t.oid
LEFT JOIN pg_catalog.pg_trigger g ON g.tgrelid = c.oid AND NOT g.tgisinternal
  AND g.tgenabled <> 'D'
LEFT JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid ORDER BY 1, 3)sql",
                                          tables)));
    for (const Row& row : rows) {
      if (row.size() != 4) return corrupt();
      if (row[1] == "f")
        return lasting(fmt::format("it uses the foreign table {}", row[0].value_or("")));
      if (!row[2]) continue;
      out_.triggers.push_back(fmt::format("{} on {}", *row[2], row[0].value_or("")));
      if (row[3]) names.insert(*row[3]);
    }
    return ok();
  }

  // By name alone, whatever their arguments: one of that name is enough to be careful.
  Status look_at_functions(std::set<std::string> names) {
    std::set<std::string> known;
    while (true) {
      std::set<std::string> fresh;
      for (const std::string& name : names) {
        if (is_lasting(name)) return lasting(fmt::format("it calls {}()", name));
        if (name == "nextval") uses_sequences_ = true;
        if (known.insert(name).second) fresh.insert(name);
      }
      if (fresh.empty()) return ok();
      if (known.size() > kFunctionsMax)
        return lasting("it calls more functions than can be looked into");
      names.clear();
      ASSIGN_OR_RETURN(
          const Rows rows,
          ask(fmt::format(
              "SELECT p.proname, l.lanname, l.lanpltrusted, {}, p.probin FROM "
              "pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang WHERE "
              "p.proname = ANY ({}) AND p.oid >= 16384",
              connection_.server_version() >= 140000
                  ? "COALESCE(pg_catalog.pg_get_function_sqlbody(p.oid), p.prosrc)"
                  : "p.prosrc",
              text_array(fresh))));
      for (const Row& row : rows) RETURN_IF_ERROR(look_into(row, names));
    }
  }

  Status look_into(const Row& row, std::set<std::string>& names) {
    if (row.size() != 5) return corrupt();
    const std::string name = row[0].value_or(""), language = row[1].value_or("");
    if (language == "c" || language == "internal") {
      const std::string library = row[4].value_or("");
      for (const std::string_view known : kLibraries)
        if (library.find(known) != std::string::npos)
          return lasting(fmt::format("it calls {}() of {}", name, library));
      return ok();
    }
    if (row[2] != "t")
      return lasting(
          fmt::format("it calls {}(), which is in the untrusted language {}", name, language));
    const std::string body = lowered(row[3].value_or(""));
    if (holds_word(body, "copy") && (holds_word(body, "program") || holds_word(body, "to")))
      return lasting(fmt::format("it calls {}(), which copies to a file or program", name));
    names.merge(called_names(body));
    return ok();
  }

  Result<Rows> ask(const std::string& sql) { return connection_.run(sql, deadline_); }

  static Error corrupt() {
    return {Errc::kCorrupt, "the target's catalog does not answer as PostgreSQL's does"};
  }

  Connection& connection_;
  const SteadyTime deadline_;
  const Json& plan_;
  std::set<std::pair<std::string, std::string>> changed_;  // schema, name
  std::set<std::pair<std::string, std::string>> read_;
  std::optional<std::string> foreign_;
  bool uses_sequences_ = false;
  StatementEffects out_;
};

}  // namespace

std::set<std::string> called_names(std::string_view sql) {
  std::set<std::string> names;
  for (std::size_t open = sql.find('('); open != std::string_view::npos;
       open = sql.find('(', open + 1)) {
    std::size_t end = open;
    while (end > 0 && (sql[end - 1] == ' ' || (sql[end - 1] >= '\t' && sql[end - 1] <= '\r')))
      --end;
    if (end == 0) continue;
    if (sql[end - 1] == '"') {
      const std::size_t begin = sql.rfind('"', end >= 2 ? end - 2 : 0);
      if (begin != std::string_view::npos && begin + 1 < end)
        names.insert(std::string(sql.substr(begin + 1, end - begin - 2)));
      continue;
    }
    std::size_t begin = end;
    while (begin > 0 && is_name_character(sql[begin - 1])) --begin;
    if (begin < end) names.insert(lowered(std::string(sql.substr(begin, end - begin))));
  }
  return names;
}

Status refuse_lasting_calls(const LeasedStatement& statement) {
  ASSIGN_OR_RETURN(const auto names, names_in(statement));
  if (names.contains("nextval"))
    return lasting("it calls nextval(), which uses up a number of a sequence");
  for (const std::string& name : names)
    if (is_lasting(name)) return lasting(fmt::format("it calls {}()", name));
  return ok();
}

Result<StatementEffects> statement_effects(Connection& connection, SteadyTime deadline,
                                           const LeasedStatement& statement, const Json& plan) {
  return Search(connection, deadline, plan).run(statement);
}

}  // namespace curfew::engines::postgres

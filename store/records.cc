#include "store/records.h"

#include <utility>

#include "base/secret.h"

namespace curfew::store {
namespace {

constexpr int kListPageRows = 100;

Value text(std::string_view value) {
  return std::string(value);
}

// Where the next page of names starts.
struct Cursor {
  std::string from;
  bool inclusive = true;
};

}  // namespace

Result<Json> Records::unseal(std::string_view scope, std::string_view name,
                             const std::string& sealed) const {
  ASSIGN_OR_RETURN(std::string plain,
                   barrier_.open(row_context("records", {namespace_, scope, name}), sealed));
  // Wider than what a request may send: a record may be built of several.
  auto value = parse_json(plain, {.depth_max = 256, .values_max = 10'000'000});
  zero(plain);
  // It was sealed by us, so this is a format of another version rather than an attack.
  if (!value)
    return Error{Errc::kCorrupt,
                 "a stored value cannot be read; the operator must restore a backup",
                 "a record of scope " + std::string(scope) + " is not JSON"};
  return value;
}

Result<std::optional<Json>> Records::get(const Reader& reader, std::string_view scope,
                                         std::string_view name) const {
  ASSIGN_OR_RETURN(const auto row,
                   reader.query_one("SELECT sealed FROM records "
                                    "WHERE namespace = $1 AND scope = $2 AND name = $3",
                                    {text(namespace_), text(scope), text(name)}));
  if (!row) return std::optional<Json>{};
  ASSIGN_OR_RETURN(Json value, unseal(scope, name, row->blob(0)));
  return std::optional<Json>{std::move(value)};
}

Status Records::put(Writer& writer, std::string_view scope, std::string_view name,
                    const Json& value) const {
  std::string plain = dump_json(value);
  auto sealed = barrier_.seal(row_context("records", {namespace_, scope, name}), plain);
  zero(plain);
  if (!sealed) return std::move(sealed).error();
  RETURN_IF_ERROR(
      writer.execute("INSERT INTO records (namespace, scope, name, sealed) VALUES ($1, $2, $3, $4) "
                     "ON CONFLICT (namespace, scope, name) DO UPDATE SET sealed = excluded.sealed",
                     {text(namespace_), text(scope), text(name), Blob{std::move(*sealed)}}));
  return ok();
}

Result<bool> Records::remove(Writer& writer, std::string_view scope, std::string_view name) const {
  ASSIGN_OR_RETURN(
      const std::int64_t count,
      writer.execute("DELETE FROM records WHERE namespace = $1 AND scope = $2 AND name = $3",
                     {text(namespace_), text(scope), text(name)}));
  return count > 0;
}

Result<std::int64_t> Records::remove_scope(Writer& writer, std::string_view scope) const {
  return writer.execute("DELETE FROM records WHERE namespace = $1 AND scope = $2",
                        {text(namespace_), text(scope)});
}

Result<std::vector<std::string>> Records::list(const Reader& reader, std::string_view scope,
                                               std::string_view prefix) const {
  if (!prefix.empty() && !prefix.ends_with('/'))
    return Error{Errc::kInvalidArgument, "a folder to list ends in '/'"};
  std::vector<std::string> elements;
  Cursor cursor{std::string(prefix), true};
  for (;;) {
    ASSIGN_OR_RETURN(
        const std::vector<Row> rows,
        reader.query(cursor.inclusive
                         ? "SELECT name FROM records WHERE namespace = $1 AND scope = $2 "
                           "AND name >= $3 ORDER BY name LIMIT $4"
                         : "SELECT name FROM records WHERE namespace = $1 AND scope = $2 "
                           "AND name > $3 ORDER BY name LIMIT $4",
                     {text(namespace_), text(scope), cursor.from, std::int64_t{kListPageRows}}));
    for (const Row& row : rows) {
      const std::string& name = row.text(0);
      if (!name.starts_with(prefix)) return elements;
      const std::string_view rest = std::string_view(name).substr(prefix.size());
      const std::size_t slash = rest.find('/');
      const bool folder = slash != std::string_view::npos;
      std::string element(folder ? rest.substr(0, slash + 1) : rest);
      if (element.empty()) continue;  // a value whose name is the folder's own
      if (elements.empty() || elements.back() != element) elements.push_back(std::move(element));
      // '0' follows '/': the next page starts behind the folder, however much lies in it.
      if (folder)
        cursor = {std::string(prefix) + std::string(rest.substr(0, slash)) + '0', true};
      else
        cursor = {name, false};
    }
    if (rows.size() < static_cast<std::size_t>(kListPageRows)) return elements;
  }
}

Result<std::vector<std::string>> Records::names(const Reader& reader,
                                                std::string_view scope) const {
  ASSIGN_OR_RETURN(const std::vector<Row> rows,
                   reader.query("SELECT name FROM records WHERE namespace = $1 AND scope = $2 "
                                "ORDER BY name",
                                {text(namespace_), text(scope)}));
  std::vector<std::string> out;
  out.reserve(rows.size());
  for (const Row& row : rows) out.push_back(row.text(0));
  return out;
}

Result<std::int64_t> Records::count(const Reader& reader, std::string_view scope,
                                    std::string_view folder) const {
  if (!folder.ends_with('/')) return Error{Errc::kInvalidArgument, "a folder to count ends in '/'"};
  // '0' follows '/'.
  const std::string end = std::string(folder.substr(0, folder.size() - 1)) + '0';
  ASSIGN_OR_RETURN(
      const auto row,
      reader.query_one("SELECT count(*) FROM records WHERE namespace = $1 AND scope = $2 "
                       "AND name > $3 AND name < $4",
                       {text(namespace_), text(scope), text(folder), end}));
  return row->integer(0);
}

Result<std::vector<std::pair<std::string, Json>>> Records::all(const Reader& reader,
                                                               std::string_view scope,
                                                               std::string_view prefix) const {
  std::vector<std::pair<std::string, Json>> out;
  Cursor cursor{std::string(prefix), true};
  for (;;) {
    ASSIGN_OR_RETURN(
        const std::vector<Row> rows,
        reader.query(cursor.inclusive
                         ? "SELECT name, sealed FROM records WHERE namespace = $1 AND scope = $2 "
                           "AND name >= $3 ORDER BY name LIMIT $4"
                         : "SELECT name, sealed FROM records WHERE namespace = $1 AND scope = $2 "
                           "AND name > $3 ORDER BY name LIMIT $4",
                     {text(namespace_), text(scope), cursor.from, std::int64_t{kListPageRows}}));
    for (const Row& row : rows) {
      const std::string& name = row.text(0);
      if (!name.starts_with(prefix)) return out;
      ASSIGN_OR_RETURN(Json value, unseal(scope, name, row.blob(1)));
      out.emplace_back(name, std::move(value));
      cursor = {name, false};
    }
    if (rows.size() < static_cast<std::size_t>(kListPageRows)) return out;
  }
}

Result<std::vector<std::pair<std::string, Json>>> Records::page(const Reader& reader,
                                                                std::string_view scope,
                                                                std::string_view after,
                                                                std::size_t limit) const {
  std::vector<std::pair<std::string, Json>> out;
  ASSIGN_OR_RETURN(
      const std::vector<Row> rows,
      reader.query("SELECT name, sealed FROM records WHERE namespace = $1 AND scope = $2 "
                   "AND name > $3 ORDER BY name LIMIT $4",
                   {text(namespace_), text(scope), text(after), static_cast<std::int64_t>(limit)}));
  out.reserve(rows.size());
  for (const Row& row : rows) {
    ASSIGN_OR_RETURN(Json value, unseal(scope, row.text(0), row.blob(1)));
    out.emplace_back(row.text(0), std::move(value));
  }
  return out;
}

}  // namespace curfew::store

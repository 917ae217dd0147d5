#include "store/sqlite_connection.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace curfew::store {
namespace {

constexpr std::size_t kValueBytesMax = 256 * 1024 * 1024;

int authorize(void* restricted, int action, const char*, const char*, const char*, const char*) {
  if (!*static_cast<const bool*>(restricted)) return SQLITE_OK;
  switch (action) {
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT:
    case SQLITE_ATTACH:
    case SQLITE_DETACH:
    case SQLITE_PRAGMA:
    case SQLITE_CREATE_TRIGGER:
    case SQLITE_CREATE_VIEW: return SQLITE_DENY;
    default: return SQLITE_OK;
  }
}

int remember_wal_pages(void* pages, sqlite3*, const char*, int count) {
  *static_cast<int*>(pages) = count;
  return SQLITE_OK;
}

Value column_value(sqlite3_stmt* statement, int column) {
  const auto bytes = [&](const void* data) {
    const int size = sqlite3_column_bytes(statement, column);
    if (data == nullptr || size == 0) return std::string();
    return std::string(static_cast<const char*>(data), static_cast<std::size_t>(size));
  };
  switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER: return static_cast<std::int64_t>(sqlite3_column_int64(statement, column));
    case SQLITE_BLOB: return Blob{bytes(sqlite3_column_blob(statement, column))};
    case SQLITE_NULL: return std::monostate{};
    default: return bytes(sqlite3_column_text(statement, column));
  }
}

// What values of a column are, by the type that the schema gives it.
int declared_type(const char* declaration) {
  const std::string_view name = declaration == nullptr ? "" : declaration;
  if (name == "BIGINT") return SQLITE_INTEGER;
  if (name == "TEXT") return SQLITE_TEXT;
  if (name == "BLOB") return SQLITE_BLOB;
  return 0;
}

int bind_value(sqlite3_stmt* statement, int index, const Value& value) {
  // SQLITE_STATIC: the parameters outlive the run of the statement, and bindings are cleared after.
  if (const auto* number = std::get_if<std::int64_t>(&value))
    return sqlite3_bind_int64(statement, index, *number);
  if (const auto* text = std::get_if<std::string>(&value))
    return sqlite3_bind_text64(statement, index, text->data(), text->size(), SQLITE_STATIC,
                               SQLITE_UTF8);
  if (const auto* blob = std::get_if<Blob>(&value))
    return sqlite3_bind_blob64(statement, index, blob->bytes.data(), blob->bytes.size(),
                               SQLITE_STATIC);
  return sqlite3_bind_null(statement, index);
}

// Leaves the statement ready for its next use, whatever happens in between.
class Rewind {
 public:
  explicit Rewind(sqlite3_stmt* statement) : statement_(statement) {}
  ~Rewind() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  }
  Rewind(const Rewind&) = delete;
  Rewind& operator=(const Rewind&) = delete;

 private:
  sqlite3_stmt* statement_;
};

}  // namespace

Error explain_sqlite(int extended_code, std::string detail) {
  detail += " (SQLite code " + std::to_string(extended_code) + ")";
  const auto error = [&](Errc code, const char* message) {
    return Error{code, message, std::move(detail)};
  };
  if (extended_code == SQLITE_IOERR_CORRUPTFS)
    return error(Errc::kCorrupt,
                 "the file system says that the broker's database file is damaged; the operator "
                 "must check the disk and restore a backup");
  switch (extended_code & 0xff) {
    case SQLITE_CONSTRAINT:
      return error(Errc::kConflict, "the change conflicts with what is stored");
    case SQLITE_FULL:
      return error(Errc::kUnavailable,
                   "the disk that holds the broker's database is full; nothing was written. The "
                   "operator must free space there; then retry");
    case SQLITE_IOERR:
      return error(Errc::kUnavailable,
                   "the broker's database could not be read or written (I/O error); nothing was "
                   "written. The operator must check the disk and its free space; then retry");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
      return error(Errc::kUnavailable,
                   "another program holds the broker's database file; nothing was written. The "
                   "operator must end that program; then retry");
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_CANTOPEN:
      return error(Errc::kUnavailable,
                   "the broker may not open or write its database file; nothing was written. The "
                   "operator must check the file's owner, mode and mount options");
    case SQLITE_NOMEM:
      return error(Errc::kUnavailable,
                   "the broker is out of memory; nothing was written. Retry later");
    case SQLITE_CORRUPT:
      return error(Errc::kCorrupt,
                   "the broker's database file is damaged; the operator must stop the server and "
                   "restore a backup");
    case SQLITE_NOTADB:
      return error(Errc::kCorrupt,
                   "the broker's database file is not an SQLite database; the operator must check "
                   "the configured path or restore a backup");
    case SQLITE_TOOBIG:
      return error(Errc::kTooLarge, "a value is too large for the broker's database");
    default: return error(Errc::kInternal, "the broker's database refused a statement");
  }
}

Result<std::unique_ptr<SqliteConnection>> SqliteConnection::open(
    const std::string& path, const SqliteConnectionOptions& options) {
  const int flags = (options.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE) |
                    SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags, options.vfs);
  std::unique_ptr<SqliteConnection> connection(new SqliteConnection(handle, options));
  if (code != SQLITE_OK) return explain_sqlite(code, "open " + path);
  RETURN_IF_ERROR(connection->configure());
  return connection;
}

SqliteConnection::~SqliteConnection() {
  statements_.clear();
  steering_.clear();
  sqlite3_close(handle_);
}

Status SqliteConnection::configure() {
  sqlite3_busy_timeout(handle_, options_.busy_timeout_ms);
  sqlite3_limit(handle_, SQLITE_LIMIT_LENGTH, static_cast<int>(kValueBytesMax));
  // Whoever can edit the file must not be able to make it run code of theirs.
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, nullptr);
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_ENABLE_VIEW, 0, nullptr);
  RETURN_IF_ERROR(control("PRAGMA temp_store = MEMORY"));
  RETURN_IF_ERROR(control("PRAGMA mmap_size = 0"));
  RETURN_IF_ERROR(control("PRAGMA cache_size = -" + std::to_string(options_.cache_kib)));
  RETURN_IF_ERROR(control("PRAGMA foreign_keys = ON"));
  if (options_.read_only) {
    RETURN_IF_ERROR(control("PRAGMA query_only = ON"));
  } else {
    RETURN_IF_ERROR(control(std::string("PRAGMA synchronous = ") + options_.synchronous));
    // What is deleted is overwritten: a destroyed key must not stay behind in a free page.
    RETURN_IF_ERROR(control("PRAGMA secure_delete = ON"));
    sqlite3_wal_hook(handle_, remember_wal_pages, &wal_pages_);
  }
  sqlite3_set_authorizer(handle_, authorize, &restricted_);
  restricted_ = true;
  return ok();
}

Result<SqliteConnection::Statement> SqliteConnection::prepare(std::string_view sql) const {
  Statement statement;
  sqlite3_stmt* handle = nullptr;
  const char* rest = nullptr;
  const int code = sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &handle, &rest);
  statement.handle.reset(handle);
  if (code == SQLITE_AUTH)
    return Error{Errc::kInternal, "the broker's database refused a statement",
                 "a statement that is not for readers and writers: " + std::string(sql)};
  if (code != SQLITE_OK) return explain(code);
  const std::string_view tail(rest, static_cast<std::size_t>(sql.data() + sql.size() - rest));
  if (handle == nullptr || tail.find_first_not_of(" \t\r\n;") != std::string_view::npos)
    return Error{Errc::kInternal, "the broker's database refused a statement",
                 "not exactly one statement: " + std::string(sql)};

  // SQLite counts parameters in the order of their appearance and takes "$2" for a name.
  for (int i = 1; i <= sqlite3_bind_parameter_count(handle); ++i) {
    const char* name = sqlite3_bind_parameter_name(handle, i);
    const std::string_view text = name == nullptr ? "" : name;
    std::size_t number = 0;
    const auto digits = text.substr(text.empty() ? 0 : 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (!text.starts_with('$') || error != std::errc{} || end != digits.data() + digits.size() ||
        number == 0 || number > 1'000)
      return Error{Errc::kInternal, "the broker's database refused a statement",
                   "parameters are numbered from $1: " + std::string(sql)};
    statement.numbers.push_back(number - 1);
    statement.parameters = std::max(statement.parameters, number);
  }
  for (int i = 0; i < sqlite3_column_count(handle); ++i)
    statement.column_types.push_back(declared_type(sqlite3_column_decltype(handle, i)));
  return statement;
}

Result<SqliteConnection::Statement*> SqliteConnection::cached(std::string_view sql) const {
  const auto found = statements_.find(sql);
  if (found != statements_.end()) return &found->second;
  ASSIGN_OR_RETURN(Statement statement, prepare(sql));
  if (options_.read_only && sqlite3_stmt_readonly(statement.handle.get()) == 0)
    return Error{Errc::kInternal, "the broker's database refused a statement",
                 "a reader may not write: " + std::string(sql)};
  // Statements are constants of the program: a full cache means generated text, which may go.
  if (statements_.size() >= options_.statements_max) statements_.clear();
  return &statements_.emplace(std::string(sql), std::move(statement)).first->second;
}

Status SqliteConnection::bind(const Statement& statement,
                              const std::vector<Value>& parameters) const {
  if (statement.parameters != parameters.size())
    return Error{Errc::kInternal, "the broker's database refused a statement",
                 "parameters in the text: " + std::to_string(statement.parameters) +
                     ", given: " + std::to_string(parameters.size()) + ": " +
                     sqlite3_sql(statement.handle.get())};
  for (const Value& value : parameters) {
    const auto* text = std::get_if<std::string>(&value);
    if (text != nullptr && !is_storable_text(*text))
      return Error{Errc::kInvalidArgument,
                   "a name holds bytes that cannot be stored: use UTF-8 text without zero bytes"};
  }
  for (std::size_t i = 0; i < statement.numbers.size(); ++i) {
    const int code = bind_value(statement.handle.get(), static_cast<int>(i + 1),
                                parameters[statement.numbers[i]]);
    if (code != SQLITE_OK) return explain(code);
  }
  return ok();
}

Result<std::vector<Row>> SqliteConnection::run(std::string_view sql,
                                               const std::vector<Value>& parameters) const {
  ASSIGN_OR_RETURN(Statement * statement, cached(sql));
  sqlite3_stmt* handle = statement->handle.get();
  const Rewind rewind(handle);
  RETURN_IF_ERROR(bind(*statement, parameters));
  std::vector<Row> rows;
  for (;;) {
    const int code = sqlite3_step(handle);
    if (code == SQLITE_DONE) return rows;
    if (code != SQLITE_ROW) return explain(code);
    if (rows.size() == options_.rows_max)
      return Error{Errc::kTooLarge, "the answer has too many rows; ask for a smaller part of it",
                   "more than " + std::to_string(options_.rows_max) + " rows: " + std::string(sql)};
    ASSIGN_OR_RETURN(Row row, current_row(*statement));
    rows.push_back(std::move(row));
  }
}

Result<Row> SqliteConnection::current_row(const Statement& statement) const {
  sqlite3_stmt* handle = statement.handle.get();
  const int columns = sqlite3_data_count(handle);
  std::vector<Value> values;
  values.reserve(static_cast<std::size_t>(columns));
  for (int i = 0; i < columns; ++i) {
    // SQLite keeps any type in any column. We write only the declared one, so that another was put
    // there by somebody else, and would not be what the program expects to get.
    const int declared = statement.column_types[static_cast<std::size_t>(i)];
    const int found = sqlite3_column_type(handle, i);
    if (declared != 0 && found != declared && found != SQLITE_NULL)
      return Error{Errc::kCorrupt,
                   "stored data has the wrong type: the database was changed or damaged. The "
                   "operator must restore a backup",
                   std::string("column ") + sqlite3_column_name(handle, i)};
    values.push_back(column_value(handle, i));
  }
  return Row(std::move(values));
}

Result<std::vector<Row>> SqliteConnection::query(std::string_view sql,
                                                 const std::vector<Value>& parameters) const {
  auto rows = run(sql, parameters);
  if (!rows) return failed(std::move(rows).error());
  return rows;
}

Result<std::int64_t> SqliteConnection::execute(std::string_view sql,
                                               const std::vector<Value>& parameters) {
  const auto before = sqlite3_total_changes64(handle_);
  auto rows = run(sql, parameters);
  if (!rows) return failed(std::move(rows).error());
  // sqlite3_changes64 keeps the count of an earlier statement when this one is of another kind.
  if (sqlite3_total_changes64(handle_) == before) return std::int64_t{0};
  return static_cast<std::int64_t>(sqlite3_changes64(handle_));
}

Result<std::string> SqliteConnection::control(std::string_view sql) {
  const bool restricted = std::exchange(restricted_, false);
  auto prepared = prepare(sql);
  restricted_ = restricted;
  if (!prepared) return std::move(prepared).error();
  sqlite3_stmt* handle = prepared->handle.get();
  std::string first;
  for (bool row_seen = false;;) {
    const int code = sqlite3_step(handle);
    if (code == SQLITE_DONE) return first;
    if (code != SQLITE_ROW) return explain(code);
    const auto* text = sqlite3_column_text(handle, 0);
    if (!std::exchange(row_seen, true) && text != nullptr)
      first = reinterpret_cast<const char*>(text);
  }
}

Status SqliteConnection::steer(std::string_view sql) {
  const bool restricted = std::exchange(restricted_, false);
  auto found = steering_.find(sql);
  if (found == steering_.end()) {
    auto prepared = prepare(sql);
    if (!prepared) {
      restricted_ = restricted;
      return std::move(prepared).error();
    }
    found = steering_.emplace(std::string(sql), std::move(*prepared)).first;
  }
  sqlite3_stmt* handle = found->second.handle.get();
  const Rewind rewind(handle);
  const int code = sqlite3_step(handle);
  restricted_ = restricted;
  if (code != SQLITE_DONE && code != SQLITE_ROW) return explain(code);
  return ok();
}

bool SqliteConnection::in_transaction() const {
  return sqlite3_get_autocommit(handle_) == 0;
}

std::optional<Error> SqliteConnection::take_failure() {
  return std::exchange(failure_, std::nullopt);
}

Result<SqliteConnection::WalState> SqliteConnection::checkpoint(bool truncate) {
  WalState state;
  sqlite3_busy_timeout(handle_, 0);
  const int code = sqlite3_wal_checkpoint_v2(
      handle_, nullptr, truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE,
      &state.pages, &state.pages_copied);
  sqlite3_busy_timeout(handle_, options_.busy_timeout_ms);
  if (code != SQLITE_OK) return explain(code);
  if (truncate) wal_pages_ = 0;
  return state;
}

Error SqliteConnection::explain(int code) const {
  // A checkpoint reports only the primary code; the connection remembers the whole one.
  const int extended = sqlite3_extended_errcode(handle_);
  const bool same = (extended & 0xff) == (code & 0xff);
  return explain_sqlite(same ? extended : code,
                        same ? sqlite3_errmsg(handle_) : sqlite3_errstr(code));
}

Error SqliteConnection::failed(Error error) const {
  if (!failure_) failure_ = error;
  return error;
}

}  // namespace curfew::store

#include "engines/postgres/connection.h"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

namespace curfew::engines::postgres {
namespace {

// The rows of one statement that are kept; more is an error of the statement.
constexpr std::size_t kResultBytesMax = std::size_t{256} << 20;
constexpr Millis kRollbackTime{2'000};

std::uint64_t next_id() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

void ignore_notice(void*, const PGresult*) {}

std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

std::string field(const PGresult* result, int code) {
  const char* text = PQresultErrorField(result, code);
  return text == nullptr ? "" : text;
}

// Reasons that may pass by themselves: connection trouble, resources, conflicts, the operator or a
// time-out, a standby.
bool may_pass(std::string_view sqlstate) {
  return sqlstate.starts_with("08") || sqlstate.starts_with("53") || sqlstate.starts_with("40") ||
         sqlstate.starts_with("57") || sqlstate == "55P03" || sqlstate == "25P03" ||
         sqlstate == "25006";
}

Connection::Described described(const PGresult* result) {
  Connection::Described out;
  for (int i = 0; i < PQnparams(result); ++i) out.parameter_types.push_back(PQparamtype(result, i));
  out.columns = static_cast<std::size_t>(PQnfields(result));
  return out;
}

// "FATAL:  28P01: …" → "28P01"; of several attempts the last.
std::string sqlstate_in(std::string_view message) {
  constexpr std::size_t kLength = 5;
  for (auto at = message.rfind(":  "); at != std::string_view::npos && at > 0;
       at = message.rfind(":  ", at - 1)) {
    const std::string_view code = message.substr(at + 3, kLength);
    const bool is_code = code.size() == kLength && message.substr(at + 3 + kLength, 2) == ": " &&
                         std::all_of(code.begin(), code.end(), [](char c) {
                           return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
                         });
    if (is_code) return std::string(code);
  }
  return "";
}

double seconds_of(SteadyTime time) {
  return static_cast<double>(time.time_since_epoch().count()) / 1000.0;
}

}  // namespace

// What came back for one run().
struct Connection::Answer {
  Rows rows;
  std::size_t bytes = 0;
  bool too_large = false;
  bool in_rows = false;
  bool committed = false;
  bool failed = false;    // the server said so
  bool broken = false;    // the connection is gone
  bool deadline = false;  // nothing more is waited for
  bool copy = false;
  Described described;  // of the last result without rows
  std::string sqlstate;
  std::string message;
  std::string detail;
};

Connection::Connection(const TargetSettings& settings, const Clock& clock)
    : settings_(settings), clock_(clock), id_(next_id()), opened_at_(clock.steady()) {}

Connection::~Connection() {
  close();
}

void Connection::close() {
  if (connection_ != nullptr) PQfinish(connection_);
  connection_ = nullptr;
}

Result<std::unique_ptr<Connection>> Connection::open(const TargetSettings& settings,
                                                     const Clock& clock, SteadyTime deadline) {
  std::unique_ptr<Connection> connection(new Connection(settings, clock));
  deadline = std::min(deadline, clock.steady() + settings.connect_timeout);
  RETURN_IF_ERROR(connection->connect(deadline));
  RETURN_IF_ERROR(connection->prepare_session(deadline));
  return connection;
}

Result<Login> Connection::try_login(const TargetSettings& settings, const Clock& clock,
                                    SteadyTime deadline) {
  Connection connection(settings, clock);
  deadline = std::min(deadline, clock.steady() + settings.connect_timeout);
  const Status connected = connection.connect(deadline, true);
  if (connected)
    return PQconnectionUsedPassword(connection.connection_) != 0 ? Login::kAccepted
                                                                 : Login::kUnproven;
  if (connection.sqlstate_.starts_with("28")) return Login::kRejected;
  // The database is looked at after the password: no right to connect to it.
  if (connection.sqlstate_ == "42501") return Login::kAccepted;
  return connected.error();
}

// `with_sqlstate`: where the server refuses, sqlstate() tells why. libpq gives it away only within
// its verbose message.
Status Connection::connect(SteadyTime deadline, bool with_sqlstate) {
  std::vector<const char*> keys, values;
  for (const auto& [key, value] : settings_.parameters) {
    keys.push_back(key.c_str());
    values.push_back(value.c_str());
  }
  if (!settings_.password.empty()) {
    keys.push_back("password");
    values.push_back(settings_.password.reveal().c_str());
  }
  keys.push_back(nullptr);
  values.push_back(nullptr);
  connection_ = PQconnectStartParams(keys.data(), values.data(), 0);
  const auto failed = [&](std::string why) {
    close();
    return Error{Errc::kUnavailable,
                 fmt::format("{} cannot be reached: {}", settings_.label(), std::move(why))};
  };
  if (connection_ == nullptr) return failed("out of memory");
  PQsetNoticeReceiver(connection_, ignore_notice, nullptr);
  if (with_sqlstate) PQsetErrorVerbosity(connection_, PQERRORS_VERBOSE);

  PostgresPollingStatusType next = PGRES_POLLING_WRITING;
  while (PQstatus(connection_) != CONNECTION_BAD && next != PGRES_POLLING_OK) {
    if (next == PGRES_POLLING_FAILED) break;
    const Wait waited = wait(next == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline);
    if (waited == Wait::kDeadline) return failed("no answer in time; is the host right and up?");
    if (waited == Wait::kFailed) return failed("the socket failed");
    next = PQconnectPoll(connection_);
  }
  if (PQstatus(connection_) != CONNECTION_OK) {
    std::string message = scrubbed(one_line(PQerrorMessage(connection_)), {});
    if (with_sqlstate) sqlstate_ = sqlstate_in(message);
    return failed(std::move(message));
  }
  if (PQsetnonblocking(connection_, 1) != 0)
    return failed("the socket cannot be made non-blocking");
  return ok();
}

// Whoever may create in a schema of the search path can plant a function or an operator that fits a
// call better than the built-in one, and that would run with the broker's rights: so nothing but
// pg_catalog is searched.
Status Connection::prepare_session(SteadyTime deadline) {
  auto rows =
      run("SET search_path = pg_catalog, pg_temp; SET standard_conforming_strings = on; "
          "SET timezone = 'UTC'; SET client_min_messages = warning; "
          "SELECT pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()), "
          "pg_catalog.current_setting('server_version_num'), r.rolsuper, r.rolname, "
          "pg_catalog.current_database() FROM pg_catalog.pg_roles r WHERE r.rolname = current_user",
          deadline);
  if (!rows) {
    return Error{Errc::kUnavailable,
                 fmt::format("{} cannot be used: {}", settings_.label(), rows.error().message)};
  }
  if (rows->size() != 1 || rows->front().size() != 5)
    return Error{Errc::kUnavailable,
                 settings_.label() + " does not answer as a PostgreSQL server does"};
  const Row& row = rows->front();
  server_offset_seconds_ =
      std::strtod(row[0].value_or("0").c_str(), nullptr) - seconds_of(clock_.steady());
  server_version_ = std::atoi(row[1].value_or("0").c_str());
  superuser_ = row[2] == "t";
  login_ = row[3].value_or("");
  database_ = row[4].value_or("");
  return ok();
}

Connection::Wait Connection::wait(short events, SteadyTime deadline) const {
  while (true) {
    const Millis left = deadline - clock_.steady();
    if (left <= Millis{0}) return Wait::kDeadline;
    pollfd waiting{PQsocket(connection_), events, 0};
    if (waiting.fd < 0) return Wait::kFailed;
    const auto time = std::min<std::int64_t>(left.count() + 1, 3'600'000);
    const int ready = poll(&waiting, 1, static_cast<int>(time));
    if (ready > 0) return Wait::kReady;
    // A clock that stands still must not keep us here.
    if (ready == 0) return Wait::kDeadline;
    if (errno != EINTR) return Wait::kFailed;
  }
}

// true: everything was handed to the kernel. false: the deadline passed first.
Result<bool> Connection::flush(SteadyTime deadline) {
  while (true) {
    const int flushed = PQflush(connection_);
    if (flushed == 0) return true;
    if (flushed < 0) return Error{Errc::kUnavailable, "the connection broke while sending"};
    const Wait waited = wait(POLLIN | POLLOUT, deadline);
    if (waited == Wait::kDeadline) return false;
    if (waited == Wait::kFailed || PQconsumeInput(connection_) == 0)
      return Error{Errc::kUnavailable, "the connection broke while sending"};
  }
}

Result<Rows> Connection::run(std::string_view sql, SteadyTime deadline,
                             const std::vector<std::string_view>& hidden) {
  Answer answer;
  RETURN_IF_ERROR(exchange([&] { return PQsendQuery(connection_, std::string(sql).c_str()); },
                           deadline, hidden, answer));
  return std::move(answer.rows);
}

Result<Connection::Described> Connection::describe(std::string_view sql, SteadyTime deadline) {
  Answer answer;
  const auto prepare = [&] {
    return PQsendPrepare(connection_, "", std::string(sql).c_str(), 0, nullptr);
  };
  const auto ask = [&] { return PQsendDescribePrepared(connection_, ""); };
  Status done = exchange(prepare, deadline, {}, answer);
  if (done) done = exchange(ask, deadline, {}, answer);
  if (done) return std::move(answer.described);
  Error error = std::move(done).error();
  if (error.code == Errc::kInDoubt) error.code = Errc::kUnavailable;
  return error;
}

// Sends something and takes in all that comes back.
Status Connection::exchange(const std::function<int()>& send, SteadyTime deadline,
                            const std::vector<std::string_view>& hidden, Answer& answer) {
  sqlstate_.clear();
  detail_.clear();
  const auto not_sent = [&](std::string why) {
    close();
    return Error{Errc::kUnavailable,
                 fmt::format("{}: {}; nothing was done there", settings_.label(), std::move(why))};
  };
  if (connection_ == nullptr || PQstatus(connection_) != CONNECTION_OK)
    return not_sent("the connection is closed");
  if (clock_.steady() >= deadline) return not_sent("the time for this request is over");
  if (send() != 1) return not_sent("the connection broke");
  // Row by row, so that a statement with a huge result does not fill the memory.
  PQsetSingleRowMode(connection_);
  const auto sent = flush(deadline);
  if (!sent) return not_sent(sent.error().message);
  if (!*sent) return not_sent("the server took nothing until the deadline");

  receive(deadline, answer);
  if (answer.broken || answer.deadline || answer.copy) close();
  if (answer.committed && !answer.failed) return ok();
  if (answer.failed || answer.broken || answer.deadline || answer.copy || answer.too_large)
    return failure(answer, hidden);
  return ok();
}

void Connection::receive(SteadyTime deadline, Answer& answer) {
  while (true) {
    while (PQisBusy(connection_) != 0) {
      const Wait waited = wait(POLLIN, deadline);
      answer.deadline = waited == Wait::kDeadline;
      answer.broken = waited == Wait::kFailed;
      if (answer.deadline || answer.broken) return;
      if (PQconsumeInput(connection_) == 0) break;  // PQgetResult tells what came before
    }
    PGresult* result = PQgetResult(connection_);
    if (result == nullptr) break;
    take(result, answer);
    PQclear(result);
    if (answer.copy) return;
  }
  answer.broken = PQstatus(connection_) != CONNECTION_OK;
}

void Connection::take(PGresult* result, Answer& answer) {
  switch (PQresultStatus(result)) {
    case PGRES_SINGLE_TUPLE: {
      if (!answer.in_rows) {
        answer.rows.clear();
        answer.bytes = 0;
        answer.too_large = false;
        answer.in_rows = true;
      }
      Row row;
      for (int column = 0; column < PQnfields(result); ++column) {
        answer.bytes += static_cast<std::size_t>(PQgetlength(result, 0, column)) + sizeof(Row);
        if (PQgetisnull(result, 0, column) != 0) {
          row.emplace_back(std::nullopt);
        } else {
          row.emplace_back(std::string(PQgetvalue(result, 0, column),
                                       static_cast<std::size_t>(PQgetlength(result, 0, column))));
        }
      }
      answer.too_large = answer.too_large || answer.bytes > kResultBytesMax;
      if (!answer.too_large) answer.rows.push_back(std::move(row));
      return;
    }
    case PGRES_TUPLES_OK:
      if (!answer.in_rows) answer.rows.clear();
      answer.in_rows = false;
      return;
    case PGRES_COMMAND_OK:
      answer.committed = std::string_view(PQcmdStatus(result)) == "COMMIT";
      answer.described = described(result);
      return;
    case PGRES_EMPTY_QUERY: return;
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH: answer.copy = true; return;
    default: break;
  }
  const std::string sqlstate = field(result, PG_DIAG_SQLSTATE);
  if (sqlstate.empty()) {  // made by libpq: the connection is gone
    answer.broken = true;
    return;
  }
  if (answer.committed) return;  // what follows a confirmed COMMIT changes nothing
  answer.failed = true;
  answer.sqlstate = sqlstate;
  answer.message = field(result, PG_DIAG_MESSAGE_PRIMARY);
  answer.detail = field(result, PG_DIAG_MESSAGE_DETAIL);
}

Error Connection::failure(const Answer& answer, const std::vector<std::string_view>& hidden) {
  if (answer.failed) {
    sqlstate_ = answer.sqlstate;
    detail_ = scrubbed(one_line(answer.detail), hidden);
    const Errc passing = sqlstate_ == "55P03" ? Errc::kOverloaded : Errc::kUnavailable;
    return {may_pass(sqlstate_) ? passing : Errc::kRefused,
            fmt::format("{} says: {} (SQLSTATE {})", settings_.label(),
                        scrubbed(one_line(answer.message), hidden), sqlstate_),
            detail_};
  }
  if (answer.copy)
    return {Errc::kInDoubt, settings_.label() +
                                ": COPY to or from the client is not possible here; take it out of "
                                "the statements"};
  if (answer.too_large)
    return {Errc::kRefused, settings_.label() + ": a statement gave too many rows"};
  return {Errc::kInDoubt,
          settings_.label() + (answer.deadline ? " did not answer in time"
                                               : ": the connection broke before the answer came")};
}

void Connection::roll_back() {
  if (!in_transaction()) return;
  // What the last statement failed with is still wanted.
  std::string sqlstate = sqlstate_, detail = detail_;
  if (!run("ROLLBACK", clock_.steady() + kRollbackTime)) close();
  sqlstate_ = std::move(sqlstate);
  detail_ = std::move(detail);
}

std::string Connection::time_limit(SteadyTime deadline) const {
  return fmt::format("SET LOCAL statement_timeout = {};\n", millis_until(deadline));
}

std::int64_t Connection::millis_until(SteadyTime deadline) const {
  const auto left = std::max<std::int64_t>(1, (deadline - clock_.steady()).count());
  return std::min<std::int64_t>(left, 86'400'000);
}

std::string Connection::begin(SteadyTime deadline) const {
  return fmt::format(
      "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL statement_timeout = {0}; "
      "SET LOCAL lock_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = {0};\n",
      millis_until(deadline));
}

double Connection::server_seconds(SteadyTime time) const {
  return seconds_of(time) + server_offset_seconds_;
}

bool Connection::in_transaction() const {
  if (connection_ == nullptr) return false;
  const auto status = PQtransactionStatus(connection_);
  return status == PQTRANS_INTRANS || status == PQTRANS_INERROR;
}

bool Connection::is_idle() const {
  return connection_ != nullptr && PQstatus(connection_) == CONNECTION_OK &&
         PQtransactionStatus(connection_) == PQTRANS_IDLE;
}

bool Connection::still_alive() const {
  if (!is_idle()) return false;
  // Nothing is expected: what the server says unasked is that it ends the session.
  pollfd look{PQsocket(connection_), POLLIN, 0};
  return poll(&look, 1, 0) == 0;
}

std::string Connection::scrubbed(std::string text,
                                 const std::vector<std::string_view>& hidden) const {
  const auto hide = [&text](std::string_view secret) {
    if (secret.empty()) return;
    constexpr std::string_view mark = "[hidden]";
    for (std::size_t at = 0; (at = text.find(secret, at)) != std::string::npos; at += mark.size())
      text.replace(at, secret.size(), mark);
  };
  hide(settings_.password.reveal());
  for (const std::string_view secret : hidden) hide(secret);
  return text;
}

}  // namespace curfew::engines::postgres

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "engines/postgres/target.h"

struct pg_conn;
struct pg_result;

namespace curfew::engines::postgres {

// A row of a result in text form; nullopt is NULL.
using Row = std::vector<std::optional<std::string>>;
using Rows = std::vector<Row>;

// What a server says to a login with a password.
enum class Login {
  kAccepted,
  kRejected,  // wrong password, no such user, no right to log in, or its rules for hosts say no
  kUnproven,  // let in without having asked for the password
};

// One connection to a target: non-blocking libpq underneath, blocking with a deadline above.
//
// Errors of run() tell what became of the statements:
//   kRefused      the server answered with an error: the transaction is rolled back
//   kUnavailable  the statements never reached the server whole, or the server gave up for a reason
//                 that may pass (shutting down, out of connections, a time-out): rolled back
//   kOverloaded   a lock was not to be had in its time (55P03): rolled back; the server is well
//   kInDoubt      the connection broke, or the deadline passed, after they were sent
// Messages hold the server's primary message and SQLSTATE, never SQL text, and are scrubbed of the
// password and of what the caller asks to hide.
//
// Thread-safety: used by one thread at a time.
class Connection {
 public:
  // Connects and prepares the session (UTC, standard strings). The lesser of `deadline` and the
  // settings' connect_timeout bounds it, name resolution excepted. kUnavailable: not connected.
  static Result<std::unique_ptr<Connection>> open(const TargetSettings& settings,
                                                  const Clock& clock, SteadyTime deadline);
  // Logs in and out again. An error, kUnavailable: the server could not be asked.
  static Result<Login> try_login(const TargetSettings& settings, const Clock& clock,
                                 SteadyTime deadline);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Sends `sql`, one or several statements in one round trip, and waits for all answers. Gives the
  // rows of the last statement that has any. Where a COMMIT among them was confirmed, this is
  // success even if the connection breaks afterwards.
  Result<Rows> run(std::string_view sql, SteadyTime deadline,
                   const std::vector<std::string_view>& hidden = {});

  // What the server makes of one statement with $1, $2 …, which it takes apart and does not run.
  struct Described {
    std::vector<std::uint32_t> parameter_types;  // oids
    std::size_t columns = 0;                     // 0: it gives no rows
  };
  // Errors as of run(), but that nothing can be in doubt. kRefused also where the text is not
  // exactly one statement by the server's own reading.
  Result<Described> describe(std::string_view sql, SteadyTime deadline);

  // Ends an open transaction without effect; closes the connection where that fails. Waits for two
  // seconds at most. sqlstate() and server_detail() stay.
  void roll_back();

  // "BEGIN …" with time-outs that make the server give up at about `deadline` by itself.
  std::string begin(SteadyTime deadline) const;
  // The time-out alone, for a transaction whose statements may have changed it.
  std::string time_limit(SteadyTime deadline) const;

  // The server's clock at `time`, in seconds since 1970, from what it was when the connection was
  // opened.
  double server_seconds(SteadyTime time) const;

  // SQLSTATE of the last failed run(); empty where the server did not say.
  const std::string& sqlstate() const { return sqlstate_; }
  // The server's DETAIL of the last failed run(), scrubbed; for the operator's log.
  const std::string& server_detail() const { return detail_; }

  bool in_transaction() const;
  // Open, outside a transaction, nothing unread: fit to be used again.
  bool is_idle() const;
  // As is_idle(), and the server has not said or closed anything meanwhile.
  bool still_alive() const;
  // The session has settings of its own now and is not to be shared with later users.
  void taint() { tainted_ = true; }
  bool is_tainted() const { return tainted_; }

  std::uint64_t id() const { return id_; }  // unique in this process
  SteadyTime opened_at() const { return opened_at_; }
  int server_version() const { return server_version_; }  // 150020
  bool is_superuser() const { return superuser_; }
  const std::string& login() const { return login_; }  // the role that statements run as
  const std::string& database() const { return database_; }
  const TargetSettings& settings() const { return settings_; }

 private:
  enum class Wait { kReady, kDeadline, kFailed };
  struct Answer;

  Connection(const TargetSettings& settings, const Clock& clock);
  Status connect(SteadyTime deadline, bool with_sqlstate = false);
  Status prepare_session(SteadyTime deadline);
  Wait wait(short events, SteadyTime deadline) const;
  std::int64_t millis_until(SteadyTime deadline) const;
  Result<bool> flush(SteadyTime deadline);
  Status exchange(const std::function<int()>& send, SteadyTime deadline,
                  const std::vector<std::string_view>& hidden, Answer& answer);
  void receive(SteadyTime deadline, Answer& answer);
  void take(pg_result* result, Answer& answer);
  Error failure(const Answer& answer, const std::vector<std::string_view>& hidden);
  std::string scrubbed(std::string text, const std::vector<std::string_view>& hidden) const;
  void close();

  const TargetSettings settings_;
  const Clock& clock_;
  const std::uint64_t id_;
  const SteadyTime opened_at_;
  pg_conn* connection_ = nullptr;
  bool tainted_ = false;
  std::string sqlstate_;
  std::string detail_;
  int server_version_ = 0;
  bool superuser_ = false;
  std::string login_;
  std::string database_;
  double server_offset_seconds_ = 0;  // the server's wall clock minus our steady clock
};

}  // namespace curfew::engines::postgres

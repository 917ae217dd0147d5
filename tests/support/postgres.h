#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

struct pg_conn;

// A real PostgreSQL for tests: the one that tools/with-postgres names in CURFEW_TEST_PG. Failures
// are thrown, so that a test that cannot have its database fails and says why.
namespace curfew::test {

// One blocking session, for looking at the target from outside. Not thread-safe.
class PgSession {
 public:
  // Throws std::runtime_error when the login is refused.
  explicit PgSession(const std::string& conninfo);
  ~PgSession();
  PgSession(PgSession&& other) noexcept;
  PgSession& operator=(PgSession&&) = delete;

  using Row = std::vector<std::optional<std::string>>;
  // Runs statements; the rows of the last one. Throws with the server's message on an error.
  std::vector<Row> run(const std::string& sql);
  // The first column of the first row; "" for NULL or no row.
  std::string value(const std::string& sql);
  // SQLSTATE of the error; "" for success; "lost" when the connection is gone.
  std::string try_run(const std::string& sql);

 private:
  pg_conn* connection_;
};

// Asks again and again until it is so, for half a minute at most; what it said last. For waiting
// until another process has come to a point, not for time to pass.
bool eventually(const std::function<bool()>& condition);

// Whether the login is accepted.
bool can_log_in(const std::string& conninfo);

struct PgAddress {
  std::string host, port, user, password;
  // postgresql://user:password@host:port/database
  std::string url(const std::string& database = "postgres") const;
  std::string url(const std::string& database, const std::string& as_user,
                  const std::string& its_password) const;
};

// The superuser of CURFEW_TEST_PG. Throws when the variable is missing or unreadable.
PgAddress test_server();

// "t_3f9c0a21b7": new in every process and call.
std::string unique_name(std::string_view prefix = "t");

// A database of its own for one test, and logins that go with it. Dropped at the end, with all
// roles that were made through login() or begin with role_prefix().
class TestDatabase {
 public:
  explicit TestDatabase(PgAddress server = test_server());
  ~TestDatabase();
  TestDatabase(const TestDatabase&) = delete;
  TestDatabase& operator=(const TestDatabase&) = delete;

  const std::string& name() const { return name_; }
  // Names of roles for this test begin with it: unique in the cluster, at most 14 bytes.
  const std::string& role_prefix() const { return name_; }
  const PgAddress& server() const { return server_; }
  // As the superuser, or as somebody else.
  std::string url() const { return server_.url(name_); }
  std::string url(const std::string& user, const std::string& password) const {
    return server_.url(name_, user, password);
  }
  PgSession superuser() const { return PgSession(url()); }

  struct Login {
    std::string user, password;
  };
  // A role that can log in, with attributes such as "CREATEROLE".
  Login login(const std::string& attributes);

 private:
  const PgAddress server_;
  const std::string name_;
};

// A server of its own, for tests that stop, freeze or reconfigure it. Removed at the end.
class OwnServer {
 public:
  // `settings`: lines of postgresql.conf. Throws when it does not start. `prepare` files (name and
  // contents) are put into the data directory first, readable by the server alone.
  struct File {
    std::string name, contents;
  };
  explicit OwnServer(std::vector<std::string> settings = {}, std::vector<File> files = {});
  ~OwnServer();
  OwnServer(const OwnServer&) = delete;
  OwnServer& operator=(const OwnServer&) = delete;

  const PgAddress& address() const { return address_; }
  void start();
  void stop_immediately();  // as a crash: no clean-up, sessions cut
  void freeze();            // SIGSTOP to the postmaster and all its children
  void thaw();
  // Everything that the server wrote to its log.
  std::string log() const;
  // A file below the data directory that is readable by the tests.
  const std::string& folder() const { return folder_; }

 private:
  void signal_all(int signal_number) const;

  std::string folder_;
  PgAddress address_;
  int process_ = 0;
  bool frozen_ = false;
};

}  // namespace curfew::test

#include "engines/postgres/connection.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "base/system_clock.h"
#include "engines/postgres/pool.h"
#include "tests/fakes/manual_clock.h"
#include "tests/support/postgres.h"

namespace curfew::engines::postgres {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// A port of this machine that takes connections and says nothing.
class SilentPort {
 public:
  SilentPort() : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    if (bind(socket_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        listen(socket_, 64) != 0 ||
        getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
      throw std::runtime_error("no port");
    port_ = ntohs(address.sin_port);
  }
  ~SilentPort() { close(socket_); }
  int port() const { return port_; }

 private:
  int socket_;
  int port_ = 0;
};

TargetSettings settings_for(const std::string& url, Json more = Json::object()) {
  Json details{{"connection_url", url}};
  details.update(more);
  auto parsed = parse_target("pg", details);
  if (!parsed) throw std::runtime_error(parsed.error().message);
  return std::move(*parsed);
}

class Connections : public ::testing::Test {
 protected:
  std::unique_ptr<Connection> open() {
    auto made = Connection::open(settings_for(database_.url()), clock_, in(10'000));
    if (!made) throw std::runtime_error(made.error().message);
    return std::move(*made);
  }
  SteadyTime in(int millis) const { return clock_.steady() + Millis{millis}; }
  Error failure(Connection& connection, const std::string& sql, int millis = 10'000) {
    auto rows = connection.run(sql, in(millis), {"hide-me"});
    EXPECT_FALSE(rows.has_value()) << sql;
    return rows ? Error{} : rows.error();
  }

  SystemClock clock_;
  test::TestDatabase database_;
};

TEST_F(Connections, several_statements_go_in_one_round_trip) {
  const auto connection = open();
  const auto rows = connection->run(
      "CREATE TABLE public.t (i int); INSERT INTO public.t VALUES (1), (2), (NULL); SELECT i FROM "
      "public.t ORDER BY i; "
      "UPDATE public.t SET i = 3",
      in(5'000));
  ASSERT_TRUE(rows.has_value()) << rows.error().message;
  ASSERT_EQ(rows->size(), 3u);
  EXPECT_EQ((*rows)[1][0], "2");
  EXPECT_EQ((*rows)[2][0], std::nullopt);
  EXPECT_TRUE(connection->is_idle());
  EXPECT_TRUE(connection->is_superuser());
  EXPECT_EQ(connection->database(), database_.name());
}

TEST_F(Connections, an_error_is_the_servers_without_sql_or_secrets) {
  const auto connection = open();
  const Error error = failure(*connection, "SELECT 'hide-me'::int");
  EXPECT_EQ(error.code, Errc::kRefused);
  EXPECT_THAT(error.message, HasSubstr("invalid input syntax for type integer: \"[hidden]\""));
  EXPECT_THAT(error.message, HasSubstr("SQLSTATE 22P02"));
  EXPECT_THAT(error.message, HasSubstr("target \"pg\" (127.0.0.1:"));
  EXPECT_THAT(error.message, Not(HasSubstr("SELECT")));
  EXPECT_EQ(connection->sqlstate(), "22P02");
  EXPECT_TRUE(connection->is_idle());
}

TEST_F(Connections, a_lock_that_is_not_to_be_had_does_not_make_the_server_unreachable) {
  const auto connection = open();
  const auto other = open();
  ASSERT_TRUE(other->run("SELECT pg_catalog.pg_advisory_lock(1)", in(5'000)).has_value());
  const Error error =
      failure(*connection, "SET lock_timeout = 1; SELECT pg_catalog.pg_advisory_lock(1)");
  EXPECT_EQ(error.code, Errc::kOverloaded);
  EXPECT_EQ(connection->sqlstate(), "55P03");
}

TEST_F(Connections, a_failed_transaction_leaves_nothing_and_can_be_rolled_back) {
  const auto connection = open();
  failure(*connection,
          connection->begin(in(5'000)) + "CREATE TABLE public.t (i int); SELECT 1/0; COMMIT");
  EXPECT_TRUE(connection->in_transaction());
  connection->roll_back();
  EXPECT_EQ(connection->sqlstate(), "22012");
  EXPECT_TRUE(connection->is_idle());
  EXPECT_EQ(database_.superuser().value("SELECT to_regclass('t')"), "");
}

TEST_F(Connections, a_confirmed_commit_is_a_success_whatever_follows) {
  const auto connection = open();
  EXPECT_TRUE(connection->run(
      "BEGIN; CREATE TABLE public.t (i int); COMMIT; SELECT pg_terminate_backend(pg_backend_pid())",
      in(5'000)));
  EXPECT_EQ(database_.superuser().value("SELECT to_regclass('t')"), "t");
}

TEST_F(Connections, being_ended_by_an_operator_is_no_doubt) {
  const auto connection = open();
  const std::string pid = *connection->run("SELECT pg_backend_pid()", in(5'000)).value()[0][0];
  std::thread operator_thread([&] {
    auto admin = database_.superuser();
    EXPECT_TRUE(test::eventually([&] {
      return admin.value("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = " +
                         pid + " AND query LIKE '%pg_sleep%'") == "t";
    }));
  });
  const Error error = failure(*connection, "BEGIN; SELECT pg_sleep(30); COMMIT");
  operator_thread.join();
  EXPECT_EQ(error.code, Errc::kUnavailable);
  EXPECT_EQ(connection->sqlstate(), "57P01");
  EXPECT_FALSE(connection->is_idle());
}

TEST_F(Connections, the_deadline_ends_the_waiting_here_and_the_work_there) {
  const auto connection = open();
  const auto start = clock_.steady();
  const Error error =
      failure(*connection, connection->begin(in(250)) + "SELECT pg_sleep(30); COMMIT", 300);
  EXPECT_THAT((std::vector{Errc::kInDoubt, Errc::kUnavailable}), ::testing::Contains(error.code));
  EXPECT_LT(clock_.steady() - start, Millis{5'000});
  auto admin = database_.superuser();
  EXPECT_TRUE(test::eventually([&] {
    return admin.value(
               "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' "
               "AND state = 'active' AND datname = current_database() AND pid <> "
               "pg_backend_pid()") == "0";
  }));
}

TEST_F(Connections, what_passed_its_deadline_before_it_was_sent_did_certainly_not_happen) {
  const auto connection = open();
  const Error error = failure(*connection, "CREATE TABLE public.t (i int)", 0);
  EXPECT_EQ(error.code, Errc::kUnavailable);
  EXPECT_THAT(error.message, HasSubstr("nothing was done"));
}

TEST_F(Connections, copy_does_not_hang) {
  for (const char* sql :
       {"COPY pg_class TO STDOUT", "CREATE TABLE public.t (i int); COPY public.t FROM STDIN"}) {
    const auto connection = open();
    EXPECT_THAT(failure(*connection, sql).message, HasSubstr("COPY"));
    EXPECT_FALSE(connection->is_idle());
  }
}

TEST_F(Connections, a_wrong_password_is_told_without_the_password) {
  const auto opened =
      Connection::open(settings_for(database_.url("postgres", "wrong-secret")), clock_, in(5'000));
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code, Errc::kUnavailable);
  EXPECT_THAT(opened.error().message, HasSubstr("password authentication failed"));
  EXPECT_THAT(opened.error().message, Not(HasSubstr("wrong-secret")));
}

TEST_F(Connections, a_server_that_is_down_is_named) {
  int port = 0;
  { port = SilentPort().port(); }
  const auto opened =
      Connection::open(settings_for("postgresql://u:hush@127.0.0.1:" + std::to_string(port) + "/d"),
                       clock_, in(5'000));
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code, Errc::kUnavailable);
  EXPECT_THAT(opened.error().message,
              HasSubstr("target \"pg\" (127.0.0.1:" + std::to_string(port) + ")"));
  EXPECT_THAT(opened.error().message, Not(HasSubstr("hush")));
}

TEST_F(Connections, a_server_that_says_nothing_costs_the_deadline_and_no_more) {
  const SilentPort silent;
  const auto start = clock_.steady();
  const auto opened = Connection::open(
      settings_for("postgresql://u:hush@127.0.0.1:" + std::to_string(silent.port()) + "/d"), clock_,
      in(300));
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code, Errc::kUnavailable);
  EXPECT_LT(clock_.steady() - start, Millis{5'000});
}

class Pools : public ::testing::Test {
 protected:
  std::shared_ptr<Pool> pool(Json more = Json::object(), Pool::Limits limits = {}) {
    return std::make_shared<Pool>(settings_for(database_.url(), std::move(more)), limits, clock_,
                                  *log_);
  }
  SteadyTime in(int millis) const { return clock_.steady() + Millis{millis}; }
  std::uint64_t id_of_next(Pool& pool) {
    auto connection = pool.acquire(Use::kIssue, in(10'000));
    if (!connection) throw std::runtime_error(connection.error().message);
    return (*connection)->id();
  }

  fakes::ManualClock clock_;  // stands still unless a test moves it
  std::unique_ptr<Log> log_ = make_null_log();
  test::TestDatabase database_;
};

TEST_F(Pools, connections_are_used_again) {
  const auto pool = this->pool();
  const auto first = id_of_next(*pool);
  EXPECT_EQ(id_of_next(*pool), first);
  EXPECT_EQ(pool->counts().open, 1);
}

TEST_F(Pools, a_broken_connection_is_replaced) {
  const auto pool = this->pool();
  const auto first = id_of_next(*pool);
  database_.superuser().run(
      "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = "
      "current_database() AND pid <> pg_backend_pid()");
  EXPECT_NE(id_of_next(*pool), first);
  EXPECT_EQ(pool->counts().open, 1);
}

TEST_F(Pools, a_transaction_left_open_does_not_reach_the_next_user) {
  const auto pool = this->pool();
  {
    auto connection = pool->acquire(Use::kIssue, in(5'000));
    ASSERT_TRUE((*connection)->run("BEGIN; CREATE TABLE public.t (i int)", in(5'000)));
  }
  auto next = pool->acquire(Use::kIssue, in(5'000));
  EXPECT_FALSE((*next)->in_transaction());
  EXPECT_EQ(database_.superuser().value("SELECT to_regclass('t')"), "");
}

TEST_F(Pools, tainted_old_and_idle_connections_are_closed) {
  const auto pool = this->pool({{"max_connection_lifetime", "1h"}});
  auto last = id_of_next(*pool);
  { (*pool->acquire(Use::kIssue, in(5'000)))->taint(); }
  EXPECT_NE(id_of_next(*pool), last);
  last = id_of_next(*pool);
  clock_.advance(Seconds{299});
  EXPECT_EQ(id_of_next(*pool), last);
  clock_.advance(Seconds{301});
  EXPECT_NE(id_of_next(*pool), last);
  last = id_of_next(*pool);
  for (int i = 0; i < 14; ++i) {
    clock_.advance(Seconds{250});
    EXPECT_EQ(id_of_next(*pool), last) << i;
  }
  clock_.advance(Seconds{250});
  EXPECT_NE(id_of_next(*pool), last);
  EXPECT_EQ(pool->counts().open, 1);
}

TEST_F(Pools, idle_connections_are_bounded) {
  const auto pool = this->pool({{"max_open_connections", 4}, {"max_idle_connections", 1}});
  {
    auto a = pool->acquire(Use::kIssue, in(5'000));
    auto b = pool->acquire(Use::kIssue, in(5'000));
    EXPECT_EQ(pool->counts().open, 2);
  }
  EXPECT_EQ(pool->counts().idle, 1);
}

TEST_F(Pools, a_reset_closes_everything_also_what_is_on_loan) {
  const auto pool = this->pool();
  const auto idle = id_of_next(*pool);
  {
    auto on_loan = pool->acquire(Use::kIssue, in(5'000));
    pool->reset();
    EXPECT_EQ(pool->counts().open, 1);
  }
  EXPECT_EQ(pool->counts().open, 0);
  EXPECT_NE(id_of_next(*pool), idle);
}

TEST_F(Pools, another_connection_is_another_even_in_a_pool_of_one) {
  const auto pool = this->pool({{"max_open_connections", 1}});
  const auto first = id_of_next(*pool);
  {
    auto other = pool->acquire(Use::kRevoke, in(5'000), first);
    ASSERT_TRUE(other.has_value());
    EXPECT_NE((*other)->id(), first);
  }
  EXPECT_EQ(pool->counts().open, 1);
}

TEST_F(Pools, issuing_and_revoking_leave_each_other_a_connection) {
  const auto pool = this->pool({{"max_open_connections", 2}}, {.waiting_max = 0});
  auto issue = pool->acquire(Use::kIssue, in(5'000));
  ASSERT_TRUE(issue.has_value());
  EXPECT_EQ(pool->acquire(Use::kIssue, in(5'000)).error().code, Errc::kOverloaded);
  EXPECT_TRUE(pool->acquire(Use::kRevoke, in(5'000)).has_value());
}

TEST_F(Pools, beyond_the_bound_callers_are_turned_away_at_once) {
  const auto pool = this->pool({{"max_open_connections", 1}}, {.waiting_max = 2});
  std::optional held = pool->acquire(Use::kIssue, in(5'000));
  ASSERT_TRUE(held->has_value());
  std::vector<std::thread> threads;
  std::atomic<int> served{0};
  for (int i = 0; i < 2; ++i)
    threads.emplace_back([&] { served += pool->acquire(Use::kIssue, in(30'000)).has_value(); });
  EXPECT_TRUE(test::eventually([&] { return pool->counts().waiting == 2; }));
  const auto refused = pool->acquire(Use::kIssue, in(30'000));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::kOverloaded);
  EXPECT_THAT(refused.error().message, HasSubstr("max_open_connections"));
  held.reset();  // comes free
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(served, 2);
}

TEST_F(Pools, waiting_ends_at_the_deadline) {
  const auto pool = this->pool({{"max_open_connections", 1}});
  auto held = pool->acquire(Use::kIssue, in(5'000));
  const auto refused = pool->acquire(Use::kIssue, in(50));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::kOverloaded);
}

TEST_F(Pools, nobody_waits_for_a_target_that_is_stuck) {
  const auto pool = this->pool({{"max_open_connections", 1}});
  auto held = pool->acquire(Use::kIssue, in(5'000));
  clock_.advance(Millis{2'001});
  const auto refused = pool->acquire(Use::kIssue, in(3'600'000));
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().message, HasSubstr("none has come free"));
}

}  // namespace
}  // namespace curfew::engines::postgres

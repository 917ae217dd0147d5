#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/engines/postgres/postgres_fixture.h"
#include "tests/support/certificate.h"

// What needs a server that may be stopped, frozen or set up in its own way.
namespace curfew::engines::postgres {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Verification, a_configuration_that_cannot_connect_is_not_stored) {  // 017
  PostgresWorld world;
  const auto reply = world.call(Operation::kUpdate, "config/" + world.target(),
                                world.config_body({{"password", "wrong-secret"}}));
  ASSERT_FALSE(reply.has_value());
  EXPECT_EQ(reply.error().code, Errc::kInvalidArgument);
  EXPECT_THAT(reply.error().message,
              HasSubstr("error creating database object: error verifying connection: "));
  EXPECT_THAT(reply.error().message, Not(HasSubstr("wrong-secret")));
  EXPECT_EQ(world.call(Operation::kRead, "config/" + world.target()).error().code, Errc::kNotFound);
  EXPECT_TRUE(world.call(Operation::kUpdate, "config/" + world.target(),
                         world.config_body({{"password", "wrong"}, {"verify_connection", false}})));
}

TEST(Verification, missing_rights_are_named) {
  PostgresWorld world;
  const auto weak = world.database.login("");
  const auto reply =
      world.call(Operation::kUpdate, "config/" + world.target(),
                 world.config_body({{"username", weak.user}, {"password", weak.password}}));
  ASSERT_TRUE(reply.has_value()) << reply.error().message;
  EXPECT_THAT(reply->warnings, Contains(HasSubstr("ALTER ROLE \"" + weak.user + "\" CREATEROLE")));
  EXPECT_THAT(reply->warnings, Contains(HasSubstr("GRANT pg_signal_backend TO \"" + weak.user)));
  const auto good = world.call(Operation::kUpdate, "config/" + world.target(), world.config_body());
  ASSERT_TRUE(good.has_value());
  EXPECT_TRUE(good->warnings.empty());
}

TEST(Verification, a_changed_configuration_is_used_at_once) {
  PostgresWorld world;
  world.configure();
  world.role("ro");
  world.issue("ro");
  world.configure({{"password", "wrong"}, {"verify_connection", false}});
  EXPECT_EQ(world.try_issue("ro").error().code, Errc::kUnavailable);
  world.configure();
  world.issue("ro");
  ASSERT_TRUE(world.call(Operation::kUpdate, "reset/" + world.target()).has_value());
  world.issue("ro");
}

TEST(ServerLog, holds_no_password_whatever_is_logged) {
  test::OwnServer server({"log_statement = 'all'", "log_min_duration_statement = 0",
                          "log_connections = on", "log_error_verbosity = verbose"});
  PostgresWorld world(false, server.address());
  world.configure();
  world.role("ro");
  world.role("bad", " SELECT 1/0;");
  const Leased leased = world.issue("ro");
  EXPECT_FALSE(world.try_issue("bad").has_value());
  ASSERT_TRUE(test::can_log_in(world.url_of(leased)));
  ASSERT_TRUE(world.engine->renew(leased.lease_id, leased.handle, world.clock().wall() + Seconds{9},
                                  world.in()));
  world.revoke(leased);
  const std::string log = server.log();
  EXPECT_THAT(log, HasSubstr("CREATE ROLE \"" + leased.username + "\" LOGIN PASSWORD 'SCRAM-SHA"));
  EXPECT_THAT(log, Not(HasSubstr("password-")));  // all passwords of the test begin so
  EXPECT_THAT(log, Not(HasSubstr(server.address().password)));
}

// Find; lock out and end sessions; drop; look over another connection.
TEST(ServerLog, the_usual_lease_is_taken_back_in_four_round_trips) {
  test::OwnServer server({"log_statement = 'all'"});
  PostgresWorld world(false, server.address());
  world.configure();
  const std::string group = world.database.role_prefix() + "_grp";
  world.database.superuser().run("CREATE ROLE " + group + " NOLOGIN");
  world.role("ro", " GRANT " + group + " TO \"{{name}}\";");
  world.revoke(world.issue("ro"));  // two connections are open from here on
  const Leased leased = world.issue("ro");
  const std::size_t before = server.log().size();
  world.revoke(leased);
  const std::string log = server.log().substr(before);
  int statements = 0;
  for (std::size_t at = 0; (at = log.find("LOG:  statement: ", at)) != std::string::npos; ++at)
    ++statements;
  EXPECT_EQ(statements, 4) << log;
}

// It keeps the lock on the role's row without a session, through restarts too.
TEST(PreparedTransactions, of_a_leased_role_are_rolled_back) {
  test::OwnServer server({"max_prepared_transactions = 5"});
  for (const char* attributes : {"SUPERUSER", "CREATEROLE"}) {
    SCOPED_TRACE(attributes);
    PostgresWorld world(false, server.address());
    world.configure_as(world.database.login(attributes));
    world.role("ro");
    test::TestDatabase other(server.address());
    const auto prepare = [&](const Leased& leased, const std::string& url, const char* what) {
      test::PgSession session(url);
      session.run("BEGIN");
      session.run(what);
      session.run("PREPARE TRANSACTION 'it''s " + leased.username + "'");
    };
    const Leased here = world.issue("ro"), there = world.issue("ro"), harmless = world.issue("ro");
    prepare(here, world.url_of(here), "ALTER ROLE CURRENT_USER PASSWORD 'x'");
    prepare(there, other.url(there.username, there.password),
            "ALTER ROLE CURRENT_USER PASSWORD 'x'");
    prepare(harmless, world.url_of(harmless), "SELECT pg_advisory_xact_lock(1)");
    const LeaseRef ref{harmless.lease_id, harmless.handle};
    const auto locked = world.engine->lock_out({&ref, 1}, world.in());
    ASSERT_TRUE(locked.has_value()) << locked.error().message;
    const auto removed = world.engine->revoke_many({&ref, 1}, world.in());
    ASSERT_TRUE(removed.has_value()) << removed.error().message;
    EXPECT_FALSE(removed->at(0).has_value());
    for (const Leased* leased : {&here, &there, &harmless}) {
      const Receipt receipt = world.revoke(*leased);
      EXPECT_FALSE(world.role_exists(leased->username));
      EXPECT_THAT(receipt.warnings.dump(), HasSubstr("was rolled back"));
    }
    EXPECT_EQ(world.database.superuser().value("SELECT count(*) FROM pg_prepared_xacts"), "0");
  }
}

// A subscription is a shared object of one database, and its worker runs as its owner.
TEST(Subscription, of_a_leased_role_is_removed) {
  test::OwnServer server({"wal_level = logical"});
  PostgresWorld world(false, server.address());
  world.configure();
  world.role("su", " ALTER ROLE \"{{name}}\" SUPERUSER;", {{"rehearse", false}});
  const Leased leased = world.issue("su");
  test::TestDatabase other(server.address());
  test::PgSession(other.url(leased.username, leased.password))
      .run(
          "CREATE SUBSCRIPTION sub CONNECTION 'dbname=nowhere' PUBLICATION p "
          "WITH (connect = false)");
  world.revoke(leased);
  EXPECT_EQ(other.superuser().value("SELECT count(*) FROM pg_subscription"), "0");
}

// Whoever is a member of the quarantine role could use what is put away there.
TEST(QuarantineRole, is_not_used_while_it_has_members_or_can_log_in) {
  test::OwnServer server;
  PostgresWorld world(false, server.address());
  world.configure();
  auto admin = world.database.superuser();
  admin.run(
      "GRANT ALL ON SCHEMA public TO PUBLIC; CREATE ROLE curfew_quarantine NOLOGIN;"
      "CREATE ROLE insider; GRANT curfew_quarantine TO insider");
  world.role("dev");
  const Leased leased = world.issue("dev");
  world.log_in(leased).run("CREATE TABLE t (i int)");
  auto receipt = world.try_revoke(leased);
  ASSERT_FALSE(receipt.has_value());
  EXPECT_THAT(receipt.error().message, HasSubstr("REVOKE curfew_quarantine FROM insider"));
  admin.run("REVOKE curfew_quarantine FROM insider; ALTER ROLE curfew_quarantine LOGIN");
  receipt = world.try_revoke(leased);
  ASSERT_FALSE(receipt.has_value());
  EXPECT_THAT(receipt.error().message, HasSubstr("ALTER ROLE curfew_quarantine NOLOGIN"));
  admin.run("ALTER ROLE curfew_quarantine NOLOGIN");
  world.revoke(leased);
}

class Tls : public ::testing::Test {
 protected:
  Tls()
      : server_({"ssl = on", "ssl_cert_file = 'server.crt'", "ssl_key_file = 'server.key'"},
                {{"server.crt", certificate_.certificate}, {"server.key", certificate_.key}}),
        world_(false, server_.address()) {}

  Result<Reply> write(const std::string& parameters) {
    Json body = world_.config_body();
    body["connection_url"] = body["connection_url"].get<std::string>() + "?" + parameters;
    return world_.call(Operation::kUpdate, "config/" + world_.target(), body);
  }
  std::string root_file(const std::string& name, const std::string& contents) {
    const std::string path = server_.folder() + "/" + name;
    std::ofstream(path) << contents;
    return path;
  }

  const test::Certificate certificate_ = test::make_certificate();
  test::OwnServer server_;
  PostgresWorld world_;
};

TEST_F(Tls, the_right_root_is_accepted_and_used_for_everything) {
  const auto reply =
      write("sslmode=verify-full&sslrootcert=" + root_file("root.crt", certificate_.certificate));
  ASSERT_TRUE(reply.has_value()) << reply.error().message;
  world_.role("ro", " SELECT 1 / ssl::int FROM pg_stat_ssl WHERE pid = pg_backend_pid();");
  const auto leased = world_.try_issue("ro");
  ASSERT_TRUE(leased.has_value()) << leased.error().message;
  world_.revoke(*leased);
}

TEST_F(Tls, a_wrong_root_is_refused) {
  const auto reply = write("sslmode=verify-full&sslrootcert=" +
                           root_file("other.crt", test::make_certificate().certificate));
  ASSERT_FALSE(reply.has_value());
  EXPECT_THAT(reply.error().message, HasSubstr("certificate verify failed"));
}

TEST_F(Tls, a_server_without_tls_is_refused_where_tls_is_asked_for) {
  PostgresWorld plain;
  Json body = plain.config_body();
  body["connection_url"] = body["connection_url"].get<std::string>() + "?sslmode=require";
  const auto reply = plain.call(Operation::kUpdate, "config/" + plain.target(), body);
  ASSERT_FALSE(reply.has_value());
  EXPECT_THAT(reply.error().message, HasSubstr("SSL"));
}

// Pain 11: one database that hangs, and everybody waits for its lock.
TEST(Frozen, a_target_that_hangs_costs_the_deadline_and_holds_no_other_target) {
  test::OwnServer server;
  PostgresWorld world(true, server.address());
  world.configure();
  world.role("ro");
  const Leased before = world.issue("ro");
  server.freeze();
  const SteadyTime start = world.clock().steady();
  std::vector<std::thread> stuck;
  std::atomic<int> failed{0};
  for (int i = 0; i < 6; ++i)
    stuck.emplace_back([&] {
      const auto leased = world.try_issue("ro", Millis{1'000});
      failed += !leased && leased.error().code != Errc::kRefused;
    });
  const auto receipt = world.try_revoke(before, Millis{1'000});
  PostgresWorld other(true);
  other.configure();
  other.role("ro");
  other.revoke(other.issue("ro"));
  for (std::thread& thread : stuck) thread.join();
  EXPECT_EQ(failed, 6);
  EXPECT_FALSE(receipt.has_value());
  EXPECT_LT(world.clock().steady() - start, Millis{20'000});

  server.thaw();
  world.revoke(before);
  EXPECT_FALSE(test::can_log_in(world.url_of(before)));
}

// The statements reached the server and the answer did not come: assume that the role exists.
TEST(Frozen, an_apply_that_was_not_answered_is_in_doubt_and_is_revoked) {
  test::OwnServer server;
  PostgresWorld world(true, server.address());
  world.configure();
  world.role("ro");
  world.revoke(world.issue("ro"));  // connections are open
  const std::string lease_id = world.next_lease("ro");
  const auto plan = world.plan("ro", lease_id);
  ASSERT_TRUE(plan.has_value());
  server.freeze();
  const auto issued = world.engine->apply(world.intent(lease_id, *plan), world.in(Millis{400}));
  ASSERT_FALSE(issued.has_value());
  EXPECT_EQ(issued.error().code, Errc::kInDoubt);
  server.thaw();
  // The server reads the statements now, runs them, and undoes them by its own clock.
  auto admin = world.database.superuser();
  EXPECT_TRUE(test::eventually([&] {
    return admin.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%" + lease_id +
                       "%' AND pid <> pg_backend_pid()") == "0";
  }));
  EXPECT_EQ(admin.value("SELECT count(*) FROM pg_roles WHERE rolname LIKE '" +
                        world.database.role_prefix() + "-ro-%'"),
            "0");
  world.revoke({lease_id, plan->handle, "", ""});
  EXPECT_EQ(*world.engine->probe(lease_id, plan->handle, world.in()), Presence::kAbsent);
}

// A connection that was opened when the two clocks stood otherwise is no reason to fail.
TEST(Fence, a_connection_with_an_old_idea_of_the_servers_clock_is_replaced) {
  PostgresWorld world;  // its clock stands still, the server's does not
  world.configure({{"max_open_connections", 1}});
  world.role("ro");
  world.issue("ro");
  world.database.superuser().run("SELECT pg_sleep(0.7)");
  const auto leased = world.try_issue("ro", Millis{600});
  EXPECT_TRUE(leased.has_value()) << leased.error().message;
}

TEST(Restart, in_the_middle_of_a_create_leaves_nothing_and_the_engine_goes_on) {
  test::OwnServer server;
  PostgresWorld world(true, server.address());
  world.configure();
  world.role("ro");
  world.role("slow", " SELECT pg_sleep(60);");
  const Leased before = world.issue("ro");
  const std::string lease_id = world.next_lease("slow");
  const auto plan = world.plan("slow", lease_id);
  ASSERT_TRUE(plan.has_value());
  Result<Issued> issued = Error{};
  std::thread apply(
      [&] { issued = world.engine->apply(world.intent(lease_id, *plan), world.in()); });
  {
    auto admin = world.database.superuser();
    EXPECT_TRUE(test::eventually([&] {
      return admin.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") ==
             "1";
    }));
  }
  server.stop_immediately();
  apply.join();
  ASSERT_FALSE(issued.has_value());
  EXPECT_THAT((std::vector{Errc::kInDoubt, Errc::kUnavailable}), Contains(issued.error().code));

  const auto down = world.try_issue("ro", Millis{2'000});
  ASSERT_FALSE(down.has_value());
  EXPECT_EQ(down.error().code, Errc::kUnavailable);
  EXPECT_THAT(down.error().message, HasSubstr("127.0.0.1:" + server.address().port));
  EXPECT_EQ(world.try_revoke(before, Millis{2'000}).error().code, Errc::kUnavailable);

  server.start();
  world.revoke({lease_id, plan->handle, "", ""});
  EXPECT_EQ(*world.engine->probe(lease_id, plan->handle, world.in()), Presence::kAbsent);
  world.revoke(before);
  world.revoke(world.issue("ro"));
}

}  // namespace
}  // namespace curfew::engines::postgres

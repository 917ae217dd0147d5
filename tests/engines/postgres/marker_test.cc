#include "engines/postgres/marker.h"

#include "engines/inventory.h"
#include "engines/postgres/lease_role.h"
#include "tests/engines/postgres/postgres_fixture.h"

namespace curfew::engines::postgres {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

MarkerValue value(std::int64_t epoch, const char* nonce) {
  return {epoch, nonce};
}

TEST(MarkerRule, who_is_in_charge) {
  const StoredMarker none;
  const StoredMarker stored{.current = value(5, "five"), .pending = value(6, "six")};
  // The first use, and a target that was replaced.
  EXPECT_FALSE(not_in_charge(none, std::nullopt));
  EXPECT_FALSE(not_in_charge(stored, std::nullopt));
  // As it was left, whether or not the last renewal arrived.
  EXPECT_FALSE(not_in_charge(stored, value(5, "five")));
  EXPECT_FALSE(not_in_charge(stored, value(6, "six")));
  // The target went back in time.
  EXPECT_FALSE(not_in_charge(stored, value(4, "four")));
  // Somebody else's: a copy that is as old, one that is ahead, one that took charge.
  EXPECT_TRUE(not_in_charge(stored, value(5, "other")));
  EXPECT_TRUE(not_in_charge(stored, value(6, "other")));
  EXPECT_TRUE(not_in_charge(stored, value(700, "other")));
  EXPECT_TRUE(not_in_charge(none, value(1, "other")));
}

TEST(MarkerRule, what_is_stored_comes_back) {
  StoredMarker stored{.current = value(5, "five"), .pending = std::nullopt};
  stored.observing = Inventory::Observing{from_unix_millis(1234), "why"};
  const StoredMarker read = StoredMarker::from_json(stored.to_json());
  EXPECT_EQ(read.current, stored.current);
  EXPECT_EQ(read.pending, std::nullopt);
  ASSERT_TRUE(read.observing.has_value());
  EXPECT_EQ(read.observing->since, from_unix_millis(1234));
  EXPECT_EQ(read.observing->reason, "why");
}

// Two stores with the same past in front of one target; each world has an engine of its own.
class MarkerTest : public ::testing::Test {
 protected:
  MarkerTest() {
    world_.configure();
    world_.role("ro");
  }

  Inventory& inventory() { return *inventory_of(*world_.engine); }
  std::optional<Inventory::Observing> observing() { return inventory().observing(world_.target()); }
  std::string role() { return marker_role("accessor_1", world_.target()); }
  std::string comment() {
    return world_.database.superuser().value(
        "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = '" + role() +
        "'");
  }
  void renew() {
    world_.memory.clock.advance(std::chrono::minutes{10});
    const auto tended = world_.engine->tend("marker/" + world_.target(), world_.in());
    EXPECT_TRUE(tended.has_value()) << (tended ? "" : tended.error().message);
  }
  Json stored() { return **world_.memory.storage.get("marker/" + world_.target()); }
  void store(const Json& marker) {
    ASSERT_TRUE(world_.memory.storage.put("marker/" + world_.target(), marker).has_value());
    world_.engine = *make_postgres_engine(world_.memory.services());  // nothing is remembered
  }

  PostgresWorld world_;
};

TEST_F(MarkerTest, the_first_use_writes_it_and_the_next_look_renews_it) {
  world_.issue("ro");
  const std::string first = comment();
  EXPECT_THAT(first, HasSubstr("curfew_marker"));
  EXPECT_EQ(world_.database.superuser().value("SELECT rolcanlogin FROM pg_roles WHERE rolname = '" +
                                              role() + "'"),
            "f");
  world_.issue("ro");
  EXPECT_EQ(comment(), first);
  renew();
  EXPECT_NE(comment(), first);
  EXPECT_FALSE(observing());
}

TEST_F(MarkerTest, a_renewal_that_was_lost_on_either_side_is_no_reason) {
  world_.issue("ro");
  const Json before = stored();
  renew();
  const Json after = stored();
  // The target has the next value, the store says it was about to write it.
  store(after);
  renew();
  EXPECT_FALSE(observing());
  // The crash came before the target had it.
  world_.database.superuser().run("COMMENT ON ROLE " + role() + " IS '" +
                                  stored().at("current").dump() + "'");
  renew();
  EXPECT_FALSE(observing());
}

TEST_F(MarkerTest, an_older_copy_of_the_store_only_observes_until_it_is_told_otherwise) {
  const Leased leased = world_.issue("ro");
  const Json old = stored();
  renew();
  renew();
  const Json newer = stored();
  store(old);
  const auto refused = world_.try_revoke(leased);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::kUnavailable);
  EXPECT_THAT(refused.error().message, HasSubstr("observe accept"));
  EXPECT_TRUE(world_.role_exists(leased.username));
  const auto issued = world_.try_issue("ro");
  ASSERT_FALSE(issued.has_value());
  EXPECT_EQ(issued.error().code, Errc::kUnavailable);
  EXPECT_FALSE(
      world_.engine
          ->renew(leased.lease_id, leased.handle, world_.clock().wall() + Seconds{60}, world_.in())
          .has_value());
  ASSERT_TRUE(observing());
  EXPECT_THAT(observing()->reason, HasSubstr("restored"));
  renew();
  EXPECT_TRUE(observing()) << "looking again does not take charge";

  EXPECT_TRUE(inventory().take_charge(world_.target(), world_.in()).has_value());
  EXPECT_FALSE(observing());
  world_.revoke(leased);
  // Whoever had charge before finds out.
  store(newer);
  renew();
  EXPECT_TRUE(observing());
}

TEST_F(MarkerTest, a_marker_that_somebody_dropped_is_written_again) {
  world_.issue("ro");
  world_.database.superuser().run("DROP ROLE " + role());
  renew();
  EXPECT_FALSE(observing());
  EXPECT_THAT(comment(), HasSubstr("curfew_marker"));
}

TEST_F(MarkerTest, a_target_that_went_back_in_time_is_still_in_charge) {
  world_.issue("ro");
  const std::string old = comment();
  renew();
  renew();
  world_.database.superuser().run("COMMENT ON ROLE " + role() + " IS '" + old + "'");
  renew();
  EXPECT_FALSE(observing());
}

TEST_F(MarkerTest, a_store_that_does_not_take_the_next_value_writes_nothing_to_the_target) {
  world_.issue("ro");
  const std::string before = comment();
  world_.memory.clock.advance(std::chrono::minutes{10});
  world_.memory.storage.fail_write(1);
  EXPECT_FALSE(world_.engine->tend("marker/" + world_.target(), world_.in()).has_value());
  EXPECT_EQ(comment(), before);
  renew();
  EXPECT_FALSE(observing());
}

TEST_F(MarkerTest, a_charge_that_could_not_be_taken_leaves_the_target_observed) {
  world_.issue("ro");
  const Json old = stored();
  renew();
  renew();
  store(old);
  renew();
  ASSERT_TRUE(observing());
  world_.memory.storage.fail_write(1);
  EXPECT_FALSE(inventory().take_charge(world_.target(), world_.in()).has_value());
  EXPECT_TRUE(observing());
  EXPECT_FALSE(world_.try_issue("ro").has_value());
}

TEST_F(MarkerTest, a_login_that_may_make_no_roles_is_served_without_protection) {
  const auto login = world_.database.login("");
  world_.configure_as(login);
  const auto tended = world_.engine->tend("marker/" + world_.target(), world_.in());
  EXPECT_TRUE(tended.has_value()) << tended.error().message;
  EXPECT_FALSE(observing());
  EXPECT_EQ(comment(), "");
}

// ---- whoever keeps the broker from looking ----------------------------------------------------

// Somebody takes the marker's lock, whose number everybody can work out, and keeps it.
class MarkerLock : public MarkerTest {
 protected:
  MarkerLock() : login_(world_.database.login("CREATEROLE")) {
    world_.database.superuser().run("GRANT pg_signal_backend TO " + login_.user);
    world_.configure_as(login_);
  }
  void hold(test::PgSession& session) {
    session.run("SELECT pg_advisory_lock(" + std::to_string(lease_lock_key(role())) + ")");
  }
  Status tend() {
    world_.memory.clock.advance(std::chrono::minutes{10});
    const auto tended = world_.engine->tend("marker/" + world_.target(), world_.in(Seconds{5}));
    return tended ? ok() : Status(tended.error());
  }
  void expect_no_lease() {
    const auto issued = world_.try_issue("ro", Seconds{5});
    ASSERT_FALSE(issued.has_value());
    EXPECT_EQ(issued.error().code, Errc::kUnavailable);
    EXPECT_THAT(issued.error().message, HasSubstr("pg_locks"));
  }
  void expect_revoked(const Leased& leased) {
    const auto revoked = world_.try_revoke(leased, Seconds{10});
    EXPECT_TRUE(revoked.has_value()) << revoked.error().message;
    EXPECT_FALSE(world_.role_exists(leased.username));
  }

  const test::TestDatabase::Login login_;
};

TEST_F(MarkerLock, a_session_that_keeps_it_is_ended) {
  world_.issue("ro");
  const std::string before = comment();
  const auto anybody = world_.database.login("");
  test::PgSession session(world_.database.url(anybody.user, anybody.password));
  hold(session);
  const Status tended = tend();
  EXPECT_TRUE(tended) << tended.error().message;
  EXPECT_NE(comment(), before);
  EXPECT_NE(session.try_run("SELECT 1"), "");
}

TEST_F(MarkerLock, where_it_cannot_be_had_revocation_goes_on_and_issuing_does_not) {
  const Leased known = world_.issue("ro"), after_restart = world_.issue("ro");
  test::PgSession superuser = world_.database.superuser();  // the broker may not end it
  hold(superuser);
  EXPECT_FALSE(tend());
  expect_no_lease();
  expect_revoked(known);
  EXPECT_FALSE(observing());

  store(stored());
  expect_revoked(after_restart);
  expect_no_lease();
  EXPECT_EQ(superuser.try_run("SELECT 1"), "");
}

TEST_F(MarkerLock, an_older_copy_finds_out_without_it) {
  const Leased leased = world_.issue("ro");
  const Json old = stored();
  renew();
  renew();
  test::PgSession superuser = world_.database.superuser();
  hold(superuser);
  store(old);
  world_.memory.storage.fail_write(1);  // that it observes holds even where it is not written down
  EXPECT_FALSE(world_.try_revoke(leased, Seconds{10}).has_value());
  EXPECT_FALSE(world_.try_revoke(leased, Seconds{10}).has_value());
  EXPECT_TRUE(observing());
  EXPECT_TRUE(world_.role_exists(leased.username));
}

// ---- what an older copy must not do before it has looked --------------------------------------

class OlderCopy : public MarkerTest {
 protected:
  // As it is after a start on it: the store does not know yet that it only observes.
  void restore(const Json& old) {
    store(old);
    ASSERT_FALSE(observing());
  }
  void expect_refused(const Result<Reply>& reply) {
    ASSERT_FALSE(reply.has_value());
    EXPECT_EQ(reply.error().code, Errc::kUnavailable) << reply.error().message;
    EXPECT_THAT(reply.error().message, HasSubstr("observe accept"));
    EXPECT_TRUE(observing());
  }
  Json left_behind() {
    world_.issue("ro");
    const Json old = stored();
    renew();
    renew();
    return old;
  }
  Result<Reply> update(const std::string& path, Json data = Json::object()) {
    return world_.call(Operation::kUpdate, path, std::move(data));
  }
};

TEST_F(OlderCopy, rotates_no_static_password) {
  const auto user = world_.database.login("");
  ASSERT_TRUE(update("static-roles/app", {{"db_name", world_.target()},
                                          {"username", user.user},
                                          {"password", user.password},
                                          {"skip_import_rotation", true},
                                          {"rotation_period", "1h"}})
                  .has_value());
  const Json old = left_behind();
  world_.memory.clock.advance(std::chrono::hours{2});
  const auto still_works = [&] {
    return test::can_log_in(world_.database.url(user.user, user.password));
  };
  restore(old);
  (void)world_.engine->tend("static/" + world_.target(), world_.in());
  EXPECT_TRUE(still_works());
  EXPECT_TRUE(observing());
  restore(old);
  expect_refused(update("rotate-role/app"));
  EXPECT_TRUE(still_works());
}

TEST_F(OlderCopy, rotates_no_root_password) {
  const auto login = world_.database.login("CREATEROLE");
  world_.configure(
      {{"username", login.user}, {"password", login.password}, {"rotation_period", "1h"}});
  const auto tend = [&] {
    return world_.engine->tend("root/" + world_.target(), world_.in()).has_value();
  };
  ASSERT_TRUE(tend());  // the plan counts from now
  const Json old = left_behind();
  world_.memory.clock.advance(std::chrono::hours{2});
  const auto still_works = [&] {
    return test::can_log_in(world_.database.url(login.user, login.password));
  };
  restore(old);
  (void)tend();
  EXPECT_TRUE(still_works());
  EXPECT_TRUE(observing());
  restore(old);
  expect_refused(update("rotate-root/" + world_.target()));
  EXPECT_TRUE(still_works());
}

TEST_F(OlderCopy, touches_nothing_in_quarantine) {
  test::PgSession admin = world_.database.superuser();
  admin.run("GRANT ALL ON SCHEMA public TO PUBLIC");
  const Leased leased = world_.issue("ro");
  world_.log_in(leased).run("CREATE TABLE work (id int); INSERT INTO work VALUES (1)");
  world_.revoke(leased);
  const std::string path = "quarantine/" + world_.target();
  const auto listed = world_.call(Operation::kList, path);
  ASSERT_TRUE(listed.has_value()) << listed.error().message;
  std::string id;
  for (const auto& [key, object] : listed->data.at("key_info").items())
    if (object.at("database") == world_.database.name()) id = key;
  ASSERT_NE(id, "");
  const Json old = left_behind();
  const auto keeper = world_.database.login("");
  restore(old);
  expect_refused(update(path + "/" + id + "/release", {{"owner", keeper.user}}));
  restore(old);
  expect_refused(update(path + "/" + id + "/drop", {{"confirm", "public.work"}}));
  EXPECT_TRUE(world_.call(Operation::kRead, path + "/" + id).has_value());
}

TEST_F(OlderCopy, rehearses_no_role) {
  const Json old = left_behind();
  restore(old);
  const auto written =
      update("roles/new", {{"db_name", world_.target()}, {"creation_statements", {kCreate}}});
  ASSERT_TRUE(written.has_value()) << written.error().message;
  EXPECT_THAT(written->warnings, ElementsAre(HasSubstr("were not rehearsed: target")));
  EXPECT_TRUE(observing());
}

}  // namespace
}  // namespace curfew::engines::postgres

#include "engines/postgres/lease_role.h"
#include "tests/engines/postgres/postgres_fixture.h"

// Many leases taken back together. What holds for one of them must hold for each, and what is out
// of the ordinary must be left to the revocation that is thorough.
namespace curfew::engines::postgres {
namespace {

using ::testing::HasSubstr;

class BatchRevocation : public ::testing::Test {
 protected:
  void SetUp() override {
    login_ = world_.database.login("CREATEROLE");
    world_.configure_as(login_);
    group_ = world_.database.role_prefix() + "_grp";
    admin_.run("CREATE TABLE orders (id int); GRANT ALL ON SCHEMA public TO PUBLIC");
    admin_.run("CREATE ROLE " + group_ + " NOLOGIN; GRANT SELECT ON orders TO " + group_);
    admin_.run("GRANT " + group_ + " TO " + login_.user + " WITH ADMIN OPTION");
    world_.role("plain", " GRANT " + group_ + " TO \"{{name}}\";");
  }

  std::vector<Leased> issue(int n, const std::string& role = "plain") {
    std::vector<Leased> leased;
    for (int i = 0; i < n; ++i) leased.push_back(world_.issue(role));
    return leased;
  }
  static std::vector<LeaseRef> refs(const std::vector<Leased>& leased) {
    std::vector<LeaseRef> out;
    for (const Leased& one : leased) out.push_back({one.lease_id, one.handle});
    return out;
  }
  // Which of them were dealt with: "x-x".
  template <class T>
  static std::string pattern(const Result<std::vector<std::optional<T>>>& result) {
    if (!result) return result.error().message;
    std::string out;
    for (const auto& one : *result) out += one ? 'x' : '-';
    return out;
  }
  std::string lock_out(const std::vector<Leased>& leased) {
    return pattern(world_.engine->lock_out(refs(leased), world_.in()));
  }
  std::string revoke(const std::vector<Leased>& leased) {
    return pattern(world_.engine->revoke_many(refs(leased), world_.in()));
  }
  std::string memberships(const std::string& user) {
    return admin_.value(
        "SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = "
        "m.member WHERE r.rolname = '" +
        user + "'");
  }

  PostgresWorld world_;
  test::PgSession admin_ = world_.database.superuser();
  test::TestDatabase::Login login_;
  std::string group_;
};

TEST_F(BatchRevocation, all_are_locked_out_at_once_and_then_gone_each_with_its_receipt) {
  const auto leased = issue(5);
  const auto locked = world_.engine->lock_out(refs(leased), world_.in());
  ASSERT_EQ(pattern(locked), "xxxxx");
  for (std::size_t i = 0; i < leased.size(); ++i) {
    EXPECT_EQ(locked->at(i)->at("role"), leased[i].username);
    EXPECT_TRUE(world_.role_exists(leased[i].username));
    EXPECT_FALSE(test::can_log_in(world_.url_of(leased[i])));
    EXPECT_EQ(memberships(leased[i].username), "0");
  }
  const auto removed = world_.engine->revoke_many(refs(leased), world_.in());
  ASSERT_EQ(pattern(removed), "xxxxx");
  for (std::size_t i = 0; i < leased.size(); ++i) {
    EXPECT_FALSE(world_.role_exists(leased[i].username));
    const Json& checked = removed->at(i)->receipt.checked;
    EXPECT_EQ(checked.at("role"), leased[i].username);
    EXPECT_EQ(checked.at("role_oid"), leased[i].handle.fields.at("role_oid"));
    EXPECT_EQ(checked.at("role_absent"), true);
    EXPECT_EQ(checked.at("sessions"), 0);
    EXPECT_EQ(checked.at("dependencies"), 0);
    EXPECT_EQ(checked.at("memberships"), 0);
    EXPECT_EQ(checked.at("default_privileges"), 0);
    EXPECT_TRUE(removed->at(i)->notes.contains(Phase::kTerminate));
    EXPECT_TRUE(removed->at(i)->notes.contains(Phase::kDrop));
  }
}

TEST_F(BatchRevocation, one_that_cannot_be_changed_does_not_keep_the_others) {
  const auto leased = issue(7);
  // The broker's login may not touch a superuser.
  admin_.run("ALTER ROLE \"" + leased[3].username + "\" SUPERUSER");
  EXPECT_EQ(lock_out(leased), "xxx-xxx");
  EXPECT_TRUE(test::can_log_in(world_.url_of(leased[3])));
  EXPECT_EQ(revoke(leased), "xxx-xxx");
  admin_.run("ALTER ROLE \"" + leased[3].username + "\" NOSUPERUSER");
  world_.revoke(leased[3]);
}

TEST_F(BatchRevocation, a_role_that_somebody_works_on_is_not_waited_for) {
  const auto leased = issue(3);
  admin_.run("BEGIN; " + lease_lock(leased[1].lease_id));
  EXPECT_EQ(lock_out(leased), "x-x");
  EXPECT_EQ(revoke(leased), "x-x");
  admin_.run("ROLLBACK");
  world_.revoke(leased[1]);
}

TEST_F(BatchRevocation, a_role_whose_row_its_session_holds_does_not_keep_the_others) {
  const auto leased = issue(3);
  test::PgSession session = world_.log_in(leased[1]);
  session.run("BEGIN; ALTER ROLE CURRENT_USER PASSWORD 'mine'");
  EXPECT_EQ(lock_out(leased), "x-x");
  EXPECT_EQ(revoke(leased), "x-x");
  world_.revoke(leased[1]);
  EXPECT_FALSE(world_.role_exists(leased[1].username));
}

TEST_F(BatchRevocation, a_role_that_is_not_beyond_doubt_the_leases_is_left_alone) {
  auto leased = issue(4);
  admin_.run("COMMENT ON ROLE \"" + leased[0].username + "\" IS NULL");
  const std::string renamed = leased[1].username + "-x";
  admin_.run("ALTER ROLE \"" + leased[1].username + "\" RENAME TO \"" + renamed + "\"");
  auto unknown = leased;
  unknown[2].handle.fields.erase("role_oid");
  EXPECT_EQ(lock_out(unknown), "---x");
  EXPECT_EQ(revoke(unknown), "---x");
  for (int i = 0; i < 3; ++i) world_.revoke(leased[static_cast<std::size_t>(i)]);
  EXPECT_FALSE(world_.role_exists(renamed));
}

TEST_F(BatchRevocation, pain_2_what_has_a_session_or_objects_or_can_log_in_again_is_not_dropped) {
  const auto leased = issue(4);
  test::PgSession session = world_.log_in(leased[0]);
  world_.log_in(leased[1]).run("CREATE TABLE kept (id int)");
  ASSERT_EQ(lock_out(leased), "xxxx");
  admin_.run("ALTER ROLE \"" + leased[2].username + "\" LOGIN");
  EXPECT_EQ(revoke(leased), "---x");
  EXPECT_EQ(session.value("SELECT 1"), "1");
  for (int i = 0; i < 3; ++i) {
    world_.revoke(leased[static_cast<std::size_t>(i)]);
    EXPECT_FALSE(world_.role_exists(leased[static_cast<std::size_t>(i)].username));
  }
}

TEST_F(BatchRevocation, roles_with_revocation_statements_of_their_own_take_the_long_way) {
  world_.role("own", "",
              {{"revocation_statements", {"DROP OWNED BY \"{{name}}\"; DROP ROLE \"{{name}}\";"}}});
  world_.role("bare", "", {{"revocation_statements", {"DROP ROLE IF EXISTS \"{{name}}\";"}}});
  const std::vector<Leased> leased{world_.issue("own"), world_.issue("bare")};
  EXPECT_EQ(lock_out(leased), "xx");
  EXPECT_EQ(revoke(leased), "-x");
  world_.revoke(leased[0]);
}

TEST_F(BatchRevocation, a_target_that_is_not_there_is_an_error_and_nothing_is_claimed) {
  const auto leased = issue(2);
  world_.configure({{"connection_url", "postgresql://127.0.0.1:1/none"},
                    {"username", "x"},
                    {"password", "y"},
                    {"verify_connection", false}});
  EXPECT_THAT(lock_out(leased), HasSubstr("127.0.0.1"));
  EXPECT_THAT(revoke(leased), HasSubstr("127.0.0.1"));
  world_.configure_as(login_);
  for (const Leased& one : leased) world_.revoke(one);
}

TEST_F(BatchRevocation, doing_it_twice_is_as_good_as_once) {
  const auto leased = issue(2);
  EXPECT_EQ(lock_out(leased), "xx");
  EXPECT_EQ(lock_out(leased), "xx");
  EXPECT_EQ(revoke(leased), "xx");
  // What is absent is for the revocation that looks twice.
  EXPECT_EQ(revoke(leased), "--");
  for (const Leased& one : leased) EXPECT_EQ(world_.revoke(one).checked.at("role_absent"), true);
}

}  // namespace
}  // namespace curfew::engines::postgres

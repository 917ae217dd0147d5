#include "engines/postgres/quarantine.h"

#include "tests/engines/postgres/postgres_fixture.h"

namespace curfew::engines::postgres {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

// The quarantine role belongs to the whole server, so the list may hold what other tests put there:
// these look for their own database only.
class Quarantine : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    admin_.run("GRANT ALL ON SCHEMA public TO PUBLIC");
    if (std::string(GetParam()) == "superuser") {
      world_.configure();
    } else {
      world_.configure_as(world_.database.login("CREATEROLE"));
    }
    world_.role("dev");
    leased_ = world_.issue("dev");
    world_.log_in(leased_).run(
        "CREATE TABLE work (id int, note text); INSERT INTO work VALUES (1, 'kept')");
    world_.revoke(leased_);
    id_ = id_of("public.work");
  }

  std::string path(const std::string& rest = "") const {
    return "quarantine/" + world_.target() + rest;
  }
  Json list() {
    const auto reply = world_.call(Operation::kList, path());
    if (!reply && reply.error().code == Errc::kNotFound) return Json::object();  // there is nothing
    if (!reply) throw std::runtime_error(reply.error().message);
    return reply->data.at("key_info");
  }
  std::string id_of(const std::string& name) {
    const Json listed = list();
    for (const auto& [id, object] : listed.items())
      if (object.at("name") == name && object.at("database") == world_.database.name()) return id;
    return "";
  }
  Result<Reply> release(const std::string& owner) {
    return world_.call(Operation::kUpdate, path("/" + id_ + "/release"), {{"owner", owner}});
  }
  Result<Reply> drop(Json fields) {
    return world_.call(Operation::kUpdate, path("/" + id_ + "/drop"), std::move(fields));
  }

  PostgresWorld world_;
  test::PgSession admin_ = world_.database.superuser();
  Leased leased_;
  std::string id_;
};

INSTANTIATE_TEST_SUITE_P(As, Quarantine, ::testing::Values("superuser", "createrole"),
                         [](const auto& with) { return std::string(with.param); });

TEST_P(Quarantine, is_listed_and_shown_with_where_it_came_from) {
  ASSERT_NE(id_, "");
  admin_.run("ALTER TABLE work RENAME TO renamed; ANALYZE renamed");
  const auto shown = world_.call(Operation::kRead, path("/" + id_));
  ASSERT_TRUE(shown.has_value()) << shown.error().message;
  EXPECT_EQ(shown->data.at("name"), "public.renamed");
  EXPECT_EQ(shown->data.at("kind"), "table");
  EXPECT_EQ(shown->data.at("rows_estimate"), 1);
  EXPECT_GT(shown->data.at("size_bytes"), 0);
  EXPECT_EQ(shown->data.at("columns"),
            (Json{{{"name", "id"}, {"type", "integer"}}, {{"name", "note"}, {"type", "text"}}}));
  const Json& from = shown->data.at("from");
  EXPECT_EQ(from.at("lease"), leased_.lease_id);
  EXPECT_EQ(from.at("database_role"), leased_.username);
  EXPECT_EQ(from.at("entity"), "entity-7");
  EXPECT_EQ(from.at("since"), "2027-01-15T08:00:00Z");
}

TEST_P(Quarantine, covers_every_database) {
  const Leased leased = world_.issue("dev");
  test::TestDatabase other;
  other.superuser().run("GRANT ALL ON SCHEMA public TO PUBLIC");
  test::PgSession(other.url(leased.username, leased.password)).run("CREATE TABLE far (i int)");
  world_.revoke(leased);
  std::string far;
  const Json listed = list();
  for (const auto& [id, object] : listed.items())
    if (object.at("database") == other.name()) far = id;
  ASSERT_NE(far, "");
  const auto dropped =
      world_.call(Operation::kUpdate, path("/" + far + "/drop"), {{"confirm", "public.far"}});
  ASSERT_TRUE(dropped.has_value()) << dropped.error().message;
  EXPECT_EQ(other.superuser().value("SELECT to_regclass('far')"), "");
}

TEST_P(Quarantine, a_table_is_released_to_a_role_that_stays) {
  const auto keeper = world_.database.login("");
  const Leased other = world_.issue("dev");
  EXPECT_THAT(release("nobody_of_this_name").error().message, HasSubstr("there is no role"));
  EXPECT_THAT(release(other.username).error().message, HasSubstr("leased role"));
  EXPECT_EQ(release("").error().code, Errc::kInvalidArgument);
  world_.revoke(other);
  if (std::string(GetParam()) == "createrole") {
    const auto refused = release(keeper.user);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, Errc::kInvalidArgument);
    EXPECT_THAT(refused.error().message, HasSubstr("GRANT \"" + keeper.user + "\" TO"));
    admin_.run("GRANT " + keeper.user + " TO " +
               admin_.value("SELECT rolname FROM pg_roles WHERE rolcreaterole AND rolname LIKE '" +
                            world_.database.role_prefix() + "%'"));
  }
  const auto released = release(keeper.user);
  ASSERT_TRUE(released.has_value()) << released.error().message;
  EXPECT_EQ(test::PgSession(world_.database.url(keeper.user, keeper.password))
                .value("SELECT note FROM work"),
            "kept");
  EXPECT_EQ(id_of("public.work"), "");
  EXPECT_EQ(world_.call(Operation::kRead, path("/" + id_)).error().code, Errc::kNotFound);
  EXPECT_EQ(release(keeper.user).error().code, Errc::kNotFound);
}

TEST_P(Quarantine, is_dropped_only_when_that_is_confirmed_and_nobody_needs_it) {
  admin_.run("CREATE VIEW theirs AS SELECT id FROM work");
  EXPECT_THAT(drop({{"confirm", "work"}}).error().message, HasSubstr("public.work"));
  const auto needed = drop({{"confirm", "public.work"}});
  ASSERT_FALSE(needed.has_value());
  EXPECT_EQ(needed.error().code, Errc::kInvalidArgument);
  EXPECT_THAT(needed.error().message, HasSubstr("view public.theirs depends on"));
  EXPECT_EQ(admin_.value("SELECT note FROM work"), "kept");
  const auto dropped = drop({{"confirm", "public.work"}, {"cascade", true}});
  ASSERT_TRUE(dropped.has_value()) << dropped.error().message;
  EXPECT_THAT(dropped->data.at("dropped_with_it").get<std::string>(), HasSubstr("theirs"));
  EXPECT_EQ(admin_.value("SELECT to_regclass('work')"), "");
  EXPECT_EQ(id_of("public.work"), "");
}

TEST(QuarantineId, is_three_numbers) {
  const auto id = QuarantineId::parse("16401-1259-16430");
  ASSERT_TRUE(id.has_value());
  EXPECT_EQ(id->text(), "16401-1259-16430");
  for (const char* bad : {"", "1", "1-2", "1-2-", "1-2-3-4", "1-2-x", "-1-2-3", "1-2-99999999999"})
    EXPECT_FALSE(QuarantineId::parse(bad).has_value()) << bad;
}

}  // namespace
}  // namespace curfew::engines::postgres

#pragma once

#include "tests/engines/postgres/postgres_fixture.h"

namespace curfew::engines::postgres {

// A target with a database user of long standing, for tests of static roles.
class StaticWorld : public PostgresWorld {
 public:
  explicit StaticWorld(test::PgAddress server = test::test_server())
      : PostgresWorld(false, std::move(server)), user_(database.login("")) {
    configure();
  }

  const std::string& user() const { return user_.user; }
  const std::string& first_password() const { return user_.password; }

  Result<Reply> write(const std::string& name, Json more = Json::object()) {
    Json body{{"db_name", target()}, {"username", user()}, {"rotation_period", "1h"}};
    body.update(more);
    return call(Operation::kUpdate, "static-roles/" + name, body);
  }
  void must_write(const std::string& name, Json more = Json::object()) {
    const auto written = write(name, std::move(more));
    ASSERT_TRUE(written.has_value()) << written.error().message;
  }
  Json show(const std::string& name) {
    const auto reply = call(Operation::kRead, "static-roles/" + name);
    return reply ? reply->data : Json{{"error", reply.error().message}};
  }
  Result<Reply> credentials(const std::string& name) {
    return call(Operation::kRead, "static-creds/" + name);
  }
  // "" where there are none.
  std::string password(const std::string& name) {
    const auto reply = credentials(name);
    return reply ? reply->data.value("password", "") : "";
  }
  Result<Reply> rotate(const std::string& name) {
    return call(Operation::kUpdate, "rotate-role/" + name);
  }
  bool logs_in(const std::string& password) const {
    return test::can_log_in(database.url(user(), password));
  }
  // Does what is due; false: something fails.
  Tended tend() {
    Tended all;
    const auto chores = engine->chores();
    EXPECT_TRUE(chores.has_value());
    for (const std::string& chore : *chores) {
      if (chore.starts_with("marker/")) continue;  // each renewal has its next
      const auto tended = engine->tend(chore, in());
      EXPECT_TRUE(tended.has_value()) << tended.error().message;
      all.failing = all.failing || tended->failing;
      if (tended->next) all.next = all.next ? std::min(*all.next, *tended->next) : tended->next;
    }
    return all;
  }
  void advance(Millis by) { memory.clock.advance(by); }
  void sql(const std::string& text) { database.superuser().run(text); }

 private:
  const test::TestDatabase::Login user_;
};

}  // namespace curfew::engines::postgres

#include <thread>

#include "tests/broker/broker_world.h"

namespace curfew::broker {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

const char* const kTrace = "4bf92f3577b34da6a3ce929d0e0e4736";

// Lets something happen between the first look at lockdowns and the transaction that makes a lease
// durable: while the issue is planned.
class SlowPlanner final : public engines::SecretEngine {
 public:
  explicit SlowPlanner(const std::function<void()>& during_plan)
      : during_plan_(during_plan),
        routes_({{{.pattern = "creds/{role}", .summary = "Nothing.", .issues_lease = true}, {}}}) {}
  std::string_view type() const override { return "slow"; }
  const engines::CallRoutes& routes() const override { return routes_; }
  Result<engines::IssuePlan> plan(const engines::IssueRequest&, Random&) const override {
    if (during_plan_) during_plan_();
    return engines::IssuePlan{.role = "ro",
                              .handle = {"slow", Json::object()},
                              .terms = {.ttl = Seconds{60}},
                              .work = nullptr};
  }

 private:
  const std::function<void()>& during_plan_;
  const engines::CallRoutes routes_;
};

class IncidentTest : public BrokerWorld {
 protected:
  IncidentTest() {
    registry_.add("slow", [this](engines::Services) {
      return Result<std::unique_ptr<engines::SecretEngine>>(
          std::make_unique<SlowPlanner>(during_plan_));
    });
    must_write("sys/mounts/slow", {{"type", "slow"}});
    must_write("sys/mounts/db", {{"type", "scripted"}});
    write_policy("agent", R"(path "db/creds/*" { capabilities = ["read"] }
                             path "auth/token/create" { capabilities = ["update"] }
                             path "sys/leases/renew" { capabilities = ["update"] })");
    outside_.role_ttl = Seconds{900};
    outside_.role_max = Seconds{3600};
  }

  std::function<void()> during_plan_;

  std::string agent(const std::string& name) {
    return make_token({"agent"}, {{"display_name", name}});
  }
  std::string accessor_of(const std::string& token) {
    return must_write("auth/token/lookup", {{"token", token}}).data.at("accessor");
  }
  Result<Response> issue(const std::string& token, const std::string& role = "ro") {
    return read("db/creds/" + role, token);
  }
  std::string must_issue(const std::string& token, const std::string& role = "ro") {
    auto response = issue(token, role);
    EXPECT_TRUE(response.has_value()) << response.error().message;
    return response ? response->lease_id : "";
  }
  // Ends the scope and does what is due; the operation's id.
  std::string end(Json scope) {
    scope["reason"] = "key leaked";
    const Response begun = must_write("sys/leases/end", std::move(scope));
    EXPECT_EQ(begun.status, 202);
    run_due();
    return begun.data.is_object() ? begun.data.at("id") : Json("");
  }
  Json progress(const std::string& id) { return must_read("sys/leases/end/" + id); }
  std::string state_of(const std::string& lease) {
    return must_write("sys/leases/receipt", {{"lease_id", lease}}).data.at("state");
  }
  void lift_all() {
    const auto keys = list("sys/lockdown");
    if (!keys) return;
    for (const Json& key : keys->data.at("keys"))
      EXPECT_TRUE(remove("sys/lockdown/" + key.get<std::string>()).has_value());
  }
};

// ---- which leases -----------------------------------------------------------------------------

TEST_F(IncidentTest, everything_of_one_agent_ends_and_nothing_of_another) {
  const std::string bad = agent("report-bot");
  const std::string good = agent("mail-bot");
  must_issue(bad);
  must_issue(bad, "rw");
  const std::string kept = must_issue(good);
  for (const char* name : {"report-bot", "token-report-bot"}) {
    const Json preview = must_write("sys/leases/end", {{"agent", name}, {"dry_run", true}}).data;
    EXPECT_EQ(preview.at("found"), 2) << name;
    EXPECT_EQ(preview.at("leases").size(), 2u);
    EXPECT_EQ(preview.at("counts").size(), 2u);
  }
  EXPECT_EQ(outside_.names().size(), 3u) << "a dry run changes nothing";
  EXPECT_FALSE(list("sys/lockdown").has_value());

  const Json done = progress(end({{"agent", "report-bot"}}));
  EXPECT_EQ(done.at("finished"), true);
  EXPECT_EQ(done.at("found"), 2);
  EXPECT_EQ(done.at("locked_out"), 2);
  EXPECT_EQ(done.at("ended"), 2);
  EXPECT_EQ(done.at("receipts").at("proven"), 2);
  EXPECT_EQ(done.at("reason"), "key leaked");
  EXPECT_EQ(done.at("by"), "root");
  EXPECT_EQ(outside_.names().size(), 1u);
  EXPECT_EQ(state_of(kept), "active");
  EXPECT_TRUE(issue(good).has_value());
  EXPECT_EQ(code_of(issue(bad)), Errc::kPermissionDenied);
}

TEST_F(IncidentTest, an_agent_does_not_leave_its_name_behind_by_making_tokens_of_another_one) {
  const auto child_of = [&](const std::string& parent, const char* name) {
    const auto made = write("auth/token/create", {{"display_name", name}}, parent);
    EXPECT_TRUE(made.has_value()) << made.error().message;
    return made ? std::string(made->auth->client_token.reveal()) : "";
  };
  const std::string bot = agent("report-bot");
  const std::string child = child_of(bot, "payroll");
  const std::string grandchild = child_of(child, "mail-bot");
  const std::string innocent = agent("payroll");
  must_issue(bot);
  const std::string hidden = must_issue(child);
  must_issue(grandchild);
  const std::string kept = must_issue(innocent);
  restart();  // the name is on the tokens and leases as they are stored
  const Json shown = must_write("sys/leases/lookup", {{"lease_id", hidden}}).data;
  EXPECT_EQ(shown.at("attribution").at("display_name"), "token-payroll");
  EXPECT_EQ(shown.at("attribution").at("agent"), "report-bot");

  const Json done = progress(end({{"agent", "report-bot"}}));
  EXPECT_EQ(done.at("found"), 3);
  EXPECT_EQ(done.at("receipts").at("proven"), 3);
  EXPECT_EQ(outside_.names().size(), 1u);
  EXPECT_EQ(state_of(kept), "active") << "nobody is blamed for what bears his name";
  for (const std::string& token : {bot, child, grandchild})
    EXPECT_EQ(code_of(issue(token)), Errc::kPermissionDenied);
  EXPECT_TRUE(issue(innocent).has_value());
}

TEST_F(IncidentTest, members_of_a_scope_narrow_it_down_and_each_is_found_by_itself) {
  const std::string token = agent("report-bot");
  extra_.session = "s-1";
  extra_.traceparent = std::string("00-") + kTrace + "-00f067aa0ba902b7-01";
  must_issue(token);
  extra_ = Request();
  must_issue(token, "rw");
  must_issue("root");
  const auto found = [&](Json scope) {
    scope["dry_run"] = true;
    return must_write("sys/leases/end", std::move(scope)).data.at("found").get<int>();
  };
  EXPECT_EQ(found({{"session", "s-1"}}), 1);
  EXPECT_EQ(found({{"session", "s-2"}}), 0);
  EXPECT_EQ(found({{"trace", kTrace}}), 1);
  EXPECT_EQ(found({{"agent", "report-bot"}}), 2);
  EXPECT_EQ(found({{"agent", "report-bot"}, {"role", "rw"}}), 1);
  EXPECT_EQ(found({{"agent", "root"}, {"role", "rw"}}), 0);
  EXPECT_EQ(found({{"role", "ro"}}), 2);
  EXPECT_EQ(found({{"target", "target"}}), 3);
  EXPECT_EQ(found({{"target", "other"}}), 0);
  EXPECT_EQ(found({{"mount", "db"}}), 3);
  EXPECT_EQ(found({{"token", accessor_of(token)}}), 2);
  EXPECT_EQ(found({{"token", accessor_of(token)}, {"session", "s-1"}}), 1);
  EXPECT_EQ(found({{"namespace", "root"}}), 3);
  EXPECT_EQ(found({{"all", true}}), 3);
}

TEST_F(IncidentTest, bad_scopes_are_refused_and_say_why) {
  const std::vector<std::pair<Json, std::string>> cases = {
      {{}, "say which leases"},
      {{{"all", false}}, "say which leases"},
      {{{"all", true}, {"role", "ro"}}, "nothing else can be named"},
      {{{"mount", "nope"}}, "nothing is mounted"},
      {{{"token", "nope"}}, "no living token"},
      {{{"trace", "xyz"}}, "32 hexadecimal digits"},
      {{{"namespace", "team-a"}, {"role", "ro"}}, "namespaces are not supported"},
      {{{"agent", Json::array({"a", "b"})}}, "agent"},
      {{{"all", true}}, "missing reason"},
      {{{"all", true}, {"reason", " \n"}, {"dry_run", "maybe"}}, "dry_run"},
  };
  must_issue("root");
  for (const auto& [scope, words] : cases) {
    const auto refused = write("sys/leases/end", scope);
    ASSERT_FALSE(refused.has_value()) << scope.dump();
    EXPECT_EQ(refused.error().code, Errc::kInvalidArgument) << scope.dump();
    EXPECT_THAT(refused.error().message, HasSubstr(words)) << scope.dump();
  }
  EXPECT_EQ(outside_.names().size(), 1u);
  EXPECT_EQ(code_of(read("sys/leases/end/nope")), Errc::kNotFound);
  const std::string token = agent("report-bot");
  for (const char* path : {"sys/leases/end", "sys/lockdown", "sys/lockdown/x", "sys/whois"})
    EXPECT_EQ(code_of(write(path, {{"all", true}, {"reason", "x"}}, token)),
              Errc::kPermissionDenied)
        << path;
}

TEST_F(IncidentTest, a_token_ends_with_those_below_it_before_their_leases_do) {
  const std::string parent = agent("report-bot");
  const Response child = must_write("auth/token/create", {{"ttl", "30m"}}, parent);
  const std::string below = child.auth->client_token.reveal();
  must_issue(parent);
  must_issue(below);
  must_issue("root");
  const std::string accessor = accessor_of(parent);
  EXPECT_EQ(
      must_write("sys/leases/end", {{"token", accessor}, {"dry_run", true}}).data.at("tokens"), 2);
  const Json done = progress(end({{"token", accessor}}));
  EXPECT_EQ(done.at("found"), 2);
  EXPECT_EQ(done.at("receipts").at("proven"), 2);
  EXPECT_EQ(done.at("tokens"), 2);
  EXPECT_EQ(code_of(issue(parent)), Errc::kUnauthenticated);
  EXPECT_EQ(code_of(issue(below)), Errc::kUnauthenticated);
  EXPECT_EQ(outside_.names().size(), 1u);
}

TEST_F(IncidentTest, no_part_of_a_large_tree_of_tokens_is_left_out) {
  const auto child_of = [&](const std::string& parent) {
    const Response made = must_write("auth/token/create", Json::object(), parent);
    return std::string(made.auth->client_token.reveal());
  };
  const std::string parent = agent("report-bot");
  must_issue(child_of(child_of(parent)));
  // Their rows do not open, which nobody needs to count them.
  tamper(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20100) "
      "INSERT INTO tokens (id, namespace, accessor, parent, expires_at, sealed) "
      "SELECT 'copy-' || n.i, namespace, 'copy-' || n.i, parent, expires_at, sealed "
      "FROM tokens, n WHERE tokens.id = (SELECT c.id FROM tokens c JOIN tokens p ON c.parent = "
      "p.id "
      "JOIN tokens g ON g.parent = c.id)");
  const Json scope = {{"token", accessor_of(parent)}, {"role", "ro"}};
  Json question = scope;
  question["dry_run"] = true;
  EXPECT_EQ(must_write("sys/leases/end", question).data.at("found"), 1);
  const Json done = progress(end(scope));
  EXPECT_EQ(done.at("found"), 1);
  EXPECT_EQ(done.at("receipts").at("proven"), 1);
  EXPECT_TRUE(outside_.names().empty());
}

TEST_F(IncidentTest, a_lockdown_of_a_token_holds_for_tokens_made_below_it_later) {
  const std::string parent = agent("report-bot");
  const Json locked =
      must_write("sys/lockdown", {{"token", accessor_of(parent)}, {"reason", "odd"}}).data;
  const Response child = must_write("auth/token/create", Json::object(), parent);
  EXPECT_EQ(code_of(issue(parent)), Errc::kPermissionDenied);
  EXPECT_EQ(code_of(issue(child.auth->client_token.reveal())), Errc::kPermissionDenied);
  EXPECT_TRUE(issue("root").has_value());
  ASSERT_TRUE(remove("sys/lockdown/" + locked.at("id").get<std::string>()).has_value());
  EXPECT_TRUE(issue(child.auth->client_token.reveal()).has_value());
}

// ---- lockdowns --------------------------------------------------------------------------------

TEST_F(IncidentTest, a_lockdown_refuses_issues_and_renewals_with_its_reason_until_it_is_lifted) {
  const std::string lease = must_issue("root");
  must_write("sys/lockdown/maintenance", {{"role", "ro"}, {"reason", "schema migration"}});
  for (const bool restarted : {false, true}) {
    if (restarted) restart();
    const auto refused = issue("root");
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, Errc::kPermissionDenied);
    EXPECT_THAT(refused.error().message, HasSubstr("schema migration"));
    EXPECT_THAT(refused.error().message, HasSubstr("maintenance"));
    const auto renewed = write("sys/leases/renew", {{"lease_id", lease}});
    ASSERT_FALSE(renewed.has_value());
    EXPECT_EQ(renewed.error().code, Errc::kPermissionDenied);
    EXPECT_TRUE(issue("root", "rw").has_value());
  }
  EXPECT_EQ(state_of(lease), "active") << "what is out stays";
  const Json shown = must_read("sys/lockdown/maintenance");
  EXPECT_EQ(shown.at("reason"), "schema migration");
  EXPECT_EQ(shown.at("by"), "root");
  EXPECT_EQ(shown.at("scope"), Json({{"role", "ro"}}));
  EXPECT_EQ(list("sys/lockdown")->data.at("keys"), Json({"maintenance"}));
  ASSERT_TRUE(remove("sys/lockdown/maintenance").has_value());
  EXPECT_TRUE(issue("root").has_value());
  EXPECT_TRUE(write("sys/leases/renew", {{"lease_id", lease}}).has_value());
  EXPECT_EQ(code_of(read("sys/lockdown/maintenance")), Errc::kNotFound);
  const auto again = remove("sys/lockdown/maintenance");
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->warnings.size(), 1u);
}

TEST_F(IncidentTest, a_lockdown_that_was_damaged_refuses_everything_and_can_be_lifted) {
  must_write("sys/lockdown/x", {{"role", "rw"}, {"reason", "r"}});
  tamper("UPDATE records SET sealed = zeroblob(40) WHERE scope = 'lockdown'");
  restart();
  EXPECT_EQ(code_of(issue("root")), Errc::kCorrupt);
  EXPECT_TRUE(outside_.names().empty());
  ASSERT_TRUE(remove("sys/lockdown/x").has_value());
  EXPECT_TRUE(issue("root").has_value());
}

// An issue that was allowed before the lockdown began is refused in the transaction that would
// make it durable, wherever the lockdown comes in between.
TEST_F(IncidentTest, an_issue_under_way_does_not_slip_past_the_end_of_everything) {
  for (const bool written_ahead : {false, true}) {
    SCOPED_TRACE(written_ahead);
    std::string operation;
    const auto strike = [&] {
      operation = must_write("sys/leases/end", {{"all", true}, {"reason", "now"}}).data.at("id");
    };
    if (written_ahead)
      outside_.during_apply = [&](const std::string&) { strike(); };
    else
      during_plan_ = strike;
    const auto issued = written_ahead ? issue("root") : read("slow/creds/ro");
    outside_.during_apply = nullptr;
    during_plan_ = nullptr;
    if (!written_ahead) {
      EXPECT_EQ(code_of(issued), Errc::kPermissionDenied);
    }
    run_due();
    clock_.advance(std::chrono::minutes{1});
    run_due();
    EXPECT_TRUE(outside_.names().empty());
    EXPECT_EQ(must_read("sys/leases/count").at("lease_count"), 0);
    EXPECT_EQ(progress(operation).at("finished"), true);
    lift_all();
  }
}

TEST_F(IncidentTest, many_that_issue_while_everything_ends_keep_nothing) {
  reaper_threads_ = true;
  restart();
  std::atomic<bool> stop{false};
  std::atomic<int> refused{0};
  std::vector<std::thread> agents;
  for (int i = 0; i < 4; ++i)
    agents.emplace_back([&] {
      while (!stop && refused < 40) {
        const auto issued = issue("root");
        if (!issued && issued.error().code == Errc::kPermissionDenied) ++refused;
      }
    });
  while (outside_.names().size() < 10) std::this_thread::yield();
  const std::string id =
      must_write("sys/leases/end", {{"all", true}, {"reason", "now"}}).data.at("id");
  for (std::thread& thread : agents) thread.join();
  Json done;
  for (int i = 0; i < 3000; ++i) {
    done = progress(id);
    if (done.at("finished") == true) break;
    // An issue that was written ahead is looked at again at its deadline.
    if (i % 100 == 99) clock_.advance(Seconds{10});
    std::this_thread::sleep_for(Millis{5});
  }
  stop = true;
  EXPECT_EQ(done.at("finished"), true) << done.dump();
  EXPECT_EQ(done.at("found").get<int>(), done.at("receipts").at("proven").get<int>() +
                                             done.at("receipts").at("never_made").get<int>());
  EXPECT_TRUE(outside_.names().empty());
  EXPECT_EQ(must_read("sys/leases/count").at("lease_count"), 0);
}

// ---- operations -------------------------------------------------------------------------------

TEST_F(IncidentTest, pain_3_an_operation_shows_what_fails_and_goes_on_after_a_restart) {
  const std::string locked = must_issue("root", "locked");
  must_issue("root");
  const std::string id = end({{"all", true}});
  Json now = progress(id);
  EXPECT_EQ(now.at("finished"), false);
  EXPECT_EQ(now.at("found"), 2);
  EXPECT_EQ(now.at("locked_out"), 2);
  EXPECT_EQ(now.at("ended"), 1);
  EXPECT_EQ(now.at("failing"), 1);
  EXPECT_EQ(now.at("leases").at(0).at("id"), locked) << "what fails comes first";
  EXPECT_EQ(now.at("leases").at(0).at("revoke_error"), "something depends on it");
  restart();
  run_due();
  EXPECT_EQ(progress(id).at("failing"), 1);
  EXPECT_EQ(list("sys/leases/end")->data.at("keys"), Json::array({id}));
  must_write("sys/leases/revoke-force/db/creds/locked");
  run_due();
  now = progress(id);
  EXPECT_EQ(now.at("finished"), true);
  EXPECT_EQ(now.at("receipts").at("given_up"), 1);
  EXPECT_EQ(now.at("receipts").at("proven"), 1);
}

TEST_F(IncidentTest, a_hanging_target_is_not_locked_out_and_the_operation_says_so) {
  must_issue("root");
  outside_.fail_revokes(-1);
  const std::string id = end({{"all", true}});
  EXPECT_EQ(progress(id).at("locked_out"), 0);
  EXPECT_EQ(progress(id).at("failing"), 1);
  outside_.fail_revokes(0);
  clock_.advance(std::chrono::minutes{10});
  run_due();
  EXPECT_EQ(progress(id).at("receipts").at("proven"), 1);
}

TEST_F(IncidentTest, an_outcome_outlives_the_leases_and_is_forgotten_after_its_retention) {
  must_issue("root");
  const std::string id = end({{"all", true}});
  run_due();
  clock_.advance(std::chrono::days{89});
  run_due();
  EXPECT_EQ(progress(id).at("receipts").at("proven"), 1);
  clock_.advance(std::chrono::days{2});
  run_due();
  run_due();
  EXPECT_EQ(code_of(read("sys/leases/end/" + id)), Errc::kNotFound);
  EXPECT_TRUE(list("sys/lockdown").has_value()) << "a lockdown is lifted by hand only";
}

// Leases may be kept for a shorter time than an operation takes.
TEST_F(IncidentTest, what_became_of_a_lease_is_known_after_its_row_is_gone) {
  options_.lease_ends.retention = std::chrono::minutes{1};
  restart();
  const std::string locked = must_issue("root", "locked");
  const std::string ended = must_issue("root");
  const std::string given_up = must_issue("root", "rw");
  outside_.during_revoke = [&](const std::string& lease) {
    if (lease == given_up) outside_.fail_revokes(1);
  };
  const std::string id = end({{"all", true}});
  must_write("sys/leases/revoke-force/db/creds/rw");
  outside_.during_revoke = nullptr;
  run_due();
  for (int i = 0; i < 2; ++i) {
    clock_.advance(std::chrono::minutes{10});
    run_due();
  }
  ASSERT_FALSE(write("sys/leases/receipt", {{"lease_id", ended}}).has_value());
  const auto expect = [&](bool finished, int proven) {
    const Json now = progress(id);
    EXPECT_EQ(now.at("finished"), finished);
    EXPECT_EQ(now.at("ended"), finished ? 3 : 2);
    EXPECT_EQ(now.at("receipts").at("proven"), proven);
    EXPECT_EQ(now.at("receipts").at("given_up"), 1);
    EXPECT_EQ(now.at("receipts").at("never_made"), 0);
  };
  expect(false, 1);
  // One whose end nobody saw is not called harmless.
  tamper("DELETE FROM leases WHERE id = '" + locked + "'");
  expect(true, 1);
  restart();
  run_due();
  expect(true, 1);
}

// The store fails, or the process dies, at the n-th write: an operation whose id was handed out
// ends everything all the same.
TEST_F(IncidentTest, no_failure_of_the_store_stops_an_operation_for_good) {
  for (const bool crash : {false, true}) {
    for (const auto moment :
         {fakes::FaultyDatabase::Moment::kBefore, fakes::FaultyDatabase::Moment::kAfter}) {
      for (int n = 1; n <= 5; ++n) {
        SCOPED_TRACE(testing::Message() << "write " << n << (crash ? ", crash" : ""));
        const std::string token = agent("report-bot");
        must_issue(token);
        const std::string accessor = accessor_of(token);
        database_->fail_write(n, moment);
        const auto begun = write("sys/leases/end", {{"token", accessor}, {"reason", "r"}});
        (void)broker_->run_due().has_value();
        database_->fail_write(0);
        if (crash) restart();
        clock_.advance(std::chrono::minutes{10});
        run_due();
        if (begun) {
          EXPECT_TRUE(outside_.names().empty());
          EXPECT_EQ(code_of(issue(token)), Errc::kUnauthenticated);
          const Json done = progress(begun->data.at("id"));
          EXPECT_EQ(done.at("finished"), true) << done.dump();
        } else {
          EXPECT_EQ(n, 1);
          must_write("auth/token/revoke", {{"token", token}});
          run_due();
        }
        lift_all();
      }
    }
  }
}

// ---- lists ------------------------------------------------------------------------------------

TEST_F(IncidentTest, leases_are_listed_by_state_and_scope_page_by_page) {
  const std::string token = agent("report-bot");
  for (int i = 0; i < 5; ++i) must_issue(token);
  must_issue("root");
  const std::string ended = must_issue(token);
  must_write("sys/leases/revoke", {{"lease_id", ended}});
  const auto ask = [&](Json query) {
    auto response = call(Operation::kRead, "sys/leases", std::move(query));
    EXPECT_TRUE(response.has_value()) << response.error().message;
    return response ? response->data : Json();
  };
  EXPECT_EQ(ask({{"agent", "report-bot"}}).at("lease_count"), 5);
  EXPECT_EQ(ask({{"type", "revoked"}}).at("leases").at(0).at("id"), ended);
  EXPECT_EQ(ask({{"type", "all"}}).at("lease_count"), 7);
  std::set<std::string> seen;
  std::string after;
  for (int pages = 0; pages < 10; ++pages) {
    const Json page = ask({{"agent", "report-bot"}, {"limit", "2"}, {"after", after}});
    for (const Json& lease : page.at("leases")) seen.insert(lease.at("id"));
    after = page.at("next").get<std::string>();
    if (after.empty()) break;
    EXPECT_LE(page.at("lease_count"), 2);
  }
  EXPECT_EQ(seen.size(), 5u);
  EXPECT_EQ(code_of(call(Operation::kRead, "sys/leases", {{"type", "dead"}})),
            Errc::kInvalidArgument);
}

// ---- whois ------------------------------------------------------------------------------------

TEST_F(IncidentTest, pain_20_a_name_says_whose_it_is_while_it_lives_and_afterwards) {
  extra_.session = "s-7";
  extra_.purpose = "weekly report";
  const auto issued = issue(agent("report-bot"));
  extra_ = Request();
  ASSERT_TRUE(issued.has_value());
  const std::string name = issued->data.at("username");
  const auto whois = [&] {
    return must_write("sys/whois", {{"database_role", name}}).data.at("matches");
  };
  Json matches = whois();
  ASSERT_EQ(matches.size(), 1u);
  EXPECT_EQ(matches[0].at("lease_id"), issued->lease_id);
  EXPECT_EQ(matches[0].at("agent"), "report-bot");
  EXPECT_EQ(matches[0].at("purpose"), "weekly report");
  EXPECT_EQ(matches[0].at("session"), "s-7");
  EXPECT_EQ(matches[0].at("state"), "active");
  EXPECT_EQ(matches[0].at("live"), true);
  must_write("sys/leases/revoke", {{"lease_id", issued->lease_id}});
  matches = whois();
  ASSERT_EQ(matches.size(), 1u);
  EXPECT_EQ(matches[0].at("live"), false);
  EXPECT_EQ(matches[0].at("proven_gone"), true);
  EXPECT_EQ(matches[0].at("note"), "the lease has ended");
  EXPECT_TRUE(must_write("sys/whois", {{"database_role", "nobody"}}).data.at("matches").empty());
  for (const Json& bad : {Json::object(), Json({{"pid", 0}}), Json({{"pid", -4}}),
                          Json({{"pid", 7}, {"database_role", "x"}}), Json({{"pid", "x"}}),
                          Json({{"database_role", "x"}, {"mount", "nope"}})})
    EXPECT_EQ(code_of(write("sys/whois", bad)), Errc::kInvalidArgument) << bad.dump();
}

TEST_F(IncidentTest, pain_20_a_role_that_is_there_after_its_lease_is_not_called_gone) {
  const auto issued = issue("root");
  ASSERT_TRUE(issued.has_value());
  const std::string name = issued->data.at("username");
  must_write("sys/leases/revoke", {{"lease_id", issued->lease_id}});
  outside_.add(name);
  const Json matches = must_write("sys/whois", {{"database_role", name}}).data.at("matches");
  ASSERT_EQ(matches.size(), 1u) << matches.dump();
  EXPECT_EQ(matches[0].at("lease_id"), issued->lease_id);
  EXPECT_EQ(matches[0].at("live"), false);
  EXPECT_EQ(matches[0].at("proven_gone"), false);
  EXPECT_THAT(matches[0].at("note").get<std::string>(), HasSubstr("this role is there"));
}

TEST_F(IncidentTest, an_edited_label_of_a_lease_is_not_believed) {
  const std::string lease = must_issue(agent("report-bot"));
  for (const char* edit : {"agent = 'mail-bot'", "session = 's'", "trace = 't'", "name = 'n'",
                           "agent = NULL, session = NULL, trace = NULL, name = NULL"}) {
    tamper("CREATE TABLE kept AS SELECT * FROM leases");
    tamper(std::string("UPDATE leases SET ") + edit);
    EXPECT_EQ(code_of(write("sys/leases/receipt", {{"lease_id", lease}})), Errc::kCorrupt) << edit;
    tamper("DELETE FROM leases");
    tamper("INSERT INTO leases SELECT * FROM kept");
    tamper("DROP TABLE kept");
    EXPECT_EQ(state_of(lease), "active");
  }
}

}  // namespace
}  // namespace curfew::broker

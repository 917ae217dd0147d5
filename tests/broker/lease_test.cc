#include "broker/lease/lease.h"

#include <atomic>
#include <thread>

#include "base/duration.h"
#include "tests/broker/broker_world.h"

namespace curfew::broker {
namespace {

using ::testing::HasSubstr;
using enum ScriptedWorld::Fault;

class LeaseTest : public BrokerWorld {
 protected:
  LeaseTest() {
    must_write("sys/mounts/db", {{"type", "scripted"}});
    outside_.role_ttl = Seconds{900};
    outside_.role_max = Seconds{3600};
  }

  Result<Response> issue(const std::string& token = "root", const std::string& role = "ro",
                         Json data = Json::object()) {
    return call(Operation::kRead, "db/creds/" + role, std::move(data), token);
  }
  std::string must_issue(const std::string& token = "root", const std::string& role = "ro") {
    auto response = issue(token, role);
    EXPECT_TRUE(response.has_value()) << response.error().message;
    return response ? response->lease_id : "";
  }
  Json show(const std::string& id) {
    return must_write("sys/leases/receipt", {{"lease_id", id}}).data;
  }
  std::string state_of(const std::string& id) { return show(id).value("state", "?"); }
  std::int64_t live() { return must_read("sys/leases/count").value("lease_count", -1); }
};

TEST(LeaseStateTest, the_permitted_moves_are_these_and_no_others) {
  using enum LeaseState;
  const std::vector<LeaseState> all = {kPending,     kActive,  kRevoking,
                                       kQuarantined, kRevoked, kAbandoned};
  const std::set<std::pair<LeaseState, LeaseState>> permitted = {
      {kPending, kActive},        {kPending, kRevoking},        {kPending, kRevoked},
      {kActive, kActive},         {kActive, kRevoking},         {kActive, kAbandoned},
      {kRevoking, kRevoking},     {kRevoking, kQuarantined},    {kRevoking, kRevoked},
      {kRevoking, kAbandoned},    {kQuarantined, kQuarantined}, {kQuarantined, kRevoked},
      {kQuarantined, kAbandoned}, {kQuarantined, kRevoking},    {kRevoked, kRevoking},
      {kRevoked, kRevoked},       {kAbandoned, kRevoking},      {kAbandoned, kAbandoned}};
  for (const LeaseState from : all)
    for (const LeaseState to : all)
      EXPECT_EQ(may_move(from, to), permitted.contains({from, to}))
          << lease_state_name(from) << " -> " << lease_state_name(to);
}

TEST_F(LeaseTest, an_issued_credential_is_leased_for_the_roles_time) {
  const auto response = issue();
  ASSERT_TRUE(response.has_value()) << response.error().message;
  EXPECT_TRUE(response->lease_id.starts_with("db/creds/ro/"));
  EXPECT_EQ(response->lease_duration, Seconds{900});
  EXPECT_TRUE(response->renewable);
  EXPECT_TRUE(outside_.has(response->data.at("username")));
  const Json lease = must_write("sys/leases/lookup", {{"lease_id", response->lease_id}}).data;
  EXPECT_EQ(lease.at("ttl"), 900);
  EXPECT_EQ(lease.at("state"), "active");
  EXPECT_EQ(lease.at("last_renewal"), nullptr);
}

TEST_F(LeaseTest, what_is_due_is_revoked_and_the_receipt_says_so) {
  const std::string id = must_issue();
  clock_.advance(Seconds{899});
  run_due();
  EXPECT_EQ(outside_.names().size(), 1u);
  clock_.advance(Seconds{1});
  run_due();
  EXPECT_TRUE(outside_.names().empty());
  const Json lease = show(id);
  EXPECT_EQ(lease.at("state"), "revoked");
  EXPECT_EQ(lease.at("receipt").at("proven"), true);
  EXPECT_EQ(lease.at("receipt").at("checked").at("absent"), true);
  EXPECT_TRUE(lease.at("receipt").at("phases").contains("lock_out"));
  EXPECT_EQ(write("sys/leases/lookup", {{"lease_id", id}}).error().message, "invalid lease");
}

TEST_F(LeaseTest, an_ended_lease_stays_readable_for_its_retention_and_no_longer) {
  const std::string id = must_issue();
  must_write("sys/leases/revoke", {{"lease_id", id}});
  clock_.advance(std::chrono::days{89});
  run_due();
  EXPECT_EQ(state_of(id), "revoked");
  clock_.advance(std::chrono::days{1});
  run_due();
  EXPECT_EQ(code_of(write("sys/leases/receipt", {{"lease_id", id}})), Errc::kInvalidArgument);
}

TEST_F(LeaseTest, the_secret_is_nowhere_in_the_store) {
  const auto response = issue();
  ASSERT_TRUE(response.has_value());
  const std::string password = response->data.at("password");
  EXPECT_EQ(show(response->lease_id).dump().find(password), std::string::npos);
}

// ---- pains 16: the TTL that lies
// -----------------------------------------------------------------

TEST_F(LeaseTest, pain_16_a_lease_that_outlives_its_token_is_cut_and_says_so) {
  write_policy("agent", R"(path "db/creds/*" { capabilities = ["read"] })");
  const std::string token = make_token({"agent"}, {{"ttl", "3s"}});
  const auto response = issue(token);
  ASSERT_TRUE(response.has_value()) << response.error().message;
  EXPECT_EQ(response->lease_duration, Seconds{3});
  ASSERT_EQ(response->warnings.size(), 1u);
  EXPECT_THAT(response->warnings[0], HasSubstr("ends with the token"));
}

TEST_F(LeaseTest, a_token_that_ends_takes_its_leases_and_its_childrens_with_it) {
  write_policy("agent", R"(path "db/creds/*" { capabilities = ["read"] }
                           path "auth/token/create" { capabilities = ["update"] })");
  const std::string parent = make_token({"agent"}, {{"ttl", "1h"}});
  const Response child = must_write("auth/token/create", {{"ttl", "30m"}}, parent);
  must_issue(parent);
  must_issue(child.auth->client_token.reveal());
  must_issue();
  EXPECT_EQ(outside_.names().size(), 3u);
  must_write("auth/token/revoke", {{"token", parent}});
  EXPECT_EQ(code_of(issue(child.auth->client_token.reveal())), Errc::kUnauthenticated);
  run_due();
  EXPECT_EQ(outside_.names().size(), 1u);
  EXPECT_EQ(live(), 1);
}

TEST_F(LeaseTest, an_expired_token_takes_its_leases_with_it) {
  write_policy("agent", R"(path "db/creds/*" { capabilities = ["read"] })");
  const std::string token = make_token({"agent"}, {{"ttl", "10m"}});
  must_issue(token);
  clock_.advance(std::chrono::minutes{10});
  run_due();
  EXPECT_TRUE(outside_.names().empty());
  EXPECT_EQ(must_read("auth/token/lookup-self").at("id"), "root");
}

// ---- renewal
// -------------------------------------------------------------------------------------

TEST_F(LeaseTest, a_renewal_counts_from_now_and_moves_the_outside_expiry) {
  const std::string id = must_issue();
  clock_.advance(Seconds{100});
  const Response renewed = must_write("sys/leases/renew", {{"lease_id", id}, {"increment", 1200}});
  EXPECT_EQ(renewed.lease_duration, Seconds{1200});
  EXPECT_EQ(renewed.lease_id, id);
  ASSERT_EQ(outside_.renewed.size(), 1u);
  EXPECT_EQ(outside_.renewed.begin()->second, clock_.wall() + Seconds{1200});
  clock_.advance(Seconds{1199});
  run_due();
  EXPECT_EQ(live(), 1);
  clock_.advance(Seconds{1});
  run_due();
  EXPECT_EQ(live(), 0);
}

TEST_F(LeaseTest, a_renewal_beyond_the_maximum_is_cut_with_a_warning_and_refused_after_it) {
  const std::string id = must_issue();
  const Response renewed = must_write("sys/leases/renew/" + id, {{"increment", "240h"}});
  EXPECT_EQ(renewed.lease_duration, Seconds{3600});
  ASSERT_EQ(renewed.warnings.size(), 1u);
  EXPECT_EQ(renewed.warnings[0],
            "TTL of \"240h\" exceeded the effective max_ttl of \"1h\"; TTL value is capped "
            "accordingly");
  clock_.advance(Millis{3599'500});
  EXPECT_EQ(write("sys/leases/renew", {{"lease_id", id}}).error().message,
            "past the max TTL, cannot renew");
}

TEST_F(LeaseTest, what_has_ended_or_is_unknown_cannot_be_renewed) {
  EXPECT_EQ(write("sys/leases/renew", {{"lease_id", "db/creds/ro/nope"}}).error().message,
            "lease not found");
  const std::string id = must_issue();
  clock_.advance(Seconds{900});
  EXPECT_EQ(write("sys/leases/renew", {{"lease_id", id}}).error().message, "lease expired");
  outside_.fail_revokes(-1);
  run_due();
  EXPECT_EQ(write("sys/leases/renew", {{"lease_id", id}}).error().message,
            "lease is expired and has failed previous revocation attempts");
}

// ---- revocation
// ----------------------------------------------------------------------------------

TEST_F(LeaseTest, revoking_is_idempotent_and_an_unknown_lease_is_no_error) {
  const std::string id = must_issue();
  EXPECT_EQ(must_write("sys/leases/revoke", {{"lease_id", id}}).status, 0);
  EXPECT_TRUE(outside_.names().empty());
  must_write("sys/leases/revoke/" + id);
  must_write("sys/leases/revoke", {{"lease_id", "db/creds/ro/never"}});
}

TEST_F(LeaseTest, an_asynchronous_revocation_answers_202_and_happens) {
  const std::string id = must_issue();
  EXPECT_EQ(must_write("sys/leases/revoke", {{"lease_id", id}, {"sync", false}}).status, 202);
  run_due();
  EXPECT_EQ(state_of(id), "revoked");
}

// Pain 3: giving up.
TEST_F(LeaseTest, pain_3_a_revocation_that_fails_is_tried_again_for_ever_at_growing_intervals) {
  const std::string id = must_issue();
  outside_.fail_revokes(30);
  const auto refused = write("sys/leases/revoke", {{"lease_id", id}});
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().message, HasSubstr("the target is down"));
  EXPECT_THAT(refused.error().message, HasSubstr("goes on trying"));
  Millis longest{0};
  for (int attempt = 0; attempt < 40 && live() > 0; ++attempt) {
    const Json lease = show(id);
    const WallTime next = parse_rfc3339(lease.at("next_attempt").get<std::string>()).value();
    longest = std::max(longest, Millis{next - clock_.wall()});
    clock_.advance(next - clock_.wall());
    run_due();
  }
  EXPECT_EQ(live(), 0);
  EXPECT_EQ(show(id).at("receipt").at("attempts"), 31);
  EXPECT_LE(longest, std::chrono::minutes{5});
  EXPECT_GT(longest, std::chrono::minutes{2});
}

TEST_F(LeaseTest,
       a_lease_that_is_locked_out_but_not_clean_is_quarantined_and_listed_as_irrevocable) {
  const std::string id = must_issue("root", "locked");
  EXPECT_FALSE(write("sys/leases/revoke", {{"lease_id", id}}).has_value());
  const Json lease = show(id);
  EXPECT_EQ(lease.at("state"), "quarantined");
  EXPECT_EQ(lease.at("revoke_error"), "something depends on it");
  EXPECT_TRUE(lease.at("phases").contains("lock_out")) << lease;
  EXPECT_EQ(lease.at("ttl"), 0) << "it gives no access, whenever it would have ended";
  const Json listed =
      call(Operation::kRead, "sys/leases", {{"type", "irrevocable"}})->data.at("leases");
  ASSERT_EQ(listed.size(), 1u);
  EXPECT_EQ(listed[0].at("lease_id"), id);
  EXPECT_EQ(
      call(Operation::kRead, "sys/leases/count", {{"type", "irrevocable"}})->data.at("lease_count"),
      1);
}

// Pain 5: revoke-force that forgets.
TEST_F(LeaseTest, pain_5_revoke_force_gives_up_but_says_what_it_left) {
  const std::string kept = must_issue();
  outside_.fail_revokes(-1);
  must_write("sys/leases/revoke-force/db/creds");
  EXPECT_EQ(live(), 0);
  const Json receipt = show(kept).at("receipt");
  EXPECT_EQ(receipt.at("proven"), false);
  EXPECT_TRUE(outside_.has(receipt.at("checked").at("left_behind").at("name")));
}

TEST_F(LeaseTest, a_prefix_ends_what_is_below_it_and_nothing_else) {
  must_write("sys/mounts/db2", {{"type", "scripted"}});
  must_issue();
  must_issue("root", "rw");
  ASSERT_TRUE(read("db2/creds/ro").has_value());
  must_write("sys/leases/revoke-prefix/db/creds/r", {{"sync", false}});
  run_due();
  EXPECT_EQ(live(), 3);  // "db/creds/r" is no folder
  must_write("sys/leases/revoke-prefix/db/creds", {{"sync", false}});
  run_due();
  EXPECT_EQ(live(), 1);
}

TEST_F(LeaseTest, leases_are_listed_as_folders_and_names) {
  const std::string id = must_issue();
  must_issue("root", "rw");
  EXPECT_EQ(list("sys/leases/lookup")->data.at("keys"), Json({"db/"}));
  EXPECT_EQ(list("sys/leases/lookup/db/creds/")->data.at("keys"), Json({"ro/", "rw/"}));
  EXPECT_EQ(list("sys/leases/lookup/db/creds/ro")->data.at("keys"),
            Json({id.substr(std::string("db/creds/ro/").size())}));
}

// ---- crash safety
// --------------------------------------------------------------------------------

TEST_F(LeaseTest, a_certain_failure_leaves_no_lease_and_nothing_to_do) {
  outside_.fail_apply(kBefore);
  EXPECT_EQ(code_of(issue()), Errc::kUnavailable);
  EXPECT_EQ(live(), 0);
  clock_.advance(std::chrono::minutes{2});
  run_due();
  EXPECT_EQ(outside_.revokes, 0);
}

// The statements may still lie in a socket's buffer: only after the deadline is it certain.
TEST_F(LeaseTest, a_doubtful_failure_is_taken_back_at_once_and_looked_at_again_later) {
  for (const auto fault : {kInDoubtDone, kInDoubtUndone}) {
    outside_.fail_apply(fault);
    EXPECT_EQ(code_of(issue()), Errc::kInDoubt);
    run_due();
    EXPECT_TRUE(outside_.names().empty());
    EXPECT_EQ(live(), 1);
    outside_.add("late");  // what was under way arrives
    outside_.during_revoke = [&](const std::string&) { outside_.drop("late"); };
    clock_.advance(Seconds{31});
    run_due();
    outside_.during_revoke = nullptr;
    EXPECT_TRUE(outside_.names().empty());
    EXPECT_EQ(live(), 0);
  }
}

// The store fails, or seems to fail, at the n-th write of an issue, for every n: what the client
// was not given is gone in the end, also after a crash at that point.
TEST_F(LeaseTest, no_failure_of_the_store_leaves_a_credential_behind) {
  for (const bool crash : {false, true}) {
    for (const auto moment :
         {fakes::FaultyDatabase::Moment::kBefore, fakes::FaultyDatabase::Moment::kAfter}) {
      for (int n = 1; n <= 4; ++n) {
        SCOPED_TRACE(testing::Message() << "write " << n << (crash ? ", crash" : ""));
        database_->fail_write(n, moment);
        const auto response = issue();
        database_->fail_write(0);
        if (crash) restart();
        if (response) {
          EXPECT_TRUE(outside_.has(response->data.at("username")));
          must_write("sys/leases/revoke", {{"lease_id", response->lease_id}});
        }
        clock_.advance(std::chrono::minutes{1});
        run_due();
        EXPECT_TRUE(outside_.names().empty());
        EXPECT_EQ(live(), 0);
      }
    }
  }
}

TEST_F(LeaseTest, no_failure_of_the_store_stops_a_revocation_for_good) {
  for (const bool crash : {false, true}) {
    for (const auto moment :
         {fakes::FaultyDatabase::Moment::kBefore, fakes::FaultyDatabase::Moment::kAfter}) {
      for (int n = 1; n <= 6; ++n) {
        SCOPED_TRACE(testing::Message() << "write " << n << (crash ? ", crash" : ""));
        const std::string id = must_issue();
        database_->fail_write(n, moment);
        (void)write("sys/leases/revoke", {{"lease_id", id}}).has_value();
        database_->fail_write(0);
        if (crash) restart();
        clock_.advance(std::chrono::minutes{20});
        run_due();
        EXPECT_TRUE(outside_.names().empty());
        EXPECT_EQ(state_of(id), "revoked");
      }
    }
  }
}

TEST_F(LeaseTest, a_revocation_that_could_not_be_written_down_is_tried_again_within_a_minute) {
  for (int n = 2; n <= 6; ++n) {
    SCOPED_TRACE(testing::Message() << "write " << n);
    const std::string id = must_issue();
    database_->fail_write(n, fakes::FaultyDatabase::Moment::kBefore);
    (void)write("sys/leases/revoke", {{"lease_id", id}}).has_value();
    database_->fail_write(0);
    clock_.advance(Seconds{45});
    run_due();
    EXPECT_EQ(state_of(id), "revoked");
  }
}

TEST_F(LeaseTest, an_intent_whose_process_died_is_revoked_at_its_deadline) {
  outside_.during_apply = [&](const std::string&) { database_->set_down(true); };
  EXPECT_FALSE(issue().has_value());
  outside_.during_apply = nullptr;
  EXPECT_EQ(outside_.names().size(), 1u);
  restart();
  run_due();
  EXPECT_EQ(outside_.names().size(), 1u) << "the creation could still be on its way";
  clock_.advance(Seconds{31});
  run_due();
  EXPECT_TRUE(outside_.names().empty());
  EXPECT_EQ(live(), 0);
}

TEST_F(LeaseTest, a_revocation_wins_against_a_creation_that_is_still_under_way) {
  std::string id;
  outside_.during_apply = [&](const std::string& lease_id) {
    id = lease_id;
    must_write("sys/leases/revoke-prefix/db/", {{"sync", false}});
    run_due();  // finds nothing to drop: the credential does not exist yet
    EXPECT_EQ(state_of(id), "revoking") << "it must look again";
  };
  const auto response = issue();
  outside_.during_apply = nullptr;
  EXPECT_FALSE(response.has_value());
  run_due();
  EXPECT_TRUE(outside_.names().empty());
  EXPECT_EQ(state_of(id), "revoked");
}

TEST_F(LeaseTest, a_wall_clock_that_steps_during_a_creation_proves_nothing) {
  std::string id;
  outside_.during_apply = [&](const std::string& lease_id) {
    id = lease_id;
    clock_.step_wall(std::chrono::minutes{2});  // beyond the time that a creation may take
    run_due();
    EXPECT_EQ(state_of(id), "revoking");
  };
  EXPECT_FALSE(issue().has_value());
  outside_.during_apply = nullptr;
  run_due();
  EXPECT_TRUE(outside_.names().empty());
  EXPECT_EQ(state_of(id), "revoked");
}

// Pain 5 once more: giving up is for what was tried in vain.
TEST_F(LeaseTest, pain_5_revoke_force_during_a_creation_gives_nothing_up) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(issue().has_value());
  outside_.during_apply = [&](const std::string&) {
    outside_.during_apply = nullptr;
    must_write("sys/leases/revoke-force/db", {});
  };
  EXPECT_FALSE(issue().has_value());
  run_due();
  EXPECT_TRUE(outside_.names().empty());
  EXPECT_EQ(call(Operation::kRead, "sys/leases", {{"type", "abandoned"}})->data.at("lease_count"),
            0);
}

// An operator's store that somebody edited, or that cannot get rid of ended leases.
TEST_F(LeaseTest, ended_leases_that_cannot_leave_hide_none_that_is_due) {
  options_.lease_ends.retention = std::chrono::minutes{1};
  restart();
  const auto ended = issue();
  ASSERT_TRUE(ended.has_value());
  must_write("sys/leases/revoke", {{"lease_id", ended->lease_id}});
  ASSERT_TRUE(issue().has_value());
  // Copies do not open. More than one look at what is due takes in.
  tamper(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 33000) INSERT INTO "
      "leases (id, namespace, mount, role, resource, token, entity, state, issued_at, expires_at, "
      "next_action_at, attempts, sealed) SELECT l.id || n.i, namespace, mount, role, resource, "
      "token, entity, state, issued_at, expires_at, next_action_at, attempts, sealed FROM leases "
      "l, "
      "n WHERE state = 4");
  clock_.advance(std::chrono::hours{1});
  run_due();
  EXPECT_TRUE(outside_.names().empty());
}

TEST_F(LeaseTest, a_token_that_ends_during_the_issue_gets_no_lease) {
  write_policy("agent", R"(path "db/creds/*" { capabilities = ["read"] })");
  const std::string token = make_token({"agent"});
  outside_.during_apply = [&](const std::string&) {
    must_write("auth/token/revoke", {{"token", token}});
    run_due();
  };
  EXPECT_FALSE(issue(token).has_value());
  outside_.during_apply = nullptr;
  clock_.advance(std::chrono::minutes{1});
  run_due();
  EXPECT_TRUE(outside_.names().empty());
}

TEST_F(LeaseTest, an_answer_that_was_not_delivered_ends_its_lease) {
  const auto response = issue();
  ASSERT_TRUE(response.has_value());
  broker_->undelivered(*response);
  clock_.advance(Seconds{10});  // that a retry had to ask for it
  run_due();
  EXPECT_TRUE(outside_.names().empty());
}

// ---- damage
// --------------------------------------------------------------------------------------

TEST_F(LeaseTest, an_edited_row_is_not_believed_and_does_not_hold_up_the_others) {
  const std::string edited = must_issue();
  const std::string intact = must_issue();
  tamper("UPDATE leases SET expires_at = expires_at + 86400000 WHERE id = '" + edited + "'");
  EXPECT_EQ(code_of(write("sys/leases/lookup", {{"lease_id", edited}})), Errc::kCorrupt);
  clock_.advance(Seconds{900});
  run_due();
  EXPECT_EQ(state_of(intact), "revoked");
}

TEST_F(LeaseTest, pain_20_a_clock_that_steps_back_extends_no_lease_that_was_revoked) {
  const std::string id = must_issue();
  clock_.advance(Seconds{900});
  run_due();
  clock_.step_wall(-std::chrono::hours{2});
  EXPECT_EQ(state_of(id), "revoked");
  EXPECT_TRUE(outside_.names().empty());
}

TEST_F(LeaseTest, pain_10_a_target_that_hangs_does_not_hold_up_the_others) {
  must_write("sys/mounts/slow", {{"type", "scripted"}});
  for (int i = 0; i < 150; ++i) ASSERT_TRUE(read("slow/creds/ro").has_value());
  const std::string quick = must_issue();
  std::atomic<bool> hanging{true};
  outside_.during_revoke = [&](const std::string& id) {
    while (hanging && id.starts_with("slow/")) std::this_thread::sleep_for(Millis{1});
  };
  clock_.advance(Seconds{900});
  reaper_threads_ = true;
  restart();
  for (int i = 0; i < 500 && state_of(quick) != "revoked"; ++i)
    std::this_thread::sleep_for(Millis{10});
  EXPECT_EQ(state_of(quick), "revoked");
  hanging = false;
  for (int i = 0; i < 2000 && live() > 0; ++i) std::this_thread::sleep_for(Millis{10});
  EXPECT_EQ(live(), 0);
  EXPECT_TRUE(outside_.names().empty());
}

TEST_F(LeaseTest, waiting_for_a_prefix_does_not_wait_for_what_is_issued_meanwhile) {
  reaper_threads_ = true;
  restart();
  must_issue();
  std::string later;
  outside_.during_revoke = [&](const std::string&) {
    outside_.during_revoke = nullptr;
    clock_.advance(Seconds{1});
    later = must_issue();
  };
  must_write("sys/leases/revoke-prefix/db/");
  EXPECT_EQ(state_of(later), "active");
}

TEST_F(LeaseTest, a_revocation_that_failed_without_locking_out_counts_as_irrevocable_too) {
  const std::string id = must_issue();
  outside_.fail_revokes(-1);
  (void)write("sys/leases/revoke", {{"lease_id", id}}).has_value();
  (void)write("sys/leases/revoke", {{"lease_id", id}}).has_value();
  EXPECT_EQ(state_of(id), "revoking");
  EXPECT_EQ(
      call(Operation::kRead, "sys/leases/count", {{"type", "irrevocable"}})->data.at("lease_count"),
      1);
}

TEST_F(LeaseTest, tokens_are_not_ended_by_prefix_and_it_says_so) {
  EXPECT_THAT(
      write("sys/leases/revoke-prefix/auth/token/create/x", {{"sync", false}}).error().message,
      HasSubstr("auth/token/revoke"));
}

}  // namespace
}  // namespace curfew::broker

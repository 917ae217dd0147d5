#include <fmt/format.h>

#include <iostream>

#include "base/duration.h"
#include "tests/crash/target_world.h"

namespace curfew::crash {
namespace {

using fakes::FaultyDatabase;
using fakes::TargetProxy;

constexpr int kStepsMax = 200;  // far more than any operation has

// What goes wrong at one step.
struct FaultKind {
  const char* name;
  enum class Where { kStoreRead, kStoreWrite, kTarget } where;
  FaultyDatabase::Moment moment = FaultyDatabase::Moment::kBefore;  // of a store's write
  TargetProxy::Fault target_fault = TargetProxy::Fault::kRefuse;    // of a message to the target
  bool dies = false;                                                // the process ends there
};

std::vector<FaultKind> all_faults() {
  using Where = FaultKind::Where;
  using Moment = FaultyDatabase::Moment;
  using Cut = TargetProxy::Fault;
  const auto store = [](const char* name, Where where, Moment moment, bool dies) {
    return FaultKind{name, where, moment, Cut::kRefuse, dies};
  };
  const auto target = [](const char* name, Cut fault, bool dies) {
    return FaultKind{name, Where::kTarget, Moment::kBefore, fault, dies};
  };
  return {
      store("a read of the store fails", Where::kStoreRead, Moment::kBefore, false),
      store("a write fails", Where::kStoreWrite, Moment::kBefore, false),
      store("a write is done and said to have failed", Where::kStoreWrite, Moment::kAfter, false),
      store("the process dies before a write", Where::kStoreWrite, Moment::kBefore, true),
      store("the process dies after a write", Where::kStoreWrite, Moment::kAfter, true),
      target("the target refuses", Cut::kRefuse, false),
      target("the connection breaks before the target has a message", Cut::kCutBefore, false),
      target("the connection breaks while the target works", Cut::kCutDuring, false),
      target("the connection breaks before the answer", Cut::kCutAfter, false),
      target("the process dies before the target has a message", Cut::kCutBefore, true),
      target("the process dies while the target works", Cut::kCutDuring, true),
      target("the process dies before the answer", Cut::kCutAfter, true)};
}

// What one turn of an operation leaves for the checks.
struct Turn {
  std::string lease;  // of the credential that a client has; empty: none
  std::string user, password;
  std::string token;
  std::unique_ptr<test::PgSession> session;  // of that credential
  bool end_confirmed = false;                // somebody was told that it has ended
  bool end_promised = false;                 // … that it ends soon
  std::optional<WallTime> renewed_until;     // … that it lives so long
  bool rotated = false;                      // somebody was told that the password was changed
};

// Walks through the steps of an operation: the first time its first step fails, then its second,
// and so on until it has no further step, for each kind of fault. After each time everything works
// again, and what must always hold is checked.
class FaultWalk : public TargetWorld {
 protected:
  using Part = std::function<void(Turn&)>;

  // `prepare` meets no fault, `act` does; `check` looks at what is special to the operation once
  // everything works again: at once, when it may be undecided, and later, when it may not.
  enum class When { kAtOnce, kLater };
  using Check = std::function<void(Turn&, When)>;
  void walk(
      const Part& prepare, const Part& act, const Check& check = [](Turn&, When) {}) {
    int turns = 0;
    std::map<FaultKind::Where, int> steps;
    for (const FaultKind& kind : all_faults()) {
      int n = 1;
      while (n < kStepsMax && take_turn(kind, n, prepare, act, check) && !HasFailure()) ++n;
      ASSERT_LT(n, kStepsMax);
      if (HasFailure()) return;
      turns += n - 1;
      steps[kind.where] = std::max(steps[kind.where], n - 1);
    }
    using Where = FaultKind::Where;
    EXPECT_GT(steps[Where::kStoreWrite], 0);
    EXPECT_GT(steps[Where::kTarget], 0);
    std::cout << fmt::format(
        "walked: {} reads and {} writes of the store, {} messages to the target; {} faults\n",
        steps[Where::kStoreRead], steps[Where::kStoreWrite], steps[Where::kTarget], turns);
  }

  // A credential that a client has and uses.
  void hold(Turn& turn, const Credential& made) {
    turn.lease = made.lease;
    turn.user = made.user;
    turn.password = made.password;
  }

 private:
  // Whether the operation has a step `n`.
  bool take_turn(const FaultKind& kind, int n, const Part& prepare, const Part& act,
                 const Check& check) {
    SCOPED_TRACE(fmt::format("step {}: {}", n, kind.name));
    begin_again();
    Turn turn;
    prepare(turn);
    arm(kind, n);
    act(turn);
    const bool struck = !database_->is_armed() && !proxy_.is_armed();
    if (turn.end_confirmed) expect_gone(turn, "its end was confirmed");
    if (kind.dies && struck) begin_again();
    heal();
    check(turn, When::kAtOnce);
    settle();
    check(turn, When::kLater);
    check_live(turn);
    clock_.advance(std::chrono::hours{2});
    settle();
    check_nothing_left(turn);
    return struck;
  }

  void arm(const FaultKind& kind, int n) {
    const auto struck = kind.dies ? std::function<void()>([this] { die(); }) : nullptr;
    switch (kind.where) {
      case FaultKind::Where::kStoreRead: return database_->fail_read(n);
      case FaultKind::Where::kStoreWrite:
        database_->on_fault(struck);
        return database_->fail_write(
            n, kind.moment,
            kind.moment == FaultyDatabase::Moment::kBefore ? Errc::kUnavailable : Errc::kInDoubt);
      case FaultKind::Where::kTarget: return proxy_.fail_step(n, kind.target_fault, struck);
    }
  }

  // Long enough for whatever was put off.
  void settle() {
    for (int i = 0; i < 2; ++i) {
      clock_.advance(Seconds{60});
      run_due();
    }
  }

  void expect_gone(Turn& turn, const char* why) {
    EXPECT_FALSE(can_log_in({turn.lease, turn.user, turn.password})) << why;
    if (turn.session) {
      EXPECT_NE(turn.session->try_run("SELECT 1"), "") << why;
    }
  }

  void check_live(Turn& turn) {
    const auto live = live_leases();
    std::set<std::string> with_role;
    for (const Role& role : roles()) {
      EXPECT_TRUE(with_role.insert(role.lease).second) << "two roles of " << role.lease;
      const auto lease = live.find(role.lease);
      if (lease == live.end()) {
        ADD_FAILURE() << "orphaned: " << role.name << ", its lease is " << state_of(role.lease);
        continue;
      }
      EXPECT_TRUE(role.can_log_in) << role.name;
      const auto end = parse_rfc3339(lease->second.at("expire_time").get<std::string>());
      ASSERT_TRUE(end.has_value());
      EXPECT_GE(role.valid_until, to_unix_seconds(std::chrono::floor<Seconds>(*end)))
          << "the credential of an active lease ends before the lease";
    }
    for (const auto& [id, lease] : live) {
      EXPECT_EQ(lease.at("state"), "active") << lease.dump();
      EXPECT_TRUE(with_role.contains(id)) << "active without a role: " << id;
    }
    EXPECT_EQ(leftovers(), "");
    if (turn.lease.empty()) return;
    const std::string state = state_of(turn.lease);
    EXPECT_NE(state, "") << "lost: " << turn.lease;
    if (turn.end_confirmed || turn.end_promised) {
      EXPECT_TRUE(is_proven(turn)) << state;
    }
    if (state == "active") {
      EXPECT_TRUE(can_log_in({turn.lease, turn.user, turn.password}));
    } else {
      expect_gone(turn, "its lease has ended");
    }
    if (turn.renewed_until) {
      EXPECT_EQ(live.at(turn.lease).at("expire_time"), format_rfc3339(*turn.renewed_until));
    }
  }

  void check_nothing_left(Turn& turn) {
    EXPECT_TRUE(live_leases().empty()) << live_leases().begin()->second.dump();
    EXPECT_TRUE(roles().empty());
    EXPECT_EQ(leftovers(), "");
    if (turn.lease.empty()) return;
    expect_gone(turn, "its time is up");
    EXPECT_TRUE(is_proven(turn));
  }

  bool is_proven(const Turn& turn) {
    return lease(turn.lease).value("receipt", Json::object()).value("proven", false);
  }
};

TEST_F(FaultWalk, issuing) {
  walk([](Turn&) {},
       [&](Turn& turn) {
         const auto answer = ask("1h");
         if (answer) hold(turn, credential_of(*answer));
       });
}

TEST_F(FaultWalk, an_answer_that_reaches_nobody) {
  walk([](Turn&) {},
       [&](Turn&) {
         const auto answer = ask("1h");
         if (answer) broker_->undelivered(*answer);
         (void)broker_->run_due();
       });
}

TEST_F(FaultWalk, renewing) {
  walk([&](Turn& turn) { hold(turn, must_issue("30m")); },
       [&](Turn& turn) {
         const auto answer =
             write("sys/leases/renew", {{"lease_id", turn.lease}, {"increment", "1h"}});
         if (answer) turn.renewed_until = clock_.wall() + std::chrono::hours{1};
       });
}

TEST_F(FaultWalk, revoking) {
  walk(
      [&](Turn& turn) {
        const Credential made = must_issue("1h");
        hold(turn, made);
        turn.session = std::make_unique<test::PgSession>(log_in(made));
      },
      [&](Turn& turn) {
        turn.end_confirmed = write("sys/leases/revoke", {{"lease_id", turn.lease}}).has_value();
      });
}

TEST_F(FaultWalk, revoking_a_role_that_owns_a_table) {
  walk(
      [&](Turn& turn) {
        superuser_.run("DROP TABLE IF EXISTS work");
        const Credential made = must_issue("1h");
        hold(turn, made);
        turn.session = std::make_unique<test::PgSession>(log_in(made));
        turn.session->run("CREATE TABLE work AS SELECT 1 AS a");
      },
      [&](Turn& turn) {
        turn.end_confirmed = write("sys/leases/revoke", {{"lease_id", turn.lease}}).has_value();
      });
}

TEST_F(FaultWalk, running_out) {
  walk(
      [&](Turn& turn) {
        const Credential made = must_issue("30m");
        hold(turn, made);
        turn.session = std::make_unique<test::PgSession>(log_in(made));
        clock_.advance(std::chrono::minutes{30});
      },
      [&](Turn& turn) {
        turn.end_promised = true;
        (void)broker_->run_due();
      });
}

TEST_F(FaultWalk, ending_the_token_that_asked) {
  write_policy("agent", R"(path "database/creds/ro" { capabilities = ["read"] })");
  walk(
      [&](Turn& turn) {
        turn.token = make_token({"agent"}, {{"ttl", "90m"}});
        hold(turn, must_issue("1h", turn.token));
      },
      [&](Turn& turn) {
        turn.end_promised = write("auth/token/revoke", {{"token", turn.token}}).has_value();
        (void)broker_->run_due();
      });
}

// What is served at any time logs in, and in the end something is served; a change that was
// confirmed has happened.
class RotationWalk : public FaultWalk {
 protected:
  RotationWalk() : user_(target_.login("")) {
    must_write("database/static-roles/billing",
               {{"db_name", "app"}, {"username", user_.user}, {"rotation_period", 0}});
  }

  // "" where none is served.
  std::string served() {
    const auto answer = call(Operation::kRead, "database/static-creds/billing", {});
    return answer ? answer->data.at("password").get<std::string>() : "";
  }
  bool logs_in(const std::string& password) const {
    return test::can_log_in(target_.url(user_.user, password));
  }

  const test::TestDatabase::Login user_;  // of long standing
};

TEST_F(RotationWalk, rotating) {
  walk([&](Turn& turn) { turn.password = served(); },
       [&](Turn& turn) {
         turn.rotated = write("database/rotate-role/billing", Json::object()).has_value();
       },
       [&](Turn& turn, When when) {
         const std::string now = served();
         if (now.empty()) {
           EXPECT_EQ(when, When::kAtOnce) << "nothing is served for ever";
           return;
         }
         EXPECT_TRUE(logs_in(now)) << "served, and does not log in";
         EXPECT_EQ(logs_in(turn.password), now == turn.password) << "two passwords work, or none";
         if (turn.rotated) {
           EXPECT_NE(now, turn.password);
         }
       });
}

TEST_F(RotationWalk, rotating_by_the_clock) {
  must_write("database/static-roles/billing", {{"rotation_period", "3h"}});
  walk(
      [&](Turn& turn) {
        clock_.advance(std::chrono::hours{4});
        run_due();
        turn.password = served();
        clock_.advance(std::chrono::hours{3});
      },
      [&](Turn&) { (void)broker_->run_due(); },
      [&](Turn& turn, When when) {
        EXPECT_TRUE(served().empty() || logs_in(served())) << "served, and does not log in";
        if (when == When::kAtOnce) return;
        clock_.advance(std::chrono::minutes{5});  // what could not be looked at waits so long
        run_due();
        const std::string now = served();
        EXPECT_TRUE(logs_in(now)) << "nothing is served for ever";
        EXPECT_NE(now, turn.password) << "it was due, and was given up";
        EXPECT_FALSE(logs_in(turn.password));
      });
}

TEST_F(FaultWalk, rotating_the_brokers_own_login) {
  walk([](Turn&) {},
       [&](Turn& turn) {
         turn.rotated = write("database/rotate-root/app", Json::object()).has_value();
       },
       [&](Turn& turn, When when) {
         if (when == When::kAtOnce && !turn.rotated) return;
         begin_again();  // with the password that is on record, over new connections
         hold(turn, must_issue("1h"));
         EXPECT_FALSE(test::can_log_in(target_.url(login_.user, login_.password)) && turn.rotated)
             << "the password from before it still works";
       });
}

}  // namespace
}  // namespace curfew::crash

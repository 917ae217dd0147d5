// Random sequences of everything that can happen to approval requests, beside a model that is too
// short to be wrong in the same way. CURFEW_MODEL_SEED and CURFEW_MODEL_SEQUENCES repeat or extend
// a run.
#include "tests/broker/approval_model.h"

#include <fmt/format.h>

#include <cstdlib>
#include <random>

#include "tests/broker/identity_world.h"

namespace curfew::broker {
namespace {

using model::ApprovalModel;
using model::Asked;
using model::Outcome;

constexpr const char* kPath = "db/creds/rw";
constexpr int kSteps = 60;
constexpr int kSequencesPerLogin = 50;  // tokens live for 32 days of the moved clock
constexpr std::size_t kShown = 25;      // steps, when something is wrong

constexpr std::size_t kPolicyOfNobody = 5;  // from here on: nobody has to approve

std::vector<model::Policy> policies() {
  using std::chrono::minutes;
  const auto factor = [](const char* group, int approvals) {
    return fmt::format(R"(factor "{0}" {{ identity {{ group_names = ["{0}"] approvals = {1} }} }})",
                       group, approvals);
  };
  static const std::vector<std::string> texts = {
      fmt::format("control_group = {{ {} }}", factor("owners", 1)),
      fmt::format("control_group = {{ {} }}", factor("owners", 2)),
      fmt::format("control_group = {{ {} {} }}", factor("owners", 1), factor("security", 1)),
      fmt::format(R"(approval {{ {} max_ttl = "20m" claim_window = "5m" request_ttl = "20m"
                     task {{ max_leases = 3 max_duration = "1h" }} }})",
                  factor("owners", 2)),
      fmt::format(R"(approval {{ {} break_glass {{ group_names = ["security"] }}
                     task {{ max_leases = 2 max_statements = 1 max_duration = "15m" }} }})",
                  factor("owners", 1)),
      ""};
  const auto text = [](std::size_t i) { return texts[i].c_str(); };
  using model::kOwners;
  using model::kSecurity;
  return {{.text = text(0), .factors = {{kOwners, 1}}},
          {.text = text(1), .factors = {{kOwners, 2}}},
          {.text = text(2), .factors = {{kOwners, 1}, {kSecurity, 1}}},
          {.text = text(3),
           .factors = {{kOwners, 2}},
           .ttl_max = minutes{20},
           .request_ttl = minutes{20},
           .claim_window = minutes{5},
           .task_leases = 3,
           .task_duration = std::chrono::hours{1}},
          {.text = text(4),
           .factors = {{kOwners, 1}},
           .task_leases = 2,
           .task_statements = 1,
           .task_duration = minutes{15},
           .break_glass = true},
          {.text = text(5)},
          {.text = text(5), .allows = false}};
}

std::string seconds(Millis time) {
  return fmt::format("{}s", time / Seconds{1});
}

class ApprovalModelTest : public IdentityAccessTest {
 protected:
  ApprovalModelTest() : policies_(policies()), model_(policies_) {
    for (int i = 0; i < model::kHumans; ++i) {
      humans_.push_back(must_login(fmt::format("human{}", i)));
      must_write("identity/entity/id/" + humans_.back().entity, {{"kind", "human"}});
    }
    must_write("identity/entity/id/" + humans_[model::kAskerHuman].entity,
               {{"policies", {"writer"}}});
    for (const char* name : {"owners", "security"})
      groups_.push_back(
          must_write("identity/group", {{"name", name}}).data.at("id").get<std::string>());
    const std::vector<std::string> owners = {humans_[0].entity, humans_[3].entity,
                                             "group:security"};
    for (int i = 0; i < model::kAgents; ++i) {
      const std::string name = fmt::format("robot{}", i);
      askers_.push_back(must_have_agent(name, {{"policies", {"writer"}}}));
      must_write("identity/agent/" + name, {{"owner", owners[static_cast<std::size_t>(i)]}});
    }
    askers_.push_back(humans_[model::kAskerHuman]);
  }

  void run_sequence(std::uint64_t seed, bool logs_in);

  // ---- dice

  int below(int bound) { return static_cast<int>(random_source_() % static_cast<unsigned>(bound)); }
  bool one_in(int n) { return below(n) == 0; }
  template <class T>
  T one_of(std::initializer_list<T> list) {
    return list.begin()[below(static_cast<int>(list.size()))];
  }

  std::string some_content() { return fmt::format("{}-{}", seed_, below(2)); }

  // ---- what is done; each tells the trace

  void step();
  void ask();
  void read_guarded();
  void decide_by_human();
  void decide_by_others();
  void claim();
  void unwrap();
  void move_time();
  void change_group();
  void change_policy(std::size_t to);
  void change_role();
  void change_agent();
  void change_token();

  void log_in(int requester);
  void set_group(int group, std::set<int> members);
  std::optional<std::size_t> some_request();
  std::string& token_of(int requester) {
    return askers_[static_cast<std::size_t>(requester)].token;
  }

  // ---- what is compared

  void note(std::string what) { trace_.push_back(std::move(what)); }
  void check_error(const Outcome& expected, const Result<Response>& answer);
  void check_view(const Outcome& expected, const Result<Response>& answer);
  void check_issue(const Outcome& expected, const Result<Response>& answer);
  void check_state(const Asked& asked);
  void check_world();

  const std::vector<model::Policy> policies_;
  ApprovalModel model_;
  std::mt19937_64 random_source_;
  std::uint64_t seed_ = 0;
  std::size_t focus_ = 0;
  std::vector<std::string> trace_;
  std::vector<Session> humans_, askers_;
  std::vector<std::string> groups_;
};

// ---- comparing

void ApprovalModelTest::check_error(const Outcome& expected, const Result<Response>& answer) {
  if (expected.error) {
    EXPECT_FALSE(answer.has_value()) << "expected " << errc_name(*expected.error);
    if (answer) return;
    EXPECT_STREQ(errc_name(answer.error().code), errc_name(*expected.error))
        << answer.error().message;
  } else {
    EXPECT_TRUE(answer.has_value()) << answer.error().message;
  }
}

// The answer shows a request.
void ApprovalModelTest::check_view(const Outcome& expected, const Result<Response>& answer) {
  check_error(expected, answer);
  if (expected.error || !answer) return;
  Asked& asked = model_.all[expected.asked];
  if (expected.is_new) {
    asked.id = answer->data.at("id");
    asked.digest = answer->data.at("digest");
  }
  EXPECT_EQ(answer->data.at("id"), asked.id);
  EXPECT_EQ(answer->data.at("state"), asked.state);
  EXPECT_EQ(answer->data.at("ttl"), asked.ttl / Seconds{1});
  if (asked.digest == "new") {
    asked.digest = asked.approvings.back().digest = answer->data.at("digest");
    EXPECT_NE(asked.digest, asked.old_digest);
  }
  EXPECT_EQ(answer->data.at("digest"), asked.digest);
}

// The answer is a credential.
void ApprovalModelTest::check_issue(const Outcome& expected, const Result<Response>& answer) {
  if (!expected.is_issue) {
    EXPECT_FALSE(answer && !answer->lease_id.empty()) << "a credential was issued";
    check_error(expected, answer);
    return;
  }
  check_error(expected, answer);
  if (!answer) return;
  ASSERT_FALSE(answer->lease_id.empty());
  const Asked& asked = model_.all[expected.asked];
  EXPECT_EQ(answer->approval.at("id"), asked.id);
  EXPECT_EQ(answer->approval.at("digest"), asked.digest);
  EXPECT_EQ(answer->lease_duration, expected.ttl);
  EXPECT_EQ(model_.why_not(asked, answer->lease_duration), "");
  const std::string name = answer->data.at("username");
  EXPECT_TRUE(outside_.has(name));
  const int requester = asked.wish.requester;
  model_.leases.push_back({name, expected.asked, model_.now + expected.ttl, requester,
                           model_.actors[static_cast<std::size_t>(requester)].generation});
}

void ApprovalModelTest::check_state(const Asked& asked) {
  if (asked.id.empty()) return;
  // Without its earlier ones, which would cost the most here.
  const auto seen =
      call(Operation::kRead, "sys/approvals/" + asked.id + "/wait", {{"timeout", "0s"}});
  ASSERT_TRUE(seen.has_value()) << seen.error().message;
  EXPECT_EQ(seen->data.at("state"), asked.state) << asked.id;
  EXPECT_EQ(seen->data.at("digest"), asked.digest) << asked.id;
  if (!asked.wish.task)
    EXPECT_LE(seen->data.at("lease_ids").size(), 1U) << asked.id;
  else
    EXPECT_EQ(seen->data.at("task").at("leases_used"), asked.leases) << asked.id;
}

// Outside there is what the model says, and nothing else.
void ApprovalModelTest::check_world() {
  std::set<std::string> may, must;
  for (const model::Lease& lease : model_.leases) {
    may.insert(lease.name);
    if (!lease.may_be_gone) must.insert(lease.name);
  }
  const auto names = outside_.names();
  for (const std::string& name : names) EXPECT_TRUE(may.contains(name)) << name << " is too much";
  for (const std::string& name : must) EXPECT_TRUE(names.contains(name)) << name << " is gone";
}

// ---- asking

std::optional<std::size_t> ApprovalModelTest::some_request() {
  if (model_.all.empty()) return std::nullopt;
  const int count = static_cast<int>(model_.all.size());
  if (one_in(6)) return below(count);
  // Much happens to one request, and then to another of late.
  if (focus_ >= model_.all.size() || one_in(6))
    focus_ = model_.all.size() - 1 - static_cast<std::size_t>(below(std::min(count, 3)));
  return focus_;
}

void ApprovalModelTest::ask() {
  model::Wish wish{.requester = below(model::kRequesters)};
  Json data = {{"parameters", {{"n", some_content()}}}};
  if ((wish.statement = one_in(4))) data["statement"] = "UPDATE t SET x = 1";
  wish.content = fmt::format("{} {}", data["parameters"].dump(), wish.statement);
  wish.ttl = one_of({Seconds{0}, Seconds{0}, Seconds{300}, Seconds{600}, Seconds{7200}});
  if (wish.ttl > Millis{0}) data["ttl"] = seconds(wish.ttl);
  wish.reason = one_of({"", "repair of an order", "another reason"});
  const bool guarded_by_tasks = policies_[static_cast<std::size_t>(model_.policy)].task_leases > 0;
  if (one_in(guarded_by_tasks ? 2 : 12)) {
    wish.task =
        model::Task{.leases_max = 1 + below(3),
                    .statements_max = below(2),
                    .duration = one_of({Seconds{120}, Seconds{900}, Seconds{900}, Seconds{7200}})};
    data["task"] = {{"leases", wish.task->leases_max},
                    {"statements", wish.task->statements_max},
                    {"duration", seconds(wish.task->duration)}};
  }
  if (one_in(4)) {
    wish.key = fmt::format("{}-{}", seed_, below(2));
    data["idempotency_key"] = wish.key;
  }
  const bool may_break = policies_[static_cast<std::size_t>(model_.policy)].break_glass;
  if ((wish.break_glass = one_in(may_break ? 4 : 30))) {
    if (may_break) wish.requester = one_of({model::kAsker, wish.requester});
    wish.reason = "orders stand still";
    data["break_glass"] = true;
  }
  data["reason"] = wish.reason;
  data["path"] = kPath;
  note(fmt::format("{} asks {}", wish.requester, data.dump()));
  const Outcome expected = model_.ask(wish);
  check_view(expected, write("sys/approvals", data, token_of(wish.requester)));
}

void ApprovalModelTest::read_guarded() {
  model::Wish wish{.requester = below(model::kRequesters)};
  Json data = {{"n", some_content()}};
  wish.content = fmt::format("{} {}", data.dump(), false);
  wish.ttl = one_of({Seconds{0}, Seconds{0}, Seconds{0}, Seconds{300}, Seconds{7200}});
  if (wish.ttl > Millis{0}) data["ttl"] = seconds(wish.ttl);
  note(fmt::format("{} reads {}", wish.requester, data.dump()));
  const model::Policy& policy = policies_[static_cast<std::size_t>(model_.policy)];
  if (policy.allows && policy.factors.empty()) {
    // Nobody has to approve: not this test's matter.
    note("  (not guarded)");
    return;
  }
  const Outcome expected = model_.read(wish);
  const auto answer = call(Operation::kRead, kPath, data, token_of(wish.requester));
  check_issue(expected, answer);
  if (expected.error || expected.is_issue || !answer || !answer->wrap_info) return;
  Asked& asked = model_.all[expected.asked];
  if (expected.is_new) {
    asked.id = answer->approval.at("id");
    asked.digest = answer->approval.at("digest");
  }
  EXPECT_EQ(answer->approval.at("id"), asked.id);
  EXPECT_EQ(answer->approval.at("state"), asked.state);
  model_.promises.push_back(
      {answer->wrap_info->token.reveal(), expected.asked, model_.now + answer->wrap_info->ttl});
}

// ---- deciding

void ApprovalModelTest::decide_by_human() {
  const auto index = some_request();
  if (!index) return;
  const Asked& asked = model_.all[*index];
  int human = below(model::kHumans);
  // Mostly somebody who may.
  for (int i = 0; i < 3 && !model_.may_decide(asked, human); ++i) human = below(model::kHumans);
  const std::string verdict =
      one_of({"approve", "approve", "approve", "approve", "approve", "approve", "narrow", "deny",
              "comment", "withdraw", "cancel", "review"});
  std::string digest = asked.digest;
  if (one_in(8)) digest = asked.old_digest.empty() ? "sha256:00" : asked.old_digest;
  if (one_in(12)) digest.clear();
  const Millis ttl = one_of({Seconds{60}, Seconds{240}, Seconds{3600}, Seconds{0}});
  Json data = {{"reason", "because"}};
  if (!digest.empty()) data["digest"] = digest;
  if (verdict == "narrow") data["ttl"] = seconds(ttl);
  note(fmt::format("human {} {}s {} {}", human, verdict, asked.id, data.dump()));
  const std::string path = "sys/approvals/" + asked.id + "/" + verdict;
  const Outcome expected = model_.decide(*index, human, verdict, digest, ttl);
  check_view(expected, write(path, data, humans_[static_cast<std::size_t>(human)].token));
  check_state(model_.all[*index]);
}

void ApprovalModelTest::decide_by_others() {
  const auto index = some_request();
  if (!index) return;
  const Asked& asked = model_.all[*index];
  const int who = one_in(4) ? -1 : below(model::kAgents);
  const std::string verdict =
      one_of({"approve", "narrow", "deny", "comment", "withdraw", "cancel", "cancel", "review"});
  Json data = {{"reason", "because"}, {"digest", asked.digest}, {"ttl", "60s"}};
  note(fmt::format("{} {}s {}", who < 0 ? "root" : std::to_string(who), verdict, asked.id));
  const std::string path = "sys/approvals/" + asked.id + "/" + verdict;
  const Outcome expected = model_.decide_as(*index, who, verdict);
  check_view(expected, write(path, data, who < 0 ? "root" : token_of(who)));
  check_state(model_.all[*index]);
}

// ---- claiming

void ApprovalModelTest::claim() {
  auto index = some_request();
  if (!index) return;
  for (std::size_t i = 0; i < model_.all.size() && one_in(2); ++i)
    if (model_.all[i].state == "approved") index = i;
  const Asked& asked = model_.all[*index];
  const int who = one_in(5) ? below(model::kRequesters) : asked.wish.requester;
  note(fmt::format("{} claims {}", who, asked.id));
  const std::string path = "sys/approvals/" + asked.id + "/claim";
  const Outcome expected = model_.claim(*index, who);
  check_issue(expected, write(path, Json::object(), token_of(who)));
  check_state(model_.all[*index]);
  if (!one_in(4)) return;
  const auto by_root = write(path);
  EXPECT_FALSE(by_root.has_value()) << "root has claimed it";
}

void ApprovalModelTest::unwrap() {
  if (model_.promises.empty()) return;
  const std::size_t index =
      model_.promises.size() - 1 -
      static_cast<std::size_t>(below(std::min(static_cast<int>(model_.promises.size()), 5)));
  const model::Promise promise = model_.promises[index];
  const int requester = model_.all[promise.asked].wish.requester;
  const int opener = below(3);
  note(fmt::format("unwraps {} as {}", model_.all[promise.asked].id,
                   opener == 0   ? "the wrapping token"
                   : opener == 1 ? "whoever asked"
                                 : "root"));
  const Json named = {{"token", promise.token}};
  const auto open = [&] {
    if (opener == 0) return write("sys/wrapping/unwrap", Json::object(), promise.token);
    return write("sys/wrapping/unwrap", named, opener == 1 ? token_of(requester) : "root");
  };
  if (promise.spent || promise.expires <= model_.now) {
    EXPECT_FALSE(open().has_value()) << "it was opened twice, or too late";
    return;
  }
  const Outcome expected = model_.unwrap(index, opener == 1);
  check_issue(expected, open());
  check_state(model_.all[promise.asked]);
}

// ---- the world around

void ApprovalModelTest::move_time() {
  const Seconds by = one_of({Seconds{1}, Seconds{5}, Seconds{5}, Seconds{30}, Seconds{120},
                             Seconds{300}, Seconds{600}, Seconds{1000}, Seconds{1900}});
  note(fmt::format("{} s pass", by.count()));
  clock_.advance(by);
  model_.now = clock_.wall();
}

void ApprovalModelTest::set_group(int group, std::set<int> members) {
  Json ids = Json::array();
  for (const int human : members) ids.push_back(humans_[static_cast<std::size_t>(human)].entity);
  must_write("identity/group/id/" + groups_[static_cast<std::size_t>(group)],
             {{"member_entity_ids", ids}});
  model_.members[static_cast<std::size_t>(group)] = std::move(members);
}

void ApprovalModelTest::change_group() {
  const int group = below(2);
  auto members = model_.members[static_cast<std::size_t>(group)];
  const int human = below(model::kHumans);
  if (members.erase(human) == 0) members.insert(human);
  note(fmt::format("human {} {} group {}", human, members.contains(human) ? "joins" : "leaves",
                   group));
  set_group(group, std::move(members));
}

void ApprovalModelTest::change_policy(std::size_t to) {
  note(fmt::format("policy {}", to));
  const model::Policy& policy = policies_[to];
  write_policy("writer", fmt::format(R"(path "{}" {{ capabilities = ["{}"] {} }})", kPath,
                                     policy.allows ? "read" : "deny", policy.text));
  model_.policy = static_cast<int>(to);
}

void ApprovalModelTest::change_role() {
  outside_.role_text = one_of({"CREATE ROLE", "CREATE ROLE … SUPERUSER"});
  model_.role_text = outside_.role_text;
  note("role text " + outside_.role_text);
}

void ApprovalModelTest::change_agent() {
  const int agent = below(model::kAgents);
  model::ApprovalModel::Actor& actor = model_.actors[static_cast<std::size_t>(agent)];
  actor.enabled = !actor.enabled;
  note(fmt::format("{} {}", agent, actor.enabled ? "enabled" : "disabled"));
  must_write(fmt::format("identity/agent/robot{}", agent), {{"disabled", !actor.enabled}});
  for (model::Lease& lease : model_.leases)
    if (lease.requester == agent) lease.may_be_gone = true;
}

void ApprovalModelTest::log_in(int requester) {
  const bool is_human = requester == model::kAsker;
  const Session session = must_login(is_human ? fmt::format("human{}", model::kAskerHuman)
                                              : fmt::format("robot{}", requester));
  token_of(requester) = session.token;
  if (is_human) humans_[model::kAskerHuman].token = session.token;
  auto& actor = model_.actors[static_cast<std::size_t>(requester)];
  actor.alive = true;
  ++actor.generation;
}

void ApprovalModelTest::change_token() {
  const int requester = below(model::kRequesters);
  auto& actor = model_.actors[static_cast<std::size_t>(requester)];
  note(fmt::format("{} {}", requester, actor.alive ? "loses its token" : "logs in again"));
  if (!actor.alive) {
    if (actor.enabled) log_in(requester);
    return;
  }
  must_write("auth/token/revoke", {{"token", token_of(requester)}});
  actor.alive = false;
}

// ---- running

void ApprovalModelTest::step() {
  const int dice = below(1000);
  if (dice < 120) return ask();
  if (dice < 220) return read_guarded();
  if (dice < 600) return decide_by_human();
  if (dice < 640) return decide_by_others();
  if (dice < 760) return claim();
  if (dice < 810) return unwrap();
  if (dice < 880) return move_time();
  if (dice < 920) {
    note("what is due is done");
    run_due();
    model_.run_due();
    return;
  }
  if (dice < 950) return change_group();
  if (dice < 965) return change_policy(static_cast<std::size_t>(below(kPolicyOfNobody)));
  if (dice < 969)
    return change_policy(static_cast<std::size_t>(kPolicyOfNobody) +
                         static_cast<std::size_t>(below(2)));
  if (dice < 979) return change_role();
  if (dice < 987) return change_agent();
  if (dice < 996) return change_token();
  note("the broker dies and begins again");
  restart();
}

void ApprovalModelTest::run_sequence(std::uint64_t seed, bool logs_in) {
  seed_ = seed;
  random_source_.seed(seed);
  clock_.advance(std::chrono::hours{2});  // what an earlier sequence has left behind is over
  run_due();
  EXPECT_TRUE(outside_.names().empty());
  model_.forget();
  model_.now = clock_.wall();
  outside_.role_text = model_.role_text = "CREATE ROLE";
  for (int i = 0; i < model::kAgents; ++i) {
    auto& actor = model_.actors[static_cast<std::size_t>(i)];
    if (!actor.enabled) must_write(fmt::format("identity/agent/robot{}", i), {{"disabled", false}});
    actor.enabled = true;
  }
  if (logs_in)
    for (int i = 0; i < model::kHumans; ++i)
      humans_[static_cast<std::size_t>(i)] = must_login(fmt::format("human{}", i));
  for (int i = 0; i < model::kRequesters; ++i)
    if (logs_in || !model_.actors[static_cast<std::size_t>(i)].alive) log_in(i);
  set_group(model::kOwners, {0, 1, 2});
  set_group(model::kSecurity, {2, 3, 4});
  change_policy(static_cast<std::size_t>(below(kPolicyOfNobody)));
  for (int i = 0; i < kSteps && !HasFailure(); ++i) {
    step();
    check_world();
  }
  for (const Asked& asked : model_.all)
    if (!HasFailure()) check_state(asked);
}

std::uint64_t number_from(const char* variable, std::uint64_t fallback) {
  const char* text = std::getenv(variable);
  return text == nullptr ? fallback : std::stoull(text);
}

TEST_F(ApprovalModelTest, random_sequences_do_what_the_model_says) {
  const std::uint64_t first = number_from("CURFEW_MODEL_SEED", 1);
  const std::uint64_t sequences = number_from("CURFEW_MODEL_SEQUENCES", 300);
  std::map<std::string, int> ends;
  for (std::uint64_t i = 0; i < sequences; ++i) {
    trace_.clear();
    run_sequence(first + i, i % kSequencesPerLogin == 0);
    for (const Asked& asked : model_.all) ++ends[asked.state];
    if (!HasFailure()) continue;
    std::string steps;
    for (std::size_t n = trace_.size() - std::min(trace_.size(), kShown); n < trace_.size(); ++n)
      steps += fmt::format("\n  {}: {}", n, trace_[n]);
    FAIL() << fmt::format("repeat it with CURFEW_MODEL_SEED={} CURFEW_MODEL_SEQUENCES=1{}",
                          first + i, steps);
  }
  // A test in which nothing comes about shows nothing.
  if (sequences < 300) return;
  for (const char* state : {"pending", "approved", "claimed", "denied", "expired", "cancelled",
                            "superseded", "lapsed", "withdrawn", "ended"})
    EXPECT_GE(ends[state], 1) << state;
}

}  // namespace
}  // namespace curfew::broker

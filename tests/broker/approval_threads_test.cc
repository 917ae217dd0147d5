// Eight threads do everything at once to one queue while time moves on; what must hold is checked
// afterwards from what the queue has written down. One broker: a second one is refused the file of
// the first.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "tests/broker/identity_world.h"

namespace curfew::broker {
namespace {

constexpr const char* kPath = "db/creds/rw";
constexpr int kThreads = 8;
constexpr int kSteps = 250;  // of each
constexpr int kAgents = 3;
constexpr int kHumans = 5;
constexpr const char* kOwnersAlone = R"(approval {
  factor "owners" { identity { group_names = ["owners"] approvals = 2 } }
  claim_window = "2m" request_ttl = "5m" task { max_leases = 3 max_duration = "10m" } })";
constexpr const char* kOwnersAndSecurity = R"(approval {
  factor "owners" { identity { group_names = ["owners"] approvals = 1 } }
  factor "security" { identity { group_names = ["security"] approvals = 1 } }
  claim_window = "2m" request_ttl = "5m" task { max_leases = 3 max_duration = "10m" } })";

// What a thread was given.
struct Given {
  std::string approval;
  std::string lease;
  std::string name;
};

class ApprovalThreadsTest : public IdentityAccessTest {
 protected:
  ApprovalThreadsTest() {
    for (int i = 0; i < kHumans; ++i) {
      humans_.push_back(must_login(fmt::format("human{}", i)));
      must_write("identity/entity/id/" + humans_.back().entity, {{"kind", "human"}});
    }
    group("owners", {0, 1, 2});
    group("security", {2, 3, 4});
    guard("two-owners", kOwnersAlone);
    guard("both", kOwnersAndSecurity);
    // Humans 0 and 3 answer for agents, and are among those who decide.
    for (int i = 0; i < kAgents; ++i) {
      const std::string name = fmt::format("robot{}", i);
      agents_.push_back(must_have_agent(name, {{"policies", {i == 1 ? "both" : "two-owners"}}}));
      owners_.push_back(humans_[i == 1 ? 3 : 0].entity);
      must_write("identity/agent/" + name, {{"owner", owners_.back()}});
    }
  }

  void group(const std::string& name, const std::vector<std::size_t>& members) {
    Json ids = Json::array();
    for (const std::size_t i : members) ids.push_back(humans_[i].entity);
    const Response made =
        must_write("identity/group", {{"name", name}, {"member_entity_ids", ids}});
    for (const std::size_t i : members) groups_[name].insert(humans_[i].entity);
  }
  void guard(const std::string& name, const std::string& stanza) {
    write_policy(name, fmt::format(R"(path "{}" {{ capabilities = ["read"] {} }})", kPath, stanza));
  }

  Result<Response> send(Operation operation, const std::string& path, Json data,
                        const std::string& token, Millis hold = {});
  void work(int thread);
  void step(std::mt19937& dice, std::vector<Given>& given);
  void decide(std::mt19937& dice);
  void remember(const Json& view);
  void check_request(const Json& view);
  std::string replay(const Json& view);
  bool has_enough(const Json& view, const std::map<std::string, std::string>& approvers);
  void check_lease(const Given& given, const std::map<std::string, Json>& views);

  std::vector<Session> humans_, agents_;
  std::vector<std::string> owners_;  // of the agents
  std::map<std::string, std::set<std::string>> groups_;
  std::mutex due_mutex_;
  std::mutex mutex_;
  // Guarded by mutex_: what was asked for, as it was seen last.
  std::vector<Json> asked_;
  std::vector<Given> given_;
  std::atomic<int> woken_{0};
};

// ---- what the threads do

Result<Response> ApprovalThreadsTest::send(Operation operation, const std::string& path, Json data,
                                           const std::string& token, Millis hold) {
  Request request;
  request.id = random_uuid(random_);
  request.operation = operation;
  request.path = path;
  request.data = std::move(data);
  request.token = Secret(token);
  request.remote_address = "127.0.0.1";
  request.hold_left = hold;
  return broker_->handle(std::move(request));
}

void ApprovalThreadsTest::remember(const Json& view) {
  const std::scoped_lock lock(mutex_);
  for (Json& known : asked_) {
    if (known.at("id") != view.at("id")) continue;
    known = view;
    return;
  }
  asked_.push_back(view);
}

void ApprovalThreadsTest::decide(std::mt19937& dice) {
  Json seen;
  {
    const std::scoped_lock lock(mutex_);
    if (asked_.empty()) return;
    const std::size_t back = dice() % std::min<std::size_t>(asked_.size(), 4);
    seen = asked_[asked_.size() - 1 - back];
  }
  static constexpr std::array<const char*, 12> kVerdicts = {
      "approve", "approve", "approve", "approve", "approve", "approve",
      "approve", "narrow",  "deny",    "comment", "cancel",  "withdraw"};
  const std::string verdict = kVerdicts.at(dice() % kVerdicts.size());
  const bool by_agent = verdict == "cancel" || dice() % 16 == 0;
  const Session& who = by_agent ? agents_[dice() % kAgents] : humans_[dice() % kHumans];
  const Json data = {{"digest", seen.at("digest")},
                     {"reason", "because"},
                     {"ttl", fmt::format("{}s", 60 + dice() % 300)}};
  const auto answer =
      send(Operation::kUpdate,
           fmt::format("sys/approvals/{}/{}", seen.at("id").get<std::string>(), verdict), data,
           who.token);
  if (answer) remember(answer->data);
}

void ApprovalThreadsTest::step(std::mt19937& dice, std::vector<Given>& given) {
  const auto note = [&](const Result<Response>& answer) {
    if (answer && !answer->lease_id.empty())
      given.push_back({answer->approval.at("id"), answer->lease_id, answer->data.at("username")});
  };
  const Session& agent = agents_[dice() % kAgents];
  const Json parameters = {{"n", dice() % 2}};
  const auto what = dice() % 100;
  if (what < 15) {
    Json wish = {{"path", kPath}, {"parameters", parameters}, {"reason", "work"}};
    if (dice() % 3 == 0) wish["task"] = {{"leases", 1 + dice() % 3}, {"duration", "4m"}};
    const auto answer = send(Operation::kUpdate, "sys/approvals", wish, agent.token);
    if (answer) remember(answer->data);
  } else if (what < 30) {
    const bool holds = dice() % 4 == 0;
    const auto answer =
        send(Operation::kRead, kPath, parameters, agent.token, holds ? Seconds{50} : Seconds{0});
    note(answer);
    if (answer && answer->hold) (void)answer->hold->subscribe([this] { ++woken_; });
  } else if (what < 75) {
    decide(dice);
  } else if (what < 92) {
    std::string id;
    {
      const std::scoped_lock lock(mutex_);
      if (!asked_.empty())
        id = asked_[asked_.size() - 1 - dice() % std::min<std::size_t>(asked_.size(), 4)].at("id");
    }
    if (id.empty()) return;
    for (const Session& one : agents_)
      note(send(Operation::kUpdate, "sys/approvals/" + id + "/claim", Json::object(), one.token));
  } else if (what < 97) {
    clock_.advance(Seconds{1 + dice() % 15});
  } else {
    const std::scoped_lock lock(due_mutex_);
    (void)broker_->run_due();
  }
}

void ApprovalThreadsTest::work(int thread) {
  std::mt19937 dice(static_cast<unsigned>(4711 + thread));
  std::vector<Given> given;
  for (int i = 0; i < kSteps; ++i) step(dice, given);
  const std::scoped_lock lock(mutex_);
  given_.insert(given_.end(), given.begin(), given.end());
}

// ---- what must hold

// Whether different people fill all places. Two factors at the most: who is in both groups fills
// what the others leave open.
bool ApprovalThreadsTest::has_enough(const Json& view,
                                     const std::map<std::string, std::string>& approvers) {
  std::size_t both = 0, missing = 0, wanted = 0;
  std::set<std::string> counted;
  for (const Json& factor : view.at("factors")) {
    const auto needed = factor.at("approvals").get<std::size_t>();
    std::size_t alone = 0;
    for (const auto& [human, digest] : approvers) {
      std::size_t factors = 0;
      for (const Json& other : view.at("factors"))
        factors += groups_.at(other.at("groups").at(0).at("name")).count(human);
      const bool here = groups_.at(factor.at("groups").at(0).at("name")).contains(human);
      if (here && factors == 1) ++alone;
      if (here && factors == 2 && counted.insert(human).second) ++both;
    }
    wanted += needed;
    missing += needed - std::min(needed, alone);
  }
  return wanted > 0 && missing <= both;
}

// Goes through its decisions in order; gives the state in which that ends, or what is wrong.
std::string ApprovalThreadsTest::replay(const Json& view) {
  const bool is_task = view.at("kind") == "task";
  std::string state = "pending";
  std::map<std::string, std::string> approvers;  // of the present digest
  std::string digest, last;
  for (const Json& decision : view.at("decisions")) {
    const std::string verdict = decision.at("verdict");
    const std::string at = decision.at("at");
    const std::string by = decision.at("by").at("id");
    const auto fail = [&] { return fmt::format("{} when it was {} at {}", verdict, state, at); };
    if (at < last) return "a decision before the one before it: " + fail();
    last = at;
    if (verdict == "comment" || verdict == "escalate") continue;
    if (verdict == "approve" || verdict == "narrow") {
      if (state != "pending" || at >= view.at("expires_at").get<std::string>()) return fail();
      if (verdict == "narrow") approvers.clear();
      if (verdict == "approve" && !digest.empty() && decision.at("digest") != digest)
        return "an approval of something else: " + fail();
      digest = decision.at("digest");
      approvers[by] = digest;
      if (has_enough(view, approvers)) state = "approved";
    } else if (verdict == "claim") {
      if (state != "approved" || at >= view.at("claim_until").get<std::string>()) return fail();
      state = "claimed";
    } else if (verdict == "deny" || verdict == "expire") {
      if (state != "pending") return fail();
      state = verdict == "deny" ? "denied" : "expired";
    } else if (verdict == "lapse") {
      if (state != "approved") return fail();
      state = "lapsed";
    } else if (verdict == "withdraw") {
      if (state != "approved" && state != "claimed") return fail();
      state = "withdrawn";
    } else if (verdict == "end" || (verdict == "cancel" && state == "claimed")) {
      if (state != "claimed" || !is_task) return fail();
      state = "ended";
    } else if (verdict == "cancel") {
      if (state != "pending" && state != "approved") return fail();
      state = "cancelled";
    } else {
      return "unexpected: " + fail();
    }
  }
  return state;
}

void ApprovalThreadsTest::check_request(const Json& view) {
  SCOPED_TRACE(view.dump(1));
  EXPECT_EQ(replay(view), view.at("state"));
  std::size_t agent = 0;
  while (agents_[agent].entity != view.at("requester").at("entity_id")) ++agent;
  for (const Json& decision : view.at("decisions")) {
    const std::string verdict = decision.at("verdict");
    if (verdict != "approve" && verdict != "narrow" && verdict != "deny" && verdict != "withdraw")
      continue;
    const std::string by = decision.at("by").at("id");
    EXPECT_NE(by, owners_[agent]);
    EXPECT_TRUE(std::any_of(humans_.begin(), humans_.end(),
                            [&](const Session& human) { return human.entity == by; }));
  }
  const std::size_t given =
      static_cast<std::size_t>(std::count_if(given_.begin(), given_.end(), [&](const Given& one) {
        return one.approval == view.at("id");
      }));
  if (view.at("kind") == "task") {
    const Json& task = view.at("task");
    EXPECT_LE(task.at("leases_used"), task.at("leases_max"));
    EXPECT_LE(given, task.at("leases_used").get<std::size_t>());
  } else {
    EXPECT_LE(given, 1U);
    EXPECT_LE(view.at("lease_ids").size(), 1U);
  }
}

// The lease says by which approval it was given, and that one was enough.
void ApprovalThreadsTest::check_lease(const Given& given,
                                      const std::map<std::string, Json>& views) {
  SCOPED_TRACE(given.lease);
  ASSERT_TRUE(views.contains(given.approval));
  const Json& view = views.at(given.approval);
  const auto& leases = view.at("lease_ids");
  EXPECT_NE(std::find(leases.begin(), leases.end(), given.lease), leases.end());
  auto seen = write("sys/leases/lookup", {{"lease_id", given.lease}});
  Json note;
  if (seen && seen->data.contains("approval")) {
    note = seen->data.at("approval");
  } else {
    seen = write("sys/leases/receipt", {{"lease_id", given.lease}});
    ASSERT_TRUE(seen.has_value()) << seen.error().message;
    note = seen->data.at("receipt").at("approval");
  }
  EXPECT_EQ(note.at("id"), given.approval);
  EXPECT_EQ(note.at("digest"), view.at("digest"));
  std::map<std::string, std::string> deciders;
  for (const Json& decider : note.at("deciders")) deciders[decider.at("id")] = note.at("digest");
  EXPECT_TRUE(has_enough(view, deciders)) << note;
}

TEST_F(ApprovalThreadsTest, nothing_is_given_that_was_not_approved) {
  std::vector<std::shared_ptr<void>> listening;
  std::atomic<int> heard{0};
  for (const Session& human : humans_) {
    const auto answer = read("sys/approvals/events", human.token);
    ASSERT_TRUE(answer.has_value() && answer->stream);
    listening.push_back(answer->stream->open([&heard](const std::string&) { ++heard; }, [] {}));
  }
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back([this, i] { work(i); });
  for (std::thread& thread : threads) thread.join();
  listening.clear();
  EXPECT_GT(heard, kHumans);
  run_due();

  std::map<std::string, Json> views;
  Json query = {{"limit", 200}};
  do {
    const auto page = call(Operation::kList, "sys/approvals/", query);
    ASSERT_TRUE(page.has_value()) << page.error().message;
    for (const auto& [id, view] : page->data.at("key_info").items()) views[id] = view;
    query["after"] = page->data.at("next");
  } while (query["after"].is_string());
  std::map<std::string, int> states;
  for (const auto& [id, view] : views) {
    check_request(view);
    ++states[view.at("state")];
  }
  for (const Given& given : given_) {
    check_lease(given, views);
    const std::string state = views.at(given.approval).at("state");
    const bool is_over = state == "withdrawn" || state == "ended";
    EXPECT_FALSE(is_over && outside_.has(given.name)) << given.lease << " outlives its approval";
  }
  // A test in which nothing comes about shows nothing.
  EXPECT_GE(given_.size(), 10U);
  for (const char* state : {"claimed", "denied", "withdrawn", "cancelled"})
    EXPECT_GE(states[state], 1) << state;
  clock_.advance(std::chrono::hours{2});
  run_due();
  EXPECT_TRUE(outside_.names().empty());
}

}  // namespace
}  // namespace curfew::broker

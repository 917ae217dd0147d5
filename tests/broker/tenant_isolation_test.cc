// No call with a token of one namespace sees, names or tells anything of another: every route of
// the tables that serve them, asked every way.
#include <algorithm>
#include <map>
#include <set>

#include "base/system_clock.h"
#include "tests/broker/tenant_world.h"

namespace curfew::broker {
namespace {

using enum Operation;
using ::testing::HasSubstr;
using ::testing::Not;

// What team-b has and nobody else may learn of.
class TenantIsolationTest : public TenantWorld {
 protected:
  TenantIsolationTest() {
    a_ = token_in("team-a", {"root"});
    b_ = token_in("team-b", {"root"}, {{"display_name", "boss-of-b"}});
    must_in("team-b", kUpdate, "sys/mounts/hidden-mount", {{"type", "kv"}});
    must_in("team-b", kUpdate, "hidden-mount/hidden-key", {{"v", "hidden-value"}});
    must_in("team-b", kUpdate, "sys/policies/acl/hidden-policy", {{"policy", "path \"x\" {}"}});
    must_in("team-b", kUpdate, "sys/policies/password/hidden-password-policy",
            {{"policy", "length = 20\nrule \"charset\" { charset = \"abcdefghij\" }"}});
    must_in("team-b", kUpdate, "sys/quotas/rate-limit/hidden-quota", {{"rate", 1000}});
    must_in("team-b", kUpdate, "auth/token/roles/hidden-role", {{"orphan", true}});
    must_in("team-b", kUpdate, "sys/namespaces/hidden-namespace");
    must_in("team-b", kUpdate, "sys/lockdown/hidden-lockdown",
            {{"session", "nobody"}, {"reason", "hidden-reason"}});
    extra_.session = "hidden-session";
    lease_ = issue_in("team-b", token_in("team-b", {"agent"}));
    extra_.session.clear();
    operation_ = must_in("team-b", kUpdate, "sys/leases/end",
                         {{"session", "nobody"}, {"reason", "x"}, {"lock_down", false}})
                     .data.at("id");
    const Json mounts = must_in("team-b", kRead, "sys/mounts").data;
    secrets_ = {"hidden",
                "team-b",
                "boss-of-b",
                lease_.substr(lease_.rfind('/') + 1),
                operation_,
                mounts.at("db/").at("accessor"),
                mounts.at("kv/").at("accessor"),
                must_read("sys/namespaces/team-b").at("id"),
                must_read("sys/namespaces/team-b").at("uuid")};
    const Json accessors = must_in("team-b", kList, "auth/token/accessors").data.at("keys");
    for (const Json& accessor : accessors) secrets_.insert(accessor.get<std::string>());
  }

  struct Question {
    Operation operation;
    std::string path;
  };

  // Every operation of every path that a namespace serves, its parameters filled in with names
  // that team-b has.
  std::vector<Question> questions() {
    const Json paths = must_in("team-b", kRead, "sys/internal/specs/openapi").data.at("paths");
    const std::map<std::string, std::string> names = {{"{accessor}", *secrets_.rbegin()},
                                                      {"{id}", operation_},
                                                      {"{role}", "ro"},
                                                      {"{path}", "hidden-mount"},
                                                      {"{prefix}", "db/creds/ro"}};
    std::vector<Question> out;
    for (const auto& [pattern, verbs] : paths.items()) {
      std::string path = pattern.substr(4);
      for (const auto& [parameter, name] : names)
        if (const auto at = path.find(parameter); at != std::string::npos)
          path.replace(at, parameter.size(), name);
      while (path.find('{') != std::string::npos) {
        const auto at = path.find('{');
        path.replace(at, path.find('}', at) + 1 - at, "hidden-policy");
      }
      for (const auto& [verb, description] : verbs.items()) {
        if (verb == "get") {
          out.push_back({kRead, path});
          out.push_back({kList, path.ends_with('/') ? path : path + "/"});
        } else if (verb == "post") {
          out.push_back({kUpdate, path});
        } else if (verb == "patch") {
          out.push_back({kPatch, path});
        } else if (verb == "delete") {
          out.push_back({kDelete, path});
        }
      }
    }
    return out;
  }

  // What somebody is told: data, warnings and errors.
  static std::string told(const Result<Response>& response) {
    if (!response)
      return std::string(errc_name(response.error().code)) + ": " + response.error().message;
    std::string text = response->data.dump() + " " + response->lease_id;
    for (const std::string& warning : response->warnings) text += " " + warning;
    return text;
  }
  static std::string without(std::string text, const std::string& word) {
    for (auto at = text.find(word); at != std::string::npos; at = text.find(word))
      text.erase(at, word.size());
    return text;
  }

  std::string a_, b_, lease_, operation_;
  std::set<std::string> secrets_;
};

// In the other one's namespace: the same answer as a token gets that nobody ever had, and as in a
// namespace that does not exist.
TEST_F(TenantIsolationTest, a_foreign_token_is_refused_like_one_that_does_not_exist) {
  const std::string unknown = "cfs.AAAAAAAAAAAAAAAAAAAAAAAAAA";
  const std::string unknown_of_a = unknown + a_.substr(a_.rfind('.'));
  int asked = 0;
  for (const Question& question : questions()) {
    SCOPED_TRACE(question.path);
    const auto foreign = in("team-b", question.operation, question.path, Json::object(), a_);
    const std::string answer = told(foreign);
    EXPECT_EQ(answer,
              told(in("team-b", question.operation, question.path, Json::object(), unknown)));
    EXPECT_EQ(answer,
              told(in("team-b", question.operation, question.path, Json::object(), unknown_of_a)));
    EXPECT_EQ(answer, told(in("nowhere", question.operation, question.path, Json::object(), a_)));
    EXPECT_EQ(answer, told(in("", question.operation, "team-b/" + question.path, {}, a_)));
    if (question.path != "sys/internal/ui/mounts") {
      EXPECT_FALSE(foreign.has_value()) << answer;
    }
    ++asked;
  }
  EXPECT_GT(asked, 150);
}

// In its own namespace: whatever it asks, it hears nothing of the other one.
TEST_F(TenantIsolationTest, no_answer_in_ones_own_namespace_names_anything_of_another) {
  for (const Question& question : questions()) {
    // Those do what they say to one's own namespace, and others below would find nothing left.
    if (question.path.starts_with("auth/token/revoke") || question.path == "sys/leases/end")
      continue;
    SCOPED_TRACE(question.path);
    // What the caller wrote itself may come back.
    std::string answer = told(in("team-a", question.operation, question.path, Json::object(), a_));
    for (const char* own : {"hidden-mount", "hidden-policy"}) answer = without(answer, own);
    answer = without(answer, operation_);
    for (const std::string& secret : secrets_)
      if (question.path.find(secret) == std::string::npos) {
        EXPECT_THAT(answer, Not(HasSubstr(secret)));
      }
  }
}

// Names and numbers of the other one as parameters: as if there were no such thing.
TEST_F(TenantIsolationTest, what_another_one_has_is_not_there) {
  const std::string accessor =
      must_in("team-b", kRead, "auth/token/lookup-self", Json::object(), b_).data.at("accessor");
  const std::vector<std::tuple<std::string, std::string, std::string, std::string>> cases = {
      {"auth/token/lookup", "token", b_, a_.substr(0, 20)},
      {"auth/token/renew", "token", b_, a_.substr(0, 20)},
      {"auth/token/revoke", "token", b_, a_.substr(0, 20)},
      {"auth/token/revoke-orphan", "token", b_, a_.substr(0, 20)},
      {"auth/token/lookup-accessor", "accessor", accessor, "none"},
      {"auth/token/renew-accessor", "accessor", accessor, "none"},
      {"auth/token/revoke-accessor", "accessor", accessor, "none"},
      {"sys/capabilities", "token", b_, a_.substr(0, 20)},
      {"sys/capabilities-accessor", "accessor", accessor, "none"},
      {"sys/leases/lookup", "lease_id", lease_, "db/creds/ro/none"},
      {"sys/leases/renew", "lease_id", lease_, "db/creds/ro/none"},
      {"sys/leases/revoke", "lease_id", lease_, "db/creds/ro/none"},
      {"sys/leases/receipt", "lease_id", lease_, "db/creds/ro/none"},
  };
  for (const auto& [path, member, theirs, none] : cases) {
    SCOPED_TRACE(path);
    const Json paths = {{"paths", "kv/x"}};
    Json with_theirs = paths, with_none = paths;
    with_theirs[member] = theirs;
    with_none[member] = none;
    EXPECT_EQ(without(told(in("team-a", kUpdate, path, with_theirs, a_)), theirs),
              without(told(in("team-a", kUpdate, path, with_none, a_)), none));
  }
  EXPECT_EQ(
      must_in("team-b", kRead, "auth/token/lookup-self", Json::object(), b_).data.at("accessor"),
      accessor)
      << "and nothing was done to it";
  EXPECT_EQ(live_in("team-b"), 1);
}

TEST_F(TenantIsolationTest, an_incident_does_not_reach_into_another_one) {
  for (const Json& scope :
       {Json{{"all", true}}, Json{{"session", "hidden-session"}}, Json{{"role", "ro"}}}) {
    Json asked = scope;
    asked["reason"] = "x";
    asked["dry_run"] = true;
    EXPECT_EQ(must_in("team-a", kUpdate, "sys/leases/end", asked, a_).data.at("found"), 0);
    asked["dry_run"] = false;
    must_in("team-a", kUpdate, "sys/leases/end", asked, a_);
  }
  run_due();
  EXPECT_EQ(live_in("team-b"), 1);
  issue_in("team-b", token_in("team-b", {"agent"}));
}

// A token that is refused takes as long as one that does not exist. The medians of several rounds
// in turns, so that whatever else the machine does hits both.
TEST_F(TenantIsolationTest, a_refusal_does_not_tell_by_its_time) {
  const SystemClock watch;
  const auto time_of = [&](const std::string& where, const std::string& token) {
    const SteadyTime begin = watch.steady();
    for (int i = 0; i < 200; ++i)
      EXPECT_FALSE(in(where, kRead, "db/creds/ro", Json::object(), token).has_value());
    return std::max(Millis{1}, watch.steady() - begin);
  };
  const std::string unknown = "cfs.AAAAAAAAAAAAAAAAAAAAAAAAAA" + a_.substr(a_.rfind('.'));
  std::vector<Millis> foreign, none, nowhere;
  for (int round = 0; round < 9; ++round) {
    foreign.push_back(time_of("team-b", a_));
    none.push_back(time_of("team-b", unknown));
    nowhere.push_back(time_of("team-x", a_));
  }
  const auto median = [](auto& times) {
    std::nth_element(times.begin(), times.begin() + 4, times.end());
    return static_cast<double>(times[4].count());
  };
  const double theirs = median(foreign);
  EXPECT_NEAR(theirs / median(none), 1, 0.5);
  EXPECT_NEAR(theirs / median(nowhere), 1, 0.5);
}

}  // namespace
}  // namespace curfew::broker

#pragma once

#include <string>
#include <vector>

#include "tests/broker/identity_world.h"

namespace curfew::broker {

inline constexpr const char* kGuarded = "db/creds/rw";

// An agent that may read db/creds/rw once people have approved it, and those people: alice and bob
// of the group "owners", carol of "security". Ada answers for the agent.
class ApprovalTest : public IdentityAccessTest {
 protected:
  ApprovalTest() {
    for (const char* name : {"alice", "bob", "carol"}) humans_.push_back(must_have_human(name));
    owners_ = must_have_group("owners", {humans_[0].entity, humans_[1].entity});
    security_ = must_have_group("security", {humans_[2].entity});
    guard(R"(control_group = { factor "owners" { identity { group_names = ["owners"]
             approvals = 1 } } })");
    agent_ = must_have_agent("robot", {{"policies", {"writer"}}});
  }

  Session& alice() { return humans_[0]; }
  Session& bob() { return humans_[1]; }
  Session& carol() { return humans_[2]; }

  Session must_have_human(const std::string& name, const std::string& policies = "") {
    const Session session = must_login(name, "", policies);
    must_write("identity/entity/id/" + session.entity, {{"kind", "human"}});
    return session;
  }

  std::string must_have_group(const std::string& name, const std::vector<std::string>& members) {
    return must_write("identity/group", {{"name", name}, {"member_entity_ids", members}})
        .data.at("id")
        .get<std::string>();
  }

  // The policy "writer" of the agent.
  void guard(const std::string& stanzas) {
    write_policy("writer", "path \"" + std::string(kGuarded) + "\" { capabilities = [\"read\"]\n" +
                               stanzas + "}");
  }

  Result<Response> ask(Json wishes = Json::object(), const std::string& token = {}) {
    if (!wishes.contains("path")) wishes["path"] = kGuarded;
    return write("sys/approvals", std::move(wishes), token.empty() ? agent_.token : token);
  }
  // What was asked for; the test fails where it was not.
  Json must_ask(Json wishes = Json::object(), const std::string& token = {}) {
    const auto answer = ask(std::move(wishes), token);
    EXPECT_TRUE(answer.has_value()) << (answer ? "" : answer.error().message);
    return answer ? answer->data : Json::object();
  }

  Result<Response> decide(const Json& request, const std::string& verdict, const Session& who,
                          Json more = Json::object()) {
    if (!more.contains("digest")) more["digest"] = request.at("digest");
    if (!more.contains("reason")) more["reason"] = "because";
    return write("sys/approvals/" + id_of(request) + "/" + verdict, std::move(more), who.token);
  }
  Json must_decide(const Json& request, const std::string& verdict, const Session& who,
                   Json more = Json::object()) {
    const auto answer = decide(request, verdict, who, std::move(more));
    EXPECT_TRUE(answer.has_value()) << (answer ? "" : answer.error().message);
    return answer ? answer->data : Json::object();
  }

  Result<Response> claim(const Json& request, const std::string& token = {}) {
    return write("sys/approvals/" + id_of(request) + "/claim", Json::object(),
                 token.empty() ? agent_.token : token);
  }

  // As it is now, as the root token sees it.
  Json present(const Json& request) { return must_read("sys/approvals/" + id_of(request)); }
  std::string state_of(const Json& request) { return present(request).at("state"); }

  static std::string id_of(const Json& request) { return request.at("id").get<std::string>(); }

  std::vector<Session> humans_;
  std::string owners_, security_;
  Session agent_;
};

}  // namespace curfew::broker

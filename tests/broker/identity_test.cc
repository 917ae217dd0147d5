#include <fmt/format.h>

#include <thread>

#include "broker/identity/agent_budget.h"
#include "broker/identity/identity_service.h"
#include "store/records.h"
#include "tests/broker/broker_world.h"

namespace curfew::broker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

// The paths of a broker, and beside it the service that stands behind them, on the same store.
class IdentityTest : public BrokerWorld {
 protected:
  std::string refused(const Result<Response>& result) {
    EXPECT_FALSE(result.has_value());
    return result ? "" : result.error().message;
  }

  std::string make_entity(const std::string& name, Json more = Json::object()) {
    more["name"] = name;
    return must_write("identity/entity", std::move(more)).data.at("id").get<std::string>();
  }
  std::string make_group(const std::string& name, Json more = Json::object()) {
    more["name"] = name;
    return must_write("identity/group", std::move(more)).data.at("id").get<std::string>();
  }
  std::string token_accessor() {
    return must_read("sys/auth").at("token/").at("accessor").get<std::string>();
  }
  std::string make_alias(const std::string& name, const std::string& entity_id) {
    return must_write(
               "identity/entity-alias",
               {{"name", name}, {"mount_accessor", token_accessor()}, {"canonical_id", entity_id}})
        .data.at("id")
        .get<std::string>();
  }

  std::string must_sign_in(const SignIn& sign_in) {
    const auto id = service_.sign_in(sign_in, clock_.wall());
    EXPECT_TRUE(id.has_value()) << (id ? "" : id.error().message);
    return id ? *id : "";
  }
  Standing must_stand(const std::string& id) {
    service_.forget();  // what was written by the paths
    return known_standing(id);
  }
  // As the service has it, with what it remembers.
  Standing known_standing(const std::string& id) {
    const auto standing = service_.standing(id);
    EXPECT_TRUE(standing.has_value()) << (standing ? "" : standing.error().message);
    EXPECT_TRUE(standing && *standing) << "no entity " << id;
    return standing && *standing ? **standing : Standing{};
  }

  store::Records records_{*keyring_};
  IdentityService service_{*database_, records_, *keyring_, clock_, random_, *log_};
};

// ---- entities ---------------------------------------------------------------------------------

TEST_F(IdentityTest, an_entity_is_made_read_changed_and_removed) {
  const Response made = must_write(
      "identity/entity",
      {{"name", "agent-1"}, {"policies", {"B", "a", "b"}}, {"metadata", {{"team", "x"}}}});
  EXPECT_EQ(made.data.at("aliases"), nullptr);
  EXPECT_EQ(made.data.at("name"), "agent-1");
  const std::string id = made.data.at("id");
  const Json read_back = must_read("identity/entity/name/AGENT-1");
  const Json expected = {{"aliases", Json::array()},
                         {"creation_time", read_back.at("creation_time")},
                         {"direct_group_ids", Json::array()},
                         {"disabled", false},
                         {"group_ids", Json::array()},
                         {"id", id},
                         {"inherited_group_ids", Json::array()},
                         {"kind", ""},
                         {"last_update_time", read_back.at("creation_time")},
                         {"merged_entity_ids", nullptr},
                         {"metadata", {{"team", "x"}}},
                         {"name", "agent-1"},
                         {"namespace_id", "root"},
                         {"policies", {"a", "b"}}};
  EXPECT_EQ(read_back, expected);

  clock_.advance(Seconds{5});
  const Response changed =
      must_write("identity/entity/id/" + id, {{"kind", "human"}, {"metadata", "email=a@b.c"}});
  EXPECT_TRUE(changed.data.is_null());
  const Json after = must_read("identity/entity/id/" + id);
  EXPECT_EQ(after.at("kind"), "human");
  EXPECT_EQ(after.at("metadata"), Json({{"email", "a@b.c"}}));
  EXPECT_EQ(after.at("policies"), Json({"a", "b"}));
  EXPECT_NE(after.at("last_update_time"), after.at("creation_time"));

  EXPECT_EQ(list("identity/entity/id")->data.at("keys"), Json({id}));
  EXPECT_EQ(list("identity/entity/name")->data.at("key_info").at(id).at("name"), "agent-1");
  EXPECT_TRUE(remove("identity/entity/id/" + id).has_value());
  EXPECT_EQ(code_of(read("identity/entity/id/" + id)), Errc::kNotFound);
  EXPECT_EQ(code_of(read("identity/entity/name/agent-1")), Errc::kNotFound);
  EXPECT_EQ(code_of(list("identity/entity/id")), Errc::kNotFound);
}

TEST_F(IdentityTest, names_are_unique_in_any_case_and_may_hold_anything_printable) {
  const std::string a = make_entity("Ada/Lovelace <a@b.c>");
  make_entity("bob");
  EXPECT_EQ(must_read("identity/entity/name/ada/lovelace <a@b.c>").at("id"), a);
  EXPECT_THAT(refused(write("identity/entity/id/" + a, {{"name", "BOB"}})),
              HasSubstr("already in use"));
  must_write("identity/entity/id/" + a, {{"name", "ADA"}});
  EXPECT_EQ(code_of(read("identity/entity/name/ada/lovelace <a@b.c>")), Errc::kNotFound);
  EXPECT_EQ(must_read("identity/entity/name/ada").at("id"), a);
  const std::string unnamed =
      must_write("identity/entity", {{"policies", "p"}}).data.at("name").get<std::string>();
  EXPECT_THAT(unnamed, ::testing::MatchesRegex("entity_[0-9a-f]{8}"));
}

TEST_F(IdentityTest, bad_entities_are_refused) {
  EXPECT_THAT(refused(write("identity/entity", {{"name", "x"}, {"policies", {"Root"}}})),
              HasSubstr("policies cannot contain root"));
  EXPECT_THAT(refused(write("identity/entity", {{"id", "nowhere"}})),
              HasSubstr("entity not found from id"));
  EXPECT_THAT(refused(write("identity/entity", {{"name", std::string("a\nb")}})),
              HasSubstr("control characters"));
  EXPECT_THAT(refused(write("identity/entity", {{"name", std::string(513, 'x')}})),
              HasSubstr("longer than 512"));
  EXPECT_THAT(refused(write("identity/entity", {{"metadata", {{"a b", "c"}}}})),
              HasSubstr("key contains invalid characters"));
  EXPECT_THAT(refused(write("identity/entity", {{"metadata", {{"a", std::string(600, 'x')}}}})),
              HasSubstr("value is too long"));
  Json many = Json::object();
  for (int i = 0; i < 65; ++i) many[std::to_string(i)] = "x";
  EXPECT_THAT(refused(write("identity/entity", {{"metadata", many}})),
              HasSubstr("more than 64 key/value pairs"));
  EXPECT_THAT(refused(write("identity/entity", {{"kind", "robot"}})), HasSubstr("\"kind\""));
  EXPECT_THAT(refused(write("identity/entity", {{"kind", "agent"}})),
              HasSubstr("identity/agent/NAME"));
  EXPECT_EQ(code_of(list("identity/entity/id")), Errc::kNotFound);
}

TEST_F(IdentityTest, many_are_removed_in_one_call) {
  const std::string a = make_entity("a");
  const std::string b = make_entity("b");
  make_entity("c");
  must_write("identity/entity/batch-delete", {{"entity_ids", {a, b, "nowhere"}}});
  EXPECT_EQ(list("identity/entity/name")->data.at("keys"), Json({"c"}));
  EXPECT_THAT(refused(write("identity/entity/batch-delete")), HasSubstr("missing entity ids"));
}

TEST_F(IdentityTest, entities_and_groups_are_looked_up_by_one_thing) {
  const std::string id = make_entity("ada");
  const std::string alias = make_alias("login", id);
  for (const Json& key :
       {Json{{"id", id}}, Json{{"name", "ada"}}, Json{{"alias_id", alias}},
        Json{{"alias_name", "login"}, {"alias_mount_accessor", token_accessor()}}})
    EXPECT_EQ(must_write("identity/lookup/entity", key).data.at("id"), id) << key;
  EXPECT_TRUE(must_write("identity/lookup/entity", {{"name", "nobody"}}).data.is_null());
  EXPECT_THAT(refused(write("identity/lookup/entity")), HasSubstr("not supplied"));
  EXPECT_THAT(refused(write("identity/lookup/entity", {{"id", id}, {"name", "ada"}})),
              HasSubstr("conflict"));
  EXPECT_THAT(refused(write("identity/lookup/group", {{"alias_name", "x"}})),
              HasSubstr("needs to be set"));
  const std::string group = make_group("ops");
  EXPECT_EQ(must_write("identity/lookup/group", {{"name", "OPS"}}).data.at("id"), group);
}

// ---- aliases ----------------------------------------------------------------------------------

TEST_F(IdentityTest, an_alias_is_made_read_changed_and_removed) {
  const std::string id = make_entity("ada");
  const std::string alias = make_alias("login", id);
  const Json read_back = must_read("identity/entity-alias/id/" + alias);
  EXPECT_EQ(read_back.at("canonical_id"), id);
  EXPECT_EQ(read_back.at("mount_path"), "auth/token/");
  EXPECT_EQ(read_back.at("mount_type"), "token");
  EXPECT_EQ(read_back.at("local"), false);
  must_write("identity/entity-alias/id/" + alias, {{"custom_metadata", {{"a", "b"}}}});
  EXPECT_EQ(must_read("identity/entity/id/" + id).at("aliases").at(0).at("custom_metadata"),
            Json({{"a", "b"}}));
  EXPECT_EQ(list("identity/entity-alias/id")->data.at("key_info").at(alias).at("canonical_id"), id);
  EXPECT_THAT(refused(write(
                  "identity/entity-alias",
                  {{"name", "other"}, {"mount_accessor", token_accessor()}, {"canonical_id", id}})),
              HasSubstr("Alias already exists for requested entity and mount accessor"));
  EXPECT_THAT(refused(write("identity/entity-alias", {{"name", "x"}, {"mount_accessor", "y"}})),
              HasSubstr("invalid mount accessor \"y\""));
  EXPECT_THAT(refused(write("identity/entity-alias", {{"name", "x"}})),
              HasSubstr("must be provided"));
  EXPECT_TRUE(remove("identity/entity-alias/id/" + alias).has_value());
  EXPECT_EQ(code_of(read("identity/entity-alias/id/" + alias)), Errc::kNotFound);
  EXPECT_EQ(must_read("identity/entity/id/" + id).at("aliases"), Json::array());
  // Without an entity a new one is made for it.
  const Json made =
      must_write("identity/entity-alias", {{"name", "login"}, {"mount_accessor", token_accessor()}})
          .data;
  EXPECT_NE(made.at("canonical_id"), id);
}

TEST_F(IdentityTest, alias_takeover_needs_sudo) {
  write_policy("aliases", R"(path "identity/entity-alias*" { capabilities = ["update"] })");
  write_policy("mover", R"(path "identity/entity-alias*" { capabilities = ["update", "sudo"] })");
  const std::string helpdesk = make_token({"aliases"});
  const std::string ada = make_entity("ada", {{"policies", {"powerful"}}});
  const std::string eve = make_entity("eve");
  const std::string alias = make_alias("ada@corp", ada);

  // Eve's entity would answer to Ada's login.
  EXPECT_EQ(code_of(write(
                "identity/entity-alias",
                {{"name", "ada@corp"}, {"mount_accessor", token_accessor()}, {"canonical_id", eve}},
                helpdesk)),
            Errc::kPermissionDenied);
  EXPECT_EQ(code_of(write("identity/entity-alias/id/" + alias, {{"canonical_id", eve}}, helpdesk)),
            Errc::kPermissionDenied);
  // Eve's login would be Ada's.
  EXPECT_EQ(code_of(write("identity/entity-alias/id/" + alias, {{"name", "eve@corp"}}, helpdesk)),
            Errc::kPermissionDenied);
  EXPECT_EQ(must_stand(ada).identity.aliases.at(0).name, "ada@corp");
  EXPECT_THAT(must_stand(eve).identity.aliases, IsEmpty());
  // What changes nobody's login is allowed.
  EXPECT_TRUE(
      write("identity/entity-alias/id/" + alias, {{"custom_metadata", {{"a", "b"}}}}, helpdesk)
          .has_value());

  const auto moved =
      write("identity/entity-alias/id/" + alias, {{"canonical_id", eve}}, make_token({"mover"}));
  ASSERT_TRUE(moved.has_value()) << moved.error().message;
  EXPECT_THAT(moved->warnings, ElementsAre(HasSubstr("belonged to another entity")));
  EXPECT_THAT(must_stand(ada).identity.aliases, IsEmpty());
  EXPECT_EQ(must_stand(eve).identity.aliases.at(0).name, "ada@corp");
}

TEST_F(IdentityTest, a_login_never_takes_over_an_entity_by_its_name) {
  const std::string admin = make_entity("admin", {{"policies", {"powerful"}}});
  const std::string id = must_sign_in({.mount_accessor = "userpass_1",
                                       .mount_type = "userpass",
                                       .alias = "admin",
                                       .metadata = {},
                                       .groups = {}});
  EXPECT_NE(id, admin);
  EXPECT_THAT(must_stand(id).policies, IsEmpty());
  // Nor one that differs in case, or is another mount's.
  const std::string other_case =
      must_sign_in({.mount_accessor = "userpass_1", .mount_type = "userpass", .alias = "Admin"});
  const std::string other_mount =
      must_sign_in({.mount_accessor = "userpass_2", .mount_type = "userpass", .alias = "admin"});
  EXPECT_EQ(std::set<std::string>({admin, id, other_case, other_mount}).size(), 4u);
}

// ---- signing in -------------------------------------------------------------------------------

TEST_F(IdentityTest, a_login_finds_its_entity_again) {
  SignIn sign_in{.mount_accessor = "jwt_1",
                 .mount_type = "jwt",
                 .alias = "ada",
                 .metadata = {{"email", "ada@corp"}},
                 .groups = {}};
  const std::string id = must_sign_in(sign_in);
  EXPECT_EQ(must_sign_in(sign_in), id);
  EXPECT_EQ(known_standing(id).identity.aliases.at(0).metadata.at("email"), "ada@corp");
  sign_in.metadata["email"] = "ada@example";
  EXPECT_EQ(must_sign_in(sign_in), id);
  EXPECT_EQ(known_standing(id).identity.aliases.at(0).metadata.at("email"), "ada@example");
}

TEST_F(IdentityTest, the_same_login_at_the_same_time_makes_one_entity) {
  std::vector<std::string> ids(8);
  std::vector<std::thread> threads;
  for (std::string& id : ids)
    threads.emplace_back([&] {
      const auto made = service_.sign_in(
          {.mount_accessor = "jwt_1", .mount_type = "jwt", .alias = "ada"}, clock_.wall());
      id = made ? *made : made.error().message;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), 1u);
  EXPECT_EQ(list("identity/entity/id")->data.at("keys").size(), 1u);
}

TEST_F(IdentityTest, bad_logins_are_refused) {
  const auto code = [&](const SignIn& sign_in) {
    const auto made = service_.sign_in(sign_in, clock_.wall());
    return made ? Errc::kInternal : made.error().code;
  };
  const SignIn good{.mount_accessor = "jwt_1", .mount_type = "jwt", .alias = "ada"};
  SignIn bad = good;
  bad.alias = "";
  EXPECT_EQ(code(bad), Errc::kInvalidArgument);
  bad.alias = "a\xff";
  EXPECT_EQ(code(bad), Errc::kInvalidArgument);
  bad = good;
  bad.groups = std::vector<std::string>(3000, "g");
  EXPECT_EQ(code(bad), Errc::kInvalidArgument);
  bad = good;
  bad.metadata["x"] = std::string(10'000, 'x');
  EXPECT_EQ(code(bad), Errc::kInvalidArgument);
}

TEST_F(IdentityTest, external_groups_follow_the_login) {
  const std::string accessor = token_accessor();
  const auto external = [&](const std::string& name, const std::string& alias) {
    const std::string id = make_group(name, {{"type", "external"}, {"policies", {name}}});
    must_write("identity/group-alias",
               {{"name", alias}, {"mount_accessor", accessor}, {"canonical_id", id}});
    return id;
  };
  const std::string ops = external("ops", "cn=ops");
  const std::string dev = external("dev", "cn=dev");
  SignIn sign_in{.mount_accessor = accessor,
                 .mount_type = "ldap",
                 .alias = "ada",
                 .metadata = {},
                 .groups = std::vector<std::string>{"cn=ops", "cn=unknown"}};
  const std::string id = must_sign_in(sign_in);
  EXPECT_THAT(known_standing(id).policies, ElementsAre("ops"));
  const std::string own = make_group("own", {{"member_entity_ids", {id}}, {"policies", {"own"}}});

  sign_in.groups = std::vector<std::string>{"cn=dev"};
  must_sign_in(sign_in);
  EXPECT_THAT(known_standing(id).policies, ElementsAre("dev", "own"));
  EXPECT_EQ(must_read("identity/group/id/" + ops).at("member_entity_ids"), Json::array());
  EXPECT_EQ(must_read("identity/group/id/" + dev).at("member_entity_ids"), Json({id}));
  // Another mount has no say in these, and a method that says nothing of groups leaves them.
  must_write("identity/entity-alias", {{"name", "x"}, {"mount_accessor", accessor}});
  sign_in.groups.reset();
  must_sign_in(sign_in);
  EXPECT_THAT(known_standing(id).policies, ElementsAre("dev", "own"));
  sign_in.groups = std::vector<std::string>{};
  must_sign_in(sign_in);
  EXPECT_THAT(known_standing(id).policies, ElementsAre("own"));
}

TEST_F(IdentityTest, a_disabled_entity_cannot_log_in) {
  const SignIn sign_in{.mount_accessor = "jwt_1", .mount_type = "jwt", .alias = "ada"};
  const std::string id = must_sign_in(sign_in);
  must_write("identity/entity/id/" + id, {{"disabled", true}});
  const auto again = service_.sign_in(sign_in, clock_.wall());
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().code, Errc::kPermissionDenied);
  EXPECT_TRUE(must_stand(id).disabled);
  must_write("identity/entity/id/" + id, {{"disabled", false}});
  EXPECT_EQ(must_sign_in(sign_in), id);
}

// ---- groups -----------------------------------------------------------------------------------

TEST_F(IdentityTest, a_group_is_made_read_changed_and_removed) {
  const std::string ada = make_entity("ada");
  const Json made =
      must_write("identity/group", {{"name", "approvers"}, {"policies", {"agent"}}}).data;
  const std::string id = made.at("id");
  EXPECT_EQ(made, Json({{"id", id}, {"name", "approvers"}}));
  const Json read_back = must_read("identity/group/name/approvers");
  const Json expected = {{"alias", Json::object()},
                         {"creation_time", read_back.at("creation_time")},
                         {"id", id},
                         {"last_update_time", read_back.at("creation_time")},
                         {"member_entity_ids", Json::array()},
                         {"member_group_ids", nullptr},
                         {"metadata", nullptr},
                         {"modify_index", 1},
                         {"name", "approvers"},
                         {"namespace_id", "root"},
                         {"parent_group_ids", nullptr},
                         {"policies", {"agent"}},
                         {"type", "internal"}};
  EXPECT_EQ(read_back, expected);
  EXPECT_TRUE(must_write("identity/group/id/" + id, {{"member_entity_ids", {ada}}}).data.is_null());
  EXPECT_EQ(must_read("identity/group/id/" + id).at("member_entity_ids"), Json({ada}));
  EXPECT_EQ(must_read("identity/entity/id/" + ada).at("direct_group_ids"), Json({id}));
  EXPECT_EQ(list("identity/group/id")->data.at("key_info").at(id).at("num_member_entities"), 1);
  EXPECT_EQ(list("identity/group/name")->data.at("keys"), Json({"approvers"}));
  EXPECT_TRUE(remove("identity/group/name/approvers").has_value());
  EXPECT_EQ(code_of(read("identity/group/id/" + id)), Errc::kNotFound);
  EXPECT_EQ(must_read("identity/entity/id/" + ada).at("direct_group_ids"), Json::array());
}

TEST_F(IdentityTest, bad_groups_are_refused) {
  const std::string id = make_group("g");
  EXPECT_THAT(refused(write("identity/group/id/" + id, {{"member_entity_ids", {"nobody"}}})),
              HasSubstr("invalid entity ID \"nobody\""));
  EXPECT_THAT(refused(write("identity/group/id/" + id, {{"member_group_ids", {"none"}}})),
              HasSubstr("invalid member group ID \"none\""));
  EXPECT_THAT(refused(write("identity/group/id/" + id, {{"type", "external"}})),
              HasSubstr("group type cannot be changed"));
  EXPECT_THAT(refused(write("identity/group/id/" + id, {{"type", "odd"}})),
              HasSubstr("invalid group type \"odd\""));
  EXPECT_THAT(refused(write("identity/group", {{"policies", {"root"}}})),
              HasSubstr("policies cannot contain root"));
  EXPECT_THAT(
      refused(write("identity/group", {{"type", "external"}, {"member_entity_ids", {"x"}}})),
      HasSubstr("can't be set manually"));
  EXPECT_THAT(refused(write("identity/group", {{"id", "nowhere"}})), HasSubstr("invalid group ID"));
  const std::string accessor = token_accessor();
  EXPECT_THAT(refused(write("identity/group-alias",
                            {{"name", "x"}, {"mount_accessor", accessor}, {"canonical_id", id}})),
              HasSubstr("alias can't be set on an internal group"));
}

TEST_F(IdentityTest, policies_come_from_all_groups_above) {
  const std::string ada = make_entity("ada", {{"policies", {"own"}}});
  const std::string team =
      make_group("team", {{"policies", {"p-team"}}, {"member_entity_ids", {ada}}});
  const std::string unit =
      make_group("unit", {{"policies", {"p-unit"}}, {"member_group_ids", {team}}});
  make_group("company", {{"policies", {"p-all", "own"}}, {"member_group_ids", {unit}}});
  make_group("others", {{"policies", {"p-others"}}});
  const Standing standing = must_stand(ada);
  EXPECT_THAT(standing.policies, ElementsAre("own", "p-all", "p-team", "p-unit"));
  std::vector<std::string> names;
  for (const auto& group : standing.identity.groups) names.push_back(group.name);
  EXPECT_THAT(names, UnorderedElementsAre("team", "unit", "company"));
  const Json read_back = must_read("identity/entity/id/" + ada);
  EXPECT_EQ(read_back.at("direct_group_ids"), Json({team}));
  EXPECT_EQ(read_back.at("inherited_group_ids").size(), 2u);
  EXPECT_EQ(read_back.at("group_ids").size(), 3u);

  must_write("identity/group/id/" + unit, {{"member_group_ids", Json::array()}});
  EXPECT_THAT(must_stand(ada).policies, ElementsAre("own", "p-team"));
  EXPECT_TRUE(remove("identity/group/id/" + team).has_value());
  EXPECT_THAT(must_stand(ada).policies, ElementsAre("own"));
}

TEST_F(IdentityTest, group_cycles_are_refused) {
  const std::string a = make_group("a");
  const std::string b = make_group("b", {{"member_group_ids", {a}}});
  const std::string c = make_group("c", {{"member_group_ids", {b}}});
  EXPECT_THAT(refused(write("identity/group/id/" + a, {{"member_group_ids", {c}}})),
              HasSubstr("cyclic relationship detected for member group ID \"" + c));
  EXPECT_THAT(refused(write("identity/group/id/" + a, {{"member_group_ids", {b}}})),
              HasSubstr("cyclic relationship detected"));
  EXPECT_THAT(refused(write("identity/group/id/" + a, {{"member_group_ids", {a}}})),
              HasSubstr("same as the ID of the group"));
  EXPECT_EQ(must_read("identity/group/id/" + c).at("parent_group_ids"), nullptr);
  // A diamond is no cycle.
  const std::string d = make_group("d", {{"member_group_ids", {a}}});
  EXPECT_TRUE(write("identity/group/id/" + c, {{"member_group_ids", {b, d}}}).has_value());
}

TEST_F(IdentityTest, nesting_is_bounded) {
  const std::string ada = make_entity("ada");
  std::string below = make_group("g0", {{"member_entity_ids", {ada}}, {"policies", {"p0"}}});
  for (int i = 1; i < 32; ++i)
    below = make_group("g" + std::to_string(i),
                       {{"member_group_ids", {below}}, {"policies", {"p" + std::to_string(i)}}});
  EXPECT_EQ(must_stand(ada).policies.size(), 32u);
  EXPECT_THAT(refused(write("identity/group", {{"name", "top"}, {"member_group_ids", {below}}})),
              HasSubstr("nested 32 deep"));
  const std::string bottom = make_group("bottom");
  const std::string first = must_read("identity/group/name/g0").at("id");
  EXPECT_THAT(refused(write("identity/group/id/" + first, {{"member_group_ids", {bottom}}})),
              HasSubstr("nested 32 deep"));
}

TEST_F(IdentityTest, a_group_alias_is_one_groups) {
  const std::string accessor = token_accessor();
  const Json made =
      must_write("identity/group-alias", {{"name", "cn=ops"}, {"mount_accessor", accessor}}).data;
  const std::string group = made.at("canonical_id");
  const std::string alias = made.at("id");
  EXPECT_EQ(must_read("identity/group/id/" + group).at("type"), "external");
  EXPECT_EQ(must_read("identity/group/id/" + group).at("alias").at("name"), "cn=ops");
  EXPECT_EQ(must_read("identity/group-alias/id/" + alias).at("canonical_id"), group);
  EXPECT_EQ(list("identity/group-alias/id")->data.at("keys"), Json({alias}));
  const std::string other = make_group("other", {{"type", "external"}});
  EXPECT_THAT(
      refused(write("identity/group-alias",
                    {{"name", "cn=ops"}, {"mount_accessor", accessor}, {"canonical_id", other}})),
      HasSubstr("already in use"));
  write_policy("aliases", R"(path "identity/group-alias*" { capabilities = ["update"] })");
  const Json move = {{"name", "cn=ops"}, {"mount_accessor", accessor}, {"canonical_id", other}};
  EXPECT_EQ(code_of(write("identity/group-alias/id/" + alias, move, make_token({"aliases"}))),
            Errc::kPermissionDenied);
  EXPECT_EQ(must_write("identity/group-alias/id/" + alias, move).data.at("canonical_id"), other);
  EXPECT_EQ(must_read("identity/group/id/" + group).at("alias"), Json::object());
  EXPECT_TRUE(remove("identity/group-alias/id/" + alias).has_value());
  EXPECT_EQ(must_read("identity/group/id/" + other).at("alias"), Json::object());
}

// ---- merging ----------------------------------------------------------------------------------

TEST_F(IdentityTest, a_merged_entity_lives_on_in_the_other) {
  const std::string to = make_entity("to", {{"policies", {"a"}}});
  const std::string from = make_entity("from", {{"policies", {"b"}}});
  const std::string older = make_entity("older");
  const std::string group = make_group("g", {{"member_entity_ids", {from}}, {"policies", {"c"}}});
  const std::string alias = make_alias("login", from);
  must_write("identity/entity/merge", {{"to_entity_id", from}, {"from_entity_ids", {older}}});
  must_write("identity/entity/merge", {{"to_entity_id", to}, {"from_entity_ids", {from}}});
  const Json merged = must_read("identity/entity/id/" + to);
  EXPECT_EQ(merged.at("merged_entity_ids"), Json({older, from}));
  EXPECT_EQ(merged.at("policies"), Json({"a", "b"}));
  EXPECT_EQ(merged.at("direct_group_ids"), Json({group}));
  EXPECT_EQ(merged.at("aliases").at(0).at("id"), alias);
  EXPECT_EQ(merged.at("aliases").at(0).at("merged_from_canonical_ids"), Json({from}));
  for (const std::string& old : {from, older}) {
    EXPECT_EQ(must_stand(old).entity_id, to);
    EXPECT_THAT(must_stand(old).policies, ElementsAre("a", "b", "c"));
    EXPECT_EQ(must_read("identity/entity/id/" + old).at("id"), to);
    // Only the one that it is part of can be changed.
    EXPECT_THAT(refused(write("identity/entity/id/" + old, {{"disabled", true}})),
                HasSubstr("not found"));
  }
  EXPECT_EQ(code_of(read("identity/entity/name/from")), Errc::kNotFound);
  must_write("identity/entity/id/" + to, {{"disabled", true}});
  EXPECT_TRUE(must_stand(older).disabled);
  EXPECT_TRUE(remove("identity/entity/id/" + to).has_value());
  service_.forget();
  EXPECT_EQ(*service_.standing(from), nullptr);
}

TEST_F(IdentityTest, where_both_have_an_alias_of_one_mount_somebody_chooses) {
  const std::string to = make_entity("to");
  const std::string from = make_entity("from");
  const std::string kept = make_alias("kept", to);
  const std::string dropped = make_alias("dropped", from);
  const Json plain = {{"to_entity_id", to}, {"from_entity_ids", {from}}};
  EXPECT_THAT(refused(write("identity/entity/merge", plain)), HasSubstr("clashes"));
  Json chosen = plain;
  chosen["conflicting_alias_ids_to_keep"] = {kept};
  must_write("identity/entity/merge", chosen);
  EXPECT_EQ(must_read("identity/entity/id/" + to).at("aliases").size(), 1u);
  EXPECT_EQ(code_of(read("identity/entity-alias/id/" + dropped)), Errc::kNotFound);
  // The login that lost its alias gets an entity of its own.
  EXPECT_NE(
      must_sign_in({.mount_accessor = token_accessor(), .mount_type = "x", .alias = "dropped"}),
      to);
}

TEST_F(IdentityTest, merges_that_would_lose_a_restriction_are_refused) {
  const std::string ada = make_entity("ada", {{"kind", "human"}});
  must_write("identity/agent/bot", {{"owner", "ada"}, {"ceiling_policies", {"low"}}});
  const std::string bot = must_read("identity/agent/bot").at("id");
  const std::string off = make_entity("off", {{"disabled", true}});
  const std::string plain = make_entity("plain");
  const auto merge = [&](const std::string& from, const std::string& to) {
    return refused(
        write("identity/entity/merge", {{"from_entity_ids", {from}}, {"to_entity_id", to}}));
  };
  EXPECT_THAT(merge(bot, ada), HasSubstr("its ceiling and its owner would be lost"));
  EXPECT_THAT(merge(bot, plain), HasSubstr("its ceiling and its owner would be lost"));
  EXPECT_THAT(merge(ada, bot), HasSubstr("cannot become one"));
  EXPECT_THAT(merge(off, plain), HasSubstr("is disabled"));
  EXPECT_THAT(merge(ada, ada), HasSubstr("should not be present"));
  EXPECT_THAT(merge("nobody", ada), HasSubstr("merge from is invalid"));
  EXPECT_THAT(merge(ada, "nobody"), HasSubstr("merge to is invalid"));
  EXPECT_EQ(must_read("identity/entity/id/" + bot).at("name"), "bot");
}

// ---- agents -----------------------------------------------------------------------------------

TEST_F(IdentityTest, an_agent_is_registered_with_who_answers_for_it) {
  make_entity("ada", {{"kind", "human"}});
  const Json made =
      must_write("identity/agent/claude-code", {{"owner", "ada"},
                                                {"kind", "coding agent"},
                                                {"description", "fixes reports"},
                                                {"policies", {"base"}},
                                                {"ceiling_policies", {"readers"}},
                                                {"allowed_roles", {"database/readonly", "pg-*/ro"}},
                                                {"max_live_leases", 3},
                                                {"max_leases_per_hour", "20"},
                                                {"max_ttl", "15m"},
                                                {"metadata", {{"team", "data"}}}})
          .data;
  const std::string id = made.at("id");
  const Json agent = must_read("identity/agent/claude-code");
  EXPECT_EQ(agent.at("owner"), "ada");
  EXPECT_EQ(agent.at("owner_type"), "entity");
  EXPECT_EQ(agent.at("max_ttl"), 900);
  EXPECT_EQ(agent.at("may_act"), true);
  EXPECT_EQ(must_read("identity/entity/id/" + id).at("kind"), "agent");
  const Standing standing = must_stand(id);
  EXPECT_EQ(standing.name, "claude-code");
  EXPECT_EQ(standing.kind, "agent");
  EXPECT_EQ(standing.owner, "ada");
  ASSERT_TRUE(standing.agent.has_value());
  EXPECT_THAT(standing.agent->ceiling_policies, ElementsAre("readers"));
  EXPECT_THAT(standing.agent->allowed_roles, ElementsAre("database/readonly", "pg-*/ro"));
  EXPECT_EQ(standing.agent->live_leases_max, 3);
  EXPECT_EQ(standing.agent->leases_per_hour, 20);
  EXPECT_EQ(standing.agent->ttl_max, std::chrono::minutes{15});

  // What is not said stays.
  EXPECT_TRUE(must_write("identity/agent/claude-code", {{"max_live_leases", 5}}).data.is_null());
  EXPECT_EQ(must_read("identity/agent/claude-code").at("max_leases_per_hour"), 20);
  EXPECT_EQ(must_read("identity/agent/claude-code").at("max_live_leases"), 5);
  const auto listed = list("identity/agent");
  EXPECT_EQ(listed->data.at("keys"), Json({"claude-code"}));
  EXPECT_EQ(listed->data.at("key_info").at("claude-code").at("owner"), "ada");
  EXPECT_TRUE(remove("identity/agent/claude-code").has_value());
  EXPECT_EQ(code_of(read("identity/agent/claude-code")), Errc::kNotFound);
  EXPECT_EQ(code_of(read("identity/entity/id/" + id)), Errc::kNotFound);
  EXPECT_EQ(code_of(list("identity/agent")), Errc::kNotFound);
}

TEST_F(IdentityTest, an_agent_needs_an_owner_who_is_no_agent) {
  make_entity("ada");
  make_group("ops");
  make_entity("both");
  make_group("both");
  EXPECT_THAT(refused(write("identity/agent/x")), HasSubstr("missing owner"));
  EXPECT_THAT(refused(write("identity/agent/x", {{"owner", "nobody"}})),
              HasSubstr("no entity or group"));
  EXPECT_THAT(refused(write("identity/agent/x", {{"owner", "both"}})),
              HasSubstr("entity:both or group:both"));
  must_write("identity/agent/by-group", {{"owner", "ops"}});
  EXPECT_EQ(must_read("identity/agent/by-group").at("owner_type"), "group");
  must_write("identity/agent/explicit", {{"owner", "entity:both"}});
  EXPECT_THAT(refused(write("identity/agent/x", {{"owner", "by-group"}})),
              HasSubstr("is an agent"));
  EXPECT_THAT(refused(write("identity/agent/ada", {{"owner", "ops"}})),
              HasSubstr("an entity that is no agent has the name"));
  EXPECT_THAT(refused(write("identity/agent/x", {{"owner", "ada"}, {"max_live_leases", -1}})),
              HasSubstr("\"max_live_leases\""));
  EXPECT_THAT(refused(write("identity/agent/x", {{"owner", "ada"}, {"allowed_roles", {"ro"}}})),
              HasSubstr("names no mount"));
  EXPECT_THAT(refused(write("identity/agent/x", {{"owner", "ada"}, {"ceiling_policies", "root"}})),
              HasSubstr("cannot contain root"));
  EXPECT_EQ(code_of(write("identity/agent/nobody/disable")), Errc::kNotFound);
}

TEST_F(IdentityTest, an_entity_becomes_an_agent_only_when_its_id_says_so) {
  make_entity("ada");
  const std::string login =
      must_sign_in({.mount_accessor = "approle_1", .mount_type = "approle", .alias = "role-1"});
  must_write("identity/agent/runner", {{"owner", "ada"}, {"entity_id", login}});
  EXPECT_EQ(must_stand(login).name, "runner");
  EXPECT_EQ(must_stand(login).kind, "agent");
  const std::string human = make_entity("eve", {{"kind", "human"}});
  EXPECT_THAT(refused(write("identity/agent/eve-bot", {{"owner", "ada"}, {"entity_id", human}})),
              HasSubstr("is a human"));
}

TEST_F(IdentityTest, disabling_and_removing_count_at_once) {
  ASSERT_TRUE(service_.put_entity({.name = "ada"}).has_value());
  AgentChange change;
  change.name = "bot";
  change.owner = "ada";
  const std::string id = service_.put_agent(change)->id;
  EXPECT_FALSE(known_standing(id).disabled);
  ASSERT_TRUE(service_.set_agent_disabled("bot", true).has_value());
  EXPECT_TRUE(known_standing(id).disabled);
  EXPECT_THAT(known_standing(id).disabled_why, HasSubstr("it is disabled"));
  ASSERT_TRUE(service_.set_agent_disabled("bot", false).has_value());
  EXPECT_FALSE(known_standing(id).disabled);
  // While nobody answers for it, it may do nothing.
  EntityChange off;
  off.name = "ada";
  off.disabled = true;
  ASSERT_TRUE(service_.put_entity(off).has_value());
  EXPECT_THAT(known_standing(id).disabled_why, HasSubstr("its owner \"ada\" is disabled"));
  ASSERT_TRUE(service_.remove_entity_named("ada").has_value());
  EXPECT_THAT(known_standing(id).disabled_why, HasSubstr("is gone"));
  ASSERT_TRUE(service_.remove_agent("bot").has_value());
  EXPECT_EQ(*service_.standing(id), nullptr);
}

TEST_F(IdentityTest, agents_are_disabled_and_enabled_by_path) {
  make_entity("ada");
  must_write("identity/agent/bot", {{"owner", "ada"}});
  must_write("identity/agent/bot/disable");
  EXPECT_EQ(must_read("identity/agent/bot").at("disabled"), true);
  EXPECT_EQ(must_read("identity/agent/bot").at("may_not_act_because"), "it is disabled");
  must_write("identity/agent/bot/enable");
  EXPECT_EQ(must_read("identity/agent/bot").at("may_act"), true);
}

// ---- budgets ----------------------------------------------------------------------------------

class AgentBudgetTest : public IdentityTest {
 protected:
  AgentBudgetTest() {
    agent_.entity_id = "bot-id";
    agent_.name = "bot";
    agent_.agent = AgentLimits{};
    next_.role = "readonly";
    next_.issued_at = clock_.wall();
  }

  void have_lease(LeaseState state, Millis age, const std::string& entity = "bot-id") {
    const Status written = database_->write([&](store::Writer& writer) -> Status {
      RETURN_IF_ERROR(writer.execute(
          "INSERT INTO leases (id, namespace, mount, role, resource, token, entity, state, "
          "issued_at, expires_at, attempts, sealed) VALUES ($1, 'root', 'm', 'r', '', '', $2, $3, "
          "$4, $4, 0, $5)",
          {random_uuid(random_), entity, static_cast<std::int64_t>(state),
           to_unix_millis(clock_.wall() - age), store::Blob{"x"}}));
      return ok();
    });
    ASSERT_TRUE(written.has_value()) << written.error().message;
  }

  // kInternal: it may be born.
  Errc verdict(const std::string& mount = "database/") {
    Errc code = Errc::kInternal;
    const Status asked = database_->read([&](const store::Reader& reader) -> Status {
      const Status checked = check_agent_budget(reader, agent_, mount, next_);
      if (!checked) code = checked.error().code;
      return ok();
    });
    EXPECT_TRUE(asked.has_value());
    return code;
  }

  Standing agent_;
  Lease next_;
};

TEST_F(AgentBudgetTest, who_is_no_agent_or_has_no_limits_is_free) {
  have_lease(LeaseState::kActive, Millis{0});
  EXPECT_EQ(verdict(), Errc::kInternal);
  agent_.agent.reset();
  EXPECT_EQ(verdict(), Errc::kInternal);
}

TEST_F(AgentBudgetTest, only_allowed_roles_are_leased) {
  agent_.agent->allowed_roles = {"database/read*", "other/ro"};
  EXPECT_EQ(verdict(), Errc::kInternal);
  EXPECT_EQ(verdict("team/database/"), Errc::kPermissionDenied);
  EXPECT_EQ(verdict("other/"), Errc::kPermissionDenied);
  next_.role = "owner";
  EXPECT_EQ(verdict(), Errc::kPermissionDenied);
}

TEST_F(AgentBudgetTest, live_leases_are_counted_until_they_are_proven_gone) {
  agent_.agent->live_leases_max = 2;
  have_lease(LeaseState::kRevoked, Millis{0});
  have_lease(LeaseState::kActive, std::chrono::hours{9});
  have_lease(LeaseState::kActive, Millis{0}, "somebody else");
  have_lease(LeaseState::kActive, Millis{0}, "");
  EXPECT_EQ(verdict(), Errc::kInternal);
  have_lease(LeaseState::kQuarantined, Millis{0});
  EXPECT_EQ(verdict(), Errc::kQuotaExceeded);
}

TEST_F(AgentBudgetTest, leases_of_the_last_hour_are_counted_whatever_became_of_them) {
  agent_.agent->leases_per_hour = 2;
  have_lease(LeaseState::kActive, std::chrono::hours{1});
  have_lease(LeaseState::kRevoked, std::chrono::minutes{59});
  EXPECT_EQ(verdict(), Errc::kInternal);
  have_lease(LeaseState::kAbandoned, Millis{1});
  EXPECT_EQ(verdict(), Errc::kQuotaExceeded);
  clock_.advance(std::chrono::minutes{1});
  next_.issued_at = clock_.wall();
  EXPECT_EQ(verdict(), Errc::kInternal);
}

TEST_F(AgentBudgetTest, the_counts_use_their_indexes) {
  const auto plan_of = [&](const std::string& where) {
    std::string plan;
    const Status asked = database_->read([&](const store::Reader& reader) -> Status {
      ASSIGN_OR_RETURN(const auto rows,
                       reader.query("EXPLAIN QUERY PLAN SELECT count(*) FROM (SELECT 1 FROM leases "
                                    "WHERE " +
                                        where + " LIMIT 3) AS counted",
                                    {std::string("e")}));
      for (const store::Row& row : rows) plan += row.text(3) + "\n";
      return ok();
    });
    EXPECT_TRUE(asked.has_value()) << asked.error().message;
    return plan;
  };
  EXPECT_THAT(plan_of("state < 4 AND entity <> '' AND entity = $1"), HasSubstr("leases_by_entity"));
  EXPECT_THAT(plan_of("entity <> '' AND issued_at > 0 AND entity = $1 AND issued_at > 5"),
              HasSubstr("leases_by_issue"));
}

// ---- altered rows -----------------------------------------------------------------------------

class TamperedIdentityTest : public IdentityTest {
 protected:
  TamperedIdentityTest() {
    ada_ = make_entity("ada", {{"policies", {"own"}}});
    eve_ = make_entity("eve");
    strong_ = make_group("strong", {{"policies", {"powerful"}}, {"member_entity_ids", {ada_}}});
    weak_ = make_group("weak", {{"policies", {"limited"}}, {"member_entity_ids", {eve_}}});
  }
  Errc standing_code(const std::string& id) {
    service_.forget();
    const auto standing = service_.standing(id);
    return standing ? Errc::kInternal : standing.error().code;
  }
  void copy_row(const std::string& scope, const std::string& from, const std::string& to) {
    tamper(
        fmt::format("UPDATE records SET sealed = (SELECT sealed FROM records WHERE scope = "
                    "'{0}' AND name = '{1}') WHERE scope = '{0}' AND name = '{2}'",
                    scope, from, to));
  }

  std::string ada_, eve_, strong_, weak_;
};

TEST_F(TamperedIdentityTest, another_entitys_row_gives_nothing) {
  copy_row("identity/entity", ada_, eve_);
  EXPECT_EQ(standing_code(eve_), Errc::kCorrupt);
  EXPECT_EQ(code_of(read("identity/entity/id/" + eve_)), Errc::kCorrupt);
}

TEST_F(TamperedIdentityTest, another_groups_row_gives_nothing) {
  copy_row("identity/group", strong_, weak_);
  EXPECT_EQ(standing_code(eve_), Errc::kCorrupt);
}

TEST_F(TamperedIdentityTest, a_group_that_is_missing_denies) {
  // Its policies may have been the ones that deny.
  tamper("DELETE FROM records WHERE scope = 'identity/group' AND name = '" + weak_ + "'");
  EXPECT_EQ(standing_code(eve_), Errc::kCorrupt);
}

TEST_F(TamperedIdentityTest, a_membership_that_was_added_gives_nothing) {
  tamper(
      fmt::format("INSERT INTO records (namespace, scope, name, sealed) SELECT namespace, scope, "
                  "'{}/{}', sealed FROM records WHERE scope = 'identity/member' LIMIT 1",
                  strong_, eve_));
  EXPECT_THAT(must_stand(eve_).policies, ElementsAre("limited"));
}

TEST_F(TamperedIdentityTest, an_alias_that_leads_elsewhere_denies) {
  const SignIn as_ada{.mount_accessor = "jwt_1", .mount_type = "jwt", .alias = "ada"};
  const SignIn as_eve{.mount_accessor = "jwt_1", .mount_type = "jwt", .alias = "eve"};
  const std::string ada = must_sign_in(as_ada);
  const std::string eve = must_sign_in(as_eve);
  tamper(
      "UPDATE records SET sealed = (SELECT sealed FROM records WHERE scope = 'identity/alias' "
      "ORDER BY name LIMIT 1) WHERE scope = 'identity/alias'");
  int denied = 0;
  for (const auto& sign_in : {as_ada, as_eve}) {
    const auto again = service_.sign_in(sign_in, clock_.wall());
    if (!again && again.error().code == Errc::kCorrupt) ++denied;
    if (again) {
      EXPECT_EQ(*again, sign_in.alias == "ada" ? ada : eve);
    }
  }
  EXPECT_EQ(denied, 1);
}

TEST_F(TamperedIdentityTest, a_merge_that_was_invented_gives_nothing) {
  const std::string from = make_entity("from");
  must_write("identity/entity/merge", {{"to_entity_id", ada_}, {"from_entity_ids", {from}}});
  tamper(
      fmt::format("INSERT INTO records (namespace, scope, name, sealed) SELECT namespace, scope, "
                  "'mine', sealed FROM records WHERE scope = 'identity/merged'"));
  EXPECT_EQ(standing_code("mine"), Errc::kCorrupt);
}

TEST_F(IdentityTest, names_do_not_stand_in_the_store_in_the_clear) {
  make_alias("ada@corp.example", make_entity("ada@corp.example"));
  std::vector<std::string> names;
  ASSERT_TRUE(database_
                  ->read([&](const store::Reader& reader) -> Status {
                    ASSIGN_OR_RETURN(const auto rows,
                                     reader.query("SELECT name FROM records WHERE scope >= "
                                                  "'identity/' AND scope < 'identity0'"));
                    for (const store::Row& row : rows) names.push_back(row.text(0));
                    return ok();
                  })
                  .has_value());
  EXPECT_GE(names.size(), 4u);
  for (const std::string& name : names) EXPECT_EQ(name.find("ada"), std::string::npos) << name;
}

TEST_F(IdentityTest, identities_survive_a_restart) {
  const std::string id = make_entity("ada", {{"policies", {"p"}}});
  must_write("identity/agent/bot", {{"owner", "ada"}});
  restart();
  EXPECT_EQ(must_read("identity/entity/name/ada").at("id"), id);
  EXPECT_EQ(must_read("identity/agent/bot").at("owner"), "ada");
}

TEST_F(IdentityTest, the_paths_are_described_and_guarded) {
  EXPECT_TRUE(broker_->describe().at("paths").contains("/v1/identity/agent/{name}"));
  EXPECT_EQ(code_of(read("identity/entity/name/x", make_token({"default"}))),
            Errc::kPermissionDenied);
}

}  // namespace
}  // namespace curfew::broker

// Namespaces: what each has of its own, and what reaches from one into those below it.
#include <fstream>

#include "tests/broker/tenant_world.h"

namespace curfew::broker {
namespace {

using enum Operation;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class TenantTest : public TenantWorld {
 protected:
  // In all tables.
  std::int64_t rows_of(const std::string& id) {
    std::int64_t rows = 0;
    const Status read = sqlite_->read([&](const store::Reader& reader) -> Status {
      for (const std::string table : {"keyring", "records", "tokens", "leases"}) {
        ASSIGN_OR_RETURN(
            const auto row,
            reader.query_one("SELECT count(*) FROM " + table + " WHERE namespace = $1", {id}));
        rows += row->integer(0);
      }
      return ok();
    });
    EXPECT_TRUE(read.has_value());
    return rows;
  }
};

// ---- the API ----------------------------------------------------------------------------------

TEST_F(TenantTest, a_namespace_is_made_listed_described_and_patched) {
  const Json made =
      must_write("sys/namespaces/team-c", {{"custom_metadata", {{"owner", "ana"}, {"x", "1"}}}})
          .data;
  EXPECT_EQ(made.at("path"), "team-c/");
  EXPECT_EQ(made.at("id").get<std::string>().size(), 6u);
  EXPECT_EQ(made.at("custom_metadata"), Json({{"owner", "ana"}, {"x", "1"}}));
  EXPECT_EQ(made.at("tainted"), false);
  EXPECT_EQ(must_read("sys/namespaces/team-c"), made);

  const Json listed = list("sys/namespaces")->data;
  EXPECT_THAT(listed.at("keys"), ElementsAre("team-a/", "team-b/", "team-c/"));
  EXPECT_EQ(listed.at("key_info").at("team-c/"), made);

  const auto patched =
      call(kPatch, "sys/namespaces/team-c", {{"custom_metadata", {{"x", nullptr}, {"y", "2"}}}});
  ASSERT_TRUE(patched.has_value());
  EXPECT_EQ(patched->data.at("custom_metadata"), Json({{"owner", "ana"}, {"y", "2"}}));
  // Written again: the metadata is replaced, the namespace stays the same.
  const Json again = must_write("sys/namespaces/team-c").data;
  EXPECT_EQ(again.at("uuid"), made.at("uuid"));
  EXPECT_EQ(again.at("custom_metadata"), Json::object());
  restart();
  EXPECT_EQ(must_read("sys/namespaces/team-c"), again);
}

TEST_F(TenantTest, what_is_not_there_is_said_in_vaults_words) {
  EXPECT_EQ(code_of(read("sys/namespaces/none")), Errc::kNotFound);
  EXPECT_EQ(code_of(call(kPatch, "sys/namespaces/none", {{"custom_metadata", {{"a", "b"}}}})),
            Errc::kNotFound);
  EXPECT_TRUE(remove("sys/namespaces/none").has_value());
  EXPECT_EQ(code_of(in("team-a", kList, "sys/namespaces")), Errc::kNotFound);
}

TEST_F(TenantTest, bad_names_and_metadata_are_refused) {
  for (const std::string name :
       {"root", "sys",      "auth",    "audit", "identity", "cubbyhole", "a b",
        "a{b",  "a\u202Eb", "a\u200B", "a*",    "+",        "a+b",       "a%2f",
        "a\"b", "a\\b",     "a?b",     "a#b",   "\xff",     "a\nb",      "a\x7f"})
    EXPECT_EQ(code_of(write("sys/namespaces/" + name)), Errc::kInvalidArgument) << name;
  EXPECT_EQ(code_of(write("sys/namespaces/" + std::string(129, 'x'))), Errc::kInvalidArgument);
  const auto nested = write("sys/namespaces/a/b");
  EXPECT_THAT(nested.error().message, HasSubstr("path must not contain /"));
  EXPECT_EQ(code_of(write("sys/namespaces/c", {{"custom_metadata", {{"a", 1}}}})),
            Errc::kInvalidArgument);
  EXPECT_EQ(code_of(write("sys/namespaces/c", {{"custom_metadata", "x"}})), Errc::kInvalidArgument);
  EXPECT_EQ(
      code_of(write("sys/namespaces/c", {{"custom_metadata", {{"a", std::string(1000, 'x')}}}})),
      Errc::kInvalidArgument);
  EXPECT_EQ(code_of(read("sys/namespaces/c")), Errc::kNotFound);
}

TEST_F(TenantTest, mounts_and_namespaces_do_not_take_each_others_paths) {
  must_write("sys/mounts/deep/er", {{"type", "kv"}});
  EXPECT_THAT(write("sys/namespaces/deep").error().message,
              HasSubstr("conflicts with existing mount: deep/er/"));
  EXPECT_EQ(code_of(write("sys/mounts/team-a", {{"type", "kv"}})), Errc::kInvalidArgument);
  EXPECT_EQ(code_of(write("sys/mounts/team-a/x", {{"type", "kv"}})), Errc::kInvalidArgument);
  must_write("sys/mounts/team-abc", {{"type", "kv"}});
}

TEST_F(TenantTest, nesting_has_an_end) {
  std::string path;
  for (int depth = 0; depth < 16; ++depth) {
    must_in(path, kUpdate, "sys/namespaces/n");
    path += path.empty() ? "n" : "/n";
  }
  EXPECT_EQ(code_of(in(path, kUpdate, "sys/namespaces/n")), Errc::kInvalidArgument);
  EXPECT_TRUE(in(path, kRead, "sys/mounts").has_value());
}

TEST_F(TenantTest, header_and_path_prefix_name_a_namespace_alike_and_together) {
  make_namespace("team-a", "ci");
  must_in("team-a/ci", kUpdate, "sys/mounts/kv", {{"type", "kv"}});
  must_in("team-a/ci", kUpdate, "kv/x", {{"v", "1"}});
  EXPECT_EQ(must_read("team-a/ci/kv/x").at("v"), "1");
  EXPECT_EQ(must_in("team-a", kRead, "ci/kv/x").data.at("v"), "1");
  EXPECT_EQ(must_in("/team-a/ci/", kRead, "kv/x").data.at("v"), "1");
  EXPECT_EQ(must_in("root", kRead, "team-a/ci/kv/x").data.at("v"), "1");
  EXPECT_EQ(code_of(in("team-a", kRead, "kv/x")), Errc::kNotFound);
}

TEST_F(TenantTest, a_header_that_names_no_namespace_does_not_slip_into_the_path) {
  must_write("sys/mounts/kv", {{"type", "kv"}});
  must_write("kv/secret/x", {{"v", "1"}});
  EXPECT_EQ(code_of(in("kv", kRead, "secret/x")), Errc::kUnsupportedPath);
  EXPECT_EQ(code_of(in("sys", kRead, "mounts")), Errc::kUnsupportedPath);
  EXPECT_EQ(code_of(in("auth", kUpdate, "token/create")), Errc::kUnsupportedPath);
  EXPECT_EQ(code_of(in("team-x", kRead, "sys/mounts")), Errc::kUnsupportedPath);
}

TEST_F(TenantTest, what_is_the_servers_affair_is_not_in_a_namespace) {
  for (const std::string path :
       {"sys/seal", "sys/unseal", "sys/init", "sys/health", "sys/seal-status", "sys/clock"})
    EXPECT_FALSE(in("team-a", kUpdate, path).has_value()) << path;
  EXPECT_TRUE(read("sys/mounts").has_value()) << "not sealed";
}

// ---- own ---------------------------------------------------------------------------------------

TEST_F(TenantTest, each_has_its_own_mounts_policies_tokens_and_quotas) {
  must_in("team-a", kUpdate, "sys/mounts/only-a", {{"type", "kv"}});
  must_in("team-a", kUpdate, "sys/policies/acl/only-a", {{"policy", "path \"x\" {}"}});
  must_in("team-a", kUpdate, "sys/quotas/rate-limit/only-a", {{"rate", 1000}});
  must_in("team-a", kUpdate, "auth/token/roles/only-a", {{"orphan", true}});
  for (const std::string other : {"", "team-b"}) {
    EXPECT_FALSE(must_in(other, kRead, "sys/mounts").data.contains("only-a/"));
    EXPECT_EQ(code_of(in(other, kRead, "sys/policies/acl/only-a")), Errc::kNotFound);
    EXPECT_EQ(code_of(in(other, kRead, "sys/quotas/rate-limit/only-a")), Errc::kNotFound);
    EXPECT_EQ(code_of(in(other, kRead, "auth/token/roles/only-a")), Errc::kNotFound);
  }
  restart();
  EXPECT_TRUE(must_in("team-a", kRead, "sys/mounts").data.contains("only-a/"));
}

TEST_F(TenantTest, a_token_says_where_it_belongs_and_works_there_alone) {
  const std::string id = must_read("sys/namespaces/team-a").at("id");
  const std::string token = token_in("team-a", {"agent"});
  EXPECT_TRUE(token.ends_with("." + id));
  issue_in("team-a", token);
  for (const std::string other : {"", "team-b", "team-x"})
    EXPECT_EQ(code_of(in(other, kRead, "db/creds/ro", Json::object(), token)),
              Errc::kUnauthenticated)
        << other;
  // With another end it is another token.
  const std::string id_b = must_read("sys/namespaces/team-b").at("id");
  const std::string bent = token.substr(0, token.size() - id.size()) + id_b;
  EXPECT_EQ(code_of(in("team-b", kRead, "db/creds/ro", Json::object(), bent)),
            Errc::kUnauthenticated);
  EXPECT_EQ(code_of(in("team-a", kUpdate, "auth/token/create", {{"id", "mine"}})),
            Errc::kInvalidArgument)
      << "whose id is chosen could not say where it belongs";
}

TEST_F(TenantTest, leases_are_counted_listed_and_found_in_their_namespace_alone) {
  const std::string a = issue_in("team-a", token_in("team-a", {"agent"}));
  EXPECT_EQ(live_in("team-a"), 1);
  EXPECT_EQ(live_in("team-b"), 0);
  EXPECT_EQ(live_in(""), 0);
  EXPECT_TRUE(in("team-a", kUpdate, "sys/leases/lookup", {{"lease_id", a}}).has_value());
  for (const std::string other : {"", "team-b"}) {
    EXPECT_EQ(code_of(in(other, kUpdate, "sys/leases/lookup", {{"lease_id", a}})),
              Errc::kInvalidArgument);
    EXPECT_EQ(code_of(in(other, kUpdate, "sys/leases/receipt", {{"lease_id", a}})),
              code_of(in(other, kUpdate, "sys/leases/receipt", {{"lease_id", "db/creds/ro/x"}})));
    EXPECT_EQ(must_in(other, kList, "sys/leases/lookup/db/creds/ro").data.at("keys"),
              Json::array());
    // Ending what is not there is success, and ends nothing.
    must_in(other, kUpdate, "sys/leases/revoke", {{"lease_id", a}});
    must_in(other, kUpdate, "sys/leases/revoke-prefix/db");
  }
  EXPECT_EQ(outside_.names().size(), 1u);
  must_in("team-a", kUpdate, "sys/leases/revoke", {{"lease_id", a}});
  EXPECT_TRUE(outside_.names().empty());
}

TEST_F(TenantTest, each_has_its_own_keys_and_turns_them_alone) {
  const auto term = [&](const std::string& where) {
    return must_in(where, kRead, "sys/key-status").data.at("term").get<int>();
  };
  must_in("team-a", kUpdate, "kv/x", {{"v", "before"}});
  must_in("team-a", kUpdate, "sys/rotate");
  EXPECT_EQ(term("team-a"), 2);
  EXPECT_EQ(term("team-b"), 1);
  EXPECT_EQ(term(""), 1);
  restart();
  EXPECT_EQ(term("team-a"), 2);
  EXPECT_EQ(must_in("team-a", kRead, "kv/x").data.at("v"), "before");
}

TEST_F(TenantTest, rows_do_not_open_in_another_namespace) {
  must_in("team-a", kUpdate, "kv/x", {{"v", "secret of a"}});
  const std::string a = must_read("sys/namespaces/team-a").at("id");
  const std::string b = must_read("sys/namespaces/team-b").at("id");
  must_in("team-b", kUpdate, "kv/y", {{"v", "1"}});
  // The rows of a's policy in the place of b's.
  tamper("DELETE FROM records WHERE namespace = '" + b + "' AND scope = 'sys/policy'");
  tamper("UPDATE records SET namespace = '" + b + "' WHERE namespace = '" + a +
         "' AND scope = 'sys/policy'");
  restart();
  EXPECT_EQ(code_of(in("team-b", kRead, "sys/policies/acl/agent")), Errc::kCorrupt);
  EXPECT_EQ(must_in("team-b", kRead, "kv/y").data.at("v"), "1");
}

TEST_F(TenantTest, one_whose_keys_do_not_open_is_left_out_and_the_others_work) {
  const std::string a = must_read("sys/namespaces/team-a").at("id");
  tamper("UPDATE keyring SET sealed = zeroblob(length(sealed)) WHERE namespace = '" + a + "'");
  restart();
  EXPECT_EQ(code_of(in("team-a", kRead, "sys/mounts")), Errc::kUnsupportedPath);
  EXPECT_TRUE(in("team-b", kRead, "sys/mounts").has_value());
  EXPECT_TRUE(read("sys/mounts").has_value());
}

// ---- from above --------------------------------------------------------------------------------

TEST_F(TenantTest, a_token_from_above_acts_below_by_the_whole_path) {
  make_namespace("team-a", "ci");
  must_in("team-a/ci", kUpdate, "sys/mounts/kv", {{"type", "kv"}});
  must_in("team-a/ci", kUpdate, "kv/x", {{"v", "1"}});
  write_policy("ci", R"(path "team-a/ci/kv/x" { capabilities = ["read"] }
                        path "kv/x" { capabilities = ["read", "update", "delete"] })");
  const std::string token = make_token({"ci"});
  EXPECT_EQ(must_in("team-a/ci", kRead, "kv/x", Json::object(), token).data.at("v"), "1");
  EXPECT_EQ(code_of(in("team-a/ci", kUpdate, "kv/x", {{"v", "2"}}, token)),
            Errc::kPermissionDenied);
  EXPECT_EQ(code_of(in("team-a", kRead, "kv/x", Json::object(), token)), Errc::kPermissionDenied);
  const Json able = must_in("team-a/ci", kUpdate, "sys/capabilities-self", {{"paths", "kv/x"}})
                        .data.at("capabilities");
  EXPECT_THAT(able, ElementsAre("root"));

  must_in("team-a", kUpdate, "sys/policies/acl/ci",
          {{"policy", R"(path "ci/kv/x" { capabilities = ["read"] })"}});
  const std::string middle = token_in("team-a", {"ci"});
  EXPECT_EQ(must_in("team-a/ci", kRead, "kv/x", Json::object(), middle).data.at("v"), "1");
  EXPECT_EQ(code_of(in("", kRead, "team-a/ci/kv/y", Json::object(), middle)),
            Errc::kPermissionDenied);
}

TEST_F(TenantTest, tokens_for_a_namespace_are_made_from_above_with_sudo_and_live_alone) {
  write_policy("maker", R"(path "team-a/auth/token/create" { capabilities = ["update"] })");
  write_policy("sudo", R"(path "team-a/auth/token/create" { capabilities = ["update", "sudo"] })");
  const Json asked = {{"policies", {"agent"}}};
  const auto weak = in("team-a", kUpdate, "auth/token/create", asked, make_token({"maker"}));
  EXPECT_THAT(weak.error().message, HasSubstr("sudo privileges required"));
  const std::string strong = make_token({"sudo"});
  EXPECT_THAT(in("team-a", kUpdate, "auth/token/create", Json::object(), strong).error().message,
              HasSubstr("say which policies"));
  EXPECT_FALSE(in("team-a", kUpdate, "auth/token/create", {{"policies", {"root"}}}, strong));
  const Response made = must_in("team-a", kUpdate, "auth/token/create", asked, strong);
  EXPECT_TRUE(made.auth->orphan);
  const std::string token(made.auth->client_token.reveal());
  must_write("auth/token/revoke", {{"token", strong}});
  run_due();
  issue_in("team-a", token);
}

TEST_F(TenantTest, a_token_from_above_is_looked_after_at_home) {
  EXPECT_EQ(must_in("team-a", kRead, "auth/token/lookup-self").data.at("id"), "root");
  for (const char* path : {"auth/token/renew-self", "auth/token/revoke-self"})
    EXPECT_EQ(code_of(in("team-a", kUpdate, path)), Errc::kInvalidArgument) << path;
  EXPECT_TRUE(read("auth/token/lookup-self").has_value());
}

TEST_F(TenantTest, what_a_token_from_above_leased_below_ends_with_it) {
  write_policy("below", R"(path "team-a/db/creds/*" { capabilities = ["read"] }
                           path "team-a/sys/leases/renew" { capabilities = ["update"] })");
  const std::string token = make_token({"below"});
  const std::string lease = issue_in("team-a", token);
  issue_in("team-a", token_in("team-a", {"agent"}));
  EXPECT_TRUE(in("team-a", kUpdate, "sys/leases/renew", {{"lease_id", lease}}, token).has_value());
  must_write("auth/token/revoke", {{"token", token}});
  run_due();
  run_due();
  EXPECT_EQ(live_in("team-a"), 1);
  EXPECT_EQ(outside_.names().size(), 1u);
}

TEST_F(TenantTest, a_token_from_above_with_one_use_is_used_up_below) {
  write_policy("below", R"(path "team-a/kv/*" { capabilities = ["read", "list"] })");
  must_in("team-a", kUpdate, "kv/x", {{"v", "1"}});
  const std::string token = make_token({"below"}, {{"num_uses", 1}});
  EXPECT_EQ(must_in("team-a", kRead, "kv/x", Json::object(), token).data.at("v"), "1");
  EXPECT_EQ(code_of(in("team-a", kRead, "kv/x", Json::object(), token)), Errc::kUnauthenticated);
}

TEST_F(TenantTest, an_incident_above_ends_what_is_below_and_shuts_it) {
  make_namespace("team-a", "ci");
  furnish("team-a/ci");
  extra_.session = "s-1";
  issue_in("", [&] {
    must_write("sys/mounts/db", {{"type", "scripted"}});
    return std::string("root");
  }());
  const std::string a = token_in("team-a", {"agent"});
  issue_in("team-a", a);
  issue_in("team-a/ci", token_in("team-a/ci", {"agent"}));
  extra_.session = "s-2";
  issue_in("team-b", token_in("team-b", {"agent"}));
  extra_.session.clear();

  const Json seen =
      must_write("sys/leases/end", {{"session", "s-1"}, {"reason", "x"}, {"dry_run", true}}).data;
  EXPECT_EQ(seen.at("found"), 3);
  EXPECT_THAT(seen.dump(), HasSubstr("team-a/ci/db/"));
  const std::string id =
      must_write("sys/leases/end", {{"session", "s-1"}, {"reason", "leak"}}).data.at("id");
  extra_.session = "s-1";
  EXPECT_THAT(in("team-a", kRead, "db/creds/ro", Json::object(), a).error().message,
              HasSubstr("leak"));
  extra_.session.clear();
  run_due();
  run_due();
  const Json told = must_read("sys/leases/end/" + id);
  EXPECT_EQ(told.at("found"), 3) << told.dump();
  EXPECT_EQ(told.at("ended"), 3);
  EXPECT_EQ(told.at("receipts").at("proven"), 3);
  EXPECT_EQ(told.at("finished"), true);
  EXPECT_EQ(outside_.names().size(), 1u) << "team-b's";
  // Of team-a: its own and that of the namespace below it.
  EXPECT_EQ(must_in("team-a", kRead, "sys/leases/end/" + id).data.at("found"), 2);
  EXPECT_EQ(code_of(in("team-b", kRead, "sys/leases/end/" + id)), Errc::kNotFound);
  EXPECT_EQ(code_of(in("team-b", kList, "sys/leases/end")), Errc::kNotFound);
}

TEST_F(TenantTest, a_lockdown_binds_those_below_and_nobody_else) {
  const std::string a = token_in("team-a", {"agent"});
  const std::string b = token_in("team-b", {"agent"});
  must_in("team-a", kUpdate, "sys/lockdown/mine", {{"all", true}, {"reason", "ours"}});
  EXPECT_EQ(code_of(in("team-a", kRead, "db/creds/ro", Json::object(), a)),
            Errc::kPermissionDenied);
  issue_in("team-b", b);
  must_in("team-a", kDelete, "sys/lockdown/mine");
  must_write("sys/lockdown/all", {{"all", true}, {"reason", "everywhere"}});
  for (const auto& [where, token] : {std::pair("team-a", a), std::pair("team-b", b)})
    EXPECT_EQ(code_of(in(where, kRead, "db/creds/ro", Json::object(), token)),
              Errc::kPermissionDenied);
  // It is lifted where it was made.
  must_in("team-a", kDelete, "sys/lockdown/all");
  EXPECT_FALSE(in("team-a", kRead, "db/creds/ro", Json::object(), a).has_value());
  EXPECT_TRUE(remove("sys/lockdown/all").has_value());
  issue_in("team-a", a);
}

TEST_F(TenantTest, quotas_from_above_bind_a_namespace) {
  const std::string a = token_in("team-a", {"agent"});
  const std::string b = token_in("team-b", {"agent"});
  must_write("sys/quotas/lease-count/a", {{"path", "team-a/"}, {"max_leases", 2}});
  issue_in("team-a", a);
  issue_in("team-a", a);
  EXPECT_EQ(code_of(in("team-a", kRead, "db/creds/ro", Json::object(), a)), Errc::kQuotaExceeded);
  EXPECT_EQ(must_read("sys/quotas/lease-count/a").at("counter"), 2);
  issue_in("team-b", b);
  // One for everything counts them all.
  must_write("sys/quotas/lease-count/all", {{"path", ""}, {"max_leases", 4}});
  issue_in("team-b", b);
  EXPECT_EQ(code_of(in("team-b", kRead, "db/creds/ro", Json::object(), b)), Errc::kQuotaExceeded);
  EXPECT_EQ(must_read("sys/quotas/lease-count/all").at("counter"), 4);

  must_write("sys/quotas/rate-limit/a", {{"path", "team-a"}, {"rate", 2}, {"interval", "60s"}});
  for (int i = 0; i < 2; ++i) must_in("team-a", kRead, "auth/token/lookup-self", {}, a);
  EXPECT_EQ(code_of(in("team-a", kRead, "auth/token/lookup-self", {}, a)), Errc::kQuotaExceeded);
  must_in("team-b", kRead, "auth/token/lookup-self", {}, b);
}

TEST_F(TenantTest, metrics_tell_of_the_namespaces_below) {
  make_namespace("team-a", "ci");
  furnish("team-a/ci");
  issue_in("team-a/ci", token_in("team-a/ci", {"agent"}));
  issue_in("team-b", token_in("team-b", {"agent"}));
  const auto text = [&](const std::string& where) {
    return must_in(where, kRead, "sys/metrics", {{"format", "prometheus"}}).data.get<std::string>();
  };
  EXPECT_THAT(text(""), HasSubstr("curfew_leases{state=\"active\"} 0\n"));
  EXPECT_THAT(text(""), HasSubstr("curfew_leases{state=\"active\",namespace=\"team-a/ci/\"} 1\n"));
  EXPECT_THAT(text(""), HasSubstr("curfew_leases_failing{namespace=\"team-b/\"} 0\n"));
  EXPECT_THAT(text("team-a"), HasSubstr("curfew_leases{state=\"active\",namespace=\"ci/\"} 1\n"));
  EXPECT_THAT(text("team-a"), Not(HasSubstr("team-b")));
  EXPECT_THAT(text("team-a"), Not(HasSubstr("curfew_clock_held")));
  // Each family is described once, with all its figures behind.
  const std::string all = text("");
  const std::string head = "# TYPE curfew_leases gauge";
  EXPECT_EQ(all.find(head), all.rfind(head));
}

// ---- the audit log ----------------------------------------------------------------------------

TEST_F(TenantTest, audit_lines_go_to_the_namespaces_own_devices_and_to_those_above) {
  const auto enable = [&](const std::string& where, const std::string& file,
                          const std::string& token) {
    return in(where, kUpdate, "sys/audit/file",
              {{"type", "file"}, {"options", {{"file_path", (directory_ / file).string()}}}},
              token);
  };
  const auto text = [&](const std::string& file) {
    std::ifstream stream(directory_ / file);
    return std::string(std::istreambuf_iterator<char>(stream), {});
  };
  EXPECT_EQ(code_of(enable("team-a", "x.log", token_in("team-a", {"root"}))),
            Errc::kPermissionDenied);
  ASSERT_TRUE(enable("", "all.log", "root").has_value());
  ASSERT_TRUE(enable("team-a", "a.log", "root").has_value());
  const std::string id = must_read("sys/namespaces/team-a").at("id");
  const std::string lease = issue_in("team-a", token_in("team-a", {"agent"}));
  issue_in("team-b", token_in("team-b", {"agent"}));
  must_in("team-a", kUpdate, "sys/leases/revoke", {{"lease_id", lease}});

  const std::string own = text("a.log"), all = text("all.log");
  EXPECT_THAT(own, HasSubstr(lease));
  EXPECT_THAT(own, HasSubstr("\"type\":\"revocation\""));
  EXPECT_THAT(own, HasSubstr("\"namespace\":{\"id\":\"" + id + "\",\"path\":\"team-a/\"}"));
  EXPECT_THAT(own, Not(HasSubstr("team-b")));
  EXPECT_THAT(own, Not(HasSubstr("\"namespace\":{\"id\":\"root\"}")));
  EXPECT_THAT(all, HasSubstr(lease));
  EXPECT_THAT(all, HasSubstr("\"path\":\"team-b/\""));
  EXPECT_THAT(all, HasSubstr("\"namespace\":{\"id\":\"root\"}"));
  // The operator's policies stand there as the operator's.
  EXPECT_THAT(all, HasSubstr("\"display_name\":\"root\""));
}

// ---- the end ----------------------------------------------------------------------------------

TEST_F(TenantTest, deleting_ends_everything_proven_and_leaves_no_row) {
  const std::string id = must_read("sys/namespaces/team-a").at("id");
  const std::string a = token_in("team-a", {"agent"});
  issue_in("team-a", a);
  issue_in("team-a", a);
  const std::string b = token_in("team-b", {"agent"});
  issue_in("team-b", b);
  const auto begun = remove("sys/namespaces/team-a");
  ASSERT_TRUE(begun.has_value());
  EXPECT_EQ(begun->data.at("status"), "in-progress");
  EXPECT_GT(rows_of(id), 7);
  // Closed at once: for its own tokens, for new ones, for leases.
  EXPECT_EQ(code_of(in("team-a", kRead, "db/creds/ro", Json::object(), a)), Errc::kUnauthenticated);
  EXPECT_FALSE(in("team-a", kUpdate, "auth/token/create", {{"policies", {"agent"}}}).has_value());
  EXPECT_FALSE(in("team-a", kRead, "db/creds/ro").has_value());
  EXPECT_EQ(code_of(write("sys/namespaces/team-a")), Errc::kInvalidArgument);
  run_due();
  EXPECT_EQ(outside_.names().size(), 1u);
  EXPECT_EQ(code_of(read("sys/namespaces/team-a")), Errc::kNotFound);
  EXPECT_EQ(rows_of(id), 0);
  issue_in("team-b", b);
  // Its name is free again, and what is made there now is another one.
  make_namespace("", "team-a");
  EXPECT_NE(must_read("sys/namespaces/team-a").at("id"), id);
  EXPECT_FALSE(must_in("team-a", kRead, "sys/mounts").data.contains("db/"));
  EXPECT_EQ(code_of(in("team-a", kRead, "sys/mounts", Json::object(), a)), Errc::kUnauthenticated);
}

TEST_F(TenantTest, deleting_waits_for_a_target_that_does_not_answer_also_over_a_restart) {
  issue_in("team-a", token_in("team-a", {"agent"}));
  outside_.fail_revokes(-1);
  ASSERT_TRUE(remove("sys/namespaces/team-a").has_value());
  run_due();
  const Json seen = must_read("sys/namespaces/team-a");
  EXPECT_EQ(seen.at("tainted"), true);
  EXPECT_EQ(seen.at("leases_left"), 1);
  restart();
  EXPECT_EQ(must_read("sys/namespaces/team-a").at("tainted"), true);
  EXPECT_FALSE(in("team-a", kRead, "db/creds/ro").has_value());
  // Its operator can see to it from above.
  EXPECT_EQ(live_in("team-a"), 1);
  EXPECT_EQ(remove("sys/namespaces/team-a")->data.at("status"), "in-progress");
  outside_.fail_revokes(0);
  clock_.advance(std::chrono::hours{1});
  run_due();
  EXPECT_TRUE(outside_.names().empty());
  EXPECT_EQ(code_of(read("sys/namespaces/team-a")), Errc::kNotFound);
}

TEST_F(TenantTest, one_with_namespaces_below_it_is_not_deleted) {
  make_namespace("team-a", "ci");
  EXPECT_THAT(remove("sys/namespaces/team-a").error().message,
              HasSubstr("containing child namespaces"));
  ASSERT_TRUE(in("team-a", kDelete, "sys/namespaces/ci").has_value());
  ASSERT_TRUE(remove("sys/namespaces/team-a").has_value());
  run_due();
  EXPECT_EQ(code_of(read("sys/namespaces/team-a")), Errc::kNotFound);
}

TEST_F(TenantTest, threads_finish_a_deletion_by_themselves) {
  reaper_threads_ = true;
  restart();
  issue_in("team-a", token_in("team-a", {"agent"}));
  const auto removed = remove("sys/namespaces/team-a");
  ASSERT_TRUE(removed.has_value()) << removed.error().message;
  EXPECT_TRUE(removed->data.is_null()) << removed->data.dump();
  EXPECT_EQ(code_of(read("sys/namespaces/team-a")), Errc::kNotFound);
  EXPECT_TRUE(outside_.names().empty());
}

// A copy of its rows, put back with all that the parent knows of it, is noise.
TEST_F(TenantTest, rows_of_a_deleted_namespace_do_not_open_when_they_come_back) {
  must_in("team-a", kUpdate, "kv/x", {{"v", "secret of a"}});
  const std::string id = must_read("sys/namespaces/team-a").at("id");
  tamper("CREATE TABLE kept AS SELECT * FROM records");
  ASSERT_TRUE(remove("sys/namespaces/team-a").has_value());
  run_due();
  tamper("INSERT OR IGNORE INTO records SELECT * FROM kept");
  restart();
  EXPECT_EQ(code_of(in("team-a", kRead, "kv/x")), Errc::kUnsupportedPath);
  EXPECT_TRUE(in("team-b", kRead, "sys/mounts").has_value());
  // With the keys of a namespace that is new they do not open either.
  tamper(
      "DELETE FROM records WHERE namespace = 'root' AND scope = 'sys/namespaces' AND name = "
      "'team-a'");
  restart();
  make_namespace("", "team-a");
  const std::string fresh = must_read("sys/namespaces/team-a").at("id");
  tamper("UPDATE OR REPLACE records SET namespace = '" + fresh + "' WHERE namespace = '" + id +
         "'");
  restart();
  EXPECT_FALSE(in("team-a", kRead, "kv/x").has_value());
}

}  // namespace
}  // namespace curfew::broker

#include "policy/builtin.h"

#include "tests/policy/support.h"

namespace curfew::policy {
namespace {

TEST(Builtin, DefaultGrantsWhatATokenMayDoWithItself) {
  const Identity identity{.entity_id = "e-1", .entity_name = "agent"};
  const Acl acl({policy_of(default_policy_text(), "default")}, identity, {});
  const Json resultant = acl.resultant();
  std::string exact, globs;
  for (const auto& [path, entry] : resultant.at("exact_paths").items())
    exact += path + "=" + entry.at("capabilities").dump() + " ";
  for (const auto& [path, entry] : resultant.at("glob_paths").items())
    globs += path + "=" + entry.at("capabilities").dump() + " ";
  EXPECT_EQ(exact,
            R"(auth/token/lookup-self=["read"] auth/token/renew-self=["update"] )"
            R"(auth/token/revoke-self=["update"] identity/entity/id/e-1=["read"] )"
            R"(identity/entity/name/agent=["read"] )"
            R"(sys/approvals=["create","list","read","update"] sys/capabilities-self=["update"] )"
            R"(sys/control-group/request=["update"] sys/internal/ui/resultant-acl=["read"] )"
            R"(sys/leases/lookup=["update"] sys/leases/renew=["update"] sys/renew=["update"] )"
            R"(sys/tools/hash=["update"] sys/wrapping/lookup=["update"] )"
            R"(sys/wrapping/unwrap=["update"] sys/wrapping/wrap=["update"] )");
  EXPECT_EQ(globs,
            R"(cubbyhole/=["create","delete","list","read","update"] sys/approvals/+=["read"] )"
            R"(sys/approvals/+/+=["read","update"] sys/control-group/request/+=["read"] )"
            R"(sys/tools/hash/=["update"] )");
}

TEST(Builtin, DefaultWorksWithoutAnEntity) {
  const Acl acl({policy_of(default_policy_text(), "default")}, {}, {});
  EXPECT_EQ(granted(acl, "auth/token/lookup-self"), "read");
  EXPECT_EQ(granted(acl, "identity/entity/id/"), "deny");
  EXPECT_EQ(acl.unused().size(), 2u);
  EXPECT_FALSE(acl.unused()[0].guarded);
}

TEST(Builtin, TheOthersParse) {
  EXPECT_EQ(granted(acl_of({std::string(response_wrapping_policy_text())}), "cubbyhole/response"),
            "create read");
  EXPECT_EQ(granted(acl_of({std::string(control_group_policy_text())}), "sys/wrapping/unwrap"),
            "update");
  EXPECT_TRUE(root_policy()->is_root);
  EXPECT_EQ(root_policy()->name, "root");
}

}  // namespace
}  // namespace curfew::policy

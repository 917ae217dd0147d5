#include "policy/rights.h"

#include "policy/builtin.h"
#include "tests/policy/support.h"

namespace curfew::policy {
namespace {

std::shared_ptr<const Acl> acl(std::string_view text) {
  return std::make_shared<const Acl>(acl_of({std::string(text)}));
}
std::shared_ptr<const Acl> root() {
  return std::make_shared<const Acl>(std::vector<std::shared_ptr<const Policy>>{root_policy()},
                                     Identity{}, WallTime{});
}
const char* const kAll = R"(path "secret/*" { capabilities = ["read", "update", "sudo"] })";
const char* const kRead = R"(path "secret/a" { capabilities = ["read"] })";
const char* const kApproved = R"(path "secret/a" { capabilities = ["read"]
  control_group = { factor "f" { identity { group_names = ["g"] approvals = 1 } } } })";

bool may(const Rights& rights, Operation operation, std::string_view path) {
  return rights.check({.operation = operation, .path = path}).allowed;
}

TEST(Rights, OnlyWhatEverySetAllowsIsAllowed) {
  const Rights rights({acl(kAll), acl(kRead)});
  EXPECT_TRUE(may(rights, Operation::kRead, "secret/a"));
  EXPECT_FALSE(may(rights, Operation::kUpdate, "secret/a"));
  EXPECT_FALSE(may(rights, Operation::kRead, "secret/b"));
  EXPECT_FALSE(may(Rights({acl(kRead), acl(kAll)}), Operation::kRead, "secret/b"));
  EXPECT_EQ(rights.capabilities("secret/a"), std::vector<std::string>{"read"});
  EXPECT_EQ(rights.capabilities("secret/b"), std::vector<std::string>{"deny"});
  EXPECT_FALSE(rights.has_sudo("secret/a"));
}

TEST(Rights, SudoIsNeededFromEverySet) {
  const Access access{.operation = Operation::kRead, .path = "secret/a", .needs_sudo = true};
  EXPECT_TRUE(Rights({acl(kAll)}).check(access).allowed);
  EXPECT_FALSE(Rights({acl(kAll), acl(kRead)}).check(access).allowed);
}

TEST(Rights, ACeilingBoundsRootToo) {
  const Rights rights({root(), acl(kRead)});
  EXPECT_FALSE(rights.is_root());
  EXPECT_TRUE(may(rights, Operation::kRead, "secret/a"));
  EXPECT_FALSE(may(rights, Operation::kRead, "sys/mounts"));
  EXPECT_EQ(rights.capabilities("secret/a"), std::vector<std::string>{"read"});
  EXPECT_FALSE(rights.reaches_mount("database/"));
  EXPECT_FALSE(rights.resultant().value("root", false));
  EXPECT_TRUE(Rights({root(), root()}).is_root());
}

TEST(Rights, ApprovalIsNeededWhenOneSetAsksForItAndADenialWeighsMore) {
  const Access access{.operation = Operation::kRead, .path = "secret/a"};
  EXPECT_TRUE(Rights({acl(kAll), acl(kApproved)}).check(access).needs_approval);
  EXPECT_TRUE(Rights({acl(kApproved), acl(kAll)}).check(access).needs_approval);
  const Decision denied =
      Rights({acl(kApproved), acl(R"(path "other" { capabilities = ["read"] })")}).check(access);
  EXPECT_FALSE(denied.needs_approval);
  EXPECT_FALSE(denied.allowed);
}

TEST(Rights, TheDecisionNamesTheSetThatRefused) {
  const Rights rights({acl(kAll), acl(kRead)});
  EXPECT_EQ(rights.check({.operation = Operation::kRead, .path = "secret/b"}).reason,
            Reason::kNoRule);
  EXPECT_EQ(rights.resultant()["glob_paths"]["secret/"]["capabilities"],
            Json(std::vector<std::string>{"deny"}));
}

}  // namespace
}  // namespace curfew::policy

#include <algorithm>

#include "base/digest.h"
#include "base/encoding.h"
#include "broker/token/token_certificate.h"
#include "tests/broker/broker_world.h"
#include "tests/support/certificate.h"

namespace curfew::broker {
namespace {

using ::testing::HasSubstr;

std::shared_ptr<const PeerCertificate> peer(const test::Certificate& pair) {
  PeerCertificate shown;
  shown.chain = {test::der_of(pair.certificate)};
  shown.sha256 = hex_encode(sha256(shown.chain[0]));
  return std::make_shared<const PeerCertificate>(shown);
}

// Tokens that are tied to what their holder connects with.
class TokenBindingTest : public BrokerWorld {
 protected:
  TokenBindingTest() {
    write_policy("maker", "path \"auth/token/create*\" { capabilities = [\"update\", \"sudo\"] }");
  }

  std::string make(Json more = Json::object(), const std::string& parent = "root") {
    more.emplace("policies", Json{"maker"});
    const Response made = must_write("auth/token/create", std::move(more), parent);
    return made.auth ? made.auth->client_token.reveal() : "";
  }
  bool lives(const std::string& token) { return read("auth/token/lookup-self", token).has_value(); }
  void show(std::shared_ptr<const PeerCertificate> shown) {
    extra_.peer_certificate = std::move(shown);
  }
  std::string refusal(const Result<Response>& result) {
    return result ? "(no refusal)" : result.error().message;
  }

  const std::shared_ptr<const PeerCertificate> own_ = peer(test::make_self_signed({}));
  const std::shared_ptr<const PeerCertificate> other_ = peer(test::make_self_signed({}));
};

TEST_F(TokenBindingTest, a_token_is_good_only_with_its_certificate) {
  for (const char* type : {"service", "batch"}) {
    show(nullptr);
    const std::string token = make({{"bound_certificate", own_->sha256}, {"type", type}});
    EXPECT_FALSE(lives(token)) << "stolen, and used without it";
    show(other_);
    EXPECT_FALSE(lives(token)) << "stolen, and used with another one";
    const auto refused = read("auth/token/lookup-self", token);
    EXPECT_EQ(code_of(refused), Errc::kUnauthenticated);
    EXPECT_EQ(refused.error().message, "permission denied") << "a thief learns nothing";
    EXPECT_THAT(refused.error().detail, HasSubstr("tied to a client certificate"));
    show(own_);
    EXPECT_TRUE(lives(token)) << type;
    EXPECT_EQ(must_read("auth/token/lookup-self", token).at("cnf"),
              (Json{{"x5t#S256", x5t_s256(own_->sha256)}}));
  }
  show(nullptr);
  EXPECT_FALSE(must_read("auth/token/lookup-self").contains("cnf"));
}

TEST_F(TokenBindingTest, whatever_it_makes_is_tied_as_well) {
  const std::string parent = make({{"bound_certificate", own_->sha256}});
  show(own_);
  for (const Json& how : {Json::object(), Json{{"type", "batch"}}, Json{{"no_parent", true}}}) {
    const std::string child = make(how, parent);
    show(nullptr);
    EXPECT_FALSE(lives(child)) << how.dump();
    show(own_);
    EXPECT_TRUE(lives(child)) << how.dump();
  }
  EXPECT_THAT(refusal(write("auth/token/create", {{"bound_certificate", other_->sha256}}, parent)),
              HasSubstr("tied to another certificate"));
}

TEST_F(TokenBindingTest, thumbprints_are_taken_as_people_have_them) {
  const std::string raw = sha256(own_->chain[0]);
  std::string colons;
  for (const char c : raw) colons += (colons.empty() ? "" : ":") + hex_encode({&c, 1});
  std::transform(colons.begin(), colons.end(), colons.begin(), ::toupper);
  for (const std::string& text :
       {hex_encode(raw), colons, base64_encode(raw), x5t_s256(own_->sha256)}) {
    show(nullptr);
    const std::string token = make({{"bound_certificate", text}});
    EXPECT_FALSE(lives(token)) << text;
    show(own_);
    EXPECT_TRUE(lives(token)) << text;
  }
  for (const char* text : {"self", "abcd", "::", "0000", "AAAA"})
    EXPECT_THAT(refusal(write("auth/token/create", {{"bound_certificate", text}})),
                HasSubstr("bound_certificate"))
        << text;
}

// The certificate and the networks are part of what is sealed.
TEST_F(TokenBindingTest, an_altered_row_is_no_token) {
  const std::string token = make({{"bound_certificate", own_->sha256}});
  show(own_);
  ASSERT_TRUE(lives(token));
  tamper("UPDATE tokens SET sealed = (SELECT sealed FROM tokens LIMIT 1)");
  EXPECT_FALSE(lives(token));
}

TEST_F(TokenBindingTest, a_login_of_any_method_can_be_tied) {
  must_write("sys/auth/approle", {{"type", "approle"}});
  must_write("auth/approle/role/ci", {{"bind_secret_id", false},
                                      {"secret_id_bound_cidrs", "127.0.0.0/8"},
                                      {"token_bind_certificate", true}});
  EXPECT_EQ(must_read("auth/approle/role/ci").at("token_bind_certificate"), true);
  const Json role = {{"role_id", must_read("auth/approle/role/ci/role-id").at("role_id")}};
  const auto plain = write("auth/approle/login", role, "");
  EXPECT_EQ(code_of(plain), Errc::kPermissionDenied);
  EXPECT_THAT(refusal(plain), HasSubstr("tied to a client certificate"));
  show(own_);
  const auto login = write("auth/approle/login", role, "");
  ASSERT_TRUE(login.has_value());
  const std::string token = login->auth->client_token.reveal();
  EXPECT_TRUE(lives(token));
  show(nullptr);
  EXPECT_FALSE(lives(token));
}

}  // namespace
}  // namespace curfew::broker

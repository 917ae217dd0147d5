#include "api/vault_response.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace curfew::api {
namespace {

using broker::Auth;
using broker::Layout;
using broker::Response;

HttpResponse write(const Response& response, Operation operation = Operation::kRead) {
  return write_response(response, "id-1", operation);
}

TEST(VaultResponseTest, TheEnvelopeHasEightKeysInOrder) {
  Response response;
  response.lease_id = "database/creds/ro/abc";
  response.renewable = true;
  response.lease_duration = Millis{3'600'999};
  response.data = {{"username", "u"}, {"password", "p"}};
  const HttpResponse http = write(response);
  EXPECT_EQ(http.status, 200);
  EXPECT_EQ(http.content_type, "application/json");
  EXPECT_EQ(http.body,
            R"({"request_id":"id-1","lease_id":"database/creds/ro/abc","renewable":true,)"
            R"("lease_duration":3600,"data":{"password":"p","username":"u"},"wrap_info":null,)"
            R"("warnings":null,"auth":null})");
}

TEST(VaultResponseTest, AWrappedAnswerTellsOfItsToken) {
  Response response;
  response.request_id = "";
  response.wrap_info = broker::WrapInfo{.token = Secret("cfs.w"),
                                        .accessor = "acc",
                                        .ttl = Millis{60'000},
                                        .created_at = from_unix_millis(1'800'000'000'000),
                                        .creation_path = "auth/token/create",
                                        .wrapped_accessor = "inner",
                                        .lease_id = "not shown"};
  EXPECT_EQ(write(response).status, 200);
  EXPECT_EQ(write(response).body,
            R"({"request_id":"","lease_id":"","renewable":false,"lease_duration":0,"data":null,)"
            R"("wrap_info":{"token":"cfs.w","accessor":"acc","ttl":60,)"
            R"("creation_time":"2027-01-15T08:00:00Z","creation_path":"auth/token/create",)"
            R"("wrapped_accessor":"inner"},"warnings":null,"auth":null})");
  response.wrap_info->wrapped_accessor.clear();
  EXPECT_EQ(write(response).body.find("wrapped_accessor"), std::string::npos);
}

TEST(VaultResponseTest, AnUnwrappedAnswerKeepsItsRequestId) {
  Response response;
  response.request_id = "id-0";
  response.data = {{"a", 1}};
  EXPECT_NE(write(response).body.find(R"("request_id":"id-0")"), std::string::npos);
}

TEST(VaultResponseTest, NothingToSayIs204) {
  const HttpResponse http = write(Response{});
  EXPECT_EQ(http.status, 204);
  EXPECT_EQ(http.body, "");
}

TEST(VaultResponseTest, AcceptedHasNoBodyUnlessThereIsSomething) {
  Response response;
  response.status = 202;
  EXPECT_EQ(write(response).status, 202);
  EXPECT_EQ(write(response).body, "");
  response.warnings = {"slowly"};
  EXPECT_EQ(write(response).status, 202);
  EXPECT_EQ(Json::parse(write(response).body)["warnings"], Json::array({"slowly"}));
}

TEST(VaultResponseTest, LeaseWithoutDataIsStillAnEnvelope) {
  Response response;
  response.lease_id = "x";
  const HttpResponse http = write(response);
  EXPECT_EQ(http.status, 200);
  EXPECT_TRUE(Json::parse(http.body)["data"].is_null());
}

TEST(VaultResponseTest, AnExplicit200WithoutDataIsAnEnvelope) {
  Response response;
  response.status = 200;
  EXPECT_EQ(write(response).status, 200);
  EXPECT_EQ(Json::parse(write(response).body).size(), 8u);
}

TEST(VaultResponseTest, AMissWithDataKeepsItsEnvelope) {
  Response response;
  response.status = 404;
  EXPECT_EQ(write(response).body, R"({"errors":[]})");
  response.data = {{"data", nullptr}, {"metadata", {{"destroyed", false}}}};
  const HttpResponse http = write(response);
  EXPECT_EQ(http.status, 404);
  EXPECT_EQ(Json::parse(http.body)["data"]["metadata"]["destroyed"], false);
  EXPECT_EQ(Json::parse(http.body).size(), 8u);
}

TEST(VaultResponseTest, InjectedDataComesFirstAndNeverReplacesTheEnvelope) {
  Response response;
  response.layout = Layout::kInjected;
  response.data = {{"secret/", {{"type", "kv"}}}, {"lease_id", "forged"}};
  EXPECT_EQ(write(response).body,
            R"({"secret/":{"type":"kv"},"request_id":"id-1","lease_id":"","renewable":false,)"
            R"("lease_duration":0,"data":{"lease_id":"forged","secret/":{"type":"kv"}},)"
            R"("wrap_info":null,"warnings":null,"auth":null})");
}

TEST(VaultResponseTest, BareDataIsTheWholeBodyWithAnyStatus) {
  Response response;
  response.layout = Layout::kBare;
  response.data = {{"sealed", true}};
  EXPECT_EQ(write(response).status, 200);
  EXPECT_EQ(write(response).body, R"({"sealed":true})");
  response.status = 503;
  EXPECT_EQ(write(response).status, 503);
  EXPECT_EQ(write(response).body, R"({"sealed":true})");
}

TEST(VaultResponseTest, EmptyListsAreMisses) {
  for (const Json& data : {Json(nullptr), Json::object(), Json({{"keys", Json::array()}}),
                           Json({{"keys", nullptr}})}) {
    Response response;
    response.data = data;
    const HttpResponse http = write(response, Operation::kList);
    EXPECT_EQ(http.status, 404) << data;
    EXPECT_EQ(http.body, R"({"errors":[]})") << data;
  }
}

TEST(VaultResponseTest, ListsThatSaySomethingAreNot) {
  Response filled;
  filled.data = {{"keys", {"a"}}};
  EXPECT_EQ(write(filled, Operation::kList).status, 200);
  Response warned;
  warned.data = {{"keys", Json::array()}};
  warned.warnings = {"partial"};
  EXPECT_EQ(write(warned, Operation::kList).status, 200);
  Response read_of_keys;
  read_of_keys.data = {{"keys", Json::array()}};
  EXPECT_EQ(write(read_of_keys, Operation::kRead).status, 200);
  Response other;
  other.data = {{"count", 0}};
  EXPECT_EQ(write(other, Operation::kList).status, 200);
}

TEST(VaultResponseTest, AuthKeysInTheRecordedOrder) {
  Response response;
  Auth auth;
  auth.client_token = Secret("s.TOKEN");
  auth.accessor = "acc";
  auth.policies = {"agent", "default"};
  auth.token_policies = {"agent", "default"};
  auth.metadata = {{"agent", "a1"}};
  auth.lease_duration = Millis{3'600'000};
  auth.renewable = true;
  response.auth = auth;
  const std::string body = write(response).body;
  EXPECT_NE(body.find(R"("data":null)"), std::string::npos);
  EXPECT_NE(body.find(R"("auth":{"client_token":"s.TOKEN","accessor":"acc",)"
                      R"("policies":["agent","default"],"token_policies":["agent","default"],)"
                      R"("metadata":{"agent":"a1"},"lease_duration":3600,"renewable":true,)"
                      R"("entity_id":"","token_type":"service","orphan":false,"num_uses":0}})"),
            std::string::npos)
      << body;
}

TEST(VaultResponseTest, AuthWithoutMetadataOrPolicies) {
  Response response;
  response.auth = Auth{};
  const Json auth = Json::parse(write(response).body)["auth"];
  EXPECT_TRUE(auth["metadata"].is_null());
  EXPECT_EQ(auth["policies"], Json::array());
}

TEST(VaultResponseTest, WarningsAreAList) {
  Response response;
  response.warnings = {"one", "two"};
  const HttpResponse http = write(response);
  EXPECT_EQ(http.status, 200);
  EXPECT_EQ(Json::parse(http.body)["warnings"], Json::array({"one", "two"}));
}

TEST(VaultResponseTest, BytesThatAreNotUtf8DoNotBreakTheAnswer) {
  Response response;
  response.data = {{"a", "\xff"}};
  EXPECT_TRUE(Json::accept(write(response).body));
}

}  // namespace
}  // namespace curfew::api

#include "api/vault_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fakes/seeded_random.h"

namespace curfew::api {
namespace {

using ::testing::HasSubstr;

class VaultRequestTest : public ::testing::Test {
 protected:
  static HttpRequest http(std::string method, std::string target, std::string body = "",
                          std::vector<HttpHeader> headers = {}) {
    HttpRequest request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.body = std::move(body);
    request.headers = std::move(headers);
    request.remote_address = "192.0.2.7";
    request.remote_port = 4711;
    return request;
  }
  Result<broker::Request> read(const HttpRequest& request) {
    return read_request(request, random_);
  }
  Errc code(const HttpRequest& request) {
    const auto result = read(request);
    return result ? Errc::kInternal : result.error().code;
  }
  std::string message(const HttpRequest& request) {
    const auto result = read(request);
    return result ? "it was taken" : result.error().message;
  }

  fakes::SeededRandom random_;
};

TEST_F(VaultRequestTest, EveryVerbIsItsOperation) {
  const auto operation = [this](const std::string& verb, const std::string& target) {
    return read(http(verb, target, "", {{"Content-Type", "application/merge-patch+json"}}))
        ->operation;
  };
  EXPECT_EQ(operation("GET", "/v1/a/b"), Operation::kRead);
  EXPECT_EQ(operation("HEAD", "/v1/a/b"), Operation::kRead);
  EXPECT_EQ(operation("LIST", "/v1/a/b"), Operation::kList);
  EXPECT_EQ(operation("GET", "/v1/a/b?list=true"), Operation::kList);
  EXPECT_EQ(operation("GET", "/v1/a/b?list=1"), Operation::kList);
  EXPECT_EQ(operation("GET", "/v1/a/b?list=false"), Operation::kRead);
  EXPECT_EQ(operation("GET", "/v1/a/b?list="), Operation::kRead);
  EXPECT_EQ(operation("POST", "/v1/a/b"), Operation::kUpdate);
  EXPECT_EQ(operation("PUT", "/v1/a/b"), Operation::kUpdate);
  EXPECT_EQ(operation("PUT", "/v1/a/b?list=true"), Operation::kUpdate);
  EXPECT_EQ(operation("PATCH", "/v1/a/b"), Operation::kPatch);
  EXPECT_EQ(operation("DELETE", "/v1/a/b"), Operation::kDelete);
}

TEST_F(VaultRequestTest, UnknownVerbsAreUnsupported) {
  for (const char* verb : {"SCAN", "OPTIONS", "TRACE", "CONNECT", "get", "FOO", ""})
    EXPECT_EQ(code(http(verb, "/v1/a")), Errc::kUnsupportedOperation) << verb;
}

TEST_F(VaultRequestTest, ABadListSwitchIsAnError) {
  EXPECT_EQ(code(http("GET", "/v1/a?list=maybe")), Errc::kInvalidArgument);
  EXPECT_EQ(code(http("GET", "/v1/a?list=1&list=1")), Errc::kInvalidArgument);
}

TEST_F(VaultRequestTest, HelpAsVerbAndAsSwitch) {
  for (const auto& request :
       {http("HELP", "/v1/a/b"), http("GET", "/v1/a/b?help=1"), http("DELETE", "/v1/a/b?help=1")}) {
    const auto read_help = read(request);
    ASSERT_TRUE(read_help);
    EXPECT_TRUE(read_help->help);
    EXPECT_EQ(read_help->operation, Operation::kRead);
    EXPECT_EQ(read_help->path, "a/b");
    EXPECT_EQ(read_help->data, Json::object());
  }
  EXPECT_FALSE(read(http("GET", "/v1/a/b"))->help);
  EXPECT_FALSE(read(http("GET", "/v1/a/b?help="))->help);
}

TEST_F(VaultRequestTest, PatchNeedsItsContentType) {
  for (const char* good : {"application/merge-patch+json", "Application/Merge-Patch+JSON",
                           "application/merge-patch+json; charset=utf-8"})
    EXPECT_TRUE(read(http("PATCH", "/v1/a", "{}", {{"Content-Type", good}}))) << good;
  for (const char* bad : {"application/json", "", "application/merge-patch+jsonx"})
    EXPECT_EQ(code(http("PATCH", "/v1/a", "{}", {{"Content-Type", bad}})),
              Errc::kUnsupportedMediaType)
        << bad;
  EXPECT_EQ(code(http("PATCH", "/v1/a", "{}")), Errc::kUnsupportedMediaType);
}

TEST_F(VaultRequestTest, PathsAreDecoded) {
  EXPECT_EQ(read(http("GET", "/v1/secret/data/a%20b%2Fc+d"))->path, "secret/data/a b/c+d");
  EXPECT_EQ(read(http("GET", "/v1/kv/%C3%A4?x=y"))->path, "kv/\xc3\xa4");
  EXPECT_EQ(read(http("GET", "http://vault.example:8200/v1/a/b?c=d"))->path, "a/b");
  EXPECT_EQ(read(http("GET", "/v1/a/b#fragment"))->path, "a/b");
  EXPECT_EQ(read(http("GET", "/v1/a/b%3Fc"))->path, "a/b?c");
  EXPECT_EQ(read(http("GET", "/v1/a/..b/c..d/..."))->path, "a/..b/c..d/...");
}

TEST_F(VaultRequestTest, AmbiguousPathsAreRefused) {
  for (const char* target :
       {"/v1/a%", "/v1/a%2", "/v1/a%zz", "/v1/a%00b", "/v1/a/../b", "/v1/a/%2e%2e/b", "/v1/..",
        "/v1/a/./b", "/v1/a/..%2fb", "/v1/a//b", "/v1//a", "/v1/a%2F%2Fb", "/v1/a%0ab", "/v1/a%7f",
        "/v1/a%ff", "/v1/a%c0%ae%c0%ae/b"})
    EXPECT_EQ(code(http("GET", target)), Errc::kInvalidArgument) << target;
  EXPECT_EQ(code(http("GET", "/v1/" + std::string(4097, 'a'))), Errc::kInvalidArgument);
}

TEST_F(VaultRequestTest, OnlyWhatIsBelowV1Exists) {
  for (const char* target : {"/", "", "*", "/nope", "/v1", "/v1/", "/v2/a", "/v1a/b", "v1/a",
                             "/ui/", "/%76%31/a", "http://host", "http:///"}) {
    const auto result = read(http("GET", target));
    ASSERT_FALSE(result) << target;
    EXPECT_EQ(result.error().code, Errc::kUnsupportedPath) << target;
    EXPECT_EQ(result.error().message, "") << target;
  }
}

TEST_F(VaultRequestTest, ListPathsEndInASlash) {
  EXPECT_EQ(read(http("LIST", "/v1/secret/metadata"))->path, "secret/metadata/");
  EXPECT_EQ(read(http("LIST", "/v1/secret/metadata/"))->path, "secret/metadata/");
  EXPECT_EQ(read(http("GET", "/v1/secret/metadata?list=true"))->path, "secret/metadata/");
}

TEST_F(VaultRequestTest, WritesToAFolderAreRefused) {
  for (const char* verb : {"POST", "PUT", "PATCH"})
    EXPECT_EQ(message(http(verb, "/v1/secret/data/x/", "{}",
                           {{"Content-Type", "application/merge-patch+json"}})),
              "cannot write to a path ending in '/'");
  EXPECT_TRUE(read(http("DELETE", "/v1/secret/data/x/")));
}

TEST_F(VaultRequestTest, BodiesThatMeanNothing) {
  for (const char* body : {"", "null", " \n", "{}", " null\n"})
    EXPECT_EQ(read(http("PUT", "/v1/a", body))->data, Json::object()) << body;
}

TEST_F(VaultRequestTest, JsonBodies) {
  EXPECT_EQ(read(http("PUT", "/v1/a", R"({"a":[1,{"b":null}]})"))->data,
            Json::parse(R"({"a":[1,{"b":null}]})"));
  // curl -d says that it sends a form
  const std::vector<HttpHeader> form = {{"Content-Type", "application/x-www-form-urlencoded"}};
  EXPECT_EQ(read(http("PUT", "/v1/a", R"( {"a":1})", form))->data, Json({{"a", 1}}));
  EXPECT_EQ(read(http("PUT", "/v1/a", "null", form))->data, Json::object());
}

TEST_F(VaultRequestTest, FormBodies) {
  const std::vector<HttpHeader> form = {
      {"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"}};
  EXPECT_EQ(read(http("POST", "/v1/a", "a=1&b=x+y&a=2", form))->data,
            Json({{"a", {"1", "2"}}, {"b", "x y"}}));
  EXPECT_EQ(code(http("POST", "/v1/a", "a=%zz", form)), Errc::kInvalidArgument);
  EXPECT_EQ(code(http("POST", "/v1/a", "a=1")), Errc::kInvalidArgument);
}

TEST_F(VaultRequestTest, BodiesThatCannotBeRead) {
  EXPECT_THAT(message(http("POST", "/v1/a", "{bad")), HasSubstr("error parsing JSON"));
  EXPECT_EQ(message(http("POST", "/v1/a", "[1]")),
            "the request body is a JSON array: expected an object");
  EXPECT_EQ(message(http("POST", "/v1/a", "\"text\"")),
            "the request body is a JSON string: expected an object");
  EXPECT_EQ(message(http("POST", "/v1/a", "7")),
            "the request body is a JSON number: expected an object");
  EXPECT_EQ(code(http("POST", "/v1/a", "{\"a\":\"\xff\"}")), Errc::kInvalidArgument);
  EXPECT_EQ(code(http("POST", "/v1/a", std::string(100'000, '['))), Errc::kInvalidArgument);
  std::string many = "{\"a\":[";
  for (int i = 0; i < 200'000; ++i) many += "1,";
  EXPECT_THAT(message(http("POST", "/v1/a", many + "1]}")), HasSubstr("JSON values"));
  EXPECT_EQ(message(http("POST", "/v1/a", "{\"password\": hunter2")).find("hunter2"),
            std::string::npos);
}

TEST_F(VaultRequestTest, TheQueryIsDataOfReadsListsAndDeletes) {
  EXPECT_EQ(read(http("GET", "/v1/a?version=2&x=1&x=2"))->data,
            Json({{"version", "2"}, {"x", {"1", "2"}}}));
  EXPECT_EQ(read(http("LIST", "/v1/a?after=b&list=true"))->data, Json({{"after", "b"}}));
  EXPECT_EQ(read(http("GET", "/v1/a?list=true&limit=3"))->data, Json({{"limit", "3"}}));
  EXPECT_EQ(read(http("DELETE", "/v1/a?b=c", R"({"d":1,"b":"body"})"))->data,
            Json({{"b", "c"}, {"d", 1}}));
  EXPECT_EQ(read(http("PUT", "/v1/a?b=c", R"({"d":1})"))->data, Json({{"d", 1}}));
  EXPECT_EQ(code(http("PUT", "/v1/a?b=%zz")), Errc::kInvalidArgument);
}

TEST_F(VaultRequestTest, TokensInEitherHeader) {
  const auto token = [this](std::vector<HttpHeader> headers) {
    return read(http("GET", "/v1/a", "", std::move(headers)))->token.reveal();
  };
  EXPECT_EQ(token({}), "");
  EXPECT_EQ(token({{"x-vault-token", "s.one"}}), "s.one");
  EXPECT_EQ(token({{"Authorization", "Bearer s.two"}}), "s.two");
  EXPECT_EQ(token({{"Authorization", "bearer  s.two "}}), "s.two");
  EXPECT_EQ(token({{"Authorization", "Bearer s.two"}, {"X-Vault-Token", "s.one"}}), "s.one");
  EXPECT_EQ(token({{"Authorization", "Bearer s.two"}, {"X-Vault-Token", ""}}), "s.two");
  EXPECT_EQ(token({{"Authorization", "Basic dXNlcg=="}}), "");
  EXPECT_EQ(token({{"Authorization", "Bearer"}}), "");
}

TEST_F(VaultRequestTest, DoubtfulTokensAreRefusedAndNotRepeated) {
  const auto doubled =
      http("GET", "/v1/a", "", {{"X-Vault-Token", "s.one"}, {"X-Vault-Token", "s.two"}});
  EXPECT_EQ(code(doubled), Errc::kInvalidArgument);
  EXPECT_EQ(message(doubled).find("s.one"), std::string::npos);
  EXPECT_EQ(code(http("GET", "/v1/a", "", {{"X-Vault-Token", std::string(20'000, 's')}})),
            Errc::kInvalidArgument);
}

TEST_F(VaultRequestTest, WrapTtls) {
  const auto wrap = [this](const char* text) {
    return read(http("GET", "/v1/a", "", {{"X-Vault-Wrap-Ttl", text}}));
  };
  EXPECT_EQ(wrap("60")->wrap_ttl, Millis{60'000});
  EXPECT_EQ(wrap("60s")->wrap_ttl, Millis{60'000});
  EXPECT_EQ(wrap("1m0s")->wrap_ttl, Millis{60'000});
  EXPECT_EQ(wrap("")->wrap_ttl, std::nullopt);
  EXPECT_EQ(wrap("0")->wrap_ttl, std::nullopt);
  EXPECT_EQ(read(http("GET", "/v1/a"))->wrap_ttl, std::nullopt);
  EXPECT_EQ(wrap("768h")->wrap_ttl, std::chrono::hours{768});
  for (const char* bad : {"-1", "-5m", "soon", "1x", "769h"}) {
    ASSERT_FALSE(wrap(bad)) << bad;
    EXPECT_EQ(wrap(bad).error().code, Errc::kInvalidArgument);
    EXPECT_THAT(wrap(bad).error().message, HasSubstr("X-Vault-Wrap-TTL"));
  }
}

TEST_F(VaultRequestTest, WhatTheCallerSaysOfItself) {
  const auto request = read(http("GET", "/v1/a", "",
                                 {{"X-Vault-Namespace", "/team/a/"},
                                  {"X-Curfew-Purpose", "nightly r\xc3\xa9port"},
                                  {"X-Curfew-Session", "run-17"},
                                  {"traceparent", "00-4bf9-01"}}));
  ASSERT_TRUE(request);
  EXPECT_EQ(request->name_space, "team/a");
  EXPECT_EQ(request->purpose, "nightly r\xc3\xa9port");
  EXPECT_EQ(request->session, "run-17");
  EXPECT_EQ(request->traceparent, "00-4bf9-01");
  EXPECT_EQ(request->remote_address, "192.0.2.7");
  EXPECT_EQ(request->remote_port, 4711);
}

TEST_F(VaultRequestTest, HeadersAreBounded) {
  for (const char* name : {"X-Vault-Namespace", "X-Curfew-Purpose", "X-Curfew-Session"}) {
    for (const std::string& value :
         {std::string(2000, 'x'), std::string("a\x01"), std::string("\xff")}) {
      const auto request = http("GET", "/v1/a", "", {{name, value}});
      EXPECT_EQ(code(request), Errc::kInvalidArgument) << name;
      EXPECT_THAT(message(request), HasSubstr(name));
    }
    const auto twice = http("GET", "/v1/a", "", {{name, "a"}, {name, "b"}});
    EXPECT_THAT(message(twice), HasSubstr(name));
  }
  const auto traced = read(http("GET", "/v1/a", "", {{"traceparent", std::string(2000, 'x')}}));
  ASSERT_TRUE(traced);
  EXPECT_EQ(traced->traceparent, "");
}

TEST_F(VaultRequestTest, AnIdempotencyKeyIsOneWordOfPrintableCharacters) {
  const auto key = [&](const std::string& value) {
    return http("GET", "/v1/a", "", {{"Idempotency-Key", value}});
  };
  for (const std::string& good : {std::string("01234567"), std::string(128, 'k')})
    EXPECT_EQ(read(key(good))->idempotency_key, good);
  EXPECT_EQ(read(http("GET", "/v1/a"))->idempotency_key, "");
  for (const std::string& bad : {std::string(), std::string("0123456"), std::string(129, 'k'),
                                 std::string("with a blank"), std::string("caf\xc3\xa9-1234")}) {
    EXPECT_EQ(code(key(bad)), Errc::kInvalidArgument) << bad;
    EXPECT_THAT(message(key(bad)), HasSubstr("8 to 128 printable"));
  }
  EXPECT_EQ(code(http("GET", "/v1/a", "",
                      {{"Idempotency-Key", "01234567"}, {"idempotency-key", "01234568"}})),
            Errc::kInvalidArgument);
}

TEST_F(VaultRequestTest, PreferencesSayHowLongTheCallerWaits) {
  const auto prefer = [this](std::vector<std::string> values) {
    std::vector<HttpHeader> headers;
    for (std::string& value : values) headers.push_back({"prefer", std::move(value)});
    auto request = read(http("GET", "/v1/a", "", headers));
    EXPECT_TRUE(request);
    return std::pair{request->hold_left, request->responds_async};
  };
  using Wait = std::pair<Millis, bool>;
  EXPECT_EQ(prefer({}), Wait(Millis{0}, false));
  EXPECT_EQ(prefer({"wait=20"}), Wait(Millis{20'000}, false));
  EXPECT_EQ(prefer({"respond-async, WAIT = \"7\"; x=y"}), Wait(Millis{7'000}, true));
  EXPECT_EQ(prefer({"handling=lenient", "Respond-Async", "wait=1, wait=2"}),
            Wait(Millis{1'000}, true));
  EXPECT_EQ(prefer({"wait=51"}), Wait(Millis{50'000}, false));
  EXPECT_EQ(prefer({"wait=99999999999999999999"}), Wait(Millis{50'000}, false));
  for (const char* nothing :
       {"wait", "wait=", "wait=-1", "wait=1s", "wait=\"", "waiter=3", ",,;=,"})
    EXPECT_EQ(prefer({nothing}), Wait(Millis{0}, false)) << nothing;
}

TEST_F(VaultRequestTest, EveryRequestHasItsOwnId) {
  const std::string first = read(http("GET", "/v1/a"))->id;
  const std::string second = read(http("GET", "/v1/a"))->id;
  EXPECT_EQ(first.size(), 36u);
  EXPECT_NE(first, second);
}

}  // namespace
}  // namespace curfew::api

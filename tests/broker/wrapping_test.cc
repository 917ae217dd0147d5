#include <fstream>
#include <thread>

#include "tests/broker/broker_world.h"

namespace curfew::broker {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Moment = fakes::FaultyDatabase::Moment;

constexpr const char* kInvalid = "wrapping token is not valid or does not exist";

class WrappingTest : public BrokerWorld {
 protected:
  WrappingTest() {
    must_write("sys/mounts/db", {{"type", "scripted"}});
    must_write("sys/mounts/secret", {{"type", "kv"}});
    write_policy("agent", R"(
      path "db/creds/*" { capabilities = ["read"] }
      path "auth/token/create*" { capabilities = ["create", "update"] })");
    outside_.role_ttl = Seconds{900};
  }

  Result<Response> wrapped(Operation operation, const std::string& path, Json data = Json::object(),
                           const std::string& token = "root", Millis ttl = Seconds{60}) {
    extra_.wrap_ttl = ttl;
    auto result = call(operation, path, std::move(data), token);
    extra_.wrap_ttl.reset();
    return result;
  }
  WrapInfo must_wrap(Operation operation, const std::string& path, Json data = Json::object(),
                     const std::string& token = "root") {
    auto result = wrapped(operation, path, std::move(data), token);
    if (result && result->wrap_info) return *result->wrap_info;
    ADD_FAILURE() << path << ": " << (result ? "not wrapped" : result.error().message);
    return {};
  }
  WrapInfo wrap_lease(const std::string& token = "root") {
    return must_wrap(Operation::kRead, "db/creds/ro", Json::object(), token);
  }
  WrapInfo wrap_token(Json more = Json::object()) {
    more["policies"] = {"agent"};
    return must_wrap(Operation::kUpdate, "auth/token/create", std::move(more));
  }
  // With the wrapping token as the caller's own.
  Result<Response> unwrap(const WrapInfo& wrap) {
    return write("sys/wrapping/unwrap", Json::object(), wrap.token.reveal());
  }
  Result<Response> unwrap_as(const std::string& caller, const WrapInfo& wrap) {
    return write("sys/wrapping/unwrap", {{"token", wrap.token.reveal()}}, caller);
  }
  std::string message(const Result<Response>& result) {
    return result ? "(no error)" : result.error().message;
  }
  std::string state_of(const std::string& id) {
    return must_write("sys/leases/receipt", {{"lease_id", id}}).data.value("state", "?");
  }
  bool lives(const std::string& token) { return read("auth/token/lookup-self", token).has_value(); }
  std::string store_bytes() {
    std::string bytes;
    for (const auto& file : std::filesystem::directory_iterator(directory_)) {
      std::ifstream in(file.path(), std::ios::binary);
      bytes.append(std::istreambuf_iterator<char>(in), {});
    }
    return bytes;
  }
};

TEST_F(WrappingTest, the_answer_tells_of_a_token_and_of_nothing_else) {
  const auto result = wrapped(Operation::kRead, "db/creds/ro");
  ASSERT_TRUE(result.has_value()) << result.error().message;
  EXPECT_TRUE(result->data.is_null());
  EXPECT_EQ(result->lease_id, "");
  EXPECT_FALSE(result->auth.has_value());
  EXPECT_EQ(result->request_id, "");
  ASSERT_TRUE(result->wrap_info.has_value());
  const WrapInfo& wrap = *result->wrap_info;
  EXPECT_THAT(wrap.token.reveal(), ::testing::StartsWith("cfs."));
  EXPECT_EQ(wrap.accessor.size(), 24u);
  EXPECT_EQ(wrap.ttl, Seconds{60});
  EXPECT_EQ(wrap.created_at, clock_.wall());
  EXPECT_EQ(wrap.creation_path, "db/creds/ro");
  EXPECT_EQ(wrap.wrapped_accessor, "");
  EXPECT_EQ(outside_.names().size(), 1u);
}

TEST_F(WrappingTest, unwrapping_gives_the_whole_answer_once) {
  const WrapInfo wrap = wrap_lease();
  const auto opened = unwrap(wrap);
  ASSERT_TRUE(opened.has_value()) << opened.error().message;
  EXPECT_TRUE(outside_.has(opened->data.at("username")));
  EXPECT_THAT(opened->lease_id, ::testing::StartsWith("db/creds/ro/"));
  EXPECT_TRUE(opened->renewable);
  EXPECT_EQ(opened->lease_duration, Seconds{900});
  EXPECT_EQ(opened->request_id.value_or("").size(), 36u);
  EXPECT_FALSE(opened->wrap_info.has_value());

  for (const auto& again : {unwrap(wrap), unwrap_as("root", wrap)}) {
    EXPECT_EQ(code_of(again), Errc::kInvalidArgument);
    EXPECT_EQ(message(again), kInvalid);
  }
  run_due();
  clock_.advance(Seconds{61});
  run_due();
  EXPECT_EQ(state_of(opened->lease_id), "active");  // what was given out stays
}

TEST_F(WrappingTest, a_caller_with_a_token_of_its_own_unwraps_too) {
  const WrapInfo wrap = wrap_lease();
  const auto opened = unwrap_as(make_token({"default"}), wrap);
  ASSERT_TRUE(opened.has_value()) << opened.error().message;
  EXPECT_FALSE(opened->data.at("username").get<std::string>().empty());
  // The command line sends the one that it has both ways.
  const WrapInfo other = wrap_lease();
  EXPECT_TRUE(unwrap_as(other.token.reveal(), other).has_value());
}

TEST_F(WrappingTest, only_wrapping_tokens_are_unwrapped) {
  const std::string plain = make_token({"default"});
  for (const std::string& token : {std::string("root"), plain}) {
    EXPECT_EQ(message(write("sys/wrapping/unwrap", Json::object(), token)), kInvalid);
    EXPECT_EQ(message(write("sys/wrapping/unwrap", {{"token", token}})), kInvalid);
    EXPECT_EQ(message(write("sys/wrapping/rewrap", {{"token", token}})), kInvalid);
    EXPECT_EQ(message(write("sys/wrapping/lookup", {{"token", token}}, "")), kInvalid);
  }
  EXPECT_EQ(message(write("sys/wrapping/unwrap", Json::object(), "cfs.nothing")), kInvalid);
  EXPECT_EQ(code_of(write("sys/wrapping/unwrap", {{"token", "x"}}, "cfs.nothing")),
            Errc::kUnauthenticated);
  EXPECT_EQ(code_of(write("sys/wrapping/unwrap", Json::object(), "")), Errc::kUnauthenticated);
  EXPECT_TRUE(lives(plain));
}

TEST_F(WrappingTest, nobody_else_gets_the_policy_of_wrapping_tokens) {
  for (const char* policy : {"response-wrapping", "Response-Wrapping", "control-group"}) {
    EXPECT_THAT(message(write("auth/token/create", {{"policies", {policy}}})),
                HasSubstr("cannot assign policy"));
    EXPECT_THAT(message(write("auth/token/roles/r", {{"allowed_policies", {policy}}})),
                HasSubstr("cannot assign policy"));
  }
}

TEST_F(WrappingTest, a_lookup_needs_no_token_of_the_callers_and_spends_nothing) {
  const WrapInfo wrap = wrap_lease();
  clock_.advance(Seconds{5});
  for (int i = 0; i < 3; ++i) {
    const Json named = must_write("sys/wrapping/lookup", {{"token", wrap.token.reveal()}}, "").data;
    EXPECT_EQ(named.at("creation_path"), "db/creds/ro");
    EXPECT_EQ(named.at("creation_ttl"), 60);
    EXPECT_EQ(named.at("creation_time"), "2027-01-15T08:00:00Z");
    EXPECT_EQ(must_write("sys/wrapping/lookup", Json::object(), wrap.token.reveal()).data, named);
  }
  EXPECT_TRUE(unwrap(wrap).has_value());
  EXPECT_EQ(message(write("sys/wrapping/lookup", {{"token", wrap.token.reveal()}}, "")), kInvalid);
  EXPECT_EQ(message(write("sys/wrapping/lookup", Json::object(), "")), kInvalid);
}

TEST_F(WrappingTest, rewrapping_spends_the_old_token_and_keeps_the_answer) {
  const WrapInfo first = wrap_lease();
  clock_.advance(Seconds{30});
  const auto again = write("sys/wrapping/rewrap", {{"token", first.token.reveal()}});
  ASSERT_TRUE(again.has_value()) << again.error().message;
  const WrapInfo second = again->wrap_info.value_or(WrapInfo{});
  EXPECT_EQ(second.creation_path, "db/creds/ro");
  EXPECT_EQ(second.ttl, Seconds{60});
  EXPECT_EQ(message(unwrap(first)), kInvalid);
  run_due();
  clock_.advance(Seconds{59});  // beyond the first one's time
  run_due();
  const auto opened = unwrap(second);
  ASSERT_TRUE(opened.has_value()) << opened.error().message;
  EXPECT_EQ(state_of(opened->lease_id), "active");
}

TEST_F(WrappingTest, rewrapping_does_not_make_it_last_longer_than_asked_for_first) {
  const WrapInfo first = wrap_lease();
  const auto longer = wrapped(Operation::kUpdate, "sys/wrapping/rewrap",
                              {{"token", first.token.reveal()}}, "root", std::chrono::hours{1});
  ASSERT_TRUE(longer.has_value()) << longer.error().message;
  EXPECT_EQ(longer->wrap_info->ttl, Seconds{60});
  const auto shorter = wrapped(Operation::kUpdate, "sys/wrapping/rewrap",
                               {{"token", longer->wrap_info->token.reveal()}}, "root", Seconds{10});
  EXPECT_EQ(shorter->wrap_info->ttl, Seconds{10});
}

TEST_F(WrappingTest, whatever_a_caller_sends_can_be_wrapped) {
  EXPECT_THAT(message(write("sys/wrapping/wrap", {{"a", "b"}})),
              HasSubstr("endpoint requires response wrapping to be used"));
  const std::string caller = make_token({"default"});
  const WrapInfo wrap =
      must_wrap(Operation::kUpdate, "sys/wrapping/wrap", {{"a", "b"}, {"n", {1, 2}}}, caller);
  must_write("auth/token/revoke", {{"token", caller}});  // it is the recipient's now
  run_due();
  const auto opened = unwrap(wrap);
  ASSERT_TRUE(opened.has_value()) << opened.error().message;
  EXPECT_EQ(opened->data, Json({{"a", "b"}, {"n", {1, 2}}}));
}

TEST_F(WrappingTest, a_wrapped_token_comes_out_whole_and_works) {
  const auto result = wrapped(Operation::kUpdate, "auth/token/create",
                              {{"policies", {"agent"}}, {"meta", {{"team", "a"}}}});
  ASSERT_TRUE(result && result->wrap_info);
  EXPECT_EQ(result->wrap_info->wrapped_accessor.size(), 24u);
  const auto opened = unwrap(*result->wrap_info);
  ASSERT_TRUE(opened && opened->auth);
  EXPECT_EQ(opened->auth->accessor, result->wrap_info->wrapped_accessor);
  EXPECT_EQ(opened->auth->policies, (std::vector<std::string>{"agent", "default"}));
  EXPECT_EQ(opened->auth->metadata, Json({{"team", "a"}}));
  run_due();
  EXPECT_TRUE(lives(opened->auth->client_token.reveal()));
}

TEST_F(WrappingTest, answers_that_say_nothing_and_errors_are_not_wrapped) {
  const auto empty = wrapped(Operation::kUpdate, "secret/a", {{"k", "v"}});
  ASSERT_TRUE(empty.has_value()) << empty.error().message;
  EXPECT_FALSE(empty->wrap_info.has_value());
  EXPECT_EQ(code_of(wrapped(Operation::kRead, "secret/none")), Errc::kNotFound);
  EXPECT_EQ(must_wrap(Operation::kRead, "secret/a").creation_path, "secret/a");
  EXPECT_THAT(message(wrapped(Operation::kRead, "sys/metrics", {{"format", "prometheus"}})),
              HasSubstr("cannot be wrapped"));
  // What answers without keys has nowhere to put an answer.
  const auto health = wrapped(Operation::kRead, "sys/health", Json::object(), "");
  ASSERT_TRUE(health.has_value());
  EXPECT_FALSE(health->wrap_info.has_value());
}

TEST_F(WrappingTest, unwrapping_into_another_wrapping_is_refused_before_anything_is_spent) {
  const WrapInfo wrap = wrap_lease();
  EXPECT_THAT(message(wrapped(Operation::kUpdate, "sys/wrapping/unwrap", Json::object(),
                              wrap.token.reveal())),
              HasSubstr("rewrap"));
  EXPECT_TRUE(unwrap(wrap).has_value());
}

TEST_F(WrappingTest, a_policy_that_demands_wrapping_gets_it) {
  write_policy("careful", R"(path "db/creds/ro" {
    capabilities = ["read"] min_wrapping_ttl = "10s" max_wrapping_ttl = "2m" })");
  const std::string token = make_token({"careful"});
  EXPECT_EQ(code_of(read("db/creds/ro", token)), Errc::kPermissionDenied);
  for (const Millis ttl : {Millis{9'000}, Millis{121'000}})
    EXPECT_EQ(code_of(wrapped(Operation::kRead, "db/creds/ro", Json::object(), token, ttl)),
              Errc::kPermissionDenied);
  EXPECT_TRUE(outside_.names().empty());
  EXPECT_TRUE(unwrap(wrap_lease(token)).has_value());
}

TEST_F(WrappingTest, a_wrapping_token_can_do_nothing_but_open_its_answer) {
  const std::vector<std::pair<Operation, std::string>> others = {
      {Operation::kRead, "db/creds/ro"},
      {Operation::kUpdate, "auth/token/create"},
      {Operation::kUpdate, "auth/token/renew-self"},
      {Operation::kUpdate, "sys/wrapping/rewrap"},
      {Operation::kRead, "auth/token/lookup-self"}};
  for (const auto& [operation, path] : others) {
    const WrapInfo wrap = wrap_lease();
    EXPECT_EQ(code_of(call(operation, path, Json::object(), wrap.token.reveal())),
              Errc::kPermissionDenied)
        << path;
  }
  const WrapInfo wrap = wrap_lease();
  EXPECT_THAT(message(write("auth/token/renew", {{"token", wrap.token.reveal()}})),
              HasSubstr("not renewable"));
}

TEST_F(WrappingTest, a_wrapping_token_used_for_something_else_is_spent_and_its_lease_ends) {
  const WrapInfo wrap = wrap_lease();
  EXPECT_EQ(code_of(read("db/creds/ro", wrap.token.reveal())), Errc::kPermissionDenied);
  run_due();
  EXPECT_EQ(state_of(wrap.lease_id), "revoked");
  EXPECT_TRUE(outside_.names().empty());
  EXPECT_EQ(message(unwrap(wrap)), kInvalid);
  // Nor does one open another's answer for ever.
  const WrapInfo key = wrap_lease(), one = wrap_lease(), two = wrap_lease();
  EXPECT_TRUE(unwrap_as(key.token.reveal(), one).has_value());
  EXPECT_FALSE(unwrap_as(key.token.reveal(), two).has_value());
}

// ---- the end of what was not opened -----------------------------------------------------------

TEST_F(WrappingTest, an_unopened_lease_ends_with_the_wrapping) {
  const WrapInfo wrap = wrap_lease();
  clock_.advance(Millis{59'999});
  run_due();
  EXPECT_EQ(state_of(wrap.lease_id), "active");
  clock_.advance(Millis{1});
  EXPECT_EQ(message(unwrap(wrap)), kInvalid);
  run_due();
  EXPECT_EQ(state_of(wrap.lease_id), "revoked");
  EXPECT_TRUE(outside_.names().empty());
  EXPECT_EQ(list("auth/token/accessors")->data.at("keys").size(), 1u);
}

TEST_F(WrappingTest, revoking_the_wrapping_token_ends_what_it_held) {
  const WrapInfo lease = wrap_lease();
  must_write("auth/token/revoke", {{"token", lease.token.reveal()}});
  const WrapInfo other = wrap_lease();
  must_write("auth/token/revoke-accessor", {{"accessor", other.accessor}});
  run_due();
  EXPECT_EQ(state_of(lease.lease_id), "revoked");
  EXPECT_EQ(state_of(other.lease_id), "revoked");
}

TEST_F(WrappingTest, an_unopened_token_ends_with_all_below_it) {
  const WrapInfo wrap = wrap_token();
  EXPECT_TRUE(
      write("auth/token/lookup-accessor", {{"accessor", wrap.wrapped_accessor}}).has_value());
  clock_.advance(Seconds{60});
  run_due();
  EXPECT_FALSE(
      write("auth/token/lookup-accessor", {{"accessor", wrap.wrapped_accessor}}).has_value());
  run_due();  // clears away the row of the token that the wrapping one took with it
  EXPECT_EQ(list("auth/token/accessors")->data.at("keys").size(), 1u);
}

TEST_F(WrappingTest, unopened_wrappings_are_settled_after_a_crash) {
  const WrapInfo lease = wrap_lease();
  const WrapInfo token = wrap_token();
  restart();
  EXPECT_EQ(state_of(lease.lease_id), "active");
  clock_.advance(Seconds{60});
  restart();
  run_due();
  EXPECT_EQ(state_of(lease.lease_id), "revoked");
  EXPECT_EQ(list("auth/token/accessors")->data.at("keys").size(), 1u);
}

// Whatever fails on the way is done in the end, and no answer is forgotten before.
TEST_F(WrappingTest, settling_goes_on_where_the_store_failed) {
  for (const Moment moment : {Moment::kBefore, Moment::kAfter}) {
    for (int n = 1; n <= 6; ++n) {
      const WrapInfo lease = wrap_lease();
      const WrapInfo token = wrap_token();
      clock_.advance(Seconds{60});
      database_->fail_write(n, moment);
      (void)broker_->run_due();
      database_->fail_write(0);
      restart();
      run_due();
      clock_.advance(std::chrono::minutes{2});
      run_due();
      EXPECT_EQ(state_of(lease.lease_id), "revoked") << n;
      EXPECT_FALSE(
          write("auth/token/lookup-accessor", {{"accessor", token.wrapped_accessor}}).has_value())
          << n;
    }
  }
  EXPECT_TRUE(outside_.names().empty());
}

TEST_F(WrappingTest, an_answer_that_was_not_delivered_ends_with_what_it_holds) {
  const auto lost = wrapped(Operation::kRead, "db/creds/ro");
  ASSERT_TRUE(lost && lost->wrap_info);
  broker_->undelivered(*lost);
  run_due();
  EXPECT_EQ(state_of(lost->wrap_info->lease_id), "revoked");
  EXPECT_EQ(message(unwrap(*lost->wrap_info)), kInvalid);
}

TEST_F(WrappingTest, an_unwrapped_answer_that_was_not_delivered_is_taken_back) {
  const auto lease = unwrap(wrap_lease());
  const auto token = unwrap(wrap_token());
  ASSERT_TRUE(lease && token);
  broker_->undelivered(*lease);
  broker_->undelivered(*token);
  run_due();
  EXPECT_EQ(state_of(lease->lease_id), "revoked");
  EXPECT_FALSE(lives(token->auth->client_token.reveal()));
}

TEST_F(WrappingTest, what_cannot_be_wrapped_is_taken_back) {
  // The last write of the request is the wrapping.
  const int before = database_->writes();
  wrap_lease();
  const int writes = database_->writes() - before;
  for (const Moment moment : {Moment::kBefore, Moment::kAfter}) {
    const auto names = outside_.names();
    database_->fail_write(writes, moment);
    EXPECT_FALSE(wrapped(Operation::kRead, "db/creds/ro").has_value());
    run_due();
    EXPECT_EQ(outside_.names(), names);
  }
  EXPECT_FALSE(
      wrapped(Operation::kUpdate, "sys/wrapping/wrap", {{"a", std::string(3'000'000, 'x')}})
          .has_value());
}

TEST_F(WrappingTest, what_cannot_be_audited_is_taken_back) {
  const auto file = directory_ / "audit.log";
  must_write("sys/audit/file", {{"type", "file"}, {"options", {{"file_path", file.string()}}}});
  // The file turns into a full device between the line of the request and that of the response.
  outside_.during_apply = [&](const std::string&) {
    std::filesystem::remove(file);
    std::filesystem::create_symlink("/dev/full", file);
    broker_->reopen_audit();
  };
  const auto refused = wrapped(Operation::kRead, "db/creds/ro");
  outside_.during_apply = nullptr;
  EXPECT_THAT(message(refused), HasSubstr("could not be audited"));
  EXPECT_EQ(outside_.names().size(), 1u);
  run_due();
  EXPECT_TRUE(outside_.names().empty());
}

// ---- what has ended meanwhile -----------------------------------------------------------------

TEST_F(WrappingTest, a_lease_that_ended_meanwhile_is_not_handed_out) {
  const std::string caller = make_token({"agent"});
  const WrapInfo revoked = wrap_lease();
  must_write("sys/leases/revoke", {{"lease_id", revoked.lease_id}});
  EXPECT_THAT(message(unwrap(revoked)), HasSubstr("lease behind this wrapping token"));
  const WrapInfo orphaned = wrap_lease(caller);
  must_write("auth/token/revoke", {{"token", caller}});
  run_due();
  EXPECT_THAT(message(unwrap(orphaned)), HasSubstr("lease behind this wrapping token"));
  EXPECT_THAT(message(write("sys/wrapping/rewrap", {{"token", orphaned.token.reveal()}})),
              HasSubstr("lease behind"));
}

TEST_F(WrappingTest, a_token_that_ended_meanwhile_is_not_handed_out) {
  const WrapInfo wrap = wrap_token();
  must_write("auth/token/revoke-accessor", {{"accessor", wrap.wrapped_accessor}});
  EXPECT_THAT(message(unwrap(wrap)), HasSubstr("token behind this wrapping token"));
}

TEST_F(WrappingTest, a_lockdown_holds_for_what_waits_wrapped) {
  const WrapInfo wrap = wrap_lease();
  must_write("sys/lockdown", {{"role", "ro"}, {"reason", "incident"}});
  const auto refused = unwrap(wrap);
  EXPECT_THAT(message(refused), ::testing::AnyOf(HasSubstr("locked down"), HasSubstr("lease")));
}

// ---- retries ----------------------------------------------------------------------------------

TEST_F(WrappingTest, one_idempotency_key_stands_for_one_lease_wrapped_too) {
  extra_.idempotency_key = "key-0001";
  const WrapInfo first = wrap_lease();
  const WrapInfo second = wrap_lease();
  EXPECT_EQ(outside_.names().size(), 1u);
  EXPECT_NE(first.lease_id, second.lease_id);
  // The clear form is not to be had by the same key.
  EXPECT_THAT(message(read("db/creds/ro")), HasSubstr("other parameters"));
  extra_.idempotency_key.clear();
  EXPECT_FALSE(unwrap(first).has_value());
  EXPECT_TRUE(unwrap(second).has_value());
  EXPECT_EQ(outside_.names().size(), 1u);
}

TEST_F(WrappingTest, what_was_given_in_the_clear_is_not_wrapped_by_the_same_key) {
  extra_.idempotency_key = "key-0001";
  EXPECT_TRUE(read("db/creds/ro").has_value());
  EXPECT_THAT(message(wrapped(Operation::kRead, "db/creds/ro")), HasSubstr("other parameters"));
  EXPECT_EQ(outside_.names().size(), 1u);
}

TEST_F(WrappingTest, of_many_that_unwrap_at_once_one_gets_it) {
  reaper_threads_ = true;
  restart();
  const WrapInfo wrap = wrap_lease();
  std::atomic<int> got = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&, own = i % 2 == 0] {
      Request request;
      request.id = "r";
      request.operation = Operation::kUpdate;
      request.path = "sys/wrapping/unwrap";
      request.remote_address = "127.0.0.1";
      request.token = own ? wrap.token : Secret("root");
      if (!own) request.data = {{"token", wrap.token.reveal()}};
      const auto opened = broker_->handle(std::move(request));
      if (opened) ++got;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(got, 1);
}

// ---- the store and the audit log ---------------------------------------------------------------

TEST_F(WrappingTest, nothing_of_it_is_in_the_store_in_the_clear) {
  const WrapInfo wrap =
      must_wrap(Operation::kUpdate, "sys/wrapping/wrap", {{"marker", "swordfish-swordfish"}});
  broker_->lifecycle().seal();
  const std::string bytes = store_bytes();
  EXPECT_EQ(bytes.find("swordfish"), std::string::npos);
  EXPECT_EQ(bytes.find(wrap.token.reveal()), std::string::npos);
}

TEST_F(WrappingTest, neither_an_opened_nor_a_settled_answer_leaves_a_record) {
  const auto records = [&] {
    int number = -1;
    EXPECT_TRUE(database_
                    ->read([&](const store::Reader& reader) -> Status {
                      ASSIGN_OR_RETURN(
                          const auto row,
                          reader.query_one("SELECT count(*) FROM records WHERE scope = "
                                           "'wrapping'"));
                      number = static_cast<int>(row->integer(0));
                      return ok();
                    })
                    .has_value());
    return number;
  };
  const WrapInfo opened = wrap_lease();
  wrap_lease();
  EXPECT_EQ(records(), 2);
  EXPECT_TRUE(unwrap(opened).has_value());
  EXPECT_EQ(records(), 1);
  clock_.advance(Seconds{60});
  run_due();
  EXPECT_EQ(records(), 0);
}

TEST_F(WrappingTest, an_answer_moved_behind_another_token_does_not_open) {
  const WrapInfo mine = must_wrap(Operation::kUpdate, "sys/wrapping/wrap", {{"a", 1}});
  const WrapInfo theirs = wrap_lease();
  tamper(
      "CREATE TEMP TABLE w AS SELECT name, sealed FROM records WHERE scope = 'wrapping';"
      "UPDATE records SET sealed = (SELECT sealed FROM w WHERE w.name <> records.name) "
      "WHERE scope = 'wrapping'");
  EXPECT_FALSE(unwrap(mine).has_value());
  EXPECT_FALSE(unwrap(theirs).has_value());
  clock_.advance(Seconds{60});
  run_due();  // does not stumble over them
  EXPECT_EQ(list("auth/token/accessors")->data.at("keys").size(), 1u);
}

TEST_F(WrappingTest, the_audit_log_tells_who_wrapped_and_who_opened_what) {
  const auto file = directory_ / "audit.log";
  must_write("sys/audit/file", {{"type", "file"}, {"options", {{"file_path", file.string()}}}});
  const WrapInfo wrap = wrap_token();
  const std::string token = unwrap_as("root", wrap)->auth->client_token.reveal();
  std::vector<Json> lines;
  std::ifstream in(file);
  std::string text;
  for (std::string line; std::getline(in, line); text += line) lines.push_back(Json::parse(line));
  EXPECT_THAT(text, Not(HasSubstr(wrap.token.reveal())));
  EXPECT_THAT(text, Not(HasSubstr(token)));
  ASSERT_GE(lines.size(), 4u);
  const Json& wrapping = lines[lines.size() - 3];
  EXPECT_EQ(wrapping.at("request").at("wrap_ttl"), 60);
  const Json& info = wrapping.at("response").at("wrap_info");
  EXPECT_THAT(info.at("token").get<std::string>(), HasSubstr("hmac-sha256:"));
  EXPECT_EQ(info.at("creation_path"), "auth/token/create");
  EXPECT_EQ(info.at("ttl"), 60);
  EXPECT_FALSE(wrapping.at("response").contains("auth"));
  const Json& opening = lines.back();
  EXPECT_EQ(opening.at("request").at("data").at("token"), info.at("token"));
  EXPECT_EQ(opening.at("response").at("auth").at("accessor"), info.at("wrapped_accessor"));
}

}  // namespace
}  // namespace curfew::broker

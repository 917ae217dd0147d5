#include "tests/broker/broker_world.h"

#include "broker/auth/builtin_methods.h"
#include "engines/kv/kv.h"
#include "engines/static_key/static_key.h"
#include "tests/support/sqlite_file.h"

namespace curfew::broker {

BrokerWorld::BrokerWorld(WallTime now) : clock_(now) {
  std::string name = std::filesystem::temp_directory_path() / "curfew-broker-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary directory");
  directory_ = name;
  registry_.add("kv", engines::make_kv);
  registry_.add("static_key", engines::make_static_key);
  registry_.add("scripted", make_scripted_engine(outside_));
  // Cheap hashes: what they cost is the hasher's own test.
  add_builtin_auth_methods(auth_methods_, {.cost = {.memory_kib = 64, .passes = 1}});
  open();
  auto made = broker_->lifecycle().initialize(0, 0, Secret("root"));
  if (!made) throw std::runtime_error(made.error().message);
}

BrokerWorld::~BrokerWorld() {
  close();
  std::filesystem::remove_all(directory_);
}

void BrokerWorld::open() {
  auto opened = store::open_sqlite(directory_ / "curfew.db", {.vfs = vfs_.name()}, *log_);
  if (!opened) throw std::runtime_error(opened.error().message);
  sqlite_ = std::move(*opened);
  database_ = std::make_unique<fakes::FaultyDatabase>(*sqlite_);
  keyring_ = std::make_unique<store::Keyring>("root", random_, clock_);
  auto seal = store::Seal::open(
      *database_, *keyring_, {.kind = store::SealKind::kFile, .key_file = directory_ / "seal.key"},
      random_, *log_);
  if (!seal) throw std::runtime_error(seal.error().message);
  seal_ = std::move(*seal);
  options_.version = "test";
  options_.start_threads = reaper_threads_;
  broker_ = std::make_unique<Broker>(Broker::Dependencies{*database_, *keyring_, *seal_, registry_,
                                                          auth_methods_, clock_, random_, *log_},
                                     options_);
}

void BrokerWorld::close() {
  broker_.reset();
  seal_.reset();
  keyring_.reset();
  database_.reset();
  sqlite_.reset();
}

void BrokerWorld::restart() {
  close();
  open();
  const Status started = broker_->lifecycle().start();
  ASSERT_TRUE(started.has_value()) << started.error().message;
}

Result<Response> BrokerWorld::call(Operation operation, const std::string& path, Json data,
                                   const std::string& token) {
  Request request = extra_;
  request.id = random_uuid(random_);
  request.operation = operation;
  request.path = path;
  request.data = std::move(data);
  request.token = Secret(token);
  if (request.remote_address.empty()) request.remote_address = "127.0.0.1";
  return broker_->handle(std::move(request));
}

Result<Response> BrokerWorld::read(const std::string& path, const std::string& token) {
  return call(Operation::kRead, path, Json::object(), token);
}

Result<Response> BrokerWorld::write(const std::string& path, Json data, const std::string& token) {
  return call(Operation::kUpdate, path, std::move(data), token);
}

Result<Response> BrokerWorld::list(const std::string& path, const std::string& token) {
  return call(Operation::kList, path, Json::object(), token);
}

Result<Response> BrokerWorld::remove(const std::string& path, const std::string& token) {
  return call(Operation::kDelete, path, Json::object(), token);
}

Json BrokerWorld::must_read(const std::string& path, const std::string& token) {
  auto response = read(path, token);
  if (!response) {
    ADD_FAILURE() << "read " << path << ": " << response.error().message;
    return Json::object();
  }
  return response->data;
}

Response BrokerWorld::must_write(const std::string& path, Json data, const std::string& token) {
  auto response = write(path, std::move(data), token);
  if (!response) {
    ADD_FAILURE() << "write " << path << ": " << response.error().message;
    return {};
  }
  return *std::move(response);
}

Errc BrokerWorld::code_of(const Result<Response>& result) {
  if (result) {
    ADD_FAILURE() << "expected an error, got " << result->data.dump();
    return Errc::kInternal;
  }
  return result.error().code;
}

std::string BrokerWorld::make_token(const std::vector<std::string>& policies, Json more) {
  more["policies"] = policies;
  const Response response = must_write("auth/token/create", std::move(more));
  return response.auth ? response.auth->client_token.reveal() : "";
}

void BrokerWorld::write_policy(const std::string& name, const std::string& text) {
  must_write("sys/policies/acl/" + name, {{"policy", text}});
}

void BrokerWorld::run_due() {
  const Status done = broker_->run_due();
  EXPECT_TRUE(done.has_value()) << done.error().message;
}

void BrokerWorld::tamper(const std::string& sql) {
  test::run_sqlite(directory_ / "curfew.db", sql);
}

}  // namespace curfew::broker

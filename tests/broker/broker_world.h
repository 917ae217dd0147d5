#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <set>
#include <string>

#include "base/log.h"
#include "base/random.h"
#include "broker/broker.h"
#include "engines/registry.h"
#include "store/keyring.h"
#include "store/seal.h"
#include "store/sqlite.h"
#include "tests/broker/scripted_engine.h"
#include "tests/fakes/faulty_database.h"
#include "tests/fakes/faulty_vfs.h"
#include "tests/fakes/manual_clock.h"

namespace curfew::broker {

// A broker with everything real but the clock and one engine ("scripted"), on a database that can
// be made to fail. It can be restarted on the same store, as after a crash. One thread at a time,
// unless a test says otherwise.
class BrokerWorld : public ::testing::Test {
 protected:
  // `now`: what the clock says first.
  explicit BrokerWorld(WallTime now = from_unix_millis(1'800'000'000'000));
  ~BrokerWorld() override;

  // Begins again on the same file, without the orderly end that a stop would be. Unseals.
  void restart();

  // What a client would send. `data`: body or query.
  Result<Response> call(Operation operation, const std::string& path, Json data = Json::object(),
                        const std::string& token = "root");
  Result<Response> read(const std::string& path, const std::string& token = "root");
  Result<Response> write(const std::string& path, Json data = Json::object(),
                         const std::string& token = "root");
  Result<Response> list(const std::string& path, const std::string& token = "root");
  Result<Response> remove(const std::string& path, const std::string& token = "root");

  // As above; the test fails when the call does.
  Json must_read(const std::string& path, const std::string& token = "root");
  Response must_write(const std::string& path, Json data = Json::object(),
                      const std::string& token = "root");
  Errc code_of(const Result<Response>& result);

  // A token of these policies.
  std::string make_token(const std::vector<std::string>& policies, Json more = Json::object());
  void write_policy(const std::string& name, const std::string& text);

  // Does what is due now; the test fails when that fails.
  void run_due();

  // Runs a statement on the database file beside the broker's back, as somebody with the file
  // would.
  void tamper(const std::string& sql);

  fakes::FaultyVfs vfs_;  // without flushes: no test here lets the machine die
  std::filesystem::path directory_;
  fakes::ManualClock clock_;
  SystemRandom random_;
  std::unique_ptr<Log> log_ = make_null_log();
  ScriptedWorld outside_;  // survives restarts, as a target does
  engines::Registry registry_;
  AuthRegistry auth_methods_;
  std::unique_ptr<store::SqliteDatabase> sqlite_;
  std::unique_ptr<fakes::FaultyDatabase> database_;
  std::unique_ptr<store::Keyring> keyring_;
  std::unique_ptr<store::Seal> seal_;
  std::unique_ptr<Broker> broker_;
  bool reaper_threads_ = false;  // from the next restart() on
  BrokerOptions options_ = {};   // likewise; version and threads are set by open()
  Request extra_;  // headers that call() sends: purpose, session, traceparent, address

 private:
  void open();
  void close();
};

}  // namespace curfew::broker

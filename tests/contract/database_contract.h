#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>

#include "store/sql.h"

namespace curfew::contract {

// One database under test, empty but for its schema, and what keeps it alive.
class DatabaseFixture {
 public:
  virtual ~DatabaseFixture() = default;
  virtual store::Database& database() = 0;
  // Closes the database and opens it again.
  virtual void reopen() = 0;
};

using DatabaseFactory = std::function<std::unique_ptr<DatabaseFixture>()>;

// What every Database promises. Instantiate it with a factory for each implementation.
class DatabaseContract : public testing::TestWithParam<DatabaseFactory> {
 protected:
  void SetUp() override { fixture_ = GetParam()(); }
  store::Database& db() { return fixture_->database(); }

  std::unique_ptr<DatabaseFixture> fixture_;
};

}  // namespace curfew::contract

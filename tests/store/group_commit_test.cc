#include "store/group_commit.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

namespace curfew::store {
namespace {

class NoWriter final : public Writer {
 public:
  Result<std::vector<Row>> query(std::string_view, const std::vector<Value>&) const override {
    return std::vector<Row>{};
  }
  Result<std::int64_t> execute(std::string_view, const std::vector<Value>&) override {
    return std::int64_t{1};
  }
};

// What the committing thread did, in order, and what it is to meet.
struct Script {
  std::mutex mutex;
  std::vector<std::string> calls;
  std::atomic<bool> begin_fails{false};
  std::atomic<bool> commit_fails{false};
  std::atomic<bool> undo_fails{false};
  std::atomic<bool> lost{false};

  void add(const std::string& call) {
    const std::scoped_lock lock(mutex);
    calls.push_back(call);
  }
  std::size_t count(const std::string& call) {
    const std::scoped_lock lock(mutex);
    return static_cast<std::size_t>(std::count(calls.begin(), calls.end(), call));
  }
};

class ScriptedSession final : public CommitSession {
 public:
  explicit ScriptedSession(Script& script) : script_(script) {}

  Writer& writer() override { return writer_; }
  Status begin() override {
    if (script_.begin_fails) return Error{Errc::kUnavailable, "begin failed"};
    script_.lost = false;
    script_.add("begin");
    return ok();
  }
  Status commit() override {
    script_.add("commit");
    if (script_.commit_fails) return Error{Errc::kUnavailable, "commit failed"};
    return ok();
  }
  void rollback() override {
    script_.add("rollback");
    script_.lost = true;
  }
  Status savepoint() override {
    script_.add("savepoint");
    return ok();
  }
  Status release_savepoint() override {
    script_.add("release");
    return ok();
  }
  Status rollback_to_savepoint() override {
    script_.add("undo");
    if (script_.undo_fails) return Error{Errc::kUnavailable, "undo failed"};
    return ok();
  }
  bool is_lost() const override { return script_.lost; }
  std::optional<Error> take_failure() override { return std::nullopt; }
  void tidy() override {}

 private:
  Script& script_;
  NoWriter writer_;
};

class GroupCommitTest : public testing::Test {
 protected:
  void start(const GroupCommitOptions& options = {}) {
    commits_ =
        std::make_unique<GroupCommit>(std::make_unique<ScriptedSession>(script_), options, *log_);
  }

  // Makes `count` writes wait behind one that is under way, so that they form the next batches in
  // the order of their numbers; gives their outcomes.
  std::vector<Status> write_together(std::size_t count,
                                     const std::function<Status(std::size_t)>& write) {
    std::atomic<bool> held{false};
    std::atomic<bool> go{false};
    std::thread holder([&] {
      EXPECT_TRUE(commits_->write([&](Writer&) {
        held = true;
        while (!go) std::this_thread::yield();
        return ok();
      }));
    });
    while (!held) std::this_thread::yield();
    std::vector<Status> outcomes(count, ok());
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < count; ++i) {
      threads.emplace_back(
          [&, i] { outcomes[i] = commits_->write([&](Writer&) { return write(i); }); });
      while (commits_->stats().waiting < i + 1) std::this_thread::yield();
    }
    go = true;
    holder.join();
    for (std::thread& thread : threads) thread.join();
    return outcomes;
  }

  const std::unique_ptr<Log> log_ = make_null_log();
  Script script_;
  std::unique_ptr<GroupCommit> commits_;
};

TEST_F(GroupCommitTest, WritesThatWaitAreCommittedTogether) {
  start();
  for (const Status& outcome : write_together(20, [](std::size_t) { return ok(); }))
    EXPECT_TRUE(outcome);
  const CommitStats stats = commits_->stats();
  EXPECT_EQ(stats.writes, 21u);
  EXPECT_EQ(stats.commits, 2u);
  EXPECT_EQ(stats.waiting, 0u);
}

TEST_F(GroupCommitTest, BatchHasABound) {
  start({.batch_max = 8, .queue_max = 100});
  write_together(20, [](std::size_t) { return ok(); });
  EXPECT_EQ(commits_->stats().commits, 1u + 3u);
}

TEST_F(GroupCommitTest, TheyRunInTheOrderInWhichTheyCame) {
  start({.batch_max = 4, .queue_max = 100});
  std::vector<std::size_t> order;
  write_together(10, [&](std::size_t i) {
    order.push_back(i);
    return ok();
  });
  EXPECT_EQ(order, (std::vector<std::size_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

TEST_F(GroupCommitTest, WriteThatFailsIsUndoneAlone) {
  start();
  const auto outcomes = write_together(5, [](std::size_t i) -> Status {
    if (i == 2) return Error{Errc::kConflict, "no"};
    return ok();
  });
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(outcomes[i].has_value(), i != 2);
  EXPECT_EQ(outcomes[2].error().code, Errc::kConflict);
  EXPECT_EQ(script_.count("undo"), 1u);
  EXPECT_EQ(commits_->stats().writes_refused, 1u);
  EXPECT_EQ(commits_->stats().commits, 2u);
}

TEST_F(GroupCommitTest, NothingIsCommittedWhenAllFail) {
  start();
  const auto written = commits_->write([](Writer&) -> Status {
    return Error{Errc::kNotFound, "no"};
  });
  EXPECT_EQ(written.error().code, Errc::kNotFound);
  EXPECT_EQ(script_.count("commit"), 0u);
  EXPECT_EQ(script_.count("rollback"), 1u);
}

TEST_F(GroupCommitTest, FailedCommitFailsAll) {
  start();
  bool first = true;
  const auto outcomes = write_together(5, [&](std::size_t i) -> Status {
    if (std::exchange(first, false)) script_.commit_fails = true;
    if (i == 3) return Error{Errc::kConflict, "no"};
    return ok();
  });
  for (std::size_t i = 0; i < 5; ++i) {
    ASSERT_FALSE(outcomes[i]);
    EXPECT_EQ(outcomes[i].error().code, i == 3 ? Errc::kConflict : Errc::kUnavailable);
  }
  EXPECT_EQ(commits_->stats().commits_failed, 1u);
  script_.commit_fails = false;
  EXPECT_TRUE(commits_->write([](Writer&) { return ok(); }));
}

TEST_F(GroupCommitTest, FailedBeginFailsAllAndRunsNone) {
  start();
  script_.begin_fails = true;
  bool ran = false;
  const auto written = commits_->write([&](Writer&) {
    ran = true;
    return ok();
  });
  EXPECT_EQ(written.error().code, Errc::kUnavailable);
  EXPECT_FALSE(ran);
  script_.begin_fails = false;
  EXPECT_TRUE(commits_->write([](Writer&) { return ok(); }));
}

TEST_F(GroupCommitTest, WhenTheTransactionIsLostThoseBeforeFailAndThoseAfterGetAnother) {
  start();
  const auto outcomes = write_together(5, [&](std::size_t i) -> Status {
    if (i != 2) return ok();
    script_.lost = true;  // as when the disk fills up
    return Error{Errc::kUnavailable, "full"};
  });
  for (std::size_t i = 0; i < 3; ++i) {
    ASSERT_FALSE(outcomes[i]) << i;
    EXPECT_EQ(outcomes[i].error().code, Errc::kUnavailable);
    EXPECT_EQ(outcomes[i].error().message, "full");
  }
  EXPECT_TRUE(outcomes[3]);
  EXPECT_TRUE(outcomes[4]);
}

TEST_F(GroupCommitTest, WhenUndoingFailsTheTransactionGoes) {
  start();
  script_.undo_fails = true;
  const auto outcomes = write_together(3, [&](std::size_t i) -> Status {
    if (i == 1) return Error{Errc::kConflict, "the caller's own"};
    return ok();
  });
  // The neighbour learns that it failed, not why somebody else was refused.
  ASSERT_FALSE(outcomes[0]);
  EXPECT_EQ(outcomes[0].error().code, Errc::kUnavailable);
  EXPECT_EQ(outcomes[0].error().message.find("own"), std::string::npos);
  EXPECT_EQ(outcomes[1].error().code, Errc::kConflict);
  EXPECT_TRUE(outcomes[2]);
}

TEST_F(GroupCommitTest, FullQueueRefuses) {
  start({.batch_max = 64, .queue_max = 3});
  std::atomic<int> refused{0};
  const auto outcomes = write_together(3, [&](std::size_t) { return ok(); });
  for (const Status& outcome : outcomes) EXPECT_TRUE(outcome);
  std::atomic<bool> held{false};
  std::atomic<bool> go{false};
  std::thread holder([&] {
    EXPECT_TRUE(commits_->write([&](Writer&) {
      held = true;
      while (!go) std::this_thread::yield();
      return ok();
    }));
  });
  while (!held) std::this_thread::yield();
  std::vector<std::thread> threads;
  for (int i = 0; i < 10; ++i) {
    threads.emplace_back([&] {
      const Status written = commits_->write([](Writer&) { return ok(); });
      if (written) return;
      EXPECT_EQ(written.error().code, Errc::kOverloaded);
      ++refused;
    });
  }
  while (refused < 7) std::this_thread::yield();
  go = true;
  holder.join();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(refused, 7);
}

TEST_F(GroupCommitTest, WriteInsideAWriteIsRefused) {
  start();
  EXPECT_TRUE(commits_->write([&](Writer&) -> Status {
    EXPECT_EQ(commits_->write([](Writer&) { return ok(); }).error().code, Errc::kInternal);
    return ok();
  }));
}

TEST_F(GroupCommitTest, ExceptionsFailTheirWriteAlone) {
  start();
  const auto outcomes = write_together(3, [](std::size_t i) -> Status {
    if (i == 1) throw std::runtime_error("oops");
    if (i == 2) throw 42;
    return ok();
  });
  EXPECT_TRUE(outcomes[0]);
  EXPECT_EQ(outcomes[1].error().code, Errc::kInternal);
  EXPECT_EQ(outcomes[2].error().code, Errc::kInternal);
}

}  // namespace
}  // namespace curfew::store

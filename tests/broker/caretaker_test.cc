#include "broker/mount/caretaker.h"

#include <future>

#include "tests/broker/broker_world.h"

namespace curfew::broker {
namespace {

using engines::Tended;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// The time within which a thread does what it was woken for; never waited out where things work.
constexpr auto kSoon = std::chrono::seconds(20);

class CaretakerTest : public BrokerWorld {
 protected:
  CaretakerTest() {
    outside_.chores = {"rotate/a"};
    outside_.tend = [this](const std::string& chore) -> Result<Tended> {
      calls_.push_back(chore);
      return Tended{next_, failing_};
    };
  }

  std::vector<std::string> calls() { return std::exchange(calls_, {}); }
  void make_mount(const std::string& path = "db") {
    must_write("sys/mounts/" + path, {{"type", "scripted"}});
  }
  std::string metrics() {
    const auto text =
        call(Operation::kRead, "sys/metrics", {{"format", "prometheus"}}).value().data;
    return text.get<std::string>();
  }

  std::vector<std::string> calls_;
  std::optional<WallTime> next_;
  bool failing_ = false;
};

TEST_F(CaretakerTest, a_chore_is_called_when_its_mount_is_made_and_when_it_said) {
  next_ = clock_.wall() + Seconds{60};
  make_mount();
  run_due();
  EXPECT_THAT(calls(), ElementsAre("rotate/a"));
  clock_.advance(Seconds{59});
  run_due();
  EXPECT_THAT(calls(), IsEmpty());
  clock_.advance(Seconds{1});
  next_ = std::nullopt;
  run_due();
  EXPECT_THAT(calls(), ElementsAre("rotate/a"));
  clock_.advance(std::chrono::days{365});
  run_due();
  EXPECT_THAT(calls(), IsEmpty());  // no date: only when the engine asks
  restart();
  run_due();
  EXPECT_THAT(calls(), ElementsAre("rotate/a"));
}

TEST_F(CaretakerTest, an_engine_that_asks_is_called_with_all_that_it_names_now) {
  make_mount();
  run_due();
  calls();
  outside_.chores = {"rotate/b", "reconcile/b"};
  outside_.wake_caretaker();
  run_due();
  EXPECT_THAT(calls(), ElementsAre("reconcile/b", "rotate/b"));
  outside_.chores = {};
  outside_.wake_caretaker();
  run_due();
  EXPECT_THAT(calls(), IsEmpty());
}

TEST_F(CaretakerTest, an_exception_out_of_a_call_is_one_failed_call) {
  make_mount();
  outside_.tend = [&](const std::string& chore) -> Result<Tended> {
    calls_.push_back(chore);
    throw std::runtime_error("odd answer");
  };
  run_due();
  EXPECT_THAT(calls(), ElementsAre("rotate/a"));
  clock_.advance(std::chrono::minutes{10});
  run_due();
  EXPECT_THAT(calls(), ElementsAre("rotate/a"));
}

TEST_F(CaretakerTest, asking_from_within_a_call_brings_another_one) {
  int left = 2;
  outside_.tend = [&](const std::string& chore) -> Result<Tended> {
    calls_.push_back(chore);
    if (left-- > 0) outside_.wake_caretaker();
    return Tended{};
  };
  make_mount();
  run_due();
  EXPECT_EQ(calls().size(), 3u);
}

TEST_F(CaretakerTest, a_failed_call_is_repeated_with_growing_pauses_and_counted) {
  bool broken = true;
  outside_.tend = [&](const std::string& chore) -> Result<Tended> {
    calls_.push_back(chore);
    if (broken) return Error{Errc::kUnavailable, "the target is down"};
    return Tended{};
  };
  make_mount();
  run_due();
  EXPECT_EQ(calls().size(), 1u);
  EXPECT_THAT(metrics(), HasSubstr("curfew_engine_work_failing 1\n"));
  for (const int pause : {1, 2, 4, 8}) {
    clock_.advance(Seconds{pause} - Millis{1});
    run_due();
    EXPECT_THAT(calls(), IsEmpty()) << pause;
    clock_.advance(Millis{1});
    run_due();
    EXPECT_EQ(calls().size(), 1u) << pause;
  }
  broken = false;
  clock_.advance(std::chrono::minutes{5});
  run_due();
  EXPECT_EQ(calls().size(), 1u);
  EXPECT_THAT(metrics(), HasSubstr("curfew_engine_work_failing 0\n"));
}

TEST_F(CaretakerTest, what_an_engine_says_of_itself_is_counted_too) {
  failing_ = true;
  make_mount();
  run_due();
  EXPECT_THAT(metrics(), HasSubstr("curfew_engine_work_failing 1\n"));
}

TEST_F(CaretakerTest, a_clock_that_was_set_back_does_not_put_work_off_for_longer_than_a_look) {
  next_ = clock_.wall() + Seconds{60};
  make_mount();
  run_due();
  calls();
  clock_.step_wall(-std::chrono::days{30});
  clock_.advance(std::chrono::minutes{10});
  run_due();
  EXPECT_THAT(calls(), ElementsAre("rotate/a"));
}

TEST_F(CaretakerTest, a_mount_that_is_being_removed_is_left_alone) {
  next_ = clock_.wall() + Seconds{60};
  make_mount();
  run_due();
  calls();
  ASSERT_TRUE(remove("sys/mounts/db").has_value());
  clock_.advance(Seconds{60});
  run_due();
  EXPECT_THAT(calls(), IsEmpty());
}

TEST_F(CaretakerTest, work_that_hangs_holds_up_neither_other_mounts_nor_requests) {
  reaper_threads_ = true;
  restart();
  std::promise<void> hangs, other, release;
  auto released = release.get_future().share();
  std::atomic<int> called{0};
  std::atomic<bool> told{false};
  outside_.chores = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
  outside_.tend = [&, released](const std::string& chore) -> Result<Tended> {
    if (chore == "only") {
      if (!told.exchange(true)) other.set_value();
      return Tended{};
    }
    if (++called == 3) hangs.set_value();
    released.wait();
    return Tended{};
  };
  make_mount("hangs");
  ASSERT_EQ(hangs.get_future().wait_for(kSoon), std::future_status::ready);
  outside_.chores = {"only"};
  make_mount("other");
  EXPECT_EQ(other.get_future().wait_for(kSoon), std::future_status::ready);
  EXPECT_EQ(called, 3);  // of ten: the other threads are left for others
  EXPECT_TRUE(read("other/creds/ro").has_value());
  release.set_value();
  broker_.reset();  // its threads may still be in what this test holds
}

TEST_F(CaretakerTest, sealing_waits_for_the_call_under_way_and_begins_no_other) {
  reaper_threads_ = true;
  restart();
  std::promise<void> begun, release;
  auto released = release.get_future().share();
  std::atomic<int> called{0};
  outside_.tend = [&, released](const std::string&) -> Result<Tended> {
    if (++called == 1) begun.set_value();
    released.wait();
    return Tended{};
  };
  make_mount();
  ASSERT_EQ(begun.get_future().wait_for(kSoon), std::future_status::ready);
  auto sealing = std::async(std::launch::async, [&] { broker_->lifecycle().seal(); });
  release.set_value();
  ASSERT_EQ(sealing.wait_for(kSoon), std::future_status::ready);
  const int at_the_seal = called;
  outside_.wake_caretaker();
  EXPECT_EQ(called, at_the_seal);
  EXPECT_LE(at_the_seal, 2);  // the start's look may have found the new mount as well
}

}  // namespace
}  // namespace curfew::broker

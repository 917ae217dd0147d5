#include "api/piece_queue.h"

#include <gtest/gtest.h>

namespace curfew::api {
namespace {

TEST(PieceQueueTest, GivesThePiecesInOrderAndTellsOnce) {
  int told = 0;
  PieceQueue queue(100, false, [&] { ++told; });
  queue.push("a");
  queue.push("b");
  EXPECT_EQ(told, 1);
  EXPECT_EQ(queue.take().bytes, "ab");
  EXPECT_EQ(queue.take().bytes, "");
  queue.push("c");
  EXPECT_EQ(told, 2);
  queue.end();
  EXPECT_EQ(told, 2);
  queue.push("late");
  const auto last = queue.take();
  EXPECT_EQ(last.bytes, "c");
  EXPECT_TRUE(last.ended);
}

TEST(PieceQueueTest, MakesChunksAndNeverTheLastOne) {
  PieceQueue queue(100, true, [] {});
  queue.push("");
  queue.push("sixteen letters!");
  EXPECT_EQ(queue.take().bytes, "10\r\nsixteen letters!\r\n");
}

TEST(PieceQueueTest, CountsWhatWasTakenLast) {
  int told = 0;
  PieceQueue queue(10, false, [&] { ++told; });
  queue.push("123456");
  EXPECT_EQ(queue.take().bytes, "123456");
  queue.push("7890");
  EXPECT_FALSE(queue.overrun());
  queue.push("x");
  EXPECT_TRUE(queue.overrun());
  EXPECT_EQ(told, 3);  // told of the bound although what is there was not taken yet
  queue.push("y");
  EXPECT_EQ(told, 3);
  EXPECT_EQ(queue.take().bytes, "");
}

TEST(PieceQueueTest, NothingHappensOnceItIsClosed) {
  int told = 0;
  PieceQueue queue(10, false, [&] { ++told; });
  queue.close();
  queue.push("a");
  queue.push("much more than it takes");
  queue.end();
  EXPECT_EQ(told, 0);
  EXPECT_FALSE(queue.overrun());
}

}  // namespace
}  // namespace curfew::api

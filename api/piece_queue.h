#pragma once

#include <cstddef>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

namespace curfew::api {

// A piece of a body as it goes over the wire in "Transfer-Encoding: chunked".
std::string chunk_of(std::string_view piece);

// Where the pieces of a stream wait until the connection can take them. Thread-safe.
class PieceQueue {
 public:
  // At most `bytes_max` are kept, those that were taken last among them. `chunks`: each piece is
  // made a chunk. `ready` is called, from where the pieces come and without a lock, when there is
  // something to take or the bound was passed; not again until take() was called.
  PieceQueue(std::size_t bytes_max, bool chunks, std::function<void()> ready);

  // Adds a piece; beyond the bound nothing is kept any more. Nothing happens after end() or
  // close().
  void push(std::string_view piece);
  // No more pieces come.
  void end();
  // Nobody takes anything any more: forgets the pieces.
  void close();

  // The bound was passed: the connection is too slow.
  bool overrun() const;

  struct Taken {
    std::string bytes;
    bool ended = false;  // nothing follows
  };
  // All that is there. What was taken before no longer counts.
  Taken take();

 private:
  const std::size_t bytes_max_;
  const bool chunks_;
  const std::function<void()> ready_;
  mutable std::mutex mutex_;
  std::string pending_;    // guarded by mutex_, as all below
  std::size_t taken_ = 0;  // bytes
  bool told_ = false;      // ready() was called since the last take()
  bool ended_ = false;
  bool overrun_ = false;
  bool closed_ = false;
};

}  // namespace curfew::api

#include "api/piece_queue.h"

#include <fmt/format.h>

#include <utility>

namespace curfew::api {

std::string chunk_of(std::string_view piece) {
  return fmt::format("{:x}\r\n{}\r\n", piece.size(), piece);
}

PieceQueue::PieceQueue(std::size_t bytes_max, bool chunks, std::function<void()> ready)
    : bytes_max_(bytes_max), chunks_(chunks), ready_(std::move(ready)) {}

void PieceQueue::push(std::string_view piece) {
  if (piece.empty()) return;  // an empty chunk would end the body
  const std::string bytes = chunks_ ? chunk_of(piece) : std::string(piece);
  {
    const std::scoped_lock lock(mutex_);
    if (closed_ || ended_ || overrun_) return;
    if (taken_ + pending_.size() + bytes.size() > bytes_max_) {
      overrun_ = true;
      std::string().swap(pending_);
    } else {
      pending_ += bytes;
      if (std::exchange(told_, true)) return;
    }
  }
  ready_();
}

void PieceQueue::end() {
  {
    const std::scoped_lock lock(mutex_);
    if (closed_ || std::exchange(ended_, true)) return;
    if (std::exchange(told_, true)) return;
  }
  ready_();
}

void PieceQueue::close() {
  const std::scoped_lock lock(mutex_);
  closed_ = true;
  std::string().swap(pending_);
}

bool PieceQueue::overrun() const {
  const std::scoped_lock lock(mutex_);
  return overrun_;
}

PieceQueue::Taken PieceQueue::take() {
  const std::scoped_lock lock(mutex_);
  told_ = false;
  taken_ = pending_.size();
  return {std::exchange(pending_, {}), ended_};
}

}  // namespace curfew::api

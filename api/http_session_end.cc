#include <boost/asio/buffer.hpp>
#include <utility>

#include "api/http_session.h"
#include "api/tcp_state.h"
#include "base/secret.h"

// The end of a connection: whether its last answers arrived, and what becomes of those that did
// not.
namespace curfew::api {
namespace {

namespace asio = boost::asio;

constexpr Millis kWaitRound{10};

}  // namespace

// Closing at once would throw away, at the client, an answer that it has not read yet if it is
// still sending. So: say that nothing more comes, and wait a little for it to hang up.
void HttpSession::linger() {
  parser_.reset();  // and the body that it may hold
  wait_rounds_left_ = static_cast<int>(host_.options.linger_timeout / kWaitRound);
  phase_ = Phase::kFlushing;
  flush();
}

// A client that hangs up without reading TLS's farewell resets the connection, and with it the
// acknowledgement of the answer that it did read: so that one comes first.
void HttpSession::flush() {
  if (!tls_ || unconfirmed_.empty()) return hang_up();
  if (all_acknowledged()) {
    unconfirmed_.clear();
    return hang_up();
  }
  if (wait_rounds_left_-- <= 0 || is_broken(socket_.native_handle())) return end();
  arm(kWaitRound);
}

void HttpSession::hang_up() {
  phase_ = Phase::kLingering;
  arm(host_.options.linger_timeout);
  const auto shut = [this] {
    ErrorCode ignored;
    socket_.shutdown(Tcp::socket::shutdown_send, ignored);
    fin_sent_ = !ignored;
    drain();
  };
  if (!tls_) return shut();
  tls_->async_shutdown([self = shared_from_this(), shut](const ErrorCode&) {
    if (self->phase_ == Phase::kLingering) shut();
  });
}

void HttpSession::drain() {
  if (buffer_.empty()) buffer_.resize(kBufferBytes);
  socket_.async_read_some(asio::buffer(buffer_),
                          [self = shared_from_this()](const ErrorCode& error, std::size_t) {
                            if (self->phase_ != Phase::kLingering) return;
                            if (error) return self->end();
                            self->drain();
                          });
}

void HttpSession::end() {
  if (unconfirmed_.empty()) return close();
  phase_ = Phase::kSettling;
  wait_rounds_left_ = static_cast<int>(host_.options.settle_timeout / kWaitRound);
  settle();
}

// The client hung up while its last answer was on the way. Whether its system took the answer is
// known in a moment: it acknowledges, or it resets the connection.
void HttpSession::settle() {
  if (all_acknowledged()) {
    unconfirmed_.clear();
    return close();
  }
  if (wait_rounds_left_-- <= 0 || is_broken(socket_.native_handle())) {
    report_unconfirmed();
    reset_on_close();
    return close();
  }
  arm(kWaitRound);
}

// What is still in the kernel's hands was reported as undelivered: it must not arrive later.
void HttpSession::reset_on_close() {
  ErrorCode ignored;
  socket_.set_option(Tcp::socket::linger(true, 0), ignored);
}

void HttpSession::close() {
  phase_ = Phase::kDead;
  let_go();
  stop_timer();
  {
    const std::scoped_lock lock(closing_);
    ErrorCode ignored;
    socket_.close(ignored);
  }
  zero(buffer_);
  forget_once();
}

void HttpSession::forget_once() {
  if (!forgotten_.exchange(true)) host_.forget(this);
}

bool HttpSession::all_acknowledged() {
  return unacknowledged_bytes(socket_.native_handle()) <= (fin_sent_ ? 1u : 0u);
}

void HttpSession::forget_confirmed() {
  if (!unconfirmed_.empty() && all_acknowledged()) unconfirmed_.clear();
}

void HttpSession::report(std::function<void()>& undelivered) {
  if (undelivered) host_.pool.submit(std::exchange(undelivered, nullptr));
}

void HttpSession::report_unconfirmed() {
  for (std::function<void()>& undelivered : unconfirmed_) report(undelivered);
  unconfirmed_.clear();
}

}  // namespace curfew::api

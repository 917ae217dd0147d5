#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <exception>
#include <utility>

#include "api/error_to_http.h"
#include "api/http_head.h"
#include "api/http_session.h"
#include "api/piece_queue.h"
#include "api/tcp_state.h"
#include "base/secret.h"

// Answers that take their time without a thread: requests on hold, and streams.
namespace curfew::api {
namespace {

namespace asio = boost::asio;

// How often a client that has sent more already is looked at: the socket tells of its going away
// only after that was read.
constexpr Millis kLookEvery{1'000};
constexpr Millis kLongest = std::chrono::hours{24 * 365};  // more than that the clock cannot add
constexpr const char* kLastChunk = "0\r\n\r\n";

// One of a bounded number of places, given back with this object.
class Place {
 public:
  Place() = default;
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() { give_back(); }

  bool take(std::atomic<std::size_t>& taken, std::size_t max) {
    if (taken.fetch_add(1) >= max) {
      --taken;
      return false;
    }
    taken_ = &taken;
    return true;
  }
  void give_back() {
    if (taken_ != nullptr) --*std::exchange(taken_, nullptr);
  }

 private:
  std::atomic<std::size_t>* taken_ = nullptr;
};

}  // namespace

// What is kept while an answer waits. Belongs to the worker that makes it, then to the strand, and
// of a hold at last to the worker that asks again.
struct HttpSession::Waiting {
  Place place;
  std::shared_ptr<void> subscription;
  Millis time{0};
  SessionClock::time_point until;
  bool looks = false;  // now and then, since bytes wait that are not read yet

  std::function<HttpResponse(Millis left)> resume;
  std::atomic<bool> woken = false;  // from any thread
  bool woken_early = false;         // before the strand knew of it

  std::shared_ptr<PieceQueue> pieces;
  std::string heartbeat;
  SessionClock::time_point quiet_since;
  bool writing = false;
  bool over = false;       // ends after what is being written
  bool finishing = false;  // the end is being written
};

// ---- on a worker -------------------------------------------------------------------------------

void HttpSession::conclude(HttpResponse response) {
  std::shared_ptr<Waiting> waiting;
  if (response.stream != nullptr) response.headers.push_back({"X-Accel-Buffering", "no"});
  if (response.hold || (response.stream != nullptr && !head_only_))
    waiting = begin_waiting(response);
  asio::post(socket_.get_executor(), [self = shared_from_this(), waiting = std::move(waiting),
                                      response = std::move(response)]() mutable {
    if (waiting == nullptr) return self->answer(std::move(response));
    self->wait(std::move(waiting), std::move(response));
  });
}

// Null where it cannot wait: `response` says why then.
std::shared_ptr<HttpSession::Waiting> HttpSession::begin_waiting(HttpResponse& response) {
  auto waiting = std::make_shared<Waiting>();
  const bool holds = response.hold.has_value();
  if (holds ? !waiting->place.take(host_.holds, host_.options.holds_max)
            : !waiting->place.take(host_.streams, host_.options.streams_max)) {
    ++host_.overloads;
    response = error_response(
        {Errc::kOverloaded, fmt::format("the server keeps as many {} as it may: retry later",
                                        holds ? "requests on hold" : "streams")});
    return nullptr;
  }
  try {
    if (holds) {
      subscribe(waiting, *response.hold);
    } else {
      open(*waiting, *response.stream);
    }
    return waiting;
  } catch (const std::exception& error) {
    host_.log.error("an answer cannot be waited for", {{"error", error.what()}});
  }
  response = error_response({Errc::kInternal, "internal error: see the server's log"});
  return nullptr;
}

void HttpSession::subscribe(const std::shared_ptr<Waiting>& waiting, HttpHold& hold) {
  waiting->time = std::clamp(hold.time, Millis{0}, host_.options.hold_time_max);
  waiting->resume = std::move(hold.resume);
  waiting->subscription =
      hold.subscribe([weak = weak_from_this(), weak_waiting = std::weak_ptr<Waiting>(waiting)] {
        auto self = weak.lock();
        auto woken = weak_waiting.lock();
        if (self == nullptr || woken == nullptr || woken->woken.exchange(true)) return;
        // Nothing that this thread lets go of may be the last of its kind: it may hold locks.
        const auto executor = self->socket_.get_executor();
        asio::post(executor,
                   [self = std::move(self), woken = std::move(woken)] { self->on_wake(woken); });
      });
}

void HttpSession::open(Waiting& waiting, const HttpStream& stream) {
  waiting.time = std::clamp(stream.time, Millis{0}, kLongest);
  waiting.heartbeat = stream.heartbeat;
  waiting.pieces = std::make_shared<PieceQueue>(
      host_.options.stream_bytes_max, takes_chunks_, [weak = weak_from_this()] {
        auto self = weak.lock();
        if (self == nullptr) return;
        const auto executor = self->socket_.get_executor();
        asio::post(executor, [self = std::move(self)] { self->pump(); });
      });
  waiting.subscription =
      stream.open([pieces = waiting.pieces](const std::string& piece) { pieces->push(piece); },
                  [pieces = waiting.pieces] { pieces->end(); });
}

// ---- holds -------------------------------------------------------------------------------------

void HttpSession::wait(std::shared_ptr<Waiting> waiting, HttpResponse response) {
  waiting_ = std::move(waiting);
  if (phase_ == Phase::kDead) return let_go();
  if (response.stream != nullptr) return start_stream(std::move(response));
  if (!hold_over_) return hold();
  let_go();
  host_.log.error("a request whose time on hold is over was put on hold again");
  answer(error_response({Errc::kInternal, "internal error: see the server's log"}));
}

void HttpSession::hold() {
  phase_ = Phase::kHolding;
  release_buffers();
  const auto now = SessionClock::now();
  if (hold_limit_ == SessionClock::time_point{}) hold_limit_ = now + host_.options.hold_time_max;
  waiting_->until = std::min(now + waiting_->time, hold_limit_);
  if (waiting_->woken_early) return resume();
  if (host_.stopping) return stop_waiting();
  watch();
  arm_waiting();
}

void HttpSession::on_wake(const std::shared_ptr<Waiting>& waiting) {
  if (waiting != waiting_) {
    waiting->woken_early = true;
  } else if (phase_ == Phase::kHolding) {
    resume();
  }
}

// Those that were on hold were let in before: the bound of the queue does not count again.
void HttpSession::resume() {
  phase_ = Phase::kHandling;
  disarm();
  const auto left = std::chrono::duration_cast<Millis>(waiting_->until - SessionClock::now());
  hold_over_ = left <= Millis{0};
  host_.pool.submit([self = shared_from_this(), left = std::max(left, Millis{0}),
                     waiting = std::exchange(waiting_, nullptr)] {
    waiting->place.give_back();
    waiting->subscription = nullptr;
    if (self->abandoned_) return;
    const auto resume = std::exchange(waiting->resume, nullptr);
    self->conclude(call_handler(self->host_, [&] { return resume(left); }));
  });
}

// ---- streams -----------------------------------------------------------------------------------

void HttpSession::start_stream(HttpResponse response) {
  phase_ = Phase::kStreaming;
  release_buffers();
  host_.body_bytes -= std::exchange(body_accounted_, 0);
  waiting_->until = SessionClock::now() + waiting_->time;
  waiting_->over = host_.stopping;
  watch();
  const Framing framing = takes_chunks_ ? Framing::kChunks : Framing::kClose;
  write_stream(write_head(response, false, host_.clock.wall(), framing));
}

// Writes what there is, unless something is being written.
void HttpSession::pump() {
  if (phase_ != Phase::kStreaming) return;
  if (waiting_->pieces->overrun()) return cut_off("the client reads too slowly");
  if (waiting_->writing) return;
  auto [bytes, ended] = waiting_->pieces->take();
  if (ended || waiting_->over) {
    waiting_->finishing = true;
    if (takes_chunks_) bytes += kLastChunk;
  }
  if (!bytes.empty()) return write_stream(std::move(bytes));
  if (waiting_->finishing) return finish_stream();
  arm_waiting();
}

void HttpSession::write_stream(std::string bytes) {
  out_ = std::move(bytes);
  waiting_->writing = true;
  arm(host_.options.write_timeout);
  auto done = [self = shared_from_this()](const ErrorCode& error, std::size_t) {
    self->on_stream_written(error);
  };
  if (tls_) {
    asio::async_write(*tls_, asio::buffer(out_), std::move(done));
  } else {
    asio::async_write(socket_, asio::buffer(out_), std::move(done));
  }
}

void HttpSession::on_stream_written(const ErrorCode& error) {
  std::string().swap(out_);
  if (phase_ != Phase::kStreaming) return;
  if (error) return cut_off("the connection broke");
  waiting_->writing = false;
  waiting_->quiet_since = SessionClock::now();
  if (waiting_->finishing) return finish_stream();
  pump();
}

void HttpSession::finish_stream() {
  let_go();
  linger();
}

// Whoever reads a stream can tell that it did not end, and comes again.
void HttpSession::cut_off(const char* why) {
  host_.log.debug("a stream was cut off", {{"reason", why}, {"remote_address", remote_address_}});
  let_go();
  reset_on_close();
  end();
}

// ---- both --------------------------------------------------------------------------------------

// The server stops.
void HttpSession::stop_waiting() {
  if (phase_ == Phase::kHolding) {
    waiting_->until = SessionClock::now();
    resume();
  } else if (phase_ == Phase::kStreaming) {
    waiting_->over = true;
    pump();
  }
}

// Nothing is read meanwhile, so that a client's next requests stay where they are; but it is seen
// when it hangs up.
void HttpSession::watch() {
  if (std::exchange(watching_, true)) return;
  socket_.async_wait(Tcp::socket::wait_read, [self = shared_from_this()](const ErrorCode&) {
    self->watching_ = false;
    self->on_readable();
  });
}

void HttpSession::on_readable() {
  if (phase_ != Phase::kHolding && phase_ != Phase::kStreaming) return;
  if (has_hung_up(socket_.native_handle())) {
    let_go();
    return end();
  }
  if (peek_byte(socket_.native_handle()) < 0) return watch();
  waiting_->looks = true;
  if (!waiting_->writing) arm_waiting();
}

void HttpSession::arm_waiting() {
  auto next = waiting_->until;
  if (phase_ == Phase::kStreaming && !waiting_->heartbeat.empty())
    next = std::min(next, waiting_->quiet_since + host_.options.heartbeat);
  if (waiting_->looks) next = std::min(next, SessionClock::now() + kLookEvery);
  arm_at(next);
}

void HttpSession::on_waiting_timeout() {
  if (has_hung_up(socket_.native_handle())) {
    let_go();
    return end();
  }
  const auto now = SessionClock::now();
  const bool over = now >= waiting_->until;
  if (phase_ == Phase::kHolding) return over ? resume() : arm_waiting();
  if (waiting_->writing) return cut_off("the client does not read");
  if (over) return stop_waiting();
  if (waiting_->heartbeat.empty() || now < waiting_->quiet_since + host_.options.heartbeat)
    return arm_waiting();
  write_stream(takes_chunks_ ? chunk_of(waiting_->heartbeat) : waiting_->heartbeat);
}

// What it holds may take locks when it goes, so it goes on a thread that may block.
void HttpSession::let_go() {
  if (waiting_ == nullptr) return;
  if (waiting_->pieces != nullptr) waiting_->pieces->close();
  waiting_->place.give_back();
  host_.pool.submit([subscription = std::exchange(waiting_->subscription, nullptr),
                     resume = std::exchange(waiting_->resume, nullptr)]() mutable {
    subscription = nullptr;
    resume = nullptr;
  });
  waiting_ = nullptr;
}

// Many may wait for long: each keeps only what it needs.
void HttpSession::release_buffers() {
  parser_.reset();
  if (filled_ > 0) return;
  zero(buffer_);
  std::string().swap(buffer_);
}

}  // namespace curfew::api

#include "api/http_session.h"

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <exception>
#include <string_view>
#include <utility>

#include "api/error_to_http.h"
#include "api/http_head.h"
#include "api/tcp_state.h"
#include "base/secret.h"

namespace curfew::api {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kJoinedBodyBytesMax = 16 * 1024;  // sent in one piece with the headers
constexpr std::size_t kUnconfirmedMax = 32;
constexpr int kTlsHandshakeByte = 0x16;

HttpResponse overloaded(const char* message) {
  return error_response({Errc::kOverloaded, message});
}

}  // namespace

HttpSession::HttpSession(SessionHost& host, Tcp::socket socket, TlsPointer tls, bool refused)
    : host_(host),
      socket_(std::move(socket)),
      tls_context_(std::move(tls)),
      timer_(socket_.get_executor()),
      refused_(refused) {}

HttpSession::~HttpSession() {
  report_unconfirmed();
  host_.body_bytes -= body_accounted_;
  forget_once();
}

void HttpSession::start() {
  asio::dispatch(socket_.get_executor(), [self = shared_from_this()] {
    ErrorCode ignored;
    self->socket_.set_option(Tcp::no_delay(true), ignored);
    self->note_remote();
    if (self->host_.stopping) return self->close();
    if (self->tls_context_ != nullptr) return self->detect_tls();
    self->begin();
  });
}

void HttpSession::note_remote() {
  ErrorCode ignored;
  const Tcp::endpoint remote = socket_.remote_endpoint(ignored);
  asio::ip::address address = remote.address();
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
  remote_address_ = address.to_string();
  remote_port_ = remote.port();
}

void HttpSession::stop_soon() {
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    if (self->phase_ == Phase::kIdle) return self->stop_reading();
    self->stop_waiting();
    if (self->phase_ == Phase::kHandshake) self->close();
  });
}

// A request whose first bytes are here has begun: those that wait are about to be read, and what
// was read already reaches on_read() in spite of the cancelling.
void HttpSession::stop_reading() {
  if (peek_byte(socket_.native_handle()) >= 0) return;
  ErrorCode ignored;
  socket_.cancel(ignored);
}

void HttpSession::abort() {
  abandoned_ = true;
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    if (self->phase_ == Phase::kDead) return;
    if (!self->all_acknowledged()) {
      self->report_unconfirmed();
      self->reset_on_close();
    }
    self->close();
  });
}

bool HttpSession::is_abandoned() {
  const std::scoped_lock lock(closing_);
  return !socket_.is_open() || has_hung_up(socket_.native_handle());
}

// ---- the way of a request ----------------------------------------------------------------------

// A client that speaks plain HTTP to a TLS port is told so instead of being hung up on.
void HttpSession::detect_tls() {
  arm(host_.options.handshake_timeout);
  await_first_byte();
}

void HttpSession::await_first_byte() {
  socket_.async_wait(Tcp::socket::wait_read, [self = shared_from_this()](const ErrorCode& error) {
    if (self->phase_ == Phase::kDead) return;
    if (error) return self->close();
    const int first = peek_byte(self->socket_.native_handle());
    // Woken for nothing, as the kernel may.
    if (first < 0 && !has_hung_up(self->socket_.native_handle())) return self->await_first_byte();
    if (first < 0) return self->close();
    if (first != kTlsHandshakeByte)
      return self->refuse(400, "this port speaks HTTPS: use https:// in the address");
    self->tls_.emplace(self->socket_, *self->tls_context_);
    self->tls_->async_handshake(asio::ssl::stream_base::server, [self](const ErrorCode& failure) {
      if (self->phase_ == Phase::kDead) return;
      if (!failure) {
        self->peer_certificate_ = peer_certificate_of(self->tls_->native_handle());
        return self->begin();
      }
      self->host_.log.debug("tls handshake failed", {{"reason", failure.message()}});
      self->close();
    });
  });
}

void HttpSession::begin() {
  if (!refused_) return next_request();
  HttpResponse response =
      overloaded("the server has as many connections as it may have: retry later");
  response.close = true;
  answer(std::move(response));
}

void HttpSession::next_request() {
  parser_.emplace(HttpParser::Limits{host_.options.header_bytes_max, host_.options.body_bytes_max});
  phase_ = Phase::kIdle;
  head_only_ = false;
  if (host_.stopping && filled_ == 0 && peek_byte(socket_.native_handle()) < 0) return end();
  if (filled_ > 0) return advance();  // the next request came with the last one
  arm(host_.options.idle_timeout);
  read_some();
}

void HttpSession::read_some() {
  if (filled_ == buffer_.size()) {
    // The parser holds on to what it has not understood yet: at most the headers, or those of a
    // chunk.
    const std::size_t most = host_.options.header_bytes_max + kBufferBytes;
    if (buffer_.size() >= most) return refuse(431, "the headers are larger than this server takes");
    buffer_.resize(std::min(most, std::max(kBufferBytes, buffer_.size() * 2)));
  }
  const auto space = asio::buffer(buffer_.data() + filled_, buffer_.size() - filled_);
  auto done = [self = shared_from_this()](const ErrorCode& error, std::size_t bytes) {
    self->on_read(error, bytes);
  };
  if (tls_) {
    tls_->async_read_some(space, std::move(done));
  } else {
    socket_.async_read_some(space, std::move(done));
  }
}

void HttpSession::on_read(const ErrorCode& error, std::size_t bytes) {
  if (phase_ == Phase::kDead) return;
  if (timed_out_) return refuse(408, "the request did not arrive in time");
  if (error) return end();
  forget_confirmed();
  filled_ += bytes;
  advance();
}

void HttpSession::advance() {
  if (phase_ == Phase::kIdle) {
    phase_ = Phase::kReading;
    arm(host_.options.header_timeout);
  }
  const bool had_header = parser_->header_done();
  const std::size_t used = parser_->feed({buffer_.data(), filled_});
  std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(used),
            buffer_.begin() + static_cast<std::ptrdiff_t>(filled_), buffer_.begin());
  filled_ -= used;
  if (parser_->header_done()) head_only_ = parser_->is_head();
  if (const HttpParser::Refusal* refusal = parser_->refusal())
    return refuse(refusal->status, refusal->message.c_str());
  if (!account_body()) {
    ++host_.overloads;
    host_.body_bytes -= std::exchange(body_accounted_, 0);
    HttpResponse response =
        overloaded("the server holds as many request bodies as it may: retry later");
    response.close = true;
    return answer(std::move(response));
  }
  if (parser_->done()) return dispatch();
  if (!had_header && parser_->header_done()) {
    arm(host_.options.body_timeout);
    if (parser_->expects_continue() && parser_->body_bytes() == 0) return write_continue();
  }
  read_some();
}

// Whether the body so far fits beside those of all other requests.
bool HttpSession::account_body() {
  const std::size_t more = parser_->body_bytes() - body_accounted_;
  if (more == 0) return true;
  const std::size_t before = host_.body_bytes.fetch_add(more);
  body_accounted_ += more;
  return before + more <= host_.options.body_bytes_total_max;
}

void HttpSession::write_continue() {
  static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  auto done = [self = shared_from_this()](const ErrorCode& error, std::size_t) {
    if (self->phase_ == Phase::kDead) return;
    if (error || self->timed_out_) return self->end();
    self->read_some();
  };
  if (tls_) {
    asio::async_write(*tls_, asio::buffer(kContinue), std::move(done));
  } else {
    asio::async_write(socket_, asio::buffer(kContinue), std::move(done));
  }
}

HttpResponse HttpSession::call_handler(SessionHost& host,
                                       const std::function<HttpResponse()>& handler) {
  try {
    return handler();
  } catch (const std::exception& error) {
    host.log.error("a request handler threw", {{"error", error.what()}});
  } catch (...) {
    host.log.error("a request handler threw", {{"error", "not a std::exception"}});
  }
  return error_response({Errc::kInternal, "internal error: see the server's log"});
}

void HttpSession::dispatch() {
  phase_ = Phase::kHandling;
  disarm();
  keep_alive_ = parser_->keep_alive();
  takes_chunks_ = parser_->takes_chunks();
  hold_limit_ = {};
  hold_over_ = false;
  auto request = std::make_shared<HttpRequest>(parser_->take());
  request->remote_address = remote_address_;
  request->remote_port = remote_port_;
  request->encrypted = tls_.has_value();
  request->peer_certificate = peer_certificate_;
  request->is_abandoned = [weak = weak_from_this()] {
    const auto self = weak.lock();
    return self == nullptr || self->is_abandoned();
  };
  const bool taken = host_.pool.try_submit([self = shared_from_this(), request] {
    if (self->abandoned_) return;
    ++self->host_.requests;
    SessionHost& host = self->host_;
    self->conclude(call_handler(host, [&] { return host.handler(std::move(*request)); }));
  });
  if (taken) return;
  ++host_.overloads;
  answer(overloaded("the server has as many requests waiting as it may: retry later"));
}

void HttpSession::refuse(int status, const char* message) {
  HttpResponse response = errors_response(status, message);
  response.close = true;
  answer(std::move(response));
}

void HttpSession::answer(HttpResponse response) {
  if (phase_ == Phase::kDead) return report(response.undelivered);
  response_ = std::move(response);
  close_after_ = !keep_alive_ || response_.close || host_.stopping;
  if (response_.status == 204 || response_.status == 304) response_.body.clear();
  const Framing framing = response_.stream == nullptr ? Framing::kLength : Framing::kClose;
  out_ = write_head(response_, !close_after_, host_.clock.wall(), framing);
  std::array<asio::const_buffer, 2> buffers;
  if (!head_only_) {
    if (response_.body.size() <= kJoinedBodyBytesMax) {
      out_ += response_.body;
    } else {
      buffers[1] = asio::buffer(response_.body);
    }
  }
  buffers[0] = asio::buffer(out_);
  phase_ = Phase::kWriting;
  arm(host_.options.write_timeout);
  auto done = [self = shared_from_this()](const ErrorCode& error, std::size_t) {
    self->on_written(error);
  };
  if (tls_) {
    asio::async_write(*tls_, buffers, std::move(done));
  } else {
    asio::async_write(socket_, buffers, std::move(done));
  }
}

void HttpSession::on_written(const ErrorCode& error) {
  zero(out_);
  zero(response_.body);
  host_.body_bytes -= std::exchange(body_accounted_, 0);
  if (error || phase_ == Phase::kDead) {
    report(response_.undelivered);
    if (phase_ == Phase::kDead) return;
    reset_on_close();
    return end();
  }
  if (response_.undelivered) {
    // Beyond the bound the oldest counts as delivered: the client has sent much since.
    if (unconfirmed_.size() == kUnconfirmedMax) unconfirmed_.pop_front();
    unconfirmed_.push_back(std::exchange(response_.undelivered, nullptr));
  }
  forget_confirmed();
  if (close_after_) return linger();
  next_request();
}

// ---- time --------------------------------------------------------------------------------------

// Deadlines move several times in each request, and mostly later: the timer that runs is left
// alone then, and looks for the deadline when it fires.
void HttpSession::arm(Millis timeout) {
  arm_at(SessionClock::now() + timeout);
}

void HttpSession::arm_at(SessionClock::time_point deadline) {
  deadline_ = deadline;
  if (!timer_runs_ || timer_.expiry() > deadline_) start_timer();
}

void HttpSession::disarm() {
  deadline_ = SessionClock::time_point::max();
}

void HttpSession::start_timer() {
  const std::uint64_t round = ++timer_round_;
  timer_runs_ = true;
  timer_.expires_at(deadline_);
  timer_.async_wait([self = shared_from_this(), round](const ErrorCode& error) {
    if (error || round != self->timer_round_) return;
    self->timer_runs_ = false;
    if (self->deadline_ == SessionClock::time_point::max()) return;
    if (SessionClock::now() < self->deadline_) return self->start_timer();
    self->on_timeout();
  });
}

void HttpSession::stop_timer() {
  disarm();
  ++timer_round_;
  timer_runs_ = false;
  timer_.cancel();
}

void HttpSession::on_timeout() {
  ErrorCode ignored;
  switch (phase_) {
    case Phase::kHandshake: return close();
    case Phase::kIdle: return end();
    case Phase::kReading:
      timed_out_ = true;  // the operation under way ends now and sees it
      socket_.cancel(ignored);
      return;
    case Phase::kWriting:
      socket_.shutdown(Tcp::socket::shutdown_both, ignored);
      socket_.cancel(ignored);
      return;
    case Phase::kHolding:
    case Phase::kStreaming: return on_waiting_timeout();
    case Phase::kFlushing: return flush();
    case Phase::kLingering: return end();
    case Phase::kSettling: return settle();
    case Phase::kHandling:
    case Phase::kDead: return;
  }
}

}  // namespace curfew::api

#pragma once

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "api/http_parser.h"
#include "api/http_server.h"
#include "api/worker_pool.h"

namespace curfew::api {

class HttpSession;

// What the connections of one server share. Outlives them.
struct SessionHost {
  SessionHost(HttpServerOptions wanted, HttpHandler answers, const Clock& clock_in, Log& log_in)
      : options(std::move(wanted)),
        handler(std::move(answers)),
        clock(clock_in),
        log(log_in),
        pool(options.workers, options.waiting_max, log_in) {}
  virtual ~SessionHost() = default;

  // The connection is closed. Called once for each, from any thread.
  virtual void forget(HttpSession* session) = 0;

  const HttpServerOptions options;
  const HttpHandler handler;
  const Clock& clock;
  Log& log;
  WorkerPool pool;
  std::atomic<bool> stopping = false;
  std::atomic<std::size_t> body_bytes = 0;  // held by all connections
  std::atomic<std::size_t> holds = 0;
  std::atomic<std::size_t> streams = 0;
  std::atomic<std::uint64_t> requests = 0;
  std::atomic<std::uint64_t> overloads = 0;
};

// One connection, from accept to close. Everything but the constructor, the four functions for
// other threads and conclude() runs on the socket's strand; handlers run on the host's pool.
class HttpSession : public std::enable_shared_from_this<HttpSession> {
 public:
  using Tcp = boost::asio::ip::tcp;
  using TlsPointer = std::shared_ptr<boost::asio::ssl::context>;

  // `tls`: null for plain HTTP. `refused`: there are too many connections; this one gets a 503.
  HttpSession(SessionHost& host, Tcp::socket socket, TlsPointer tls, bool refused);
  ~HttpSession();

  // From any thread:
  void start();
  void stop_soon();  // closes once the request that has begun is answered
  void abort();      // closes now

  bool is_abandoned();  // see HttpRequest::is_abandoned

  bool refused() const { return refused_; }

 private:
  static constexpr std::size_t kBufferBytes = 8 * 1024;
  using ErrorCode = boost::system::error_code;
  using SessionClock = boost::asio::steady_timer::clock_type;
  enum class Phase {
    kHandshake,
    kIdle,
    kReading,
    kHandling,
    kHolding,
    kStreaming,
    kWriting,
    kFlushing,
    kLingering,
    kSettling,
    kDead
  };

  void note_remote();
  void stop_reading();
  void begin();
  void detect_tls();
  void await_first_byte();
  void next_request();
  void read_some();
  void on_read(const ErrorCode& error, std::size_t bytes);
  void advance();
  bool account_body();
  void write_continue();
  void dispatch();
  static HttpResponse call_handler(SessionHost& host, const std::function<HttpResponse()>& handler);
  void conclude(HttpResponse response);
  void answer(HttpResponse response);
  void refuse(int status, const char* message);
  void on_written(const ErrorCode& error);

  // Answers that wait. The first three run on a worker.
  struct Waiting;
  std::shared_ptr<Waiting> begin_waiting(HttpResponse& response);
  void subscribe(const std::shared_ptr<Waiting>& waiting, HttpHold& hold);
  void open(Waiting& waiting, const HttpStream& stream);
  void wait(std::shared_ptr<Waiting> waiting, HttpResponse response);
  void hold();
  void on_wake(const std::shared_ptr<Waiting>& waiting);
  void resume();
  void start_stream(HttpResponse response);
  void pump();
  void write_stream(std::string bytes);
  void on_stream_written(const ErrorCode& error);
  void finish_stream();
  void cut_off(const char* why);
  void stop_waiting();
  void watch();
  void on_readable();
  void arm_waiting();
  void on_waiting_timeout();
  void let_go();
  void release_buffers();

  void linger();
  void flush();
  void hang_up();
  void drain();
  void end();
  void settle();
  void close();
  void reset_on_close();
  void report(std::function<void()>& undelivered);
  void report_unconfirmed();
  void forget_once();
  bool all_acknowledged();
  void forget_confirmed();

  void arm(Millis timeout);
  void arm_at(SessionClock::time_point deadline);
  void disarm();
  void start_timer();
  void stop_timer();
  void on_timeout();

  SessionHost& host_;
  std::mutex closing_;  // held to close the socket, and to look at it from another thread
  Tcp::socket socket_;
  TlsPointer tls_context_;
  std::optional<boost::asio::ssl::stream<Tcp::socket&>> tls_;
  boost::asio::steady_timer timer_;
  SessionClock::time_point deadline_ = SessionClock::time_point::max();
  bool timer_runs_ = false;
  std::uint64_t timer_round_ = 0;  // tells a timer that was re-armed from the one that fired
  const bool refused_;
  std::string remote_address_;  // kept: the answer to a request may outlive the connection
  std::uint16_t remote_port_ = 0;
  std::shared_ptr<const broker::PeerCertificate> peer_certificate_;

  Phase phase_ = Phase::kHandshake;
  bool timed_out_ = false;
  bool fin_sent_ = false;
  std::atomic<bool> abandoned_ = false;  // a job that has not begun need not
  std::atomic<bool> forgotten_ = false;

  std::string buffer_;  // of its size; the first filled_ bytes wait to be read
  std::size_t filled_ = 0;
  std::optional<HttpParser> parser_;
  std::size_t body_accounted_ = 0;
  bool keep_alive_ = false;
  bool head_only_ = false;
  bool takes_chunks_ = false;

  HttpResponse response_;
  std::string out_;
  bool close_after_ = false;
  // Answers whose last bytes may still be on their way, oldest first.
  std::deque<std::function<void()>> unconfirmed_;
  int wait_rounds_left_ = 0;

  std::shared_ptr<Waiting> waiting_;     // in kHolding and kStreaming
  bool watching_ = false;                // the socket tells when there is something to read
  SessionClock::time_point hold_limit_;  // of this request; the clock's zero: it was not on hold
  bool hold_over_ = false;               // it was told that it cannot be on hold again
};

}  // namespace curfew::api

#include "api/http_server.h"

#include <fmt/format.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "api/http_session.h"

namespace curfew::api {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using ErrorCode = boost::system::error_code;

constexpr Millis kAcceptPause{100};
constexpr std::size_t kRefusedMax = 64;  // connections that are told they are too many, at a time
constexpr Millis kAbortWait{5'000};

// asio keeps the count of references of OpenSSL's context from here on.
HttpSession::TlsPointer share(TlsContext context) {
  return std::make_shared<asio::ssl::context>(context.release());
}

Error cannot_listen(const ListenerOptions& listener, const ErrorCode& error) {
  const std::string where = fmt::format("cannot listen on {}:{}", listener.address, listener.port);
  if (error == asio::error::address_in_use)
    return {Errc::kUnavailable,
            where + ": another process uses this port. Stop it, or choose another port"};
  if (error == asio::error::access_denied)
    return {Errc::kUnavailable,
            where + ": not permitted. Choose a port above 1023, or allow binding to low ports"};
  if (error == boost::system::errc::address_not_available)
    return {Errc::kInvalidArgument, where + ": this machine has no such address"};
  return {Errc::kUnavailable, fmt::format("{}: {}", where, error.message())};
}

struct Listener {
  Listener(asio::io_context& io, ListenerOptions wanted)
      : options(std::move(wanted)),
        acceptor(asio::make_strand(io)),
        pause(acceptor.get_executor()) {}

  // Binds and listens.
  Status open(asio::io_context& io) {
    ErrorCode error;
    tcp::resolver resolver(io);
    const auto found =
        resolver.resolve(options.address, std::to_string(options.port),
                         tcp::resolver::passive | tcp::resolver::numeric_service, error);
    if (error || found.empty())
      return Error{Errc::kInvalidArgument,
                   fmt::format("cannot listen on \"{}\": not an address of this machine ({})",
                               options.address, error.message())};
    const tcp::endpoint endpoint = found.begin()->endpoint();
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(tcp::acceptor::max_listen_connections, error);
    if (error) return cannot_listen(options, error);
    port = acceptor.local_endpoint(error).port();
    return ok();
  }

  const ListenerOptions options;
  tcp::acceptor acceptor;
  asio::steady_timer pause;
  bool starved = false;  // the last accept failed; said once
  std::uint16_t port = 0;
  HttpSession::TlsPointer tls;  // guarded by the server's mutex
};

}  // namespace

struct HttpServer::Impl final : SessionHost {
  using SessionHost::SessionHost;

  ~Impl() override { end(Millis{0}); }

  Status open();
  Status load_certificates();
  void run_io();
  void accept(Listener& listener);
  void on_accept(Listener& listener, const ErrorCode& error, tcp::socket socket);
  void admit(Listener& listener, tcp::socket socket);
  void forget(HttpSession* session) override;
  std::vector<std::shared_ptr<HttpSession>> open_sessions();
  void end(Millis grace);

  asio::io_context io;
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work;
  std::vector<std::unique_ptr<Listener>> listeners;
  std::vector<std::thread> io_threads;
  std::mutex stop_mutex;  // one stop at a time

  mutable std::mutex mutex;  // guards what follows
  std::condition_variable all_closed;
  std::unordered_map<HttpSession*, std::weak_ptr<HttpSession>> sessions;
  std::size_t refused = 0;  // of sessions
};

Status HttpServer::Impl::open() {
  if (options.workers == 0 || options.io_threads == 0)
    return Error{Errc::kInvalidArgument, "the HTTP server needs at least one thread of each kind"};
  for (const ListenerOptions& wanted : options.listeners)
    listeners.push_back(std::make_unique<Listener>(io, wanted));
  RETURN_IF_ERROR(load_certificates());
  for (const auto& listener : listeners) RETURN_IF_ERROR(listener->open(io));
  work.emplace(asio::make_work_guard(io));
  for (std::size_t i = 0; i < options.io_threads; ++i)
    io_threads.emplace_back([this] { run_io(); });
  for (const auto& listener : listeners) {
    log.info("listening", {{"address", listener->options.address},
                           {"port", std::to_string(listener->port)},
                           {"tls", listener->options.tls ? "true" : "false"}});
    asio::post(listener->acceptor.get_executor(),
               [this, listener = listener.get()] { accept(*listener); });
  }
  return ok();
}

// All or none.
Status HttpServer::Impl::load_certificates() {
  std::vector<HttpSession::TlsPointer> loaded;
  for (const auto& listener : listeners) {
    loaded.emplace_back();
    if (!listener->options.tls) continue;
    ASSIGN_OR_RETURN(TlsContext context, make_tls_context(*listener->options.tls));
    loaded.back() = share(std::move(context));
  }
  const std::scoped_lock lock(mutex);
  for (std::size_t i = 0; i < listeners.size(); ++i) listeners[i]->tls = std::move(loaded[i]);
  return ok();
}

// What throws in a connection's code ends that connection, never the server.
void HttpServer::Impl::run_io() {
  for (;;) {
    try {
      io.run();
      return;
    } catch (const std::exception& error) {
      log.error("a connection failed", {{"error", error.what()}});
    } catch (...) {
      log.error("a connection failed", {{"error", "not a std::exception"}});
    }
  }
}

void HttpServer::Impl::accept(Listener& listener) {
  listener.acceptor.async_accept(asio::make_strand(io),
                                 [this, &listener](const ErrorCode& error, tcp::socket socket) {
                                   on_accept(listener, error, std::move(socket));
                                 });
}

void HttpServer::Impl::on_accept(Listener& listener, const ErrorCode& error, tcp::socket socket) {
  if (stopping) return;
  if (!error) {
    listener.starved = false;
    admit(listener, std::move(socket));
    return accept(listener);
  }
  if (error == asio::error::connection_aborted) return accept(listener);
  // Out of descriptors or memory: the connection stays in the kernel's queue, so trying again at
  // once would only burn the processor.
  if (!std::exchange(listener.starved, true))
    log.error("cannot accept connections; trying again until it works",
              {{"port", std::to_string(listener.port)}, {"reason", error.message()}});
  listener.pause.expires_after(kAcceptPause);
  listener.pause.async_wait([this, &listener](const ErrorCode& failure) {
    if (!failure && !stopping) accept(listener);
  });
}

void HttpServer::Impl::admit(Listener& listener, tcp::socket socket) {
  std::shared_ptr<HttpSession> session;
  {
    const std::scoped_lock lock(mutex);
    const bool refuse = sessions.size() - refused >= options.connections_max;
    if (refuse) {
      ++overloads;
      if (refused >= kRefusedMax) return;  // closes the socket
    }
    session = std::make_shared<HttpSession>(*this, std::move(socket), listener.tls, refuse);
    sessions.emplace(session.get(), session);
    if (refuse) ++refused;
  }
  session->start();
}

void HttpServer::Impl::forget(HttpSession* session) {
  const std::scoped_lock lock(mutex);
  if (sessions.erase(session) == 0) return;
  if (session->refused()) --refused;
  if (sessions.empty()) all_closed.notify_all();
}

std::vector<std::shared_ptr<HttpSession>> HttpServer::Impl::open_sessions() {
  std::vector<std::shared_ptr<HttpSession>> open;
  const std::scoped_lock lock(mutex);
  for (const auto& [pointer, weak] : sessions)
    if (auto session = weak.lock()) open.push_back(std::move(session));
  return open;
}

void HttpServer::Impl::end(Millis grace) {
  const std::scoped_lock one_at_a_time(stop_mutex);
  stopping = true;
  for (const auto& listener : listeners)
    asio::post(listener->acceptor.get_executor(), [listener = listener.get()] {
      ErrorCode ignored;
      listener->acceptor.close(ignored);
      listener->pause.cancel();
    });
  for (const auto& session : open_sessions()) session->stop_soon();
  const auto none_open = [this] { return sessions.empty(); };
  if (!io_threads.empty()) {
    std::unique_lock lock(mutex);
    all_closed.wait_for(lock, grace, none_open);
    lock.unlock();
    for (const auto& session : open_sessions()) session->abort();
    lock.lock();
    all_closed.wait_for(lock, kAbortWait, none_open);
  }
  pool.stop();
  work.reset();
  for (std::thread& thread : io_threads) thread.join();
  io_threads.clear();
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;

Result<std::unique_ptr<HttpServer>> HttpServer::start(HttpServerOptions options,
                                                      HttpHandler handler, const Clock& clock,
                                                      Log& log) {
  try {
    auto impl = std::make_unique<Impl>(std::move(options), std::move(handler), clock, log);
    RETURN_IF_ERROR(impl->open());
    return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
  } catch (const std::exception& error) {
    return Error{Errc::kUnavailable,
                 fmt::format("the HTTP server could not start: {}", error.what())};
  }
}

std::uint16_t HttpServer::port(std::size_t listener) const {
  return impl_->listeners.at(listener)->port;
}

Status HttpServer::reload_certificates() {
  Status loaded = impl_->load_certificates();
  if (loaded) {
    impl_->log.info("certificates loaded again");
  } else {
    impl_->log.error("certificates not loaded; the old ones stay",
                     {{"reason", loaded.error().message}});
  }
  return loaded;
}

void HttpServer::stop(Millis grace) {
  impl_->end(grace);
}

HttpServerStats HttpServer::stats() const {
  HttpServerStats stats;
  stats.body_bytes = impl_->body_bytes;
  stats.running = impl_->pool.running();
  stats.waiting = impl_->pool.waiting();
  stats.holds = impl_->holds;
  stats.streams = impl_->streams;
  stats.requests = impl_->requests;
  stats.overloads = impl_->overloads;
  const std::scoped_lock lock(impl_->mutex);
  stats.connections = impl_->sessions.size();
  return stats;
}

}  // namespace curfew::api

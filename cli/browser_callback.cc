#include "cli/browser_callback.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <utility>

#include "base/encoding.h"

namespace curfew::cli {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Tcp = asio::ip::tcp;
using ErrorCode = boost::system::error_code;

constexpr std::string_view kPath = "/oidc/callback";
constexpr std::chrono::seconds kPatience{10};  // with one connection
constexpr std::size_t kHeadBytesMax = 16 * 1024;

http::response<http::string_body> page(http::status status, std::string text) {
  http::response<http::string_body> answer{status, 11};
  answer.set(http::field::content_type, "text/html; charset=utf-8");
  answer.set(http::field::cache_control, "no-store");
  answer.set("Content-Security-Policy", "default-src 'none'");
  answer.keep_alive(false);
  answer.body() = "<!doctype html><title>Curfew</title><p>" + std::move(text) + "</p>";
  answer.prepare_payload();
  return answer;
}

}  // namespace

BrowserCallback::Query parse_query(const std::string& text) {
  BrowserCallback::Query query;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('&', at), text.size());
    std::string pair = text.substr(at, end - at);
    std::replace(pair.begin(), pair.end(), '+', ' ');
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const auto name = percent_decode(pair.substr(0, equals));
    const auto value = percent_decode(pair.substr(std::min(equals + 1, pair.size())));
    if (name && value) query[*name] = *value;
    at = end + 1;
  }
  return query;
}

struct BrowserCallback::Parts {
  asio::io_context io;
  Tcp::acceptor acceptor{io};
  asio::steady_timer limit{io};
  bool over = false;

  // Until `done`, or until the time is over.
  void run_until(const bool& done) {
    while (!done && !over) io.run_one();
  }

  // A connection; false: the time is over, or it broke at once.
  bool accept(Tcp::socket& socket) {
    bool settled = false, accepted = false;
    acceptor.async_accept(socket, [&](const ErrorCode& error) {
      settled = true;
      accepted = !error;
    });
    run_until(settled);
    if (!settled) acceptor.cancel();
    while (!settled) io.run_one();
    return accepted;
  }

  // The query of the request that was waited for.
  std::optional<Query> serve(Tcp::socket socket, const std::string& state) {
    beast::tcp_stream stream(std::move(socket));
    stream.expires_after(kPatience);
    beast::flat_buffer buffer(kHeadBytesMax);
    http::request_parser<http::empty_body> parser;
    bool settled = false, whole = false;
    http::async_read(stream, buffer, parser, [&](const ErrorCode& error, std::size_t) {
      settled = true;
      whole = !error;
    });
    while (!settled) io.run_one();
    if (!whole) return std::nullopt;
    const std::string target(parser.get().target());
    const std::size_t mark = std::min(target.find('?'), target.size());
    Query query = parse_query(target.substr(std::min(mark + 1, target.size())));
    const bool is_it = parser.get().method() == http::verb::get &&
                       target.substr(0, mark) == kPath && query["state"] == state;
    auto answer = is_it ? page(http::status::ok, "Logged in. You can close this window.")
                        : page(http::status::not_found, "Nothing is here.");
    if (is_it && query.contains("error"))
      answer = page(http::status::ok, "The login was refused. The terminal says more.");
    bool written = false;
    http::async_write(stream, answer, [&](const ErrorCode&, std::size_t) { written = true; });
    while (!written) io.run_one();
    if (!is_it) return std::nullopt;
    return query;
  }
};

BrowserCallback::BrowserCallback(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
BrowserCallback::BrowserCallback(BrowserCallback&&) noexcept = default;
BrowserCallback::~BrowserCallback() = default;

Result<BrowserCallback> BrowserCallback::open(std::uint16_t port) {
  auto parts = std::make_unique<Parts>();
  ErrorCode error;
  const Tcp::endpoint here(asio::ip::address_v4::loopback(), port);
  parts->acceptor.open(here.protocol(), error);
  if (!error) parts->acceptor.set_option(Tcp::acceptor::reuse_address(true), error);
  if (!error) parts->acceptor.bind(here, error);
  if (!error) parts->acceptor.listen(8, error);
  if (error)
    return Error{Errc::kInvalidArgument,
                 fmt::format("Cannot listen on 127.0.0.1:{} for the browser to come back: {}. Give "
                             "another port with port=NUMBER; the role must allow it",
                             port, error.message())};
  return BrowserCallback(std::move(parts));
}

Result<BrowserCallback::Query> BrowserCallback::wait(const std::string& state, Millis limit) {
  parts_->over = false;
  parts_->limit.expires_after(limit);
  parts_->limit.async_wait([this](const ErrorCode& error) { parts_->over = !error; });
  while (!parts_->over) {
    Tcp::socket socket(parts_->io);
    if (!parts_->accept(socket)) continue;
    if (auto query = parts_->serve(std::move(socket), state)) return *std::move(query);
  }
  return Error{Errc::kUnavailable,
               "Nobody came back from the browser in time: run the command again"};
}

}  // namespace curfew::cli

#include "api/http_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/optional/optional.hpp>
#include <optional>

namespace curfew::api {
namespace {

namespace http = boost::beast::http;
using ErrorCode = boost::beast::error_code;

constexpr std::size_t kLastChunkBytes = 5;

// Beast's string_body reserves as much as the client announces; this one believes what has come.
struct ArrivedBody {
  using value_type = std::string;

  class reader {
   public:
    template <bool is_request, class Fields>
    reader(http::header<is_request, Fields>&, value_type& body) : body_(body) {}

    void init(const boost::optional<std::uint64_t>& length, ErrorCode& error) {
      constexpr std::uint64_t kReserveMax = 16 * 1024;
      if (length) body_.reserve(static_cast<std::size_t>(std::min(*length, kReserveMax)));
      error = {};
    }
    template <class Buffers>
    std::size_t put(const Buffers& buffers, ErrorCode& error) {
      std::size_t size = 0;
      for (auto it = boost::asio::buffer_sequence_begin(buffers);
           it != boost::asio::buffer_sequence_end(buffers); ++it) {
        const boost::asio::const_buffer part = *it;
        body_.append(static_cast<const char*>(part.data()), part.size());
        size += part.size();
      }
      error = {};
      return size;
    }
    void finish(ErrorCode& error) { error = {}; }

   private:
    value_type& body_;
  };
};

HttpParser::Refusal refusal_of(const ErrorCode& error, const HttpParser::Limits& limits) {
  if (error == http::error::body_limit)
    return {413, fmt::format("the request body is larger than {} bytes", limits.body_bytes_max)};
  if (error == http::error::header_limit)
    return {431, fmt::format("the request line and headers are larger than {} bytes",
                             limits.header_bytes_max)};
  return {400, fmt::format("malformed HTTP request: {}", error.message())};
}

}  // namespace

struct HttpParser::Impl {
  explicit Impl(const Limits& wanted) : limits(wanted) {
    parser.eager(true);
    parser.body_limit(limits.body_bytes_max);
    parser.header_limit(static_cast<std::uint32_t>(limits.header_bytes_max));
  }

  // What must not change by what comes after the header.
  void keep_header() {
    const auto& message = parser.get();
    request.method = std::string(message.method_string());
    request.target = std::string(message.target());
    for (const auto& field : message.base())
      request.headers.push_back({std::string(field.name_string()), std::string(field.value())});
    keep_alive = message.keep_alive();
    takes_chunks = message.version() >= 11;
    if (const std::string* expect = request.header("Expect")) {
      expects_continue = equal_ignoring_case(*expect, "100-continue");
      if (!expects_continue) refusal = Refusal{417, "only \"Expect: 100-continue\" is known"};
    }
  }

  const Limits limits;
  http::request_parser<ArrivedBody> parser;
  std::optional<Refusal> refusal;
  HttpRequest request;
  bool header_kept = false;
  bool keep_alive = false;
  bool takes_chunks = false;
  bool expects_continue = false;
};

HttpParser::HttpParser(const Limits& limits) : impl_(std::make_unique<Impl>(limits)) {}
HttpParser::~HttpParser() = default;

std::size_t HttpParser::feed(std::string_view bytes) {
  Impl& self = *impl_;
  std::size_t used = 0;
  while (used < bytes.size() && !self.refusal && !self.parser.is_done()) {
    // The header alone first: chunked bodies may end with more fields.
    self.parser.eager(self.header_kept);
    ErrorCode error;
    const std::string_view rest = bytes.substr(used);
    // What is left of a chunked message is never shorter than "0\r\n\r\n"; Beast relies on being
    // offered as much once it has seen the last chunk begin.
    if (self.header_kept && self.parser.chunked() && rest.size() < kLastChunkBytes) break;
    const std::size_t taken =
        self.parser.put(boost::asio::const_buffer(rest.data(), rest.size()), error);
    used += taken;
    if (error && error != http::error::need_more) {
      self.refusal = refusal_of(error, self.limits);
      return used;
    }
    if (self.parser.is_header_done() && !self.header_kept) {
      self.header_kept = true;
      self.keep_header();
      continue;
    }
    if (error == http::error::need_more || taken == 0) break;
  }
  return used;
}

bool HttpParser::started() const {
  return impl_->parser.got_some();
}
bool HttpParser::header_done() const {
  return impl_->header_kept;
}
bool HttpParser::done() const {
  return impl_->parser.is_done() && !impl_->refusal;
}
const HttpParser::Refusal* HttpParser::refusal() const {
  return impl_->refusal ? &*impl_->refusal : nullptr;
}
bool HttpParser::keep_alive() const {
  return impl_->keep_alive;
}
bool HttpParser::expects_continue() const {
  return impl_->expects_continue;
}
bool HttpParser::is_head() const {
  return impl_->request.method == "HEAD";
}
bool HttpParser::takes_chunks() const {
  return impl_->takes_chunks;
}
std::size_t HttpParser::body_bytes() const {
  return impl_->parser.get().body().size();
}

HttpRequest HttpParser::take() {
  impl_->request.body = std::move(impl_->parser.get().body());
  return std::move(impl_->request);
}

}  // namespace curfew::api

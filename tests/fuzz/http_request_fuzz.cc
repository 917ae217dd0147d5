#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "api/http_parser.h"
#include "api/vault_request.h"
#include "tests/fakes/seeded_random.h"

// Bytes from the network, in pieces whose size the first byte picks, up to what the broker is
// handed. What is handed on must keep the promises that the broker relies on.
namespace {

void check(bool promise) {
  if (!promise) std::abort();
}

void check_request(const curfew::broker::Request& request) {
  const std::string framed = "/" + request.path + "/";
  check(!request.path.empty());
  check(framed.find("/../") == std::string::npos && framed.find("/./") == std::string::npos);
  check(request.path.front() != '/' && request.path.find("//") == std::string::npos);
  check(request.path.find('\0') == std::string::npos);
  check(request.data.is_object());
  check(request.operation != curfew::Operation::kList || request.path.ends_with('/'));
  check(request.purpose.size() <= 1024 && request.session.size() <= 256);
  static_cast<void>(request.data.dump());  // throws on text that is not UTF-8
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t piece = std::size_t{1} + data[0];
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  curfew::fakes::SeededRandom random;
  const curfew::api::HttpParser::Limits limits{4096, 16 * 1024};
  std::size_t taken = 0;
  std::size_t offered = 0;
  while (offered < text.size()) {
    curfew::api::HttpParser parser(limits);
    while (!parser.done() && parser.refusal() == nullptr && offered < text.size()) {
      offered = std::min(text.size(), offered + piece);
      const std::size_t used = parser.feed(text.substr(taken, offered - taken));
      check(used <= offered - taken);
      check(parser.body_bytes() <= limits.body_bytes_max);
      taken += used;
    }
    if (!parser.done()) return 0;
    offered = taken;  // the next request may have come with this one
    const auto request = curfew::api::read_request(parser.take(), random);
    if (request) check_request(*request);
    if (taken == 0) return 0;
  }
  return 0;
}

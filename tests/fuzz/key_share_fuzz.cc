#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/encoding.h"
#include "base/one_time_pad.h"
#include "store/shamir.h"
#include "store/share_attempt.h"
#include "tests/fakes/seeded_random.h"

namespace {

using curfew::Secret;

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

// What anybody may send without a token: key shares, one-time passwords, encoded tokens. Lines of
// the input are shares of one attempt.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  curfew::fakes::SeededRandom random;
  curfew::store::ShareAttempt attempt;
  attempt.begin(random);
  std::size_t start = 0;
  for (int lines = 0; start <= text.size() && lines < 300; ++lines) {
    const std::size_t end = text.find('\n', start);
    const Secret line(text.substr(start, end == std::string::npos ? end : end - start));
    const auto share = curfew::store::parse_share(line);
    if (share) {
      require(share->reveal().size() == 33 && share->reveal().back() != '\0');
      const auto again = curfew::store::parse_share(Secret(curfew::hex_encode(share->reveal())));
      require(again && *again == *share);
    }
    const int before = attempt.progress();
    const auto key = attempt.add(line, 3);
    if (!share) require(!key && attempt.progress() == before);
    if (key && *key) require((*key)->reveal().size() == 32 && attempt.progress() == 0);
    require(attempt.progress() < 3);
    if (end == std::string::npos) break;
    start = end + 1;
  }
  const Secret whole(text);
  if (const auto pad = curfew::parse_pad(whole, 30); pad) {
    require(pad->reveal().size() == 30);
    const Secret token(std::string(30, 't'));
    const auto back = curfew::decode_with_pad(curfew::encode_with_pad(token, *pad), *pad);
    require(back && *back == token);
  }
  (void)curfew::decode_with_pad(text.substr(0, size / 2), Secret(text.substr(size / 2)));
  return 0;
}

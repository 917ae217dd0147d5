#include <cstdint>
#include <cstdlib>
#include <string>

#include "broker/token/batch_token.h"
#include "broker/token/token_text.h"

namespace {

using curfew::Errc;
using curfew::Error;
using curfew::Result;
using curfew::Secret;

void require(bool condition) {
  if (!condition) std::abort();
}

// Keys that sealed nothing: whatever gets as far as them is a forgery.
class OthersKeys final : public curfew::store::Barrier {
 public:
  explicit OthersKeys(std::string name_space) : name_space_(std::move(name_space)) {}
  const std::string& name_space() const override { return name_space_; }
  Result<std::string> seal(std::string_view, std::string_view) const override {
    return Error{Errc::kSealed, "no keys"};
  }
  Result<std::string> open(std::string_view, std::string_view sealed) const override {
    require(sealed.size() < 4096);
    return Error{Errc::kCorrupt, "not sealed by these keys"};
  }
  Result<std::string> keyed_hash(std::string_view, std::string_view) const override {
    return std::string("hash");
  }

 private:
  const std::string name_space_;
};

}  // namespace

// What anybody may send as a token: its form, the namespace that it names, and a batch token's
// sealed part.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Secret token(std::string(reinterpret_cast<const char*>(data), size));
  const std::string_view name_space = curfew::broker::namespace_in(token);
  if (!name_space.empty())
    require(token.reveal().ends_with(curfew::broker::token_mark(name_space)) ||
            name_space == "root");
  for (const char* id : {"root", "AbCdEf"}) {
    const auto opened = curfew::broker::open_batch_token(OthersKeys(id), token);
    require(opened && !*opened);
  }
  return 0;
}

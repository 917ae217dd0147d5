// The parser of policies and settings, and everything that reads its result: whatever the bytes,
// there is a value or an error with a place.
#include <cstdint>
#include <cstdlib>

#include "base/hcl.h"
#include "base/hcl_section.h"
#include "policy/acl.h"

namespace curfew {
namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void check_places(const hcl::Value& value) {
  require(value.at.line >= 1 && value.at.column >= 1);
  for (const hcl::Value& element : value.list) check_places(element);
  for (const hcl::Item& item : value.items) {
    require(!item.keys.empty());
    check_places(item.value);
  }
}

void check_policy(std::string_view text) {
  auto parsed = policy::parse_policy("fuzz", text);
  if (!parsed) {
    require(!parsed.error().message.empty());
    return;
  }
  const auto shared = std::make_shared<const policy::Policy>(std::move(*parsed));
  policy::Identity identity;
  identity.entity_id = identity.entity_name = "e";
  for (const policy::Identity& who : {policy::Identity{}, identity}) {
    const policy::Acl acl({shared}, who, {});
    for (const policy::Stanza& stanza : shared->stanzas) {
      const Json parameters = {{"a", 1}, {"ttl", "1h"}};
      for (const Operation operation : {Operation::kRead, Operation::kList, Operation::kUpdate}) {
        const auto decision = acl.check(
            {.operation = operation, .path = stanza.written_path, .parameters = &parameters});
        require(!(decision.allowed && decision.needs_approval));
        require(!decision.text().empty());
        // Whoever may do something there is not told that he may do nothing.
        if (decision.allowed && operation != Operation::kList)
          require(acl.capabilities(stanza.written_path) != std::vector<std::string>{"deny"});
      }
    }
    require(acl.resultant().is_object());
  }
}

}  // namespace
}  // namespace curfew

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace curfew;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto root = hcl::parse(text)) {
    check_places(*root);
    dump_json(hcl::to_json(*root));
  }
  check_policy(text);
  return 0;
}

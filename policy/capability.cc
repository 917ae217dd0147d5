#include "policy/capability.h"

namespace curfew::policy {
namespace {

// In the order of the bits, which is that of the alphabet.
constexpr std::string_view kNames[] = {"create", "delete", "deny", "list",  "patch",
                                       "read",   "scan",   "sudo", "update"};
constexpr int kCount = 9;

Capability at(int index) {
  return static_cast<Capability>(1 << index);
}

}  // namespace

const char* capability_name(Capability capability) {
  for (int i = 0; i < kCount; ++i)
    if (at(i) == capability) return kNames[i].data();
  return "?";
}

std::optional<Capability> parse_capability(std::string_view name) {
  for (int i = 0; i < kCount; ++i)
    if (kNames[i] == name) return at(i);
  return std::nullopt;
}

Capability capability_for(Operation operation) {
  switch (operation) {
    case Operation::kCreate: return Capability::kCreate;
    case Operation::kRead: return Capability::kRead;
    case Operation::kUpdate: return Capability::kUpdate;
    case Operation::kPatch: return Capability::kPatch;
    case Operation::kDelete: return Capability::kDelete;
    case Operation::kList: return Capability::kList;
  }
  return Capability::kSudo;
}

std::string_view capability_names() {
  return "create, delete, deny, list, patch, read, scan, sudo, update";
}

std::vector<std::string> CapabilitySet::names() const {
  std::vector<std::string> out;
  for (int i = 0; i < kCount; ++i)
    if (contains(at(i))) out.emplace_back(kNames[i]);
  return out;
}

}  // namespace curfew::policy

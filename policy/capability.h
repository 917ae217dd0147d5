#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/route.h"

namespace curfew::policy {

// What a rule of a policy may grant; kDeny takes everything away instead.
enum class Capability : std::uint16_t {
  kCreate = 1 << 0,
  kDelete = 1 << 1,
  kDeny = 1 << 2,
  kList = 1 << 3,
  kPatch = 1 << 4,
  kRead = 1 << 5,
  kScan = 1 << 6,
  kSudo = 1 << 7,
  kUpdate = 1 << 8,
};

// "create", "read", …
const char* capability_name(Capability capability);

// nullopt: there is none of that name.
std::optional<Capability> parse_capability(std::string_view name);

// What an operation needs.
Capability capability_for(Operation operation);

// "create, delete, deny, …": all names, for error messages.
std::string_view capability_names();

class CapabilitySet {
 public:
  CapabilitySet() = default;
  CapabilitySet(std::initializer_list<Capability> capabilities) {
    for (const Capability one : capabilities) add(one);
  }

  void add(Capability one) { bits_ |= static_cast<std::uint16_t>(one); }
  void add(CapabilitySet other) { bits_ |= other.bits_; }
  bool contains(Capability one) const { return (bits_ & static_cast<std::uint16_t>(one)) != 0; }
  bool empty() const { return bits_ == 0; }
  // Holds nothing that could ever let a request through.
  bool denies() const { return empty() || contains(Capability::kDeny); }
  // Sorted.
  std::vector<std::string> names() const;
  bool operator==(const CapabilitySet&) const = default;

 private:
  std::uint16_t bits_ = 0;
};

}  // namespace curfew::policy

#include "broker/token/cidr.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>

namespace curfew::broker {
namespace {

// IPv4 is kept as IPv4 in IPv6, so that there is one kind of address.
using Address = std::array<unsigned char, 16>;

struct Network {
  Address address{};
  int bits = 128;
};

struct Parsed {
  Address address{};
  bool is_v4 = false;
};

std::optional<Parsed> parse_address(const std::string& text) {
  Parsed out;
  if (inet_pton(AF_INET, text.c_str(), out.address.data() + 12) == 1) {
    out.address[10] = out.address[11] = 0xff;
    out.is_v4 = true;
    return out;
  }
  if (inet_pton(AF_INET6, text.c_str(), out.address.data()) == 1) return out;
  return std::nullopt;
}

std::optional<Network> parse_network(std::string_view text) {
  const auto slash = text.find('/');
  const auto parsed = parse_address(std::string(text.substr(0, slash)));
  if (!parsed) return std::nullopt;
  Network network{parsed->address, 128};
  if (slash == std::string_view::npos) return network;
  const std::string_view length = text.substr(slash + 1);
  int bits = -1;
  const auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), bits);
  const int bits_max = parsed->is_v4 ? 32 : 128;
  if (error != std::errc{} || end != length.data() + length.size() || bits < 0 || bits > bits_max)
    return std::nullopt;
  network.bits = bits + (parsed->is_v4 ? 96 : 0);
  return network;
}

bool contains(const Network& network, const Address& address) {
  const auto bytes = static_cast<std::size_t>(network.bits / 8);
  if (std::memcmp(network.address.data(), address.data(), bytes) != 0) return false;
  const int rest = network.bits % 8;
  if (rest == 0) return true;
  const int mask = 0xff00 >> rest & 0xff;
  return (network.address[bytes] & mask) == (address[bytes] & mask);
}

}  // namespace

Status check_cidr(std::string_view text) {
  if (parse_network(text)) return ok();
  return Error{Errc::kInvalidArgument, "invalid CIDR \"" + std::string(text.substr(0, 64)) +
                                           "\": expected an address such as 10.0.0.0/8"};
}

bool in_any_cidr(std::string_view address, const std::vector<std::string>& cidrs) {
  const auto parsed = parse_address(std::string(address));
  if (!parsed) return false;
  return std::any_of(cidrs.begin(), cidrs.end(), [&](const std::string& cidr) {
    const auto network = parse_network(cidr);
    return network && contains(*network, parsed->address);
  });
}

bool cidr_in_any(std::string_view cidr, const std::vector<std::string>& cidrs) {
  const auto inner = parse_network(cidr);
  if (!inner) return false;
  return std::any_of(cidrs.begin(), cidrs.end(), [&](const std::string& outer_text) {
    const auto outer = parse_network(outer_text);
    return outer && outer->bits <= inner->bits && contains(*outer, inner->address);
  });
}

std::string address_group(std::string_view address) {
  const auto parsed = parse_address(std::string(address));
  if (!parsed) return std::string(address);
  const bool is_v4 = contains({{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96}, parsed->address);
  const std::size_t bytes = is_v4 ? 16 : 8;
  return {parsed->address.begin(), parsed->address.begin() + static_cast<std::ptrdiff_t>(bytes)};
}

}  // namespace curfew::broker

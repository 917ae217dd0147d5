#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace curfew::broker {

// "10.0.0.0/8", "2001:db8::/32", or a single address. kInvalidArgument names the text.
Status check_cidr(std::string_view text);

// False for an address that is not one. IPv4 in IPv6 ("::ffff:10.0.0.1") counts as IPv4.
bool in_any_cidr(std::string_view address, const std::vector<std::string>& cidrs);

// Whether all addresses of `cidr` lie within one of `cidrs`. False for what is not a network.
bool cidr_in_any(std::string_view cidr, const std::vector<std::string>& cidrs);

// Who is counted as one: an IPv4 address, or the /64 of an IPv6 address, which one customer of a
// network has for itself. What is not an address stays as it is.
std::string address_group(std::string_view address);

}  // namespace curfew::broker

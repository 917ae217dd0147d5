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

}  // namespace curfew::broker

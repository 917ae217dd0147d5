#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace curfew::broker {

// Whether notices may be sent to `url`: https:// (of mail: smtps:// or smtp://), with a host and
// without a user or a fragment. http:// only with `plain` or on this machine. kInvalidArgument
// names `field`.
Status check_address(std::string_view field, std::string_view url, bool mail, bool plain);

// The host as the address has it; "" where there is none.
std::string host_of_address(const std::string& url);
bool is_loopback_host(std::string_view host);

// What of an address may be shown: no query; with `host_only` no path either.
std::string shown_address(const std::string& url, bool host_only);

// "name@host", nothing that could end a line or a bracket.
bool is_mail_address(std::string_view text);

}  // namespace curfew::broker

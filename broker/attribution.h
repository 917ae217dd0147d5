#pragma once

#include <string>
#include <string_view>

#include "engines/engine.h"

namespace curfew::broker {

inline constexpr std::size_t kPurposeBytesMax = 512;
inline constexpr std::size_t kSessionBytesMax = 128;
inline constexpr std::size_t kTicketBytesMax = 128;

// Makes untrusted text fit for a log line, a comment and a screen: control characters and the
// characters that change the direction of text are dropped, bytes that are not UTF-8 too, and
// what is longer than `bytes_max` is cut at a character's end.
std::string clean_text(std::string_view text, std::size_t bytes_max);

// The trace id of a W3C traceparent header (version 00 or later): 32 lower-case hex digits. Empty
// if the header is absent or not one; an invalid header is ignored, as the specification asks.
std::string trace_id_of(std::string_view traceparent);

// By which name operators know who asked, the only place that decides it: the name that the entity
// had then, and while a token belongs to none, the agent that it inherited from the token that made
// it, or else its own display name.
std::string agent_of(const engines::Attribution& attribution);

// Everything in it, as the API and the audit log show it.
Json to_api(const engines::Attribution& attribution);

// The same of a name as an operator writes it: Vault's "token-" before a display name does not
// count.
std::string agent_name(std::string_view text);

}  // namespace curfew::broker

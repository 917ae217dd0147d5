#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace curfew {

// "90" and "90s" are 90 seconds; "1h30m", "1.5h", "500ms", "2d" work as in Go (with Vault's "d" for
// 24 hours); "" is zero. Negative durations parse; none is longer than 291 years. kInvalidArgument
// says what was expected.
Result<Millis> parse_duration(std::string_view text);

// As Go prints them: "0s", "1h30m0s", "500ms".
std::string format_duration(Millis duration);

// Shortest form without zero parts: "24h", "1h30m", "90ms"; "0s" for zero.
std::string format_duration_short(Millis duration);

// RFC 3339 in UTC with up to nine fractional digits, trailing zeros removed:
// "2026-11-20T01:54:24.928Z".
std::string format_rfc3339(WallTime time);

// Takes any offset and any number of fractional digits (cut to milliseconds).
Result<WallTime> parse_rfc3339(std::string_view text);

}  // namespace curfew

#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"

namespace curfew::broker {

// How old a webhook may be, and how far ahead its sender's clock.
inline constexpr Millis kReplayWindow = std::chrono::minutes{5};

// "v1=" and, in hexadecimal, HMAC-SHA256(secret, timestamp + "." + body).
std::string sign_webhook(const Secret& secret, std::string_view timestamp, std::string_view body);

// What a receiver does: is the body from who has the secret, and of now? `timestamp` and
// `signature` are the headers X-Curfew-Timestamp and X-Curfew-Signature as they came. Within the
// window the same body can come again: a receiver that must not act twice remembers the member
// `delivery` of the body for as long. kInvalidArgument: a header is no such thing;
// kPermissionDenied: another secret, an altered body, or outside the window.
Status verify_webhook(const Secret& secret, std::string_view timestamp, std::string_view signature,
                      std::string_view body, WallTime now, Millis window = kReplayWindow);

}  // namespace curfew::broker

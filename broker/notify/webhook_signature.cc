#include "broker/notify/webhook_signature.h"

#include <charconv>

#include "base/digest.h"
#include "base/encoding.h"

namespace curfew::broker {

std::string sign_webhook(const Secret& secret, std::string_view timestamp, std::string_view body) {
  std::string message(timestamp);
  message += '.';
  message += body;
  return "v1=" + hex_encode(hmac_sha256(secret.reveal(), message));
}

Status verify_webhook(const Secret& secret, std::string_view timestamp, std::string_view signature,
                      std::string_view body, WallTime now, Millis window) {
  std::int64_t seconds = 0;
  const char* const last = timestamp.data() + timestamp.size();
  const auto [end, problem] = std::from_chars(timestamp.data(), last, seconds);
  if (problem != std::errc{} || end != last || seconds < 0 || seconds > 1'000'000'000'000)
    return Error{Errc::kInvalidArgument, "X-Curfew-Timestamp: expected seconds since 1970"};
  if (!signature.starts_with("v1="))
    return Error{Errc::kInvalidArgument, "X-Curfew-Signature: expected \"v1=…\""};
  if (!constant_time_equal(signature, sign_webhook(secret, timestamp, body)))
    return Error{Errc::kPermissionDenied, "the signature is not of this secret and this body"};
  const Millis apart = now - WallTime{Seconds{seconds}};
  if (apart > window || -apart > window)
    return Error{Errc::kPermissionDenied, "the webhook is outside of the replay window"};
  return ok();
}

}  // namespace curfew::broker

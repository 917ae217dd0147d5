#include "base/result.h"

namespace curfew {

const char* errc_name(Errc code) {
  switch (code) {
    case Errc::kInvalidArgument: return "invalid_argument";
    case Errc::kUnauthenticated: return "unauthenticated";
    case Errc::kPermissionDenied: return "permission_denied";
    case Errc::kNotFound: return "not_found";
    case Errc::kUnsupportedPath: return "unsupported_path";
    case Errc::kUnsupportedOperation: return "unsupported_operation";
    case Errc::kConflict: return "conflict";
    case Errc::kPreconditionFailed: return "precondition_failed";
    case Errc::kTooLarge: return "too_large";
    case Errc::kUnsupportedMediaType: return "unsupported_media_type";
    case Errc::kQuotaExceeded: return "quota_exceeded";
    case Errc::kOverloaded: return "overloaded";
    case Errc::kSealed: return "sealed";
    case Errc::kNotInitialized: return "not_initialized";
    case Errc::kUnavailable: return "unavailable";
    case Errc::kInDoubt: return "in_doubt";
    case Errc::kRefused: return "refused";
    case Errc::kCorrupt: return "corrupt";
    case Errc::kInternal: return "internal";
  }
  return "internal";
}

}  // namespace curfew

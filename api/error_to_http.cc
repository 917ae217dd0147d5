#include "api/error_to_http.h"

#include "base/json.h"

namespace curfew::api {

int status_of(Errc code) {
  switch (code) {
    case Errc::kInvalidArgument: return 400;
    case Errc::kUnauthenticated: return 403;
    case Errc::kPermissionDenied: return 403;
    case Errc::kNotFound: return 404;
    case Errc::kUnsupportedPath: return 404;
    case Errc::kUnsupportedOperation: return 405;
    case Errc::kConflict: return 400;  // what clients expect of a lost check-and-set
    case Errc::kPreconditionFailed: return 412;
    case Errc::kTooLarge: return 413;
    case Errc::kUnsupportedMediaType: return 415;
    case Errc::kQuotaExceeded: return 429;
    case Errc::kOverloaded: return 503;
    case Errc::kSealed: return 503;
    case Errc::kNotInitialized: return 503;
    case Errc::kUnavailable: return 503;
    case Errc::kInDoubt: return 500;
    case Errc::kRefused: return 500;
    case Errc::kCorrupt: return 500;
    case Errc::kInternal: return 500;
  }
  return 500;
}

HttpResponse errors_response(int status, std::string_view message) {
  HttpResponse response;
  response.status = status;
  response.body = message.empty() ? R"({"errors":[]})"
                                  : R"({"errors":[)" + dump_json(Json(std::string(message))) + "]}";
  return response;
}

HttpResponse error_response(const Error& error) {
  HttpResponse response = errors_response(status_of(error.code), error.message);
  if (error.code == Errc::kQuotaExceeded || error.code == Errc::kOverloaded)
    response.headers.push_back({"Retry-After", "1"});
  return response;
}

}  // namespace curfew::api

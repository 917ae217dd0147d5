#pragma once

#include "base/result.h"
#include "broker/request.h"

namespace curfew::broker {

// What the edge calls: the request pipeline, behind an interface so that the edge can be tested
// alone. Thread-safe; blocks until the answer is ready.
class Handler {
 public:
  virtual ~Handler() = default;

  // Every outcome is a Response or an Error; the edge turns an Error into a status and
  // {"errors":[…]}.
  virtual Result<Response> handle(Request request) = 0;

  // The answer to a request that handle() answered could not be written to the client (it went
  // away, or the connection broke). A lease that it carried is ended
  // unless a retry asks for it soon; a new token at once.
  virtual void undelivered(const Response& response) = 0;

  // The API description (OpenAPI 3.0) of every path served now.
  virtual Json describe() = 0;
};

}  // namespace curfew::broker

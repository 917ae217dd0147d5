#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>
#include <variant>

namespace curfew {

// Why something did not happen. The set is closed: every outcome that a caller can see maps to
// exactly one code, and api/error_to_http.cc is the only place that turns a code into a status.
enum class Errc : std::uint8_t {
  kInvalidArgument,       // the request is malformed; retrying it unchanged cannot help
  kUnauthenticated,       // who is calling is not established
  kPermissionDenied,      // policy says no
  kNotFound,              // the object does not exist (a read miss)
  kUnsupportedPath,       // no route, or the mount has no such path
  kUnsupportedOperation,  // the path exists, the verb does not
  kConflict,              // the state moved on since it was read (compare-and-set lost)
  kPreconditionFailed,    // a state that the caller required is missing
  kTooLarge,              // a bound on size was exceeded
  kUnsupportedMediaType,  // the content type is not one that the operation takes
  kQuotaExceeded,         // the caller's own quota; retry later
  kOverloaded,            // a bound of the broker was reached; nothing happened; retry later
  kSealed,                // the keys are not in memory
  kNotInitialized,        // there are no keys yet
  kUnavailable,           // a dependency is down; certainly nothing happened; safe to retry
  kInDoubt,               // a dependency failed mid-flight; the effect may or may not exist
  kRefused,               // a dependency understood and said no (a target's SQL error)
  kCorrupt,               // stored bytes failed verification; never guess past this
  kInternal,              // a bug
};

// The code's name as it stands in logs ("invalid_argument").
const char* errc_name(Errc code);

// message: shown to the caller; says what failed and what to do; no secret, no other tenant's path.
// detail:  for the operator's log only; already scrubbed of secrets. May be empty.
struct Error {
  Errc code = Errc::kInternal;
  std::string message;
  std::string detail = {};
};

// A T, or the Error that prevented it. Names follow std::expected (C++23). Reading the value of a
// failed Result aborts: that is a bug, not a condition.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit

  bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  T& value() & { return *checked(); }
  const T& value() const& { return *const_cast<Result*>(this)->checked(); }
  T&& value() && { return std::move(*checked()); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*checked()); }
  T* operator->() { return checked(); }
  const T* operator->() const { return const_cast<Result*>(this)->checked(); }

  // REQUIRES: !has_value()
  const Error& error() const& { return *const_cast<Result*>(this)->checked_error(); }
  Error&& error() && { return std::move(*checked_error()); }

 private:
  T* checked() {
    T* value = std::get_if<0>(&state_);
    if (value == nullptr) std::abort();
    return value;
  }
  Error* checked_error() {
    Error* error = std::get_if<1>(&state_);
    if (error == nullptr) std::abort();
    return error;
  }

  std::variant<T, Error> state_;
};

struct Unit {
  bool operator==(const Unit&) const = default;
};
using Status = Result<Unit>;

inline Status ok() {
  return Unit{};
}

}  // namespace curfew

#define CURFEW_CONCAT_(a, b) a##b
#define CURFEW_CONCAT(a, b) CURFEW_CONCAT_(a, b)

// The names are numbered by __COUNTER__ and not by line: a lambda inside the expression, which is
// on the same line to the preprocessor, may use these macros too.

// Returns early with the error of a Result-like expression.
#define RETURN_IF_ERROR(expr) RETURN_IF_ERROR_IMPL_(CURFEW_CONCAT(status_or_, __COUNTER__), expr)
#define RETURN_IF_ERROR_IMPL_(tmp, expr)                        \
  do {                                                          \
    if (auto tmp = (expr); !tmp) return std::move(tmp).error(); \
  } while (false)

// ASSIGN_OR_RETURN(auto lease, leases.open(...));
#define ASSIGN_OR_RETURN(decl, expr) \
  ASSIGN_OR_RETURN_IMPL_(CURFEW_CONCAT(result_or_, __COUNTER__), decl, expr)
#define ASSIGN_OR_RETURN_IMPL_(tmp, decl, expr) \
  auto tmp = (expr);                            \
  if (!tmp) return std::move(tmp).error();      \
  decl = std::move(tmp).value()

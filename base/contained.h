#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/log.h"
#include "base/result.h"

namespace curfew {

// What is told of an exception that nobody foresaw; the log has its text, which a caller is not to
// see.
inline Error escaped(Log& log, std::string_view where, std::string_view what) {
  log.error("exception contained", {{"in", std::string(where)}, {"error", std::string(what)}});
  return {Errc::kInternal, std::string(where) + " failed inside the broker; its log has more"};
}

// Runs `work`, which gives a Result or a Status. An exception out of it is a bug, and must not end
// the process with all the leases it still has to end: it becomes kInternal and a line in the log.
// `where` is for people: "revoking a lease".
template <class Work>
std::invoke_result_t<Work> contained(Log& log, std::string_view where, Work&& work) {
  try {
    return std::forward<Work>(work)();
  } catch (const std::exception& exception) {
    return escaped(log, where, exception.what());
  } catch (...) {
    return escaped(log, where, "not a std::exception");
  }
}

}  // namespace curfew

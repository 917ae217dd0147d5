#include "engines/postgres/fence.h"

#include <fmt/format.h>

namespace curfew::engines::postgres {
namespace {

// The words are no number, and the server's error repeats them.
constexpr const char* kTooLate = "the deadline passed at the target";

}  // namespace

std::string deadline_fence(double server_deadline) {
  return fmt::format(
      "SELECT (CASE WHEN pg_catalog.clock_timestamp() < pg_catalog.to_timestamp({:.3f}) THEN '0' "
      "ELSE '{}' END)::pg_catalog.int4;\n",
      server_deadline, kTooLate);
}

bool failed_at_fence(const Error& error) {
  return error.message.find(kTooLate) != std::string::npos;
}

}  // namespace curfew::engines::postgres

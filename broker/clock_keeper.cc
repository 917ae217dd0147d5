#include "broker/clock_keeper.h"

#include <optional>

namespace curfew::broker {
namespace {

constexpr std::string_view kScope = "sys/clock";
constexpr std::string_view kName = "last_seen";

}  // namespace

Status ClockKeeper::resume() {
  std::optional<Json> stored;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(stored, records_.get(reader, kScope, kName));
    return ok();
  }));
  if (stored) guard_.resume(from_unix_millis(stored->at("wall").get<std::int64_t>()));
  return ok();
}

Status ClockKeeper::remember() {
  const Json now{{"wall", to_unix_millis(guard_.wall())}};
  return database_.write(
      [&](store::Writer& writer) { return records_.put(writer, kScope, kName, now); });
}

}  // namespace curfew::broker

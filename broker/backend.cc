#include "broker/backend.h"

namespace curfew::broker {

Result<std::string> required_text(const Json& data, std::string_view name) {
  ASSIGN_OR_RETURN(auto value, Fields(data).text(name));
  if (!value || value->empty())
    return Error{Errc::kInvalidArgument, "missing " + std::string(name)};
  return std::move(*value);
}

}  // namespace curfew::broker

#include "broker/stored_attribution.h"

namespace curfew::broker {

Json to_stored(const engines::Attribution& from) {
  return {{"display_name", from.display_name},
          {"agent", from.agent},
          {"token_accessor", from.token_accessor},
          {"purpose", from.purpose},
          {"session", from.session},
          {"trace_id", from.trace_id},
          {"remote_address", from.remote_address},
          {"ticket", from.ticket},
          {"entity_name", from.entity_name},
          {"human", from.human},
          {"human_id", from.human_id},
          {"sub_agent", from.sub_agent}};
}

engines::Attribution attribution_from_stored(const Json& from, std::string entity_id) {
  return {.entity_id = std::move(entity_id),
          .display_name = from.value("display_name", ""),
          .agent = from.value("agent", ""),
          .token_accessor = from.value("token_accessor", ""),
          .purpose = from.value("purpose", ""),
          .session = from.value("session", ""),
          .trace_id = from.value("trace_id", ""),
          .remote_address = from.value("remote_address", ""),
          .ticket = from.value("ticket", ""),
          .entity_name = from.value("entity_name", ""),
          .human = from.value("human", ""),
          .human_id = from.value("human_id", ""),
          .sub_agent = from.value("sub_agent", "")};
}

}  // namespace curfew::broker

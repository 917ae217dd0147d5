#include "broker/attribution.h"

#include <algorithm>

#include "base/code_point.h"

namespace curfew::broker {
namespace {

bool is_lower_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

std::string clean_text(std::string_view text, std::size_t bytes_max) {
  std::string out;
  while (!text.empty()) {
    const CodePoint c = first_code_point(text);
    const std::size_t length = std::max<std::size_t>(c.length, 1);
    if (c.length != 0 && !misleads(c.value)) {
      if (out.size() + length > bytes_max) break;
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  return out;
}

std::string trace_id_of(std::string_view traceparent) {
  // version "-" trace-id "-" parent-id "-" flags
  if (traceparent.size() < 55 || traceparent[2] != '-' || traceparent[35] != '-' ||
      traceparent[52] != '-')
    return {};
  const std::string_view version = traceparent.substr(0, 2);
  const std::string_view trace_id = traceparent.substr(3, 32);
  if (!is_lower_hex(version) || version == "ff" || !is_lower_hex(trace_id)) return {};
  if (version == "00" && traceparent.size() != 55) return {};
  if (trace_id.find_first_not_of('0') == std::string_view::npos) return {};
  return std::string(trace_id);
}

std::string agent_name(std::string_view text) {
  constexpr std::string_view kMadeByToken = "token-";
  if (text.starts_with(kMadeByToken)) text.remove_prefix(kMadeByToken.size());
  return std::string(text);
}

Json to_api(const engines::Attribution& by) {
  Json out = {{"agent", agent_of(by)},     {"display_name", by.display_name},
              {"entity_id", by.entity_id}, {"token_accessor", by.token_accessor},
              {"purpose", by.purpose},     {"session", by.session},
              {"trace_id", by.trace_id},   {"remote_address", by.remote_address}};
  if (!by.ticket.empty()) out["ticket"] = by.ticket;
  if (!by.entity_name.empty()) out["entity_name"] = by.entity_name;
  if (!by.human.empty()) out["human"] = by.human;
  if (!by.human_id.empty()) out["human_id"] = by.human_id;
  if (!by.sub_agent.empty()) out["sub_agent"] = by.sub_agent;
  return out;
}

std::string agent_of(const engines::Attribution& attribution) {
  if (!attribution.agent.empty()) return attribution.agent;
  if (!attribution.entity_id.empty()) return attribution.entity_id;
  return agent_name(attribution.display_name);
}

}  // namespace curfew::broker

#include "broker/attribution.h"

#include <algorithm>
#include <cstdint>

namespace curfew::broker {
namespace {

// The code point at the start of `text` and its length in bytes; length 0 if it is not valid UTF-8.
struct CodePoint {
  std::uint32_t value = 0;
  std::size_t length = 0;
};

CodePoint first_code_point(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {lead, 1};
  const std::size_t length = lead >= 0xf0 && lead <= 0xf4   ? 4
                             : lead >= 0xe0 && lead <= 0xef ? 3
                             : lead >= 0xc2 && lead <= 0xdf ? 2
                                                            : 0;
  if (length == 0 || text.size() < length) return {};
  std::uint32_t value = lead & (0xffu >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xc0) != 0x80) return {};
    value = value << 6 | (next & 0x3f);
  }
  const bool overlong = (length == 3 && value < 0x800) || (length == 4 && value < 0x10000);
  if (overlong || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) return {};
  return {value, length};
}

bool is_unwanted(std::uint32_t c) {
  const bool control = c < 0x20 || (c >= 0x7f && c < 0xa0);
  const bool line_break = c == 0x2028 || c == 0x2029;
  const bool direction = c == 0x061c || c == 0x200e || c == 0x200f ||
                         (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
  const bool invisible = c == 0xfeff || c == 0x200b || (c >= 0xe0000 && c <= 0xe007f);
  return control || line_break || direction || invisible;
}

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
    if (c.length != 0 && !is_unwanted(c.value)) {
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

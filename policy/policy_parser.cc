#include <fmt/format.h>

#include <algorithm>

#include "base/duration.h"
#include "base/encoding.h"
#include "base/hcl_section.h"
#include "policy/approval_parser.h"
#include "policy/policy.h"

namespace curfew::policy {
namespace {

constexpr std::string_view kPrefix = "failed to parse policy: ";

// The text behind base64; nullopt where there is none.
std::optional<std::string> behind_base64(std::string_view text) {
  std::string packed;
  for (const char c : text)
    if (c != '\r' && c != '\n' && c != ' ' && c != '\t') packed.push_back(c);
  auto bytes = base64_decode(packed);
  // Policies need quotes or braces, so that a plain text without them was none to begin with.
  if (!bytes || bytes->find_first_of("\"{") == std::string::npos) return std::nullopt;
  return bytes;
}

Error at_label(const hcl::Block& block, std::string_view what, std::string_view message) {
  return {Errc::kInvalidArgument,
          fmt::format("{}: {}: {}", what, hcl::to_string(block.at), message)};
}

// The shorthands from before there were capabilities.
Result<CapabilitySet> capabilities_of_shorthand(const std::string& shorthand,
                                                hcl::Section& section) {
  using enum Capability;
  if (shorthand == "deny") return CapabilitySet{kDeny};
  if (shorthand == "read") return CapabilitySet{kRead, kList};
  if (shorthand == "write") return CapabilitySet{kCreate, kRead, kUpdate, kDelete, kList};
  if (shorthand == "sudo") return CapabilitySet{kCreate, kRead, kUpdate, kDelete, kList, kSudo};
  return section.error("policy", fmt::format("invalid policy \"{}\": expected one of deny, read, "
                                             "sudo, write",
                                             shorthand.substr(0, 64)));
}

Result<CapabilitySet> parse_capabilities(hcl::Section& section, std::string_view what) {
  CapabilitySet out;
  ASSIGN_OR_RETURN(const auto names, section.text_list("capabilities"));
  ASSIGN_OR_RETURN(const auto shorthand, section.text("policy"));
  if (shorthand) {
    ASSIGN_OR_RETURN(out, capabilities_of_shorthand(*shorthand, section));
  }
  if (names) {
    ASSIGN_OR_RETURN(const hcl::Value* list, section.value("capabilities"));
    for (std::size_t i = 0; i < names->size(); ++i) {
      const std::string& name = (*names)[i];
      const auto capability = parse_capability(name);
      if (!capability)
        return Error{
            Errc::kInvalidArgument,
            fmt::format("{}: invalid capability \"{}\" at {}: expected one of {}", what,
                        name.substr(0, 64), hcl::to_string(list->list[i].at), capability_names())};
      out.add(*capability);
    }
  }
  // A denial leaves nothing beside it.
  return out.contains(Capability::kDeny) ? CapabilitySet{Capability::kDeny} : out;
}

Result<ParameterRules> parse_parameters(hcl::Section& section, std::string_view name,
                                        const std::string& what) {
  ParameterRules out;
  ASSIGN_OR_RETURN(const auto block, section.block(name));
  if (!block) return out;
  for (const hcl::Item& item : block->body->items) {
    const hcl::Key& key = item.keys[0];
    const auto refused = [&](std::string_view message) {
      return Error{Errc::kInvalidArgument,
                   fmt::format("{}: {}: {}: \"{}\": {}", what, hcl::to_string(key.at), name,
                               std::string_view(key.text).substr(0, 64), message)};
    };
    if (item.keys.size() > 1 || item.value.kind != hcl::Kind::kList)
      return refused(fmt::format("expected a list of values ([] is any value), got {}",
                                 hcl::kind_name(item.value.kind)));
    ParameterRules::Values values;
    for (const hcl::Value& element : item.value.list) values.push_back(hcl::to_json(element));
    if (!out.add(key.text, std::move(values)))
      return refused("is set twice (upper and lower case are the same)");
  }
  return out;
}

Status parse_wrapping_ttls(hcl::Section& section, Permissions& out) {
  ASSIGN_OR_RETURN(out.min_wrapping_ttl, section.duration_or("min_wrapping_ttl", Millis{0}));
  ASSIGN_OR_RETURN(out.max_wrapping_ttl, section.duration_or("max_wrapping_ttl", Millis{0}));
  if (out.max_wrapping_ttl != Millis{0} && out.max_wrapping_ttl < out.min_wrapping_ttl)
    return section.error("max_wrapping_ttl",
                         "max_wrapping_ttl cannot be less than min_wrapping_ttl");
  return ok();
}

Result<Permissions> parse_permissions(hcl::Section& section, const std::string& what) {
  Permissions out;
  ASSIGN_OR_RETURN(out.capabilities, parse_capabilities(section, what));
  ASSIGN_OR_RETURN(out.allowed, parse_parameters(section, "allowed_parameters", what));
  ASSIGN_OR_RETURN(out.denied, parse_parameters(section, "denied_parameters", what));
  ASSIGN_OR_RETURN(auto required, section.text_list("required_parameters"));
  if (required) out.required.insert(required->begin(), required->end());
  RETURN_IF_ERROR(parse_wrapping_ttls(section, out));
  ASSIGN_OR_RETURN(auto mfa_methods, section.text_list("mfa_methods"));
  if (mfa_methods) out.mfa_methods.insert(mfa_methods->begin(), mfa_methods->end());
  ASSIGN_OR_RETURN(out.pagination_limit, section.integer_or("pagination_limit", 0));
  if (out.pagination_limit < 0)
    return section.error("pagination_limit", "pagination_limit: expected 0 or more");
  ASSIGN_OR_RETURN(out.list_filter, section.text_or("list_scan_response_keys_filter_path", ""));
  ASSIGN_OR_RETURN(out.approval, parse_approval(section, out.capabilities, what));
  return out;
}

Result<Stanza> parse_stanza(const hcl::Block& block) {
  const std::string what = fmt::format("path \"{}\"", std::string_view(block.label).substr(0, 256));
  if (block.label.size() > kPathBytesMax)
    return at_label(block, what, fmt::format("the path has more than {} bytes", kPathBytesMax));
  if (block.label.find("+*") != std::string::npos)
    return Error{Errc::kInvalidArgument,
                 fmt::format("{}: invalid use of wildcards ('+*' is forbidden) at {}", what,
                             hcl::to_string(block.at))};
  Stanza out;
  out.at = block.at;
  out.written_path =
      block.label.substr(std::min(block.label.find_first_not_of('/'), block.label.size()));
  auto path = PathTemplate::parse(out.written_path);
  if (!path) return at_label(block, what, path.error().message);
  out.path = std::move(*path);
  hcl::Section section(*block.body, what);
  ASSIGN_OR_RETURN(out.permissions, parse_permissions(section, what));
  ASSIGN_OR_RETURN(out.comment, section.text_or("comment", ""));
  ASSIGN_OR_RETURN(const auto expiration, section.text("expiration"));
  if (expiration) {
    const auto time = parse_rfc3339(*expiration);
    if (!time) return section.error("expiration", "expiration: " + time.error().message);
    out.expiration = *time;
  }
  RETURN_IF_ERROR(section.finish());
  return out;
}

Result<std::vector<Stanza>> parse_stanzas(std::string_view text) {
  ASSIGN_OR_RETURN(const hcl::Value root, hcl::parse(text, {.bytes_max = kPolicyBytesMax}));
  hcl::Section section(root, "");
  RETURN_IF_ERROR(section.text("name"));
  // Before the paths are read, so that a slip in a block's name is not reported as one in a path.
  ASSIGN_OR_RETURN(const auto blocks, section.labelled_blocks("path"));
  RETURN_IF_ERROR(section.finish());
  if (blocks.size() > kStanzasMax)
    return Error{Errc::kTooLarge, fmt::format("{} paths; a policy may have {}: split it up",
                                              blocks.size(), kStanzasMax)};
  std::vector<Stanza> out;
  for (const hcl::Block& block : blocks) {
    ASSIGN_OR_RETURN(Stanza stanza, parse_stanza(block));
    out.push_back(std::move(stanza));
  }
  return out;
}

}  // namespace

Result<Policy> parse_policy(std::string_view name, std::string_view text) {
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos)
    return Error{Errc::kInvalidArgument, "'policy' parameter not supplied or empty"};
  if (text.size() > kPolicyBytesMax)
    return Error{Errc::kTooLarge, fmt::format("{}the text has {} bytes; at most {} are taken",
                                              kPrefix, text.size(), kPolicyBytesMax)};
  Policy out{std::string(name), std::string(text)};
  auto stanzas = parse_stanzas(out.text);
  if (!stanzas) {
    if (auto inner = behind_base64(text)) {
      out.text = std::move(*inner);
      stanzas = parse_stanzas(out.text);
    }
  }
  if (!stanzas) return Error{stanzas.error().code, std::string(kPrefix) + stanzas.error().message};
  out.stanzas = std::move(*stanzas);
  return out;
}

}  // namespace curfew::policy

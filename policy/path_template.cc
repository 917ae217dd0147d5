#include "policy/path_template.h"

#include <fmt/format.h>

#include <algorithm>

namespace curfew::policy {
namespace {

Error invalid(std::string_view message) {
  return {Errc::kInvalidArgument, std::string(message)};
}

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

const std::string* find(const Identity::Metadata& metadata, const std::string& key) {
  const auto it = metadata.find(key);
  return it == metadata.end() ? nullptr : &it->second;
}

}  // namespace

Result<PathTemplate> PathTemplate::parse(std::string_view path) {
  PathTemplate out;
  while (!path.empty()) {
    const std::size_t open = path.find("{{");
    const std::size_t stray = path.find("}}");
    if (stray < open) return invalid("expected \"{{\" before \"}}\" in the path's template");
    if (open != 0) out.parts_.push_back({Subject::kLiteral, std::string(path.substr(0, open))});
    if (open == std::string_view::npos) break;
    const std::size_t close = path.find("}}", open);
    if (close == std::string_view::npos)
      return invalid("expected \"}}\" behind \"{{\" in the path's template");
    std::string_view name = path.substr(open + 2, close - open - 2);
    while (name.starts_with(' ')) name.remove_prefix(1);
    while (name.ends_with(' ')) name.remove_suffix(1);
    ASSIGN_OR_RETURN(Part part, parse_parameter(name));
    out.parts_.push_back(std::move(part));
    path.remove_prefix(close + 2);
  }
  return out;
}

Result<PathTemplate::Part> PathTemplate::parse_parameter(std::string_view text) {
  const Error unknown = invalid(fmt::format(
      "unknown template parameter \"{}\": expected identity.entity.{{id, name, metadata.KEY}}, "
      "identity.entity.aliases.MOUNT_ACCESSOR.{{id, name, metadata.KEY, custom_metadata.KEY}}, "
      "identity.groups.ids.ID.{{name, metadata.KEY}} or identity.groups.names.NAME.{{id, "
      "metadata.KEY}}",
      text.substr(0, 128)));
  Part part{Subject::kEntity, std::string(text)};
  std::string_view rest = text;
  if (take_prefix(rest, "identity.entity.aliases.")) {
    part.subject = Subject::kAlias;
  } else if (take_prefix(rest, "identity.groups.ids.")) {
    part.subject = Subject::kGroupById;
  } else if (take_prefix(rest, "identity.groups.names.")) {
    part.subject = Subject::kGroupByName;
  } else if (!take_prefix(rest, "identity.entity.")) {
    return unknown;
  }
  if (part.subject != Subject::kEntity) {
    const std::size_t dot = rest.find('.');
    if (dot == 0 || dot == std::string_view::npos) return unknown;
    part.who = rest.substr(0, dot);
    rest.remove_prefix(dot + 1);
  }
  if (rest == "id" && part.subject != Subject::kGroupById) return part;
  if (rest == "name" && part.subject != Subject::kGroupByName) {
    part.attribute = Attribute::kName;
    return part;
  }
  if (take_prefix(rest, "metadata."))
    part.attribute = Attribute::kMetadata;
  else if (part.subject == Subject::kAlias && take_prefix(rest, "custom_metadata."))
    part.attribute = Attribute::kCustomMetadata;
  else
    return unknown;
  if (rest.empty()) return unknown;
  part.metadata_key = rest;
  return part;
}

bool PathTemplate::has_parameters() const {
  for (const Part& part : parts_)
    if (part.subject != Subject::kLiteral) return true;
  return false;
}

const std::string* PathTemplate::value_of(const Part& part, const Identity& identity) {
  const auto pick = [&part](const std::string& id, const std::string& name,
                            const Identity::Metadata& metadata,
                            const Identity::Metadata& custom) -> const std::string* {
    switch (part.attribute) {
      case Attribute::kId: return &id;
      case Attribute::kName: return &name;
      case Attribute::kMetadata: return find(metadata, part.metadata_key);
      case Attribute::kCustomMetadata: return find(custom, part.metadata_key);
    }
    return nullptr;
  };
  switch (part.subject) {
    case Subject::kLiteral: return &part.text;
    case Subject::kEntity:
      return pick(identity.entity_id, identity.entity_name, identity.metadata, {});
    case Subject::kAlias:
      for (const Identity::Alias& alias : identity.aliases)
        if (alias.mount_accessor == part.who)
          return pick(alias.id, alias.name, alias.metadata, alias.custom_metadata);
      return nullptr;
    case Subject::kGroupById:
    case Subject::kGroupByName:
      for (const Identity::Group& group : identity.groups)
        if ((part.subject == Subject::kGroupById ? group.id : group.name) == part.who)
          return pick(group.id, group.name, group.metadata, {});
      return nullptr;
  }
  return nullptr;
}

std::variant<std::string, Unfilled> PathTemplate::fill(const Identity& identity) const {
  std::string out;
  for (const Part& part : parts_) {
    const std::string* value = value_of(part, identity);
    if (part.subject != Subject::kLiteral) {
      if (value == nullptr || value->empty()) return Unfilled{part.text};
      if (value->find_first_of("*+/") != std::string::npos) return Unfilled{part.text, true};
    }
    out += *value;
  }
  return out;
}

std::string PathTemplate::widest() const {
  std::string filled;
  for (const Part& part : parts_) filled += part.subject == Subject::kLiteral ? part.text : "*";
  std::string out;
  for (std::size_t start = 0; start <= filled.size();) {
    const std::size_t end = std::min(filled.find('/', start), filled.size());
    const std::string_view segment = std::string_view(filled).substr(start, end - start);
    if (start != 0) out += '/';
    out += segment == "+" ? "*" : segment;
    start = end + 1;
  }
  return out;
}

}  // namespace curfew::policy

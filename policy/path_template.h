#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "policy/identity.h"

namespace curfew::policy {

// Why a template gave no path.
struct Unfilled {
  std::string parameter;  // as written, such as "identity.entity.name"
  bool refused = false;   // there is a value, but it holds '*', '+' or '/'
};

// A path of a policy with {{parameters}} in it. Immutable; thread-safe.
//
// Parameters: identity.entity.{id, name, metadata.KEY},
// identity.entity.aliases.MOUNT_ACCESSOR.{id, name, metadata.KEY, custom_metadata.KEY},
// identity.groups.ids.ID.{name, metadata.KEY}, identity.groups.names.NAME.{id, metadata.KEY}.
class PathTemplate {
 public:
  // kInvalidArgument: braces that do not match, or a parameter that there is not.
  static Result<PathTemplate> parse(std::string_view path);

  bool has_parameters() const;

  // The path for this identity. A value that holds '*', '+' or '/' is refused: who can choose a
  // name could otherwise reach beyond the place that the policy's author gave him.
  std::variant<std::string, Unfilled> fill(const Identity& identity) const;

  // A pattern for glob_match() that fits every path that this template could stand for, whatever
  // the values: parameters and '+' segments become '*'.
  std::string widest() const;

 private:
  enum class Subject { kLiteral, kEntity, kAlias, kGroupById, kGroupByName };
  enum class Attribute { kId, kName, kMetadata, kCustomMetadata };
  struct Part {
    Subject subject = Subject::kLiteral;
    std::string text;  // the literal, or the parameter as written
    std::string who = {};
    Attribute attribute = Attribute::kId;
    std::string metadata_key = {};
  };

  static Result<Part> parse_parameter(std::string_view text);
  static const std::string* value_of(const Part& part, const Identity& identity);

  std::vector<Part> parts_;
};

}  // namespace curfew::policy

#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/hcl.h"
#include "base/result.h"

namespace curfew::hcl {

// One object or block of a text.
struct Block {
  std::string label;    // of a labelled block; else empty
  Position at;          // of the label, or of the block's name
  const Value* body{};  // always an object; belongs to the parsed text
};

// Reads the members of one object and, in the end, refuses those that nobody asked for:
//
//   Section server(root, "");
//   ASSIGN_OR_RETURN(auto url, server.text("public_url"));
//   ASSIGN_OR_RETURN(auto listeners, server.labelled_blocks("listener"));
//   RETURN_IF_ERROR(server.finish());
//
// A getter gives nullopt (or nothing) for a member that is absent and kInvalidArgument, with the
// member's name and place, for one that is set twice or is of another type. Texts of numbers and
// booleans are taken for them, and the other way round. Does not own the object. For one thread.
class Section {
 public:
  // `what` is what error messages begin with, such as `path "x"`; may be empty.
  // REQUIRES: object.kind == Kind::kObject
  Section(const Value& object, std::string what) : object_(object), what_(std::move(what)) {}

  Result<std::optional<std::string>> text(std::string_view name);
  Result<std::optional<std::int64_t>> integer(std::string_view name);
  Result<std::optional<bool>> boolean(std::string_view name);
  // A number of seconds, or a text such as "15m"; not negative.
  Result<std::optional<Millis>> duration(std::string_view name);
  Result<std::optional<std::vector<std::string>>> text_list(std::string_view name);

  // As above, with what counts when the member is absent.
  Result<std::string> text_or(std::string_view name, std::string fallback);
  Result<std::int64_t> integer_or(std::string_view name, std::int64_t fallback);
  Result<bool> boolean_or(std::string_view name, bool fallback);
  Result<Millis> duration_or(std::string_view name, Millis fallback);

  // The member as it stands; nullptr: absent.
  Result<const Value*> value(std::string_view name);

  // The member as one object: `name {…}` or `name = {…}`; nullopt: absent.
  Result<std::optional<Block>> block(std::string_view name);
  // All of `name {…}`, in the order of the text; also a list of objects, but no empty one.
  Result<std::vector<Block>> blocks(std::string_view name);
  // All of `name "label" {…}`, in the order of the text; also `name = {"label" = {…}}` and what
  // JSON makes of it. Labels may repeat.
  Result<std::vector<Block>> labelled_blocks(std::string_view name);

  // An error for the first member whose name no getter was called with; it lists the names known.
  Status finish() const;

  // An error about the member of this name, at its place; about the object itself if it is absent.
  Error error(std::string_view name, std::string_view message) const;
  // The place of the member, or of the object if it is absent.
  Position position(std::string_view name) const;

  const Value& object() const { return object_; }

 private:
  Error error_here(Position at, std::string_view message) const;
  Error wrong_kind(const Value& value, std::string_view name, std::string_view expected) const;
  Status add_labelled(std::string_view name, const Value& value, std::vector<Block>& out) const;

  const Value& object_;
  std::string what_;
  std::set<std::string, std::less<>> known_;
};

}  // namespace curfew::hcl

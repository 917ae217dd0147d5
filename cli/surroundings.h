#pragma once

#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"

namespace curfew::cli {

// Everything of the process that a command may touch. Tests pass their own. Refers to the streams,
// does not own them; one thread at a time.
struct Surroundings {
  // nullopt for a variable that is not set.
  std::function<std::optional<std::string>(const std::string& name)> environment;
  std::istream& in;
  std::ostream& out;  // results
  std::ostream& err;  // errors, warnings, prompts
  bool in_is_terminal = false;
  bool out_is_terminal = false;
  // Shows `prompt` and reads a line without showing it. kInvalidArgument: no terminal, or the
  // person gave up (Ctrl-C, Ctrl-D).
  std::function<Result<Secret>(std::string_view prompt)> ask_secret;
  std::function<void(Millis)> sleep;
  // A text that nobody else has or can guess; empty: none can be made.
  std::function<std::string()> unique_text = {};
};

// The process's own environment, standard streams and terminal.
Surroundings system_surroundings();

// The first of `names` that is set and not empty; "" if none is.
std::string first_set(const Surroundings& around, std::initializer_list<const char*> names);

}  // namespace curfew::cli

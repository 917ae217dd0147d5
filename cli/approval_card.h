#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

// An approval request as text for people. Pure functions.
namespace curfew::cli {

// Everything that an approver has to know, from the API's view of the request: what it is for, the
// SQL that will run, for how long, for whom, what the agent says, what a rehearsal showed, who else
// must approve, what came before. What others wrote can neither drive the terminal nor look like a
// line of this text.
std::string approval_card(const Json& view);

// "approved: claim it by 2026-…", "denied by ben: too broad": where the request stands, one line.
std::string approval_standing(const Json& view);

// The people of a list of {"id","name"}, or ids where there are no names: "ana, ben".
std::string people_text(const Json& people);

}  // namespace curfew::cli

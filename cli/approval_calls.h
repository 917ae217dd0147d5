#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/command.h"

// The calls below sys/approvals that several commands make.
namespace curfew::cli {

// "sys/approvals/ID" with `behind` after it. kInvalidArgument: the id is empty.
Result<std::string> approval_path(const std::string& id, const std::string& behind = {});

// A request as the caller may see it. `preliminary`: another call follows, which is the command's
// own.
Result<ApiReply> read_approval(Call& call, const std::string& id, bool preliminary);

// A page of the list, newest first; an empty one where there are none.
Result<Json> list_approvals(Call& call, std::vector<std::pair<std::string, std::string>> query);

// Waits until the request is no longer pending, or, with `revision`, has changed since; at most
// for `time` (nullopt: until then), as nearly as can be told from the answers. Gives the view of
// it. A server that does not answer for a while is asked again.
Result<ApiReply> wait_for_approval(Call& call, const std::string& id, std::optional<Millis> time,
                                   std::optional<std::int64_t> revision);

// Takes what was approved: answers as reading its path would.
Result<ApiReply> claim_approval(Call& call, const std::string& id);

}  // namespace curfew::cli

#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "broker/notify/notice.h"

namespace curfew::broker {

// What templates may name, each with its text: one line, bounded, without control characters.
using NoticeFields = std::map<std::string, std::string, std::less<>>;

// `link`: to the page of the request; may be empty.
NoticeFields notice_fields(const Notice& notice, const std::string& link);

// A text with {{field}} in it. kInvalidArgument: a field that there is not, an open "{{", too long.
Status check_template(std::string_view text);

// Puts the fields in, and nothing else: what a field holds is not looked at again.
std::string fill_template(std::string_view text, const NoticeFields& fields);

// The words where a target has no template of its own.
std::string default_title(const std::string& event);
// Lines "name: value" for what there is; what the agent wrote stands apart.
std::string default_text(const NoticeFields& fields);

// "<public_url>/ui/#/approvals/<id>"; "" without a public_url.
std::string link_to(const std::string& public_url, const std::string& approval_id);

// The first bytes, cut between characters, with "…" in place of the rest.
std::string cut(std::string_view text, std::size_t bytes_max);

// For Slack: '&', '<' and '>' cannot begin a mention, a link or an entity.
std::string escape_slack(std::string_view text);
// The same where text is read as Markdown or looked through for addresses: a character of no width
// behind what would begin something.
std::string defuse_slack(std::string_view text);

}  // namespace curfew::broker

#include <algorithm>
#include <ostream>

#include "cli/commands.h"
#include "cli/key_share.h"
#include "cli/key_values.h"

namespace curfew::cli {

namespace {

constexpr std::int64_t kSharesMax = 255;

// What the flags are about: which shares, and the new ones or the present ones.
struct Subject {
  std::string base;  // "sys/rekey" or "sys/rekey-recovery-key"
  bool verify = false;

  std::string state_path() const { return base + (verify ? "/verify" : "/init"); }
  std::string share_path() const { return base + (verify ? "/verify" : "/update"); }
};

Subject subject_of(const Call& call) {
  const bool recovery = call.arguments.text("target", "barrier") == "recovery";
  return {recovery ? "sys/rekey-recovery-key" : "sys/rekey", call.arguments.on("verify")};
}

std::string text_at(const Json& body, const char* name) {
  const Json value = member(body, name);
  return value.is_null() ? "" : value_text(value);
}

Result<int> show_status(Call& call, const Json& body) {
  std::vector<Row> rows = {
      {"Key", "Value"}, {"Nonce", text_at(body, "nonce")}, {"Started", text_at(body, "started")}};
  if (member(body, "started") == true) {
    const std::string required =
        body.contains("required") ? text_at(body, "required") : text_at(body, "t");
    rows.push_back({"Progress", text_at(body, "progress") + "/" + required});
    rows.push_back({"New Shares", text_at(body, "n")});
    rows.push_back({"New Threshold", text_at(body, "t")});
  }
  if (body.contains("verification_required"))
    rows.push_back({"Verification Required", text_at(body, "verification_required")});
  if (body.contains("verification_nonce"))
    rows.push_back({"Verification Nonce", text_at(body, "verification_nonce")});
  return call.print.rows(rows, OrderedJson(body));
}

// The new shares, which are shown this once.
Result<int> show_shares(Call& call, const Json& body) {
  return call.print.either(OrderedJson(body), [&](std::ostream& out) {
    const Json keys = member(body, "keys_base64");
    for (std::size_t i = 0; keys.is_array() && i < keys.size(); ++i)
      out << "Key " << i + 1 << ": " << printable(value_text(keys[i])) << "\n";
    out << "\nThey are shown this once and kept nowhere: give them to different people now.\n";
    if (member(body, "verification_required") == true) {
      out << "They are NOT in force yet. Give enough of them back with\n"
             "  curfew operator rekey -verify\n"
             "The verification nonce is "
          << printable(text_at(body, "verification_nonce")) << "\n";
    } else {
      out << "They are in force. The shares from before open nothing any more (a backup from "
             "before\n"
             "still opens with them: destroy what is not needed).\n";
    }
  });
}

Result<int> show(Call& call, const Subject& subject, const Json& body) {
  if (!call.print.field().empty()) return call.print.one_field(body, call.print.field());
  if (member(body, "complete") != true) return show_status(call, body);
  if (!subject.verify) return show_shares(call, body);
  return call.print.either(OrderedJson(body), [](std::ostream& out) {
    out << "Success! The new key shares are verified and in force.\n";
  });
}

Result<int> begin(Call& call, const Subject& subject) {
  const std::int64_t shares = call.arguments.integer("key-shares").value_or(5);
  const std::int64_t threshold =
      call.arguments.integer("key-threshold").value_or(std::min<std::int64_t>(3, shares));
  if (shares < 1 || shares > kSharesMax || threshold < 1 || threshold > shares)
    return local_error("-key-shares has to be 1 to 255, and -key-threshold 1 to the shares");
  ASSIGN_OR_RETURN(
      const ApiReply reply,
      call.api().send({.method = "PUT",
                       .path = subject.base + "/init",
                       .body = Json{{"secret_shares", shares},
                                    {"secret_threshold", threshold},
                                    {"pgp_keys", nullptr},
                                    {"backup", false},
                                    {"require_verification", call.arguments.on("verify", true)}},
                       .doing = "beginning to replace key shares",
                       .in_root_namespace = true}));
  return show(call, {subject.base, false}, reply.body);
}

Result<int> read_status(Call& call, const Subject& subject) {
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send({.method = "GET",
                                                          .path = subject.state_path(),
                                                          .doing = "reading the state of the rekey",
                                                          .in_root_namespace = true}));
  return show(call, subject, reply.body);
}

Result<int> cancel(Call& call, const Subject& subject) {
  RETURN_IF_ERROR(call.api().send({.method = "DELETE",
                                   .path = subject.state_path(),
                                   .doing = "cancelling",
                                   .in_root_namespace = true}));
  return call.print.success(subject.verify
                                ? "Success! The verification begins again from the first share."
                                : "Success! The rekey is cancelled (if one was under way).");
}

Result<int> give(Call& call, const Subject& subject) {
  std::string nonce = call.arguments.text("nonce");
  if (nonce.empty()) {
    ASSIGN_OR_RETURN(const ApiReply state,
                     call.api().send({.method = "GET",
                                      .path = subject.state_path(),
                                      .doing = "reading the state of the rekey",
                                      .in_root_namespace = true,
                                      .preliminary = true}));
    if (member(state.body, "started") != true)
      return local_error(subject.verify ? "No verification is in progress"
                                        : "No rekey is in progress; begin one with -init");
    nonce = text_at(state.body, "nonce");
    call.around.err << "Rekey operation nonce: " << printable(nonce) << "\n";
  }
  ASSIGN_OR_RETURN(const Secret share,
                   key_share(call, subject.verify ? "New key share (will be hidden): "
                                                  : "Key share (will be hidden): "));
  ASSIGN_OR_RETURN(const ApiReply reply,
                   call.api().send({.method = "PUT",
                                    .path = subject.share_path(),
                                    .body = Json{{"key", share.reveal()}, {"nonce", nonce}},
                                    .doing = "giving a key share",
                                    .in_root_namespace = true,
                                    .secret_members = {"key"}}));
  return show(call, subject, reply.body);
}

Result<int> rekey(Call& call) {
  const Subject subject = subject_of(call);
  const int modes =
      call.arguments.on("init") + call.arguments.on("status") + call.arguments.on("cancel");
  if (modes > 1) return local_error("-init, -status and -cancel exclude each other");
  if (modes == 1 && call.word_count() > 0)
    return local_error("a key share is given without -init, -status and -cancel");
  if (call.arguments.on("init")) return begin(call, subject);
  if (call.arguments.on("status")) return read_status(call, subject);
  if (call.arguments.on("cancel")) return cancel(call, subject);
  return give(call, subject);
}

}  // namespace

void add_rekey_commands(CommandTable& table) {
  table.commands.push_back(
      {.path = "operator rekey",
       .summary = "Replaces the key shares by new ones",
       .synopsis = "[flags] [KEY]",
       .words = {0, 1},
       .flags =
           {{{"init"}, FlagKind::kSwitch, "Begin; then each holder gives a present share."},
            {{"status"}, FlagKind::kSwitch, "Show how far it is."},
            {{"cancel"}, FlagKind::kSwitch, "Give it up; the present shares stay in force."},
            {{"verify"},
             FlagKind::kSwitch,
             "Give back a new share. With -init it is on unless -verify=false: the new shares are "
             "in "
             "force only when enough of them were given back; otherwise at once, and an answer "
             "that "
             "is lost on its way takes the store with it."},
            {{"key-shares", "n"}, FlagKind::kInteger, "How many new shares: 5 if unset.", "COUNT"},
            {{"key-threshold", "t"},
             FlagKind::kInteger,
             "How many of them it takes: 3 if unset.",
             "COUNT"},
            {{"nonce"}, FlagKind::kText, "Which attempt the share is meant for.", "NONCE"},
            {{"target"},
             FlagKind::kText,
             "The shares that unseal (barrier), or those of the recovery key of a seal that opens "
             "by itself",
             "TARGET",
             {"barrier", "recovery"}},
            field_flag()},
       .details =
           "  One person begins, and tells the nonce to the others:\n"
           "    curfew operator rekey -init -key-shares=5 -key-threshold=3\n"
           "  Each holder of a present share gives it, until there are enough:\n"
           "    curfew operator rekey\n"
           "  Enough of the new ones are given back, which puts them in force:\n"
           "    curfew operator rekey -verify\n"
           "  Without KEY the share is asked for without being shown; \"-\" reads it from "
           "standard\n"
           "  input. -target=recovery makes recovery keys at once where there are none yet.\n",
       .run = rekey});
}

}  // namespace curfew::cli

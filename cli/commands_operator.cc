#include <algorithm>
#include <ostream>

#include "cli/commands.h"
#include "cli/key_share.h"
#include "cli/key_values.h"
#include "cli/seal_status.h"

namespace curfew::cli {

namespace {

constexpr std::int64_t kSharesMax = 255;

Result<int> init_status(Call& call) {
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send({.method = "GET",
                                                          .path = "sys/init",
                                                          .doing = "asking whether it has keys",
                                                          .token = Secret(),
                                                          .in_root_namespace = true}));
  const bool initialized = member(reply.body, "initialized") == true;
  RETURN_IF_ERROR(
      call.print.either(OrderedJson{{"Initialized", initialized}}, [&](std::ostream& out) {
        out << (initialized ? "Curfew is initialized\n" : "Curfew is not initialized\n");
      }));
  return initialized ? kExitOk : kExitServer;
}

void print_keys(std::ostream& out, const char* title, const Json& keys) {
  if (!keys.is_array()) return;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    out << title << " " << i + 1 << ": " << printable(value_text(keys[i])) << "\n";
  }
}

OrderedJson init_document(const Json& body, std::int64_t shares, std::int64_t threshold) {
  const auto list = [&](const char* name) {
    const Json keys = member(body, name);
    return OrderedJson(keys.is_array() ? keys : Json::array());
  };
  const auto recovery = list("recovery_keys_base64");
  return {{"unseal_keys_b64", list("keys_base64")},
          {"unseal_keys_hex", list("keys")},
          {"unseal_shares", recovery.empty() ? shares : 1},
          {"unseal_threshold", recovery.empty() ? threshold : 1},
          {"recovery_keys_b64", recovery},
          {"recovery_keys_hex", list("recovery_keys")},
          {"recovery_keys_shares", recovery.empty() ? 0 : shares},
          {"recovery_keys_threshold", recovery.empty() ? 0 : threshold},
          {"root_token", OrderedJson(member(body, "root_token"))}};
}

bool has_keys(const Json& body, const char* name) {
  const Json keys = member(body, name);
  return keys.is_array() && !keys.empty();
}

void explain_keys(std::ostream& out, const Json& body, std::int64_t shares,
                  std::int64_t threshold) {
  const bool recovery = has_keys(body, "recovery_keys_base64");
  if (!recovery && !has_keys(body, "keys_base64")) return;
  out << "The " << (recovery ? "recovery key" : "key") << " is in " << shares << " share"
      << (shares == 1 ? "" : "s") << ", of which " << threshold
      << (recovery ? (threshold == 1 ? " makes" : " together make")
                   : (threshold == 1 ? " opens" : " together open"))
      << (recovery ? " a root token, or take the store to another seal when this one is lost."
                   : " the seal.")
      << " They are shown this once and kept nowhere:\ngive them to different people now."
      << (recovery ? "\n" : " Whoever loses too many of them loses all data.\n");
}

Result<int> init(Call& call) {
  if (call.arguments.on("status")) return init_status(call);
  const std::int64_t shares = call.arguments.integer("key-shares").value_or(5);
  // One share with a threshold of three would be refused, so the default follows the shares.
  const std::int64_t threshold =
      call.arguments.integer("key-threshold").value_or(std::min<std::int64_t>(3, shares));
  if (shares < 1 || shares > kSharesMax || threshold < 1 || threshold > shares) {
    return local_error("-key-shares has to be 1 to 255, and -key-threshold 1 to the shares");
  }
  ASSIGN_OR_RETURN(const ApiReply reply,
                   call.api().send({.method = "PUT",
                                    .path = "sys/init",
                                    .body = Json{{"secret_shares", shares},
                                                 {"secret_threshold", threshold},
                                                 {"stored_shares", 0},
                                                 {"pgp_keys", nullptr},
                                                 {"recovery_shares", shares},
                                                 {"recovery_threshold", threshold},
                                                 {"recovery_pgp_keys", nullptr},
                                                 {"root_token_pgp_key", ""}},
                                    .doing = "initializing",
                                    .token = Secret(),
                                    .in_root_namespace = true}));
  return call.print.either(init_document(reply.body, shares, threshold), [&](std::ostream& out) {
    print_keys(out, "Unseal Key", member(reply.body, "keys_base64"));
    print_keys(out, "Recovery Key", member(reply.body, "recovery_keys_base64"));
    out << "\nInitial Root Token: " << printable(value_text(member(reply.body, "root_token")))
        << "\n\n";
    explain_keys(out, reply.body, shares, threshold);
    out << "Revoke the root token (`curfew token revoke -self`) when the set-up is done.\n";
  });
}

// A seal that opens by itself, without recovery keys, is taken over from without a share.
Result<bool> migration_needs_share(Call& call, bool migrate) {
  if (!migrate || call.word_count() > 0) return true;
  ASSIGN_OR_RETURN(const ApiReply status, call.api().send({.method = "GET",
                                                           .path = "sys/seal-status",
                                                           .doing = "asking for the seal",
                                                           .token = Secret(),
                                                           .in_root_namespace = true,
                                                           .preliminary = true}));
  return member(status.body, "n") != 0;
}

Result<int> unseal(Call& call) {
  Json body = {{"reset", true}};
  if (!call.arguments.on("reset")) {
    const bool migrate = call.arguments.on("migrate");
    ASSIGN_OR_RETURN(const bool needs_share, migration_needs_share(call, migrate));
    Secret key;
    if (needs_share) {
      ASSIGN_OR_RETURN(key, key_share(call, "Unseal Key (will be hidden): "));
    }
    body = {{"key", key.reveal()}, {"reset", false}, {"migrate", migrate}};
  }
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send({.method = "PUT",
                                                          .path = "sys/unseal",
                                                          .body = std::move(body),
                                                          .doing = "unsealing",
                                                          .token = Secret(),
                                                          .in_root_namespace = true,
                                                          .secret_members = {"key"}}));
  return show_seal_status(call, reply.body);
}

Result<int> seal(Call& call) {
  ASSIGN_OR_RETURN(const ApiReply reply,
                   call.api().send({.method = "PUT", .path = "sys/seal", .doing = "sealing"}));
  call.print.warnings(reply.body);
  return call.print.success("Success! Curfew is sealed.");
}

Result<int> show_key_status(Call& call, const std::string& first_line) {
  ASSIGN_OR_RETURN(const ApiReply reply, call.api().send({.method = "GET",
                                                          .path = "sys/key-status",
                                                          .doing = "reading the key's status"}));
  const Json& data = reply.data();
  if (call.print.is_table()) call.around.out << first_line;
  const std::vector<Row> rows = {{"Key", "Value"},
                                 {"Key Term", value_text(member(data, "term"))},
                                 {"Install Time", value_text(member(data, "install_time"))},
                                 {"Encryption Count", value_text(member(data, "encryptions"))}};
  return call.print.rows(rows, OrderedJson(data));
}

Result<int> rotate(Call& call) {
  RETURN_IF_ERROR(
      call.api().send({.method = "POST", .path = "sys/rotate", .doing = "rotating the key"}));
  return show_key_status(call, "Success! Rotated key\n\n");
}

}  // namespace

void add_operator_commands(CommandTable& table) {
  table.groups.push_back({"operator", "The server's seal and keys"});
  table.commands.push_back(
      {.path = "operator init",
       .summary = "Makes the keys of a new server",
       .synopsis = "[flags]",
       .words = {0, 0},
       .flags =
           {{{"key-shares", "n"}, FlagKind::kInteger, "Into how many shares: 5 if unset.", "COUNT"},
            {{"key-threshold", "t"},
             FlagKind::kInteger,
             "How many shares open the seal: 3 if unset.",
             "COUNT"},
            {{"status"},
             FlagKind::kSwitch,
             "Only say whether it has keys: exit code 0 if so, 2 if not."}},
       .run = init});
  table.commands.push_back(
      {.path = "operator unseal",
       .summary = "Gives the server one share of the key",
       .synopsis = "[flags] [KEY]",
       .words = {0, 1},
       .flags = {{{"reset"}, FlagKind::kSwitch, "Forget the shares that were given so far."},
                 {{"migrate"},
                  FlagKind::kSwitch,
                  "Take the store over from the seal that the configuration has with disabled = "
                  "true. The shares are those of the key, or of the recovery key, that it has."},
                 field_flag()},
       .details =
           "  Without KEY it is asked for without being shown; \"-\" reads it from standard\n"
           "  input. A key on the command line can be seen by other users of the machine.\n",
       .run = unseal});
  table.commands.push_back({.path = "operator seal",
                            .summary = "Makes the server forget its keys",
                            .synopsis = "[flags]",
                            .words = {0, 0},
                            .run = seal});
  table.commands.push_back({.path = "operator key-status",
                            .summary = "Shows the key that data is encrypted with",
                            .synopsis = "[flags]",
                            .words = {0, 0},
                            .run = [](Call& call) { return show_key_status(call, ""); }});
  table.commands.push_back({.path = "operator rotate",
                            .summary = "Makes a new key for what is encrypted from now on",
                            .synopsis = "[flags]",
                            .words = {0, 0},
                            .run = rotate});
}

}  // namespace curfew::cli

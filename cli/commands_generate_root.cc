#include <ostream>

#include "base/one_time_pad.h"
#include "base/random.h"
#include "cli/commands.h"
#include "cli/key_share.h"
#include "cli/key_values.h"

namespace curfew::cli {

namespace {

constexpr const char* kAttempt = "sys/generate-root/attempt";

std::string text_at(const Json& body, const char* name) {
  const Json value = member(body, name);
  return value.is_null() ? "" : value_text(value);
}

Result<ApiReply> send(Call& call, const char* method, const char* doing,
                      std::optional<Json> body = std::nullopt, bool preliminary = false) {
  return call.api().send({.method = method,
                          .path = kAttempt,
                          .body = std::move(body),
                          .doing = doing,
                          .token = Secret(),
                          .in_root_namespace = true,
                          .preliminary = preliminary,
                          .secret_members = {"otp"}});
}

Result<int> show(Call& call, const Json& body) {
  if (!call.print.field().empty()) return call.print.one_field(body, call.print.field());
  std::vector<Row> rows = {
      {"Key", "Value"},
      {"Nonce", text_at(body, "nonce")},
      {"Started", text_at(body, "started")},
      {"Progress", text_at(body, "progress") + "/" + text_at(body, "required")},
      {"Complete", text_at(body, "complete")}};
  const auto add_if_set = [&](const char* title, const char* name) {
    if (const std::string text = text_at(body, name); !text.empty()) rows.push_back({title, text});
  };
  add_if_set("Encoded Token", "encoded_token");
  add_if_set("OTP", "otp");
  add_if_set("OTP Length", "otp_length");
  return call.print.rows(rows, OrderedJson(body));
}

Result<int> begin(Call& call) {
  Json body = Json::object();
  if (call.arguments.has("otp")) body["otp"] = call.arguments.text("otp");
  ASSIGN_OR_RETURN(const ApiReply reply,
                   send(call, "PUT", "beginning to generate a root token", std::move(body)));
  if (call.print.is_table() && !text_at(reply.body, "otp").empty())
    call.around.err << "The one-time password below decodes the token. Keep it to yourself, and "
                       "tell the nonce to the\nholders of key shares.\n\n";
  return show(call, reply.body);
}

Result<int> cancel(Call& call) {
  RETURN_IF_ERROR(send(call, "DELETE", "cancelling"));
  return call.print.success("Success! Root token generation is cancelled (if it was under way).");
}

Result<int> decode(Call& call) {
  const Secret password(call.arguments.text("otp"));
  if (password.empty()) return local_error("-decode needs -otp, the one-time password of -init");
  const auto token = decode_with_pad(call.arguments.text("decode"), password);
  if (!token) return local_error(token.error().message);
  const std::string text = printable(token->reveal());
  return call.print.either(OrderedJson{{"token", text}},
                           [&](std::ostream& out) { out << text << "\n"; });
}

// As long as the server's tokens, which it says.
Result<int> generate_password(Call& call) {
  ASSIGN_OR_RETURN(const ApiReply reply, send(call, "GET", "asking for the password's length"));
  const Json length = member(reply.body, "otp_length");
  if (!length.is_number_integer() || length < 1 || length > 1024)
    return missing_error("The server does not say how long a one-time password is");
  SystemRandom random;
  const std::string password = random_base62(random, length.get<std::size_t>());
  return call.print.either(OrderedJson{{"otp", password}},
                           [&](std::ostream& out) { out << password << "\n"; });
}

Result<int> give(Call& call) {
  std::string nonce = call.arguments.text("nonce");
  if (nonce.empty()) {
    ASSIGN_OR_RETURN(const ApiReply state,
                     send(call, "GET", "reading the state of the generation", std::nullopt, true));
    if (member(state.body, "started") != true)
      return local_error("No root generation is in progress; begin one with -init");
    nonce = text_at(state.body, "nonce");
    call.around.err << "Operation nonce: " << printable(nonce) << "\n";
  }
  ASSIGN_OR_RETURN(const Secret share, key_share(call, "Key share (will be hidden): "));
  ASSIGN_OR_RETURN(const ApiReply reply,
                   call.api().send({.method = "PUT",
                                    .path = "sys/generate-root/update",
                                    .body = Json{{"key", share.reveal()}, {"nonce", nonce}},
                                    .doing = "giving a key share",
                                    .token = Secret(),
                                    .in_root_namespace = true,
                                    .secret_members = {"key"}}));
  return show(call, reply.body);
}

Result<int> generate_root(Call& call) {
  const auto& arguments = call.arguments;
  const int modes = arguments.on("init") + arguments.on("status") + arguments.on("cancel") +
                    arguments.on("generate-otp") + arguments.has("decode");
  if (modes > 1)
    return local_error("-init, -status, -cancel, -generate-otp and -decode exclude each other");
  if (modes == 1 && call.word_count() > 0)
    return local_error("a key share is given without those flags");
  if (arguments.has("decode")) return decode(call);
  if (arguments.on("generate-otp")) return generate_password(call);
  if (arguments.on("init")) return begin(call);
  if (arguments.on("cancel")) return cancel(call);
  if (arguments.on("status")) {
    ASSIGN_OR_RETURN(const ApiReply reply,
                     send(call, "GET", "reading the state of the generation"));
    return show(call, reply.body);
  }
  return give(call);
}

}  // namespace

void add_generate_root_commands(CommandTable& table) {
  table.commands.push_back(
      {.path = "operator generate-root",
       .summary = "Makes a root token with the holders of key shares",
       .synopsis = "[flags] [KEY]",
       .words = {0, 1},
       .flags =
           {{{"init"}, FlagKind::kSwitch, "Begin; then each holder gives a share."},
            {{"status"}, FlagKind::kSwitch, "Show how far it is."},
            {{"cancel"}, FlagKind::kSwitch, "Give it up."},
            {{"generate-otp"}, FlagKind::kSwitch, "Only print a one-time password for -otp."},
            {{"otp"}, FlagKind::kText, "For -init: a password of your own. For -decode.", "OTP"},
            {{"decode"}, FlagKind::kText, "Print the token that this one stands for.", "ENCODED"},
            {{"nonce"}, FlagKind::kText, "Which attempt the share is meant for.", "NONCE"},
            field_flag()},
       .details =
           "  For when nobody has a root token any more. One person begins, keeps the one-time\n"
           "  password, and tells the nonce to the holders of shares:\n"
           "    curfew operator generate-root -init\n"
           "  Each holder gives a share; the last one is shown the encoded token:\n"
           "    curfew operator generate-root\n"
           "  The first person makes it readable:\n"
           "    curfew operator generate-root -decode=ENCODED -otp=OTP\n"
           "  Revoke the token when the work is done. Where the seal opens by itself, the shares "
           "are\n"
           "  those of its recovery keys.\n",
       .run = generate_root});
}

}  // namespace curfew::cli

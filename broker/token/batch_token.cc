#include "broker/token/batch_token.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/encoding.h"
#include "broker/token/token_store.h"
#include "broker/token/token_text.h"

namespace curfew::broker {
namespace {

constexpr std::string_view kContext = "batch token";
// Together with the other headers well below what proxies take (8 KiB in all, often).
constexpr std::size_t kTokenBytesMax = 4096;

std::string url_base64(std::string_view bytes) {
  std::string text = base64_encode(bytes);
  while (text.ends_with('=')) text.pop_back();
  std::replace(text.begin(), text.end(), '+', '-');
  std::replace(text.begin(), text.end(), '/', '_');
  return text;
}

}  // namespace

bool is_batch_token(const Secret& token) {
  return token.reveal().starts_with(kBatchPrefix);
}

Result<Secret> seal_batch_token(const store::Barrier& barrier, const Token& token) {
  Json body = token_body(token);
  body["parent"] = token.parent;
  body["mount"] = token.mount;
  body["entity_id"] = token.entity_id;
  body["expires_at"] = to_unix_millis(*token.expires_at);
  ASSIGN_OR_RETURN(const std::string sealed, barrier.seal(kContext, dump_json(body)));
  std::string text =
      std::string(kBatchPrefix) + url_base64(sealed) + token_mark(barrier.name_space());
  if (text.size() > kTokenBytesMax)
    return Error{Errc::kInvalidArgument,
                 fmt::format("a batch token carries its policies and metadata, and this one would "
                             "be longer than {} bytes: give it fewer, or make a service token",
                             kTokenBytesMax)};
  return Secret(std::move(text));
}

Result<std::optional<Token>> open_batch_token(const store::Barrier& barrier, const Secret& secret) {
  std::optional<Token> none;
  const std::string mark = token_mark(barrier.name_space());
  std::string_view text = secret.reveal();
  if (!is_batch_token(secret) || text.size() > kTokenBytesMax || !text.ends_with(mark)) return none;
  text.remove_prefix(kBatchPrefix.size());
  text.remove_suffix(mark.size());
  const auto sealed = base64_decode(text);
  // One token, one text: what is counted or remembered for a token is found by it.
  if (!sealed || url_base64(*sealed) != text) return none;
  const auto opened = barrier.open(kContext, *sealed);
  if (!opened && opened.error().code == Errc::kSealed) return opened.error();
  if (!opened) return none;
  ASSIGN_OR_RETURN(const Json body, parse_json(*opened));
  Token token;
  read_token_body(body, token);
  token.parent = body.at("parent").get<std::string>();
  token.mount = body.at("mount").get<std::string>();
  token.entity_id = body.at("entity_id").get<std::string>();
  token.expires_at = from_unix_millis(body.at("expires_at").get<std::int64_t>());
  ASSIGN_OR_RETURN(token.id, token_row_id(barrier, secret));
  return std::optional(std::move(token));
}

}  // namespace curfew::broker

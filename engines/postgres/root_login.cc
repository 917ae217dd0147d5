#include "engines/postgres/root_login.h"

#include <algorithm>

#include "base/digest.h"
#include "base/encoding.h"

namespace curfew::engines::postgres {
namespace {

constexpr std::size_t kFormerMax = 100;

std::string keyed_hash(const std::string& key, std::string_view user, const Secret& password) {
  std::string text = std::string(user) + '\0' + password.reveal();
  std::string hash = hex_encode(hmac_sha256(key, text));
  zero(text);
  return hash;
}

}  // namespace

Json RootLogin::to_json() const {
  Json out{{"username", username},
           {"address", address},
           {"hash_key", hash_key},
           {"former", former},
           {"since_ms", to_unix_millis(since)},
           {"error", error},
           {"failures", failures},
           {"kept", kept.reveal()}};
  if (next) out["next"] = next->to_json();
  if (rotated_at) out["rotated_ms"] = to_unix_millis(*rotated_at);
  if (retry_at) out["retry_ms"] = to_unix_millis(*retry_at);
  return out;
}

Result<RootLogin> RootLogin::from_json(const Json& stored) {
  const Fields fields(stored);
  RootLogin out;
  ASSIGN_OR_RETURN(out.username, fields.text_or("username", ""));
  ASSIGN_OR_RETURN(out.address, fields.text_or("address", ""));
  ASSIGN_OR_RETURN(out.hash_key, fields.text_or("hash_key", ""));
  ASSIGN_OR_RETURN(auto former, fields.string_list("former"));
  out.former = std::move(former).value_or(std::vector<std::string>{});
  ASSIGN_OR_RETURN(const auto since, fields.integer_or("since_ms", 0));
  out.since = from_unix_millis(since);
  ASSIGN_OR_RETURN(out.error, fields.text_or("error", ""));
  ASSIGN_OR_RETURN(out.failures, fields.integer_or("failures", 0));
  ASSIGN_OR_RETURN(auto kept, fields.text_or("kept", ""));
  out.kept = Secret(std::move(kept));
  ASSIGN_OR_RETURN(const auto next, fields.object("next"));
  if (next) {
    ASSIGN_OR_RETURN(out.next, NextPassword::from_json(*next));
  }
  ASSIGN_OR_RETURN(const auto rotated, fields.integer("rotated_ms"));
  if (rotated) out.rotated_at = from_unix_millis(*rotated);
  ASSIGN_OR_RETURN(const auto retry, fields.integer("retry_ms"));
  if (retry) out.retry_at = from_unix_millis(*retry);
  return out;
}

void RootLogin::add_former(std::string_view user, const Secret& password) {
  former.push_back(keyed_hash(hash_key, user, password));
  // The first one is what configuration managers hold on to.
  if (former.size() > kFormerMax) former.erase(former.begin() + 1);
}

bool RootLogin::was_former(std::string_view user, const Secret& password) const {
  return std::find(former.begin(), former.end(), keyed_hash(hash_key, user, password)) !=
         former.end();
}

std::string root_login_key(std::string_view target) {
  return "root-login/" + std::string(target);
}

Result<std::optional<RootLogin>> load_root_login(const MountStorage& storage,
                                                 std::string_view target) {
  ASSIGN_OR_RETURN(const auto stored, storage.get(root_login_key(target)));
  if (!stored) return std::optional<RootLogin>{};
  ASSIGN_OR_RETURN(auto login, RootLogin::from_json(*stored));
  return std::optional{std::move(login)};
}

}  // namespace curfew::engines::postgres

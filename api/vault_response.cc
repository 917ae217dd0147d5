#include "api/vault_response.h"

#include <array>

#include "api/error_to_http.h"
#include "base/duration.h"
#include "base/json.h"

namespace curfew::api {
namespace {

using broker::Auth;
using broker::Layout;
using broker::Response;
using broker::WrapInfo;

constexpr std::array<std::string_view, 8> kEnvelopeKeys = {
    "request_id", "lease_id",  "renewable", "lease_duration",
    "data",       "wrap_info", "warnings",  "auth"};

// Writes the members of one object in the order given; nlohmann's objects sort theirs.
class ObjectText {
 public:
  void add(std::string_view key, const Json& value) { add_text(key, dump_json(value)); }
  void add_text(std::string_view key, std::string_view json) {
    text_ += text_.empty() ? '{' : ',';
    text_ += dump_json(Json(std::string(key)));
    text_ += ':';
    text_ += json;
  }
  std::string take() { return text_.empty() ? "{}" : std::move(text_) + "}"; }

 private:
  std::string text_;
};

std::int64_t whole_seconds(Millis duration) {
  return std::chrono::floor<Seconds>(duration).count();
}

std::string auth_text(const Auth& auth) {
  ObjectText out;
  out.add("client_token", auth.client_token.reveal());
  out.add("accessor", auth.accessor);
  out.add("policies", auth.policies);
  out.add("token_policies", auth.token_policies);
  if (!auth.identity_policies.empty()) out.add("identity_policies", auth.identity_policies);
  out.add("metadata", auth.metadata);
  out.add("lease_duration", whole_seconds(auth.lease_duration));
  out.add("renewable", auth.renewable);
  out.add("entity_id", auth.entity_id);
  out.add("token_type", auth.token_type);
  out.add("orphan", auth.orphan);
  out.add("num_uses", auth.num_uses);
  return out.take();
}

std::string wrap_info_text(const WrapInfo& wrap) {
  ObjectText out;
  out.add("token", wrap.token.reveal());
  out.add("accessor", wrap.accessor);
  out.add("ttl", whole_seconds(wrap.ttl));
  out.add("creation_time", format_rfc3339(wrap.created_at));
  out.add("creation_path", wrap.creation_path);
  if (!wrap.wrapped_accessor.empty()) out.add("wrapped_accessor", wrap.wrapped_accessor);
  return out.take();
}

bool is_envelope_key(std::string_view key) {
  for (const std::string_view name : kEnvelopeKeys)
    if (name == key) return true;
  return false;
}

std::string envelope_text(const Response& response, std::string_view request_id) {
  ObjectText out;
  if (response.layout == Layout::kInjected && response.data.is_object()) {
    for (const auto& [key, value] : response.data.items())
      if (!is_envelope_key(key)) out.add(key, value);
  }
  out.add("request_id", response.request_id.value_or(std::string(request_id)));
  out.add("lease_id", response.lease_id);
  out.add("renewable", response.renewable);
  out.add("lease_duration", whole_seconds(response.lease_duration));
  out.add("data", response.data);
  if (response.wrap_info) {
    out.add_text("wrap_info", wrap_info_text(*response.wrap_info));
  } else {
    out.add("wrap_info", nullptr);
  }
  out.add("warnings", response.warnings.empty() ? Json(nullptr) : Json(response.warnings));
  if (response.auth) {
    out.add_text("auth", auth_text(*response.auth));
  } else {
    out.add("auth", nullptr);
  }
  return out.take();
}

// A list that found nothing is answered like a read that found nothing.
bool is_empty_list(const Response& response, Operation operation) {
  if (operation != Operation::kList || response.layout == Layout::kBare ||
      !response.warnings.empty() || response.auth || response.wrap_info)
    return false;
  if (response.data.is_null()) return true;
  if (!response.data.is_object()) return false;
  const auto keys = response.data.find("keys");
  if (keys == response.data.end()) return response.data.empty();
  return keys->is_null() || (keys->is_array() && keys->empty());
}

}  // namespace

HttpResponse write_response(const Response& response, std::string_view request_id,
                            Operation operation) {
  const bool unset_or_good = response.status == 0 || response.status == 200;
  if (unset_or_good && is_empty_list(response, operation)) return errors_response(404, "");
  HttpResponse out;
  const bool something = response.says_something();
  out.status = response.status != 0 ? response.status : something ? 200 : 204;
  if (out.status == 204) return out;
  if (!something && out.status >= 400) return errors_response(out.status, "");
  if (response.layout == Layout::kText) {
    out.body = response.data.get<std::string>();
    out.content_type = "text/plain; version=0.0.4; charset=utf-8";
  } else if (response.layout == Layout::kBare) {
    if (!response.data.is_null()) out.body = dump_json(response.data);
  } else if (something || out.status == 200) {
    out.body = envelope_text(response, request_id);
  }
  return out;
}

}  // namespace curfew::api

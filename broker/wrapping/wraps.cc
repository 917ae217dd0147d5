#include "broker/wrapping/wraps.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/duration.h"
#include "broker/token/token_service.h"
#include "broker/token/token_text.h"

namespace curfew::broker {
namespace {

constexpr std::string_view kScope = "wrapping";
// As much as the largest secret that an engine keeps, with room for its envelope.
constexpr std::size_t kWrappedBytesMax = 2 * 1024 * 1024;

Response answer_of(WrapInfo info) {
  Response response;
  response.wrap_info = std::move(info);
  response.request_id = "";
  return response;
}

Error ended_meanwhile(std::string_view what) {
  return {Errc::kInvalidArgument,
          fmt::format("the {} behind this wrapping token was revoked or has expired: ask for a new "
                      "one",
                      what)};
}

}  // namespace

Error no_wrapping_token() {
  return {Errc::kInvalidArgument, "wrapping token is not valid or does not exist"};
}

Wraps::Wraps(store::Database& database, const store::Records& records,
             const store::Barrier& barrier, TokenStore& tokens, LeaseStore& leases,
             const Lockdowns& lockdowns, FindStanding find_standing, const Clock& clock,
             Random& random, Log& log)
    : database_(database),
      records_(records),
      barrier_(barrier),
      tokens_(tokens),
      leases_(leases),
      lockdowns_(lockdowns),
      find_standing_(std::move(find_standing)),
      clock_(clock),
      random_(random),
      log_(log) {}

// ---- the store --------------------------------------------------------------------------------

Result<Wraps::Found> Wraps::find(const store::Reader& reader, const Secret& secret) const {
  ASSIGN_OR_RETURN(const std::string id, token_row_id(barrier_, secret));
  ASSIGN_OR_RETURN(auto token, find_token(reader, barrier_, id));
  // The clock is read in here: a token that ended before this commit is not opened by it.
  const bool usable = token && token->type == TokenType::kWrapping && token->num_uses == 1 &&
                      token->expires_at && *token->expires_at > clock_.wall();
  if (!usable) return no_wrapping_token();
  ASSIGN_OR_RETURN(const auto stored, records_.get(reader, kScope, id));
  if (!stored) return no_wrapping_token();
  return Found{*std::move(token), wrapped_response_from_stored(*stored)};
}

Result<Wraps::Found> Wraps::find(const Secret& token) const {
  std::optional<Found> found;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(found, find(reader, token));
    return ok();
  }));
  return *std::move(found);
}

Status Wraps::spend(store::Writer& writer, const Token& token) {
  RETURN_IF_ERROR(records_.remove(writer, kScope, token.id));
  return end_token(writer, barrier_, token, clock_.wall());
}

// Makes the token that opens it, and writes both down.
Result<WrapInfo> Wraps::put(store::Writer& writer, const WrappedResponse& wrapped) {
  WrapInfo info{.token = make_service_token(random_, barrier_.name_space()),
                .accessor = make_accessor(random_),
                .ttl = wrapped.ttl,
                .created_at = wrapped.created_at,
                .creation_path = wrapped.creation_path,
                .wrapped_accessor = wrapped.wrapped_accessor,
                .lease_id = wrapped.held_lease()};
  Token token;
  token.type = TokenType::kWrapping;
  ASSIGN_OR_RETURN(token.id, token_row_id(barrier_, info.token));
  token.accessor = info.accessor;
  token.path = wrapped.creation_path;
  token.display_name = "wrapping";
  token.policies = {kWrappingPolicy};
  token.created_at = wrapped.created_at;
  token.creation_ttl = wrapped.ttl;
  token.explicit_max_ttl = wrapped.ttl;
  token.expires_at = wrapped.created_at + wrapped.ttl;
  token.num_uses = 1;
  token.renewable = false;
  token.orphan = true;
  RETURN_IF_ERROR(insert_token(writer, barrier_, token, wrapped.created_at));
  RETURN_IF_ERROR(records_.put(writer, kScope, token.id, to_stored(wrapped)));
  return info;
}

// ---- wrapping and opening ---------------------------------------------------------------------

Result<Response> Wraps::wrap(const Request& request, const engines::Attribution& by, Millis ttl,
                             Response response) {
  WrappedResponse wrapped;
  wrapped.entity_id = by.entity_id;
  wrapped.human_id = by.human_id;
  wrapped.request_id = response.request_id.value_or(request.id);
  wrapped.creation_path = request.path;
  wrapped.created_at = clock_.wall();
  wrapped.ttl = ttl;
  wrapped.wrapped_accessor = response.wrapped_accessor;
  if (response.auth) {
    wrapped.wrapped_accessor = response.auth->accessor;
    // What has no row cannot be ended before its time; nobody has it unless it is unwrapped.
    if (response.auth->made_now && !response.auth->accessor.empty()) {
      ASSIGN_OR_RETURN(wrapped.held_token, tokens_.id_of(response.auth->client_token));
    }
  }
  wrapped.response = std::move(response);
  if (dump_json(wrapped.response.data).size() > kWrappedBytesMax)
    return Error{Errc::kTooLarge,
                 fmt::format("the answer has more than {} bytes and cannot be wrapped: leave "
                             "X-Vault-Wrap-TTL out",
                             kWrappedBytesMax)};
  std::optional<WrapInfo> info;
  RETURN_IF_ERROR(database_.write([&](store::Writer& writer) -> Status {
    ASSIGN_OR_RETURN(info, put(writer, wrapped));
    return ok();
  }));
  return answer_of(*std::move(info));
}

Result<Response> Wraps::promise(const Request& request, const engines::Attribution& by, Millis ttl,
                                const std::string& approval_id) {
  WrappedResponse wrapped;
  wrapped.entity_id = by.entity_id;
  wrapped.human_id = by.human_id;
  wrapped.request_id = request.id;
  wrapped.creation_path = request.path;
  wrapped.created_at = clock_.wall();
  wrapped.ttl = ttl;
  wrapped.approval_id = approval_id;
  std::optional<WrapInfo> info;
  RETURN_IF_ERROR(database_.write([&](store::Writer& writer) -> Status {
    ASSIGN_OR_RETURN(info, put(writer, wrapped));
    return ok();
  }));
  return answer_of(*std::move(info));
}

Result<std::optional<std::string>> Wraps::promised(const Secret& token) const {
  ASSIGN_OR_RETURN(const Found found, find(token));
  if (found.wrapped.approval_id.empty()) return std::optional<std::string>();
  return std::optional(found.wrapped.approval_id);
}

Result<std::optional<std::string>> Wraps::promised_by(const std::string& accessor) const {
  ASSIGN_OR_RETURN(const auto token, tokens_.get_by_accessor(accessor));
  const bool usable = token && token->type == TokenType::kWrapping && token->expires_at &&
                      *token->expires_at > clock_.wall();
  if (!usable) return no_wrapping_token();
  std::optional<std::string> out;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto stored, records_.get(reader, kScope, token->id));
    if (!stored) return no_wrapping_token();
    const std::string id = wrapped_response_from_stored(*stored).approval_id;
    if (!id.empty()) out = id;
    return ok();
  }));
  return out;
}

Status Wraps::keep_promise(const Secret& token) {
  return database_.write([&](store::Writer& writer) -> Status {
    ASSIGN_OR_RETURN(const Found found, find(writer, token));
    return spend(writer, found.token);
  });
}

Status Wraps::check_may_act(const std::string& entity_id) const {
  if (entity_id.empty()) return ok();
  ASSIGN_OR_RETURN(const auto standing, find_standing_(entity_id));
  if (standing != nullptr && !standing->disabled) return ok();
  return Error{Errc::kPermissionDenied,
               "permission denied: the entity for which this answer was made is disabled or gone"};
}

// Handing a credential out is no less than making one, and one that has ended is of no use.
Status Wraps::check_lives(const WrappedResponse& wrapped) const {
  const WallTime now = clock_.wall();
  RETURN_IF_ERROR(check_may_act(wrapped.entity_id));
  RETURN_IF_ERROR(check_may_act(wrapped.human_id));
  const std::string lease_id = wrapped.held_lease();
  if (!lease_id.empty()) {
    ASSIGN_OR_RETURN(const auto lease, leases_.get(lease_id));
    if (!lease || lease->state != LeaseState::kActive || lease->expires_at <= now)
      return ended_meanwhile("lease");
    RETURN_IF_ERROR(lockdowns_.check_stored(subject_of(*lease)));
  }
  if (!wrapped.held_token.empty()) {
    ASSIGN_OR_RETURN(const auto token, tokens_.get(wrapped.held_token));
    if (!token || (token->expires_at && *token->expires_at <= now)) return ended_meanwhile("token");
    RETURN_IF_ERROR(check_may_act(token->entity_id));
    RETURN_IF_ERROR(check_may_act(token->on_behalf_of));
  }
  return ok();
}

Result<Response> Wraps::open(const Secret& token) {
  ASSIGN_OR_RETURN(const Found seen, find(token));
  if (!seen.wrapped.approval_id.empty())
    return Error{Errc::kInternal, "what is behind this token has to be claimed"};
  RETURN_IF_ERROR(check_lives(seen.wrapped));
  std::optional<Found> found;
  RETURN_IF_ERROR(database_.write([&](store::Writer& writer) -> Status {
    ASSIGN_OR_RETURN(found, find(writer, token));
    return spend(writer, found->token);
  }));
  Response response = std::move(found->wrapped.response);
  response.request_id = std::move(found->wrapped.request_id);
  response.wrapped_accessor = std::move(found->wrapped.wrapped_accessor);
  return response;
}

Result<Response> Wraps::rewrap(const Secret& token, std::optional<Millis> ttl) {
  ASSIGN_OR_RETURN(const Found seen, find(token));
  RETURN_IF_ERROR(check_lives(seen.wrapped));
  std::optional<WrapInfo> info;
  RETURN_IF_ERROR(database_.write([&](store::Writer& writer) -> Status {
    ASSIGN_OR_RETURN(Found found, find(writer, token));
    RETURN_IF_ERROR(spend(writer, found.token));
    found.wrapped.created_at = clock_.wall();
    if (ttl) found.wrapped.ttl = std::min(found.wrapped.ttl, *ttl);
    ASSIGN_OR_RETURN(info, put(writer, found.wrapped));
    return ok();
  }));
  return answer_of(*std::move(info));
}

Result<Json> Wraps::look_up(const Secret& token) const {
  ASSIGN_OR_RETURN(const Found found, find(token));
  return Json{{"creation_path", found.wrapped.creation_path},
              {"creation_time", format_rfc3339(found.wrapped.created_at)},
              {"creation_ttl", std::chrono::floor<Seconds>(found.wrapped.ttl).count()}};
}

// ---- the end of what was not opened -----------------------------------------------------------

Status Wraps::settle(const std::string& token, WallTime now) {
  Result<std::optional<Json>> stored = std::optional<Json>{};
  const Status looked = database_.read([&](const store::Reader& reader) -> Status {
    stored = records_.get(reader, kScope, token);
    return ok();
  });
  if (!looked) return looked.error();
  if (!stored && stored.error().code != Errc::kCorrupt) return std::move(stored).error();
  if (stored && !*stored) return ok();
  if (stored) {
    const WrappedResponse wrapped = wrapped_response_from_stored(**stored);
    const std::string lease = wrapped.held_lease();
    if (!lease.empty()) RETURN_IF_ERROR(leases_.end_all(std::vector{lease}, now));
    if (!wrapped.held_token.empty()) RETURN_IF_ERROR(tokens_.end_tree(wrapped.held_token, now));
    log_.info("wrapped answer was not opened: what it held ends",
              {{"path", wrapped.creation_path},
               {"lease", lease},
               {"wrapped_accessor", wrapped.wrapped_accessor}});
  } else {
    log_.error("stored wrapped answer was altered outside of Curfew: what it held cannot be ended",
               {{"error", stored.error().message}});
  }
  return database_.write([&](store::Writer& writer) -> Status {
    RETURN_IF_ERROR(records_.remove(writer, kScope, token));
    return ok();
  });
}

}  // namespace curfew::broker
